"""The end of a daemon: it waits for jobs as long as they take, for a disk that takes nothing only so long."""

import math
import signal
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock

from prunner_trio.daemon.ending import SAVE_TIMEOUT, hand_over, jobs_end
from prunner_trio.daemon.signals import hear_signals
from prunner_trio.definition import Definitions, PipelineDef, TaskDef
from prunner_trio.errors import StoreError
from prunner_trio.execution import StopLevel
from prunner_trio.testing import Act, Rig, open_rig

SLOW = Definitions.of(PipelineDef("slow", (TaskDef("t", ("sleep 100",)),)))


def virtual(scenario: Callable[[Rig, "Ladder"], Awaitable[None]], act: Act) -> None:
    """Run a scenario on virtual time; it begins with one running job."""

    async def main() -> None:
        async with open_rig(SLOW, {"t": act}) as rig:
            await rig.schedule("slow")
            await rig.at(5)
            await scenario(rig, Ladder(rig))

    trio.run(main, clock=MockClock(autojump_threshold=0), strict_exception_groups=True)


class Ladder:
    """Raises the level as the daemon does: the runner first, then whoever waits for the end."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self._listener: Callable[[], None] = lambda: None

    def listen(self, listener: Callable[[], None]) -> None:
        self._listener = listener

    def climb(self, level: StopLevel) -> None:
        self.rig.runner.request_shutdown(level)
        self._listener()

    async def end(self) -> float:
        await jobs_end(self.rig.runner, self.listen)
        return trio.current_time() - self.rig.started


def test_a_drain_waits_for_running_jobs() -> None:
    async def scenario(rig: Rig, ladder: Ladder) -> None:
        ladder.climb(StopLevel.DRAIN)
        assert await ladder.end() == 100

    virtual(scenario, Act(seconds=100))


def test_canceled_jobs_are_waited_for_until_their_processes_are_gone() -> None:
    async def scenario(rig: Rig, ladder: Ladder) -> None:
        ladder.climb(StopLevel.CANCEL)
        assert await ladder.end() == 7

    virtual(scenario, Act(seconds=100, on_sigint=math.inf, on_sigterm=math.inf))


def test_a_store_that_takes_nothing_ends_the_wait_some_time_after_the_last_process() -> None:
    async def scenario(rig: Rig, ladder: Ladder) -> None:
        rig.journal.hold = True
        ladder.climb(StopLevel.CANCEL)
        with pytest.raises(StoreError, match="could not be saved"):
            await ladder.end()
        assert trio.current_time() - rig.started == 7 + SAVE_TIMEOUT
        rig.journal.hold = False

    virtual(scenario, Act(seconds=100, on_sigint=math.inf, on_sigterm=math.inf))


def test_a_store_that_recovers_in_time_changes_nothing() -> None:
    async def scenario(rig: Rig, ladder: Ladder) -> None:
        rig.journal.hold = True
        ladder.climb(StopLevel.CANCEL)

        async def recover() -> None:
            await trio.sleep(SAVE_TIMEOUT - 1)
            rig.journal.hold = False

        async with trio.open_nursery() as nursery:
            nursery.start_soon(recover)
            assert await ladder.end() == 5 + SAVE_TIMEOUT - 1

    virtual(scenario, Act(seconds=100))


def test_a_drain_is_patient_with_the_store_until_it_becomes_a_cancel() -> None:
    async def scenario(rig: Rig, ladder: Ladder) -> None:
        rig.journal.hold = True
        ladder.climb(StopLevel.DRAIN)

        async def lose_patience() -> None:
            await trio.sleep(1000)
            ladder.climb(StopLevel.CANCEL)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(lose_patience)
            with pytest.raises(StoreError):
                await ladder.end()
        assert trio.current_time() - rig.started == 5 + 1000 + SAVE_TIMEOUT
        rig.journal.hold = False

    virtual(scenario, Act(seconds=100))


@pytest.mark.parametrize("immortal", [True, False])
def test_processes_that_survive_sigkill_are_noticed(immortal: bool) -> None:
    async def scenario(rig: Rig, ladder: Ladder) -> None:
        ladder.climb(StopLevel.CANCEL)
        await ladder.end()
        assert rig.runner.survivors is immortal

    virtual(scenario, Act(seconds=100, immortal=immortal))


async def arrive(*numbers: int) -> AsyncIterator[int]:
    for number in numbers:
        yield number


def heard(early: list[int], later: list[int]) -> tuple[list[StopLevel], int]:
    """Let signals arrive and return the levels that were asked for, and how many reloads."""
    levels, reloads, _ = all_heard(early, later)
    return levels, reloads


def all_heard(early: list[int], later: list[int]) -> tuple[list[StopLevel], int, int]:
    levels = [StopLevel.SERVE]
    reloads, handovers = [], []

    async def main() -> None:
        await hear_signals(
            early,
            arrive(*later),
            level=lambda: levels[-1],
            stop=levels.append,
            reload=lambda: reloads.append(1),
            hand_over=lambda: handovers.append(1),
        )

    trio.run(main)
    return levels[1:], len(reloads), len(handovers)


def test_signals_climb_the_ladder_in_their_order() -> None:
    assert heard([], [signal.SIGINT, signal.SIGTERM, signal.SIGINT]) == (
        [StopLevel.DRAIN, StopLevel.CANCEL, StopLevel.KILL],
        0,
    )


def test_signals_that_came_early_count() -> None:
    assert heard([signal.SIGTERM], [signal.SIGTERM]) == ([StopLevel.CANCEL, StopLevel.KILL], 0)


def test_a_reload_is_asked_for_by_two_signals_and_not_while_ending() -> None:
    asked = [signal.SIGUSR1, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1]
    assert heard([], [int(number) for number in asked]) == ([StopLevel.DRAIN], 2)


def test_a_handover_is_a_signal_of_its_own() -> None:
    assert all_heard([signal.SIGUSR2], [signal.SIGUSR2]) == ([], 0, 2)


def test_a_handover_that_cannot_be_written_down_lets_nothing_go_and_drains() -> None:
    async def scenario(rig: Rig, ladder: Ladder) -> None:
        rig.journal.hold = True
        began = trio.current_time()
        await hand_over(rig.runner)
        assert trio.current_time() - began == SAVE_TIMEOUT
        assert rig.runner.level is StopLevel.DRAIN
        assert rig.runner.counts() == (1, 0)
        rig.journal.hold = False
        await ladder.end()

    virtual(scenario, Act(seconds=100))
