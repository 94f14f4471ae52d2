"""Written, then done: nothing starts before it is on disk, nothing is reported that could be lost."""

import math

import pytest
import trio

from prunner_trio.definition.pipeline import QueueStrategy
from prunner_trio.errors import StoreError
from prunner_trio.model import State, StopReason
from prunner_trio.testing import Act, MemoryJournal, simulate

FOREVER = math.inf


def test_nothing_starts_before_the_job_is_on_disk(one):
    journal = MemoryJournal()

    async def scenario(rig):
        journal.hold = True
        job = rig.runner.submit("p")
        await rig.at(5)
        assert rig.launcher.launches == []
        assert job.state is State.WAITING
        journal.hold = False
        await job.saved()
        await job.wait()

    assert simulate(one(), scenario, journal=journal).when("p#1", "running") == 5


def test_a_job_that_cannot_be_saved_is_refused_starts_nothing_and_gives_its_slot_back(one):
    journal = MemoryJournal()

    async def scenario(rig):
        journal.fail_adds = True
        with pytest.raises(StoreError):
            await rig.schedule("p")
        assert rig.launcher.launches == []
        assert list(rig.runner.live()) == []
        journal.fail_adds = False
        assert (await (await rig.schedule("p")).wait()).state is State.DONE

    transcript = simulate(one(queue_limit=0), scenario, journal=journal)
    assert transcript.lines("p#1")[-1].startswith("0 p#1 canceled (not_saved)")


def test_a_caller_that_goes_away_loses_only_the_answer(one):
    journal = MemoryJournal()

    async def scenario(rig):
        journal.hold = True
        with trio.move_on_after(1):
            await rig.schedule("p")
        journal.hold = False
        (view,) = rig.runner.live()
        assert (await rig.runner.job(view.id).wait()).state is State.DONE

    simulate(one(), scenario, journal=journal)


def test_a_job_is_final_only_when_its_end_is_on_disk(one):
    journal = MemoryJournal()

    async def scenario(rig):
        job = await rig.schedule("p")
        await rig.at(1)
        journal.hold = True
        await rig.at(5)
        assert job.state is State.RUNNING
        assert job.view().tasks[0].state is State.DONE
        journal.hold = False
        view = await job.wait()
        assert (view.state, view.ended - view.started) == (State.DONE, 2)

    assert simulate(one(), scenario, {"t": Act(2)}, journal=journal).when("p#1", "done") == 5


def test_what_was_replaced_is_lost_only_when_the_new_job_is_on_disk(one):
    journal = MemoryJournal()
    pipeline = one(queue_strategy=QueueStrategy.REPLACE, queue_limit=1)

    async def scenario(rig):
        running, waiting = await rig.schedule("p"), await rig.schedule("p")
        journal.fail_adds = True
        with pytest.raises(StoreError):
            await rig.schedule("p")
        assert waiting.state is State.WAITING
        crashed = MemoryJournal(journal.snapshot())
        assert [saved.job.id for saved in await crashed.unfinished()] == [running.id, waiting.id]
        journal.fail_adds = False
        assert (await running.wait()).state is State.DONE
        assert (await waiting.wait()).state is State.DONE

    simulate(pipeline, scenario, {"t": Act(5)}, journal=journal)


def test_a_job_about_to_be_replaced_does_not_start_meanwhile(one):
    journal = MemoryJournal()
    pipeline = one(queue_strategy=QueueStrategy.REPLACE, queue_limit=1)

    async def scenario(rig):
        first = await rig.schedule("p")
        second = await rig.schedule("p")
        await rig.at(1)
        journal.hold = True
        third = rig.runner.submit("p")
        await rig.at(10)  # the first job's processes have ended at 5, its end waits for the disk
        assert (second.state, third.state) == (State.WAITING, State.WAITING)
        journal.hold = False
        await third.wait()
        assert (first.state, second.state) == (State.DONE, State.CANCELED)
        assert second.view().stop.reason is StopReason.REPLACED

    simulate(pipeline, scenario, {"t": Act(5)}, journal=journal)


def test_a_replaced_job_is_on_disk_as_canceled_together_with_the_new_one(one):
    journal = MemoryJournal()
    pipeline = one(queue_strategy=QueueStrategy.REPLACE, queue_limit=1)

    async def scenario(rig):
        jobs = [await rig.schedule("p") for _ in range(3)]
        crashed = MemoryJournal(journal.snapshot())
        unfinished = [saved.job.id for saved in await crashed.unfinished()]
        assert unfinished == [jobs[0].id, jobs[2].id]
        kept = (await crashed.find(jobs[1].id)).job
        assert kept.state is State.CANCELED
        assert {task.state for task in kept.tasks} == {State.CANCELED}
        for job in jobs:
            job.cancel()

    simulate(pipeline, scenario, {"t": Act(FOREVER)}, journal=journal)


def test_a_cancel_that_was_flushed_is_on_disk(one):
    journal = MemoryJournal()

    async def scenario(rig):
        await rig.schedule("p")
        waiting = await rig.schedule("p")
        waiting.cancel(by="jane")
        await rig.runner.flush()
        kept = (await MemoryJournal(journal.snapshot()).find(waiting.id)).job
        assert (kept.state, kept.stop.by, kept.started) == (State.CANCELED, "jane", None)

    simulate(one(), scenario, journal=journal)


def test_finished_jobs_leave_memory_and_are_found_in_the_store(one):
    async def scenario(rig):
        job = await rig.schedule("p", x=1)
        view = await job.wait()
        assert rig.runner.job(job.id) is None
        assert await rig.runner.find(job.id) == view
        assert list(await rig.runner.jobs()) == [view]

    simulate(one(), scenario)


def test_a_job_that_was_canceled_before_it_could_not_be_saved_is_taken_out_of_sight(one):
    journal = MemoryJournal()

    async def scenario(rig):
        running = await rig.schedule("p")
        journal.hold = True
        waiting = rig.runner.submit("p")
        waiting.cancel()
        journal.fail_adds = True
        journal.hold = False
        with pytest.raises(StoreError):
            await waiting.saved()
        assert list(rig.runner.live()) == [running.view()]
        running.cancel()

    transcript = simulate(one(), scenario, {"t": Act(FOREVER)}, journal=journal)
    assert transcript.lines("p#2")[-1] == "0 p#2 removed (not_saved)"
