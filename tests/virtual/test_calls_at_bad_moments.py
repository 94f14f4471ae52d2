"""Calls that come when the runner, or whoever calls it, is about to end."""

import math

import attrs
import pytest
import trio
import trio.testing

from prunner_trio.definition.pipeline import Definitions
from prunner_trio.embedding import open_runner
from prunner_trio.execution import StopLevel
from prunner_trio.execution.seams import Stream
from prunner_trio.model import EventKind, State
from prunner_trio.testing import Act, FakeLauncher, MemoryJournal, open_rig, simulate


@pytest.mark.parametrize("level", [StopLevel.DRAIN, StopLevel.CANCEL])
def test_a_job_that_is_canceled_while_it_is_saved_does_not_wait_for_the_next_start(one, level):
    journal = MemoryJournal()

    async def scenario(rig):
        journal.hold = True
        job = rig.runner.submit("p")
        job.cancel(by="jane")
        await rig.at(1)
        rig.runner.request_shutdown(level)
        journal.hold = False
        assert (await job.wait()).state is State.CANCELED

    simulate(one(), scenario, journal=journal)
    assert [saved.job.state for saved in journal.snapshot()] == [State.CANCELED]


def test_new_definitions_from_a_canceled_task_still_give_their_slots(one):
    async def scenario(rig):
        jobs = [await rig.schedule("p") for _ in range(2)]
        await rig.at(1)
        with trio.CancelScope() as scope:
            scope.cancel()
            rig.runner.replace_definitions(Definitions.of(attrs.evolve(one(), concurrency=2)))
        await rig.at(2)
        states = [job.state for job in jobs]
        for job in jobs:
            job.cancel()
        assert states == [State.RUNNING, State.RUNNING]

    simulate(one(), scenario, {"t": Act(math.inf)})


def test_no_pipeline_is_schedulable_once_the_end_has_begun(one):
    async def scenario(rig):
        assert [view.schedulable for view in rig.runner.pipelines()] == [True]
        rig.runner.request_shutdown(StopLevel.DRAIN)
        assert [view.schedulable for view in rig.runner.pipelines()] == [False]

    simulate(one(), scenario)


def test_a_runner_that_ends_while_retention_removes_a_job_leaves_no_logs_of_it(one):
    async def main():
        with trio.CancelScope() as scope:
            async with open_rig(Definitions.of(one(retention_count=1)), {"t": Act(stdout="said")}) as rig:
                with rig.runner.observe(lambda event: scope.cancel() if event.kind is EventKind.REMOVED else None):
                    old = await (await rig.schedule("p")).wait()
                    await (await rig.schedule("p")).wait()
                    await trio.sleep(60)
        assert await rig.journal.find(old.id) is None
        assert await rig.output.size(old.id, "t", Stream.STDOUT) == 0

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


@pytest.mark.parametrize("inner", [[ValueError("a")], [ValueError("a"), KeyError("b")]])
def test_a_group_that_a_block_raises_leaves_it_as_itself(one, inner):
    mine = ExceptionGroup("mine", inner)

    async def main():
        with pytest.raises(ExceptionGroup) as caught:
            async with open_runner(Definitions.of(one()), launcher=FakeLauncher()):
                raise mine
        assert caught.value is mine

    trio.run(main)
