"""Room for running tasks: so many at once, and one that comes in per turn of the loop."""

import math
from types import TracebackType

import trio

__all__ = ["Room"]


class Room:
    """The places of running tasks, as an asynchronous context manager; who comes first enters first.

    To make a task ready (its templates, its script, its log files) is work on the loop's thread. Were all tasks of a
    wide graph to come in at once, no timer and no request would get a turn before the last of them; and each would
    make log files of its own, though by then others would have none to write to theirs.
    """

    def __init__(self, most: int | None) -> None:
        """Make a room with so many places; None: without end."""
        self._places = trio.CapacityLimiter(math.inf if most is None else most)
        self._door = trio.Lock()

    async def __aenter__(self) -> None:
        """Take a place, in a later turn of the loop. Whoever is canceled meanwhile may still come in."""
        async with self._door:
            try:
                self._places.acquire_nowait()
            except trio.WouldBlock:
                await self._places.acquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave. Not a checkpoint."""
        self._places.release()

    def occupy(self, who: object) -> None:
        """Take a place for what is there already, without waiting, before anybody who has yet to start.

        Also where there is none left: then so many more must leave before one is free.
        """
        most = self._places.total_tokens
        self._places.total_tokens = math.inf
        self._places.acquire_on_behalf_of_nowait(who)
        self._places.total_tokens = most

    def give_back(self, who: object) -> None:
        """Give back a place that was taken by `occupy`."""
        self._places.release_on_behalf_of(who)
