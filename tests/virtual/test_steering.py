"""Wait lists are put into another order, pipelines are paused, and it is written down who did it."""

import math

import pytest

from prunner_trio.definition.pipeline import Definitions, PipelineDef, QueueStrategy
from prunner_trio.errors import JobNotFound, JobNotWaiting, PipelineNotFound, PipelinePaused
from prunner_trio.execution import StopLevel
from prunner_trio.model import MOST_ENTRIES, Action, EventKind, JobId, Pause, State, StopReason, WaitReason
from prunner_trio.testing import EPOCH, Act, MemoryJournal, simulate

FOREVER = math.inf


async def fill(rig, count=4):
    """Schedule one job that runs and others that wait; return those that wait."""
    return [await rig.schedule("p") for _ in range(count + 1)][1:]


def order(rig):
    """Return the numbers of the jobs on the wait list."""
    return [queued.job.number for queued in rig.runner.queue()]


def deeds(entries):
    return [(entry.at - EPOCH, entry.action, entry.by, entry.detail) for entry in entries]


# ------------------------------------------------------------------------------------------------------------ moving


@pytest.mark.parametrize(
    ("which", "how", "then"),
    [
        (5, {"to": 1}, [5, 2, 3, 4]),
        (2, {"to": 3}, [3, 4, 2, 5]),
        (2, {"to": 99}, [3, 4, 5, 2]),
        (4, {"before": 2}, [4, 2, 3, 5]),
        (2, {"before": 5}, [3, 4, 2, 5]),
        (2, {"after": 4}, [3, 4, 2, 5]),
        (5, {"after": 2}, [2, 5, 3, 4]),
        (3, {"to": 2}, [2, 3, 4, 5]),
        (3, {"after": 2}, [2, 3, 4, 5]),
        (3, {"before": 3}, [2, 3, 4, 5]),
    ],
)
def test_jobs_start_in_the_order_they_were_brought_into(one, which, how, then):
    async def scenario(rig):
        jobs = {job.view().number: job for job in await fill(rig)}
        place = {key: jobs[value].id if key != "to" else value for key, value in how.items()}
        rig.runner.move(jobs[which].id, by="jane", **place)
        assert order(rig) == then
        for job in jobs.values():
            await job.wait()

    transcript = simulate(one(), scenario, {"t": Act(1)})
    starts = [entry.job for entry in transcript if not entry.task and entry.what == "running"]
    assert starts == ["p#1", *(f"p#{number}" for number in then)]
    moved = [entry for entry in transcript if entry.what.startswith("moved")]
    assert len(moved) == (then != [2, 3, 4, 5])


def test_moves_hold_over_a_restart(one):
    left = []

    async def before(rig):
        jobs = await fill(rig)
        rig.runner.move(jobs[3].id, to=1)
        rig.runner.move(jobs[0].id, to=4)
        rig.runner.move(jobs[1].id, before=jobs[3].id)
        assert order(rig) == [3, 5, 4, 2]
        left.extend(rig.journal.snapshot())
        rig.runner.request_shutdown(StopLevel.KILL)

    async def after(rig):
        last = await rig.schedule("p")
        assert order(rig) == [5, 4, 2, 6]
        await last.wait()

    simulate(one(), before, {"t": Act(FOREVER)})
    transcript = simulate(one(), after, {"t": Act(1)}, journal=MemoryJournal(left))
    starts = [entry.job for entry in transcript if not entry.task and entry.what == "running"]
    assert starts == ["p#3", "p#5", "p#4", "p#2", "p#6"]


def test_all_ranks_of_a_move_are_saved_at_once(one):
    async def scenario(rig):
        jobs = await fill(rig)
        rig.journal.hold = True
        rig.runner.move(jobs[3].id, to=1)
        assert [saved.job.moved_to for saved in rig.journal.snapshot()] == [None] * 5
        rig.journal.hold = False
        assert [saved.job.rank for saved in rig.journal.snapshot()] == [1, 3, 4, 5, 2]

    simulate(one(), scenario, {"t": Act(1)})


def test_a_rank_that_comes_from_a_job_that_was_never_saved_is_given_to_nobody_else(one):
    journal = MemoryJournal()

    async def before(rig):
        for _ in range(2):
            await rig.schedule("p")
        journal.hold, journal.fail_next = True, 1
        lost = rig.runner.submit("p")
        rig.runner.move(lost.id, to=1)
        journal.hold = False
        await rig.at(1)
        assert [queued.job.rank for queued in rig.runner.queue()] == [2, 3]

    async def after(rig):
        new = await rig.schedule("p")
        assert order(rig) == [1, 2, new.view().number]
        rig.runner.move(new.id, to=2)
        assert order(rig) == [1, new.view().number, 2]

    simulate(one(start_delay=100.0), before, journal=journal)
    simulate(one(start_delay=100.0), after, journal=journal)


def test_the_last_of_the_list_is_replaced_whenever_it_came(one):
    async def scenario(rig):
        _, second, third = [await rig.schedule("p") for _ in range(3)]
        rig.runner.move(second.id, to=2)
        await rig.schedule("p")
        assert (await second.wait()).stop.reason is StopReason.REPLACED
        assert (await third.wait()).state is State.DONE

    simulate(one(queue_strategy=QueueStrategy.REPLACE, queue_limit=2), scenario, {"t": Act(1)})


def test_one_that_could_not_be_replaced_comes_back_to_its_place(one):
    async def scenario(rig):
        _, second, _, fourth = [await rig.schedule("p") for _ in range(4)]
        rig.runner.move(fourth.id, to=1)
        rig.runner.move(second.id, to=3)
        assert order(rig) == [4, 3, 2]
        rig.journal.fail_next = 1
        rig.runner.submit("p")
        await rig.at(0.5)
        assert order(rig) == [4, 3, 2]

    simulate(one(queue_strategy=QueueStrategy.REPLACE, queue_limit=3), scenario, {"t": Act(1)})


def test_what_cannot_be_moved(one):
    async def scenario(rig):
        running = await rig.schedule("p")
        waiting = await rig.schedule("p")
        other = [await rig.schedule("q") for _ in range(2)][1]
        runner = rig.runner
        with pytest.raises(JobNotWaiting, match=f"'{running.id}' is not on the wait list of pipeline 'p'"):
            runner.move(running.id, to=1)
        for wrong in (running.id, other.id, JobId("nobody")):
            with pytest.raises(JobNotWaiting, match=f"'{wrong}' is not on the wait list of pipeline 'p'"):
                runner.move(waiting.id, before=wrong)
        with pytest.raises(JobNotFound):
            runner.move(JobId("nobody"), to=1)
        for place in ({}, {"to": 0}, {"to": 1, "after": waiting.id}):
            with pytest.raises(ValueError, match="says where the job goes"):
                runner.move(waiting.id, **place)

    simulate(Definitions.of(one(), one(name="q")), scenario, {"t": Act(1)})


# ----------------------------------------------------------------------------------------------------------- pausing


def test_a_paused_pipeline_accepts_jobs_and_starts_none(one):
    async def scenario(rig):
        running = await rig.schedule("p")
        first = await rig.schedule("p")
        rig.runner.pause("p", by="jane")
        await running.wait()
        second = await rig.schedule("p")
        await rig.at(10)
        assert order(rig) == [2, 3]
        assert rig.runner.pause_of("p") == Pause(EPOCH, "jane") == rig.runner.pipelines()[0].pause
        rig.runner.resume("p", by="joe")
        assert rig.runner.pause_of("p") is None
        await first.wait()
        await second.wait()

    transcript = simulate(one(), scenario, {"t": Act(1)})
    assert [transcript.when(f"p#{number}", "running") for number in (1, 2, 3)] == [0, 10, 11]


def test_one_that_has_its_slot_but_is_not_on_disk_yet_waits_as_well(one):
    async def scenario(rig):
        rig.journal.hold = True
        job = rig.runner.submit("p")
        rig.runner.pause("p")
        rig.journal.hold = False
        await job.saved()
        await rig.at(3)
        assert [queued.place.reason for queued in rig.runner.queue()] == [WaitReason.PAUSED]
        rig.runner.resume("p")
        await job.wait()

    assert simulate(one(), scenario).when("p#1", "running") == 3


def test_a_delay_that_passes_within_a_pause_starts_nothing(one):
    async def scenario(rig):
        job = await rig.schedule("p")
        rig.runner.pause("p")
        await rig.at(5)
        rig.runner.resume("p")
        await job.wait()

    assert simulate(one(start_delay=2.0), scenario).when("p#1", "running") == 5


def test_without_a_wait_list_a_paused_pipeline_refuses(one):
    async def scenario(rig):
        rig.runner.pause("p")
        assert not rig.runner.pipelines()[0].schedulable
        with pytest.raises(PipelinePaused, match="pipeline 'p' is paused and has no wait list"):
            await rig.schedule("p")
        rig.runner.resume("p")
        assert rig.runner.pipelines()[0].schedulable
        await (await rig.schedule("p")).wait()

    simulate(one(queue_limit=0), scenario)


def test_a_pause_holds_over_a_restart_and_while_the_pipeline_is_not_defined(one):
    journal = MemoryJournal()

    async def before(rig):
        rig.runner.pause("p", by="jane")
        await rig.schedule("p")

    async def between(rig):
        assert rig.runner.pause_of("p") == Pause(EPOCH, "jane")
        await rig.at(5)

    async def after(rig):
        assert order(rig) == [1]
        rig.runner.replace_definitions(Definitions.of(one(name="q")))
        rig.runner.replace_definitions(Definitions.of(one()))
        await rig.at(5)
        assert order(rig) == [1]
        rig.runner.resume("p")
        await rig.runner.job(rig.runner.queue()[0].job.id).wait()

    simulate(one(), before, journal=journal)
    simulate(one(name="q"), between, journal=journal)
    assert simulate(one(), after, journal=journal).when("p#1", "running") == 5


def test_who_paused_and_resumed_is_written_down_once(one):
    async def scenario(rig):
        runner = rig.runner
        assert runner.pipeline_audit("p") == ()
        for act, by in ((runner.pause, "jane"), (runner.pause, "joe"), (runner.resume, ""), (runner.resume, "joe")):
            act("p", by=by)
            await rig.at(trio_seconds(rig) + 1)
        assert deeds(runner.pipeline_audit("p")) == [(0, Action.PAUSED, "jane", ""), (2, Action.RESUMED, "", "")]
        for call in (runner.pause, runner.resume, runner.pipeline_audit):
            with pytest.raises(PipelineNotFound):
                call("nowhere")
        for _ in range(MOST_ENTRIES):
            runner.pause("p")
            runner.resume("p")
        assert len(runner.pipeline_audit("p")) == MOST_ENTRIES
        assert runner.pipeline_audit("p")[-1].action is Action.RESUMED

    simulate(one(), scenario)


def trio_seconds(rig):
    return rig.runner._services.now() - EPOCH


def test_events_tell_of_it(one):
    async def scenario(rig):
        seen = []
        with rig.runner.observe(seen.append):
            jobs = await fill(rig, 2)
            rig.runner.move(jobs[1].id, to=1)
            rig.runner.pause("p", by="jane")
            rig.runner.resume("p")
        told = [event for event in seen if event.kind in (EventKind.MOVED, EventKind.PIPELINE)]
        assert [(event.kind, event.job_id, event.pipeline, event.state, event.reason) for event in told] == [
            (EventKind.MOVED, jobs[1].id, "p", State.WAITING, "to position 1 of 2"),
            (EventKind.PIPELINE, "", "p", State.WAITING, "paused by jane"),
            (EventKind.PIPELINE, "", "p", State.RUNNING, "resumed"),
        ]

    simulate(one(), scenario, {"t": Act(1)})


# ------------------------------------------------------------------------------------------------------------- looking


def test_the_queue_tells_who_waits_and_for_whom(one):
    async def scenario(rig):
        running = await rig.schedule("p")
        await rig.schedule("p")
        delayed = await rig.schedule("q")
        rig.runner.pause("r", by="jane")
        await rig.schedule("r")
        queue = rig.runner.queue()
        assert [(queued.job.pipeline, queued.place.reason, queued.place.position) for queued in queue] == [
            ("p", WaitReason.SLOTS, 1),
            ("q", WaitReason.DELAYED, 1),
            ("r", WaitReason.PAUSED, 1),
        ]
        assert queue[0].place.holders == (running.id,)
        assert queue[1].job == delayed.view()
        assert queue[2].place.pause == Pause(EPOCH, "jane")
        rig.journal.hold = True
        rig.runner.submit("s")
        assert rig.runner.queue()[-1].place.reason is WaitReason.SAVING
        rig.journal.hold = False

    pipelines = Definitions.of(one(), one(name="q", start_delay=5.0), one(name="r"), one(name="s"))
    simulate(pipelines, scenario, {"t": Act(1)})


def test_what_is_done_to_a_job_is_written_down(one):
    async def scenario(rig):
        jobs = [await rig.schedule("p", user="ann") for _ in range(3)]
        await rig.at(1)
        rig.runner.move(jobs[2].id, to=1, by="jane")
        await rig.at(2)
        jobs[2].cancel(by="joe")
        for by in ("joe", "jane", "joe"):
            jobs[0].cancel(by=by)
        await rig.runner.flush()
        assert deeds(await rig.runner.job_audit(jobs[2].id)) == [
            (0, Action.SCHEDULED, "ann", ""),
            (1, Action.MOVED, "jane", "to position 1 of 2"),
            (2, Action.CANCELED, "joe", ""),
        ]
        await jobs[0].wait()
        assert [entry.by for entry in await rig.runner.job_audit(jobs[0].id)] == ["ann", "joe", "jane"]
        with pytest.raises(JobNotFound):
            await rig.runner.job_audit(JobId("nobody"))

    simulate(one(), scenario, {"t": Act(10)})


def test_a_wait_list_is_a_list_again_after_many_moves():
    pipeline = PipelineDef("p", ())

    async def scenario(rig):
        rig.runner.pause("p")
        jobs = [await rig.schedule("p") for _ in range(20)]
        for turn in range(200):
            rig.runner.move(jobs[turn * 7 % 20].id, to=turn * 11 % 20 + 1)
        assert sorted(order(rig)) == list(range(1, 21))
        kept = sorted(rig.journal.snapshot(), key=lambda saved: saved.job.rank)
        assert [saved.job.number for saved in kept] == order(rig)

    simulate(pipeline, scenario)
