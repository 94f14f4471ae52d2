"""How the processes of a task are brought down."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import attrs
import trio

from prunner_trio.errors import ProcessesSurvived
from prunner_trio.execution.seams import Proc

__all__ = ["REAP_TIMEOUT", "Hurry", "StopPolicy", "stop_tree"]

REAP_TIMEOUT = 5.0
"""Seconds that processes may take to disappear after SIGKILL before their task is given up as `error`."""


@attrs.frozen
class StopPolicy:
    """Which signals are sent, and how long each may take.

    Attributes:
        steps: signal, and seconds until the next one.
        reap_timeout: seconds from SIGKILL until the processes count as survivors.
    """

    steps: tuple[tuple[signal.Signals, float], ...]
    reap_timeout: float = REAP_TIMEOUT

    @classmethod
    @lru_cache(maxsize=64)  # every task asks, and few times are in use
    def from_kill_timeout(cls, seconds: float, reap_timeout: float = REAP_TIMEOUT) -> "StopPolicy":
        """SIGINT at once, SIGTERM at half of the time, SIGKILL at its end; SIGKILL at once for 0 and less."""
        if seconds <= 0:
            return cls((), reap_timeout)
        return cls(((signal.SIGINT, seconds / 2), (signal.SIGTERM, seconds / 2)), reap_timeout)


class Hurry:
    """A latch that ends all graces, those under way and those to come: the operator does not want to wait."""

    def __init__(self) -> None:
        self._called = False
        self._scopes: set[trio.CancelScope] = set()

    @property
    def called(self) -> bool:
        """Whether SIGKILL comes at once from now on."""
        return self._called

    def call(self) -> None:
        """End all graces. May be called again."""
        self._called = True
        for scope in self._scopes:
            scope.cancel()

    @contextmanager
    def grace(self, seconds: float) -> Iterator[None]:
        """Limit what happens inside to `seconds`, or until `call`."""
        with trio.move_on_after(seconds) as scope:
            self._scopes.add(scope)
            try:
                yield
            finally:
                self._scopes.discard(scope)


async def stop_tree(proc: Proc, policy: StopPolicy, hurry: Hurry) -> None:
    """Bring the whole tree down; return when nothing of it is alive.

    Takes at most the sum of the graces plus `reap_timeout`, shielded from cancellation: a caller that is being
    canceled needs the processes gone all the more. Not a checkpoint when nobody is left to begin with.

    Raises:
        ProcessesSurvived: somebody was still there `reap_timeout` seconds after SIGKILL.
    """
    with trio.CancelScope(shield=True):  # bounded: every wait below has its own deadline
        for sig, grace in policy.steps:
            if not hurry.called:
                proc.signal_tree(sig)
                with hurry.grace(grace):
                    await proc.wait_gone()
                    return
        proc.signal_tree(signal.SIGKILL)
        with trio.move_on_after(policy.reap_timeout):
            await proc.wait_gone()
            return
    raise ProcessesSurvived(f"process tree {proc.pid} survived SIGKILL for {policy.reap_timeout:g} s")
