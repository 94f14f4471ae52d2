"""What becomes of jobs whose daemon died while they ran, with and without processes that survived it."""

import math

import attrs
import pytest

from prunner_trio.definition.pipeline import Definitions, OnDaemonCrash, PipelineDef, TaskDef
from prunner_trio.execution import StopLevel
from prunner_trio.execution.seams import JobReset
from prunner_trio.model import State, StopReason
from prunner_trio.output import MemoryOutputStore
from prunner_trio.testing import Act, MemoryJournal, simulate
from prunner_trio.testing.fakes import FakeRemains

FOREVER = math.inf
STUBBORN = Act(FOREVER, on_sigint=FOREVER, on_sigterm=FOREVER)
IMMORTAL = attrs.evolve(STUBBORN, immortal=True)


def crash(pipeline, acts, *, jobs=1, after=1.0):
    """Run jobs, and return what is on disk when the daemon dies at a moment."""
    left = []

    async def life(rig):
        for _ in range(jobs):
            await rig.schedule("p")
        await rig.at(after)
        left.extend(rig.journal.snapshot())
        rig.runner.request_shutdown(StopLevel.KILL)

    simulate(pipeline, life, acts)
    return left


async def to_the_end(rig):
    for view in list(rig.runner.live()):
        await rig.runner.job(view.id).wait()


def recover(pipeline, left, *, scenario=to_the_end, **more):
    journal = MemoryJournal(left)
    transcript = simulate(pipeline, scenario, journal=journal, **more)
    return transcript, {saved.job.number: saved.job for saved in journal.snapshot()}


# -------------------------------------------------------------------------------------------------------------- cancel


def test_a_job_of_which_nothing_is_left_ends_as_interrupted_before_anything_else(one):
    transcript, jobs = recover(one(), crash(one(), {"t": Act(FOREVER)}))
    assert transcript.lines() == []
    assert (jobs[1].state, jobs[1].stop.reason, jobs[1].error) == (
        State.CANCELED,
        StopReason.INTERRUPTED,
        "the daemon died",
    )


def test_survivors_get_the_stop_sequence_and_the_job_ends_when_they_are_gone(one):
    transcript, jobs = recover(one(), crash(one(), {"t": Act(FOREVER)}), remains={"t": STUBBORN})
    assert transcript.lines() == [
        "0 p#1/t SIGINT",
        "1 p#1/t SIGTERM",
        "2 p#1/t SIGKILL",
        "2 p#1/t canceled (stopped: interrupted)",
        "2 p#1 canceled (interrupted)",
    ]
    assert (jobs[1].state, jobs[1].error, jobs[1].tasks[0].exit_code) == (State.CANCELED, "the daemon died", -1)


def test_an_interrupted_job_holds_its_slot_until_its_survivors_are_gone(one):
    left = crash(one(), {"t": Act(FOREVER)}, jobs=2)
    transcript, jobs = recover(one(), left, remains={f"{left[0].job.id}/t": STUBBORN})
    assert transcript.when("p#1", "canceled") == transcript.when("p#2", "running") == 2
    assert jobs[2].state is State.DONE


def test_all_survivors_are_stopped_at_once(task):
    pipeline = PipelineDef("p", (task("a"), task("b"), task("c", "a")))
    transcript, jobs = recover(
        pipeline, crash(pipeline, {"a": Act(FOREVER), "b": Act(FOREVER)}), remains={"a": STUBBORN, "b": STUBBORN}
    )
    assert [transcript.when(f"p#1/{name}", "canceled") for name in "ab"] == [2, 2]
    assert {view.state for view in jobs[1].tasks} == {State.CANCELED}
    assert jobs[1].task("c").started is None


def test_a_task_that_had_ended_stays_as_it_was(task):
    pipeline = PipelineDef("p", (task("a"), task("b", "a")))
    _, jobs = recover(pipeline, crash(pipeline, {"b": Act(FOREVER)}), remains={"b": Act(FOREVER)})
    assert [view.state for view in jobs[1].tasks] == [State.DONE, State.CANCELED]


def test_survivors_that_outlive_sigkill_fail_the_task_and_are_told_of(one):
    seen = []

    async def scenario(rig):
        await to_the_end(rig)
        seen.append(rig.runner.survivors)

    _, jobs = recover(one(), crash(one(), {"t": Act(FOREVER)}), scenario=scenario, remains={"t": IMMORTAL})
    assert (jobs[1].state, seen) == (State.ERROR, [True])
    assert "survived SIGKILL" in jobs[1].tasks[0].reason


def test_a_job_that_waits_on_disk_but_has_processes_had_begun_and_is_interrupted(one):
    left = crash(one(), {"t": Act(FOREVER)}, jobs=2)
    transcript, _ = recover(one(), left[1:], remains={"t": Act(FOREVER)})
    assert transcript.lines() == [
        "0 p#2 running",
        "0 p#2/t running",
        "0 p#2/t SIGINT",
        "0 p#2/t canceled (stopped: interrupted)",
        "0 p#2 canceled (interrupted)",
    ]


def test_survivors_of_the_handler_are_stopped_too(one, task):
    pipeline = one(on_error=task("on_error"))
    left = crash(pipeline, {"t": Act(exit_code=1), "on_error": Act(FOREVER)})
    transcript, jobs = recover(pipeline, left, remains={"on_error": STUBBORN})
    assert transcript.lines(task="on_error")[0] == "0 p#1/on_error SIGINT"
    assert [view.state for view in jobs[1].tasks] == [State.ERROR, State.CANCELED]
    assert (jobs[1].state, jobs[1].stop.reason) == (State.CANCELED, StopReason.INTERRUPTED)


@pytest.mark.parametrize("policy", OnDaemonCrash)
def test_a_cancel_that_a_crash_cut_short_is_carried_out(one, policy):
    pipeline = one(on_daemon_crash=policy)
    left = []

    async def life(rig):
        job = await rig.schedule("p")
        await rig.at(1)
        job.cancel(by="jane")
        await rig.at(1.5)
        left.extend(rig.journal.snapshot())

    simulate(pipeline, life, {"t": STUBBORN})
    transcript, jobs = recover(pipeline, left, remains={"t": STUBBORN})
    assert transcript.lines()[-1] == "2 p#1 canceled (user)"
    assert (jobs[1].state, jobs[1].stop.by, jobs[1].attempt) == (State.CANCELED, "jane", 1)


def test_a_shutdown_while_survivors_are_being_stopped_waits_for_them(one):
    async def scenario(rig):
        rig.runner.request_shutdown(StopLevel.CANCEL)
        await rig.runner.finished()
        assert rig.launcher.open == set()

    transcript, _ = recover(one(), crash(one(), {"t": Act(FOREVER)}), scenario=scenario, remains={"t": STUBBORN})
    assert transcript.lines()[-1] == "2 p#1 canceled (interrupted)"


def test_a_kill_hurries_the_stop_of_survivors(one):
    async def scenario(rig):
        await rig.at(0.5)
        rig.runner.request_shutdown(StopLevel.KILL)
        await rig.runner.finished()

    transcript, _ = recover(one(), crash(one(), {"t": Act(FOREVER)}), scenario=scenario, remains={"t": STUBBORN})
    assert transcript.when("p#1/t", "SIGKILL") == transcript.when("p#1", "canceled") == 0.5


# ------------------------------------------------------------------------------------------------------------- requeue


@pytest.fixture
def again(one):
    """Return a pipeline whose jobs begin again."""
    return lambda **keys: one(on_daemon_crash=OnDaemonCrash.REQUEUE, **keys)


def test_a_requeued_job_runs_again_from_its_beginning_at_its_old_place(again):
    left = crash(again(), {"t": Act(10)}, jobs=3)
    transcript, jobs = recover(again(), left, acts={"t": Act(10)})
    assert [transcript.when(f"p#{n}", "running") for n in (1, 2, 3)] == [0, 10, 20]
    assert [(jobs[n].state, jobs[n].attempt) for n in (1, 2, 3)] == [(State.DONE, 2), (State.DONE, 1), (State.DONE, 1)]


def test_a_requeued_job_waits_until_its_survivors_are_gone_and_keeps_its_slot_meanwhile(again):
    left = crash(again(), {"t": Act(10)}, jobs=2)
    transcript, jobs = recover(again(), left, acts={"t": Act(10)}, remains={f"{left[0].job.id}/t": STUBBORN})
    assert transcript.lines() == [
        "0 p#1/t SIGINT",
        "1 p#1/t SIGTERM",
        "2 p#1/t SIGKILL",
        "2 p#1 waiting (attempt 2)",
        "2 p#1 running",
        "2 p#1/t running",
        "12 p#1/t done",
        "12 p#1 done",
        "12 p#2 running",
        "12 p#2/t running",
        "22 p#2/t done",
        "22 p#2 done",
    ]
    assert jobs[1].attempt == 2


def test_a_requeued_job_forgets_what_its_tasks_had_done(task):
    pipeline = PipelineDef(
        "p", (task("a"), task("b", "a")), on_error=task("on_error"), on_daemon_crash=OnDaemonCrash.REQUEUE
    )
    left = crash(pipeline, {"a": Act(exit_code=1), "on_error": Act(FOREVER)})
    assert len(left[0].job.tasks) == 3
    transcript, jobs = recover(pipeline, left)
    assert [view.name for view in jobs[1].tasks] == ["a", "b"]
    assert [transcript.when(f"p#1/{name}", "done") for name in "ab"] == [0, 0]
    assert (jobs[1].state, jobs[1].error, jobs[1].stop) == (State.DONE, "", None)


def test_each_crash_counts_an_attempt(again):
    left = crash(again(), {"t": Act(FOREVER)})
    for attempt in (2, 3):
        snapshot = []

        async def scenario(rig, snapshot=snapshot):
            await rig.at(1)
            snapshot.extend(rig.journal.snapshot())
            rig.runner.request_shutdown(StopLevel.KILL)

        recover(again(), left, scenario=scenario, acts={"t": Act(FOREVER)})
        left = snapshot
        assert (left[0].job.state, left[0].job.attempt) == (State.RUNNING, attempt)


def test_a_crash_while_survivors_are_being_stopped_counts_no_attempt(again):
    left = crash(again(), {"t": Act(FOREVER)})
    seen = []

    async def scenario(rig):
        await rig.at(1)
        seen.extend(rig.journal.snapshot())
        await to_the_end(rig)

    _, jobs = recover(again(), left, scenario=scenario, remains={"t": STUBBORN})
    assert (seen[0].job.state, seen[0].job.attempt, jobs[1].attempt) == (State.RUNNING, 1, 2)


def test_a_job_does_not_begin_again_beside_survivors_that_outlive_sigkill(again):
    _, jobs = recover(again(), crash(again(), {"t": Act(FOREVER)}), remains={"t": IMMORTAL})
    assert (jobs[1].state, jobs[1].stop.reason) == (State.CANCELED, StopReason.INTERRUPTED)
    assert "survived SIGKILL" in jobs[1].error


def test_a_job_that_is_canceled_while_its_survivors_are_being_stopped_does_not_begin_again(again):
    async def scenario(rig):
        (view,) = rig.runner.live()
        job = rig.runner.job(view.id)
        await rig.at(0.5)
        job.cancel(by="jane")
        await job.wait()

    transcript, jobs = recover(again(), crash(again(), {"t": Act(9)}), scenario=scenario, remains={"t": STUBBORN})
    assert transcript.lines()[-1] == "2 p#1 canceled (user)"
    assert (jobs[1].state, jobs[1].stop.by, jobs[1].attempt) == (State.CANCELED, "jane", 1)


def test_what_the_last_attempt_has_done_stays_if_the_job_does_not_begin_again(task):
    pipeline = PipelineDef("p", (task("a"), task("t", "a"), task("c", "t")), on_daemon_crash=OnDaemonCrash.REQUEUE)

    async def scenario(rig):
        for view in rig.runner.live():
            rig.runner.cancel(view.id, by="jane")
        await to_the_end(rig)

    left = crash(pipeline, {"t": Act(FOREVER)})
    _, jobs = recover(pipeline, left, scenario=scenario, remains={"t": STUBBORN})
    assert [view.state for view in jobs[1].tasks] == [State.DONE, State.CANCELED, State.CANCELED]
    assert (jobs[1].tasks[0].exit_code, jobs[1].started) == (0, left[0].job.started)
    assert jobs[1].tasks[0] == left[0].job.tasks[0]


def test_nor_does_it_after_a_crash_in_that_moment(again):
    left = []

    async def scenario(rig):
        (view,) = rig.runner.live()
        rig.runner.cancel(view.id, by="jane")
        await rig.runner.flush()
        left.extend(rig.journal.snapshot())

    recover(again(), crash(again(), {"t": Act(9)}), scenario=scenario, remains={"t": STUBBORN})
    transcript, jobs = recover(again(), left)
    assert "p#1/t running" not in str(transcript)
    assert (jobs[1].state, jobs[1].stop.by) == (State.CANCELED, "jane")


def test_a_drain_meanwhile_leaves_the_job_on_the_wait_list(again):
    async def scenario(rig):
        rig.runner.request_shutdown(StopLevel.CANCEL)
        await rig.runner.finished()

    _, jobs = recover(again(), crash(again(), {"t": Act(9)}), scenario=scenario, remains={"t": STUBBORN})
    assert (jobs[1].state, jobs[1].attempt, jobs[1].stop) == (State.WAITING, 2, None)


def test_the_log_of_a_new_attempt_begins_empty(again):
    async def scenario(rig):
        (view,) = rig.runner.live()
        rig.output.open(view.id, "t").write("stdout", b"old")
        await to_the_end(rig)
        assert await rig.output.size(view.id, "t", "stdout") == 0

    recover(again(), crash(again(), {"t": Act(9)}), scenario=scenario, remains={"t": STUBBORN})


class Defect(Exception):
    pass


@pytest.mark.parametrize(
    ("place", "name"), [(FakeRemains, "signal_tree"), (FakeRemains, "close"), (MemoryOutputStore, "set_aside")]
)
def test_a_defect_while_survivors_are_being_stopped_ends_that_job_and_no_other(again, monkeypatch, place, name):
    left = crash(again(concurrency=2), {"t": Act(FOREVER)}, jobs=2)
    journal, seen, whole = MemoryJournal(left), [], getattr(place, name)

    def broken(self, *args):
        if args[:1] == (left[1].job.id,):
            return whole(self, *args)
        raise Defect

    monkeypatch.setattr(place, name, broken)

    async def scenario(rig):
        seen.append(rig.runner.job(left[0].job.id))
        await to_the_end(rig)
        rig.launcher.open.clear()  # what cannot be closed
        assert (await rig.schedule("q")).id

    pipelines = Definitions.of(again(concurrency=2), PipelineDef("q", (TaskDef("t"),)))
    simulate(pipelines, scenario, journal=journal, remains={f"{left[0].job.id}/t": Act(FOREVER)})
    jobs = {saved.job.number: saved.job for saved in journal.snapshot()}
    assert (jobs[1].state, jobs[1].error, jobs[1].stop.reason) == (
        State.ERROR,
        "internal error",
        StopReason.INTERNAL,
    )
    assert (jobs[1].attempt, [view.state for view in jobs[1].tasks]) == (1, [State.CANCELED])
    assert (jobs[2].state, jobs[2].attempt) == (State.DONE, 2)
    assert jobs[3].state is State.DONE
    assert seen[0].view() == jobs[1]


@pytest.mark.parametrize("remains", [{"t": IMMORTAL}, {"t": STUBBORN}])
def test_a_job_that_does_not_begin_again_keeps_the_number_of_its_last_attempt(again, remains):
    async def scenario(rig):
        for view in rig.runner.live():
            rig.runner.cancel(view.id)
        await to_the_end(rig)

    _, jobs = recover(again(), crash(again(), {"t": Act(FOREVER)}), scenario=scenario, remains=remains)
    assert (jobs[1].state, jobs[1].attempt) == (State.CANCELED, 1)
    assert [view.state for view in jobs[1].tasks] == [State.CANCELED]


@pytest.mark.parametrize("moments", [[0.5], [0.5, 0.5, 0.5], [2.5], [0.5, 2.5, 0.5]])
def test_however_often_the_daemon_dies_an_attempt_is_counted_when_it_begins(again, moments):
    """Survivors take two seconds: what dies before had begun nothing."""
    left = crash(again(), {"t": Act(FOREVER)})
    begun = 1
    for moment in moments:
        snapshot = []

        async def scenario(rig, moment=moment, snapshot=snapshot):
            await rig.at(moment)
            snapshot.extend(rig.journal.snapshot())
            rig.runner.request_shutdown(StopLevel.KILL)

        recover(again(), left, scenario=scenario, acts={"t": Act(FOREVER)}, remains={"t": STUBBORN})
        left, begun = snapshot, begun + (moment > 2)
        assert (left[0].job.state, left[0].job.attempt) == (State.RUNNING, begun)


def test_a_crash_between_the_end_of_survivors_that_stay_and_its_record_counts_no_attempt(again):
    left = crash(again(), {"t": Act(FOREVER)})
    states = []

    class Watched(MemoryJournal):
        def _commit(self):
            super()._commit()
            states.extend((saved.job.state, saved.job.attempt) for saved in self.snapshot())

    simulate(again(), to_the_end, journal=Watched(left), remains={"t": IMMORTAL})
    assert set(states) == {(State.RUNNING, 1), (State.CANCELED, 1)}


def test_the_records_of_the_last_attempt_are_thrown_away_before_the_journal_knows_of_a_new_one(again):
    """Else a crash in between would leave them to be taken for those of the new attempt, which has not begun."""
    left = crash(again(), {"t": Act(FOREVER)})
    forgotten, rigs = [], []

    class Watched(MemoryJournal):
        def record(self, change):
            if isinstance(change, JobReset):
                forgotten.extend(rigs[0].launcher.forgotten)
            return super().record(change)

    async def scenario(rig):
        rigs.append(rig)
        await to_the_end(rig)

    simulate(again(), scenario, journal=Watched(left), remains={"t": STUBBORN})
    assert forgotten == [f"{left[0].job.id}/t"]
