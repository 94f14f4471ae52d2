"""How long the loop keeps everybody waiting.

Trio tells an instrument when the loop falls asleep and when it wakes. What lies between is one turn, in which no timer,
no request and no kill deadline is looked at. So every stall is seen, also the one in a thousand that a probe at
intervals would miss, and an idle daemon stays asleep. A wake-up later than the loop had asked for, because the machine
had no time for us, counts as part of the turn.
"""

from collections.abc import Callable
from time import perf_counter

import trio

from prunner_trio.metrics.histogram import Histogram

__all__ = ["LoopLag"]


class LoopLag(trio.abc.Instrument):
    """Counts the turns of the loop by their length, in seconds."""

    def __init__(self, turns: Histogram, clock: Callable[[], float] = perf_counter) -> None:
        """Begin in the middle of a turn."""
        self._observe = turns.observe
        self._clock = clock
        self._due = self._asleep = clock()

    def before_io_wait(self, timeout: float) -> None:
        """Note the end of a turn."""
        self._asleep = now = self._clock()
        self._observe(now - self._due)

    def after_io_wait(self, timeout: float) -> None:
        """Note the beginning of a turn: now, or when it should have been."""
        self._due = min(self._clock(), self._asleep + timeout)
