"""A daemon as its client knows it."""

from collections.abc import Callable
from typing import NamedTuple

from prunner_trio.client.address import Address

__all__ = ["Daemon"]


class Daemon(NamedTuple):
    """Where a daemon is, and what lets us in.

    Attributes:
        token: returns one that is valid now; asked anew for each request, so that it may be short-lived.
    """

    address: Address
    token: Callable[[], str]

    def __repr__(self) -> str:
        return f"Daemon({self.address})"
