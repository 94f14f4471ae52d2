"""How long something small takes: so often that a clock can tell, in several rounds, in wall and processor time."""

import gc
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from benchmarks.measure import Outcome

__all__ = ["Timing", "repeat", "repeat_async"]

ENOUGH = 0.2
"""Seconds that one round takes at least; the clocks and what the machine does meanwhile are small against that."""

ROUNDS = 7
QUICK_ENOUGH = 0.002
QUICK_ROUNDS = 2


@dataclass
class Timing:
    """Seconds of one repetition, a value per round.

    Attributes:
        wall: as they pass.
        cpu: of the processor, for all threads of this process, without its children.
    """

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def into(self, outcome: Outcome, name: str, scale: float, per: int = 1) -> None:
        """Write both down as rounds of the figures `name` and `name cpu`.

        Args:
            scale: units in a second: 1e3 for ms, 1e6 for µs.
            per: how many things one repetition does.
        """
        outcome.rounds[name] = [seconds * scale / per for seconds in self.wall]
        outcome.rounds[f"{name} cpu"] = [seconds * scale / per for seconds in self.cpu]


def repeat(work: Callable[[], object], *, quick: bool = False) -> Timing:
    """Time something; the first repetition, which fills caches, does not count."""

    def times(count: int) -> None:
        for _ in range(count):
            work()

    work()
    timing, count = Timing(), 1
    while _round(times, count, timing) < (QUICK_ENOUGH if quick else ENOUGH):
        timing, count = Timing(), count * 2
    for _ in range((QUICK_ROUNDS if quick else ROUNDS) - 1):
        _round(times, count, timing)
    return timing


async def repeat_async(work: Callable[[], Awaitable[object]], *, quick: bool = False) -> Timing:
    """Time something that waits; as `repeat`, within a Trio program."""

    async def times(count: int) -> tuple[float, float]:
        gc.collect()
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(count):
            await work()
        return time.perf_counter() - wall, time.process_time() - cpu

    await work()
    count = 1
    while (first := await times(count))[0] < (QUICK_ENOUGH if quick else ENOUGH):
        count *= 2
    rounds = [first, *[await times(count) for _ in range((QUICK_ROUNDS if quick else ROUNDS) - 1)]]
    return Timing([wall / count for wall, _ in rounds], [cpu / count for _, cpu in rounds])


def _round(times: Callable[[int], None], count: int, timing: Timing) -> float:
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    times(count)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    timing.wall.append(wall / count)
    timing.cpu.append(cpu / count)
    return wall
