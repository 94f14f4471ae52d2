"""How those who wait for something long hear of it, and how they end it."""

from collections.abc import Callable

__all__ = ["Progress", "unheard"]

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is, or 0. An exception from it ends the work."""


def unheard(what: str, done: int, total: int) -> None:
    """Do nothing: nobody waits."""
