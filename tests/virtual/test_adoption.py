"""Jobs that outlive their daemon: what goes on under the next one, and what it finds when it looks."""

import math

import attrs
import pytest
import trio
import trio.testing

from prunner_trio.definition.pipeline import Definitions, OnDaemonCrash, Orphans, PipelineDef
from prunner_trio.errors import ShuttingDown
from prunner_trio.execution import StopLevel
from prunner_trio.execution.seams import JobChanged, TaskChanged
from prunner_trio.model import State, StopReason
from prunner_trio.testing import EPOCH, Act, MemoryJournal, open_rig, simulate

FOREVER = math.inf
STUBBORN = Act(FOREVER, on_sigint=FOREVER, on_sigterm=FOREVER)


@pytest.fixture
def chain(task):
    """Return a pipeline of three tasks in a row whose jobs are adopted."""
    return lambda **keys: PipelineDef(
        "p", (task("a"), task("b", "a"), task("c", "b")), on_daemon_crash=OnDaemonCrash.ADOPT, **keys
    )


@pytest.fixture
def adopted(one):
    return lambda **keys: one(on_daemon_crash=OnDaemonCrash.ADOPT, **keys)


def crash(pipeline, acts, *, jobs=1, after=1.0, at=0.0):
    """Run jobs, and return what is on disk when the daemon dies, at a moment that is `at` on the next one's clock."""
    left = []

    async def life(rig):
        for _ in range(jobs):
            await rig.schedule("p")
        await rig.at(after)
        left.extend(rig.journal.snapshot())
        rig.runner.request_shutdown(StopLevel.KILL)

    simulate(pipeline, life, acts)
    return [shifted(saved, at - after) for saved in left]


def shifted(saved, by):
    def shift(view):
        ended = view.ended + by if view.ended is not None else None
        return attrs.evolve(view, started=view.started + by if view.started is not None else None, ended=ended)

    stop = saved.job.stop and attrs.evolve(saved.job.stop, at=saved.job.stop.at + by)
    return attrs.evolve(saved, job=attrs.evolve(shift(saved.job), stop=stop, tasks=tuple(map(shift, saved.job.tasks))))


async def to_the_end(rig):
    for job in [rig.runner.job(view.id) for view in rig.runner.live()]:
        await job.wait()


def recover(pipeline, left, *, scenario=to_the_end, **more):
    journal, launched = MemoryJournal(left), []

    async def watched(rig):
        try:
            await scenario(rig)
        finally:
            launched.append(rig)

    transcript = simulate(pipeline, watched, journal=journal, **more)
    jobs = {saved.job.number: saved.job for saved in journal.snapshot()}
    return transcript, jobs, [launch.task for launch in launched[0].launcher.launches]


def states(job):
    return [task.state for task in job.tasks]


# ---------------------------------------------------------------------------------------------------------- going on


def test_a_task_goes_on_and_those_that_need_it_run_once_each(chain):
    left = crash(chain(), {"b": Act(FOREVER)})
    transcript, jobs, launched = recover(chain(), left, remains={"b": Act(3)})
    assert transcript.lines() == ["3 p#1/b done", "3 p#1/c running", "3 p#1/c done", "3 p#1 done"]
    assert (jobs[1].state, jobs[1].attempt, launched) == (State.DONE, 1, ["c"])
    assert jobs[1].tasks[0] == left[0].job.tasks[0]


def test_the_failure_of_a_task_that_went_on_counts_as_any_other(chain):
    transcript, jobs, launched = recover(chain(), crash(chain(), {"b": Act(9)}), remains={"b": Act(3, exit_code=7)})
    assert transcript.lines() == [
        "3 p#1/b error (exit status 7)",
        "3 p#1/c canceled (stopped: fail_fast)",
        "3 p#1 error (exit status 7)",
    ]
    assert (jobs[1].task("b").exit_code, launched) == (7, [])


@pytest.mark.parametrize(("code", "state"), [(0, State.DONE), (5, State.ERROR)])
def test_a_task_that_ended_while_no_daemon_was_there_has_its_own_end(adopted, code, state):
    left = crash(adopted(), {"t": Act(FOREVER)}, at=-10)
    _, jobs, launched = recover(adopted(), left, remains={"t": Act(-4, exit_code=code)})
    task = jobs[1].tasks[0]
    assert (task.state, task.exit_code, task.ended, launched) == (state, code, EPOCH - 4, [])


def test_a_task_whose_end_is_nowhere_interrupts_its_job(chain):
    transcript, jobs, launched = recover(chain(), crash(chain(), {"b": Act(FOREVER)}))
    assert transcript.lines() == []
    assert (jobs[1].state, jobs[1].stop.reason, jobs[1].error) == (
        State.CANCELED,
        StopReason.INTERRUPTED,
        "the daemon died",
    )
    assert (states(jobs[1]), launched) == ([State.DONE, State.CANCELED, State.CANCELED], [])


def test_one_lost_end_brings_the_others_down(task):
    pipeline = PipelineDef("p", (task("a"), task("b")), on_daemon_crash=OnDaemonCrash.ADOPT)
    left = crash(pipeline, {"a": Act(FOREVER), "b": Act(FOREVER)})
    transcript, jobs, _ = recover(pipeline, left, remains={"a": STUBBORN})
    assert transcript.lines()[-1] == "2 p#1 canceled (interrupted)"
    assert states(jobs[1]) == [State.CANCELED, State.CANCELED]


def test_processes_without_a_keeper_are_stopped_at_once(adopted):
    left = crash(adopted(), {"t": Act(FOREVER)})
    transcript, jobs, _ = recover(adopted(), left, remains={"t": Act(FOREVER, end_lost=True)})
    assert transcript.lines()[0] == "0 p#1/t SIGINT"
    assert jobs[1].stop.reason is StopReason.INTERRUPTED


def test_a_start_that_is_not_on_disk_counts_if_the_process_is_there(adopted):
    left = crash(adopted(), {"t": Act(FOREVER)}, jobs=2)
    transcript, jobs, launched = recover(adopted(), left[1:], remains={"t": Act(2)})
    assert transcript.lines() == ["0 p#2 running", "0 p#2/t running", "2 p#2/t done", "2 p#2 done"]
    assert (jobs[2].state, launched) == (State.DONE, [])


def test_a_task_that_was_launched_after_an_end_that_is_not_on_disk_waits_for_that_end(chain):
    left = crash(chain(), {"a": Act(FOREVER)})
    transcript, _, launched = recover(chain(), left, remains={"a": Act(-1), "b": Act(4)})
    assert transcript.lines() == [
        "0 p#1/a done",
        "0 p#1/b running",
        "4 p#1/b done",
        "4 p#1/c running",
        "4 p#1/c done",
        "4 p#1 done",
    ]
    assert launched == ["c"]


def test_a_job_between_two_tasks_goes_on(chain):
    left = crash(chain(), {"b": Act(FOREVER)})
    tasks = [
        attrs.evolve(view, state=State.WAITING, started=None) if view.name == "b" else view
        for view in left[0].job.tasks
    ]
    between = [attrs.evolve(left[0], job=attrs.evolve(left[0].job, tasks=tuple(tasks)))]
    _, jobs, launched = recover(chain(), between)
    assert (jobs[1].state, launched) == (State.DONE, ["b", "c"])


def test_a_job_that_had_ended_but_for_its_last_commit_ends(adopted):
    left = crash(adopted(), {"t": Act(FOREVER)})
    done = attrs.evolve(left[0].job.tasks[0], state=State.DONE, ended=EPOCH)
    _, jobs, launched = recover(adopted(), [attrs.evolve(left[0], job=attrs.evolve(left[0].job, tasks=(done,)))])
    assert (jobs[1].state, launched) == (State.DONE, [])


def test_an_adopted_job_holds_its_slot(adopted):
    left = crash(adopted(), {"t": Act(FOREVER)}, jobs=2)
    transcript, _, _ = recover(adopted(), left, remains={f"{left[0].job.id}/t": Act(5)})
    assert transcript.when("p#1", "done") == transcript.when("p#2", "running") == 5


def test_adopted_tasks_take_their_places_before_those_that_have_yet_to_start(task):
    pipeline = PipelineDef("p", (task("t"),), concurrency=3, on_daemon_crash=OnDaemonCrash.ADOPT)
    left = crash(pipeline, {"t": Act(FOREVER)}, jobs=4)
    remains = {f"{saved.job.id}/t": Act(5 + number) for number, saved in enumerate(left[:3])}
    transcript, _, _ = recover(pipeline, left, remains=remains, most_tasks=2)
    assert transcript.when("p#4", "running") == 5
    assert transcript.when("p#4/t", "running") == 6, "three were there, and two are allowed"


def test_the_ends_of_a_job_are_kept_until_it_is_on_disk(adopted):
    async def scenario(rig):
        rig.journal.hold = True
        await rig.at(5)
        seen.append(list(rig.launcher.forgotten))
        rig.journal.hold = False
        await to_the_end(rig)
        seen.append(list(rig.launcher.forgotten))

    seen = []
    left = crash(adopted(), {"t": Act(FOREVER)})
    recover(adopted(), left, scenario=scenario, remains={"t": Act(1)})
    assert seen == [[], [f"{left[0].job.id}/t"]]


# ----------------------------------------------------------------------------------------------------------- failures


def test_a_failure_that_the_last_daemon_had_seen_goes_on_stopping_the_others(task):
    pipeline = PipelineDef("p", (task("a"), task("b")), on_daemon_crash=OnDaemonCrash.ADOPT)
    left = crash(pipeline, {"a": Act(0.5, exit_code=4), "b": STUBBORN})
    transcript, jobs, _ = recover(pipeline, left, remains={"b": STUBBORN})
    assert transcript.lines() == [
        "0 p#1/b SIGINT",
        "1 p#1/b SIGTERM",
        "2 p#1/b SIGKILL",
        "2 p#1/b canceled (stopped: fail_fast)",
        "2 p#1 error (exit status 4)",
    ]
    assert jobs[1].error == "exit status 4"


def test_a_task_that_ended_by_the_stop_of_the_last_daemon_is_canceled_as_it_would_have_been(task):
    pipeline = PipelineDef("p", (task("a"), task("b")), on_daemon_crash=OnDaemonCrash.ADOPT)
    left = crash(pipeline, {"a": Act(0.5, exit_code=4), "b": STUBBORN}, at=-10)
    _, jobs, _ = recover(pipeline, left, remains={"b": Act(-9, exit_code=130)})
    assert (states(jobs[1]), jobs[1].error) == ([State.ERROR, State.CANCELED], "exit status 4")


def test_without_fail_fast_the_others_go_on_after_a_failure_that_the_last_daemon_had_seen(task):
    pipeline = PipelineDef(
        "p",
        (task("a"), task("b"), task("c", "b")),
        on_daemon_crash=OnDaemonCrash.ADOPT,
        continue_running_tasks_after_failure=True,
    )
    left = crash(pipeline, {"a": Act(0.5, exit_code=4), "b": Act(FOREVER)})
    _, jobs, launched = recover(pipeline, left, remains={"b": Act(1)})
    assert (states(jobs[1]), launched) == ([State.ERROR, State.DONE, State.DONE], ["c"])
    assert (jobs[1].state, jobs[1].error) == (State.ERROR, "exit status 4")


def test_a_handler_that_has_not_begun_runs_after_all(adopted, task):
    pipeline = adopted(on_error=task("on_error"))
    left = crash(pipeline, {"t": Act(FOREVER)})
    transcript, jobs, launched = recover(pipeline, left, remains={"t": Act(1, exit_code=3)})
    assert (launched, transcript.when("p#1/on_error", "running")) == (["on_error"], 1)
    assert (jobs[1].state, states(jobs[1])) == (State.ERROR, [State.ERROR, State.DONE])


def test_a_handler_goes_on_where_it_is(adopted, task):
    pipeline = adopted(on_error=task("on_error"))
    left = crash(pipeline, {"t": Act(exit_code=3), "on_error": Act(FOREVER)})
    transcript, jobs, launched = recover(pipeline, left, remains={"on_error": Act(4)})
    assert transcript.lines() == ["4 p#1/on_error done", "4 p#1 error (exit status 3)"]
    assert (jobs[1].error, launched) == ("exit status 3", [])


def test_a_handler_that_has_ended_does_not_run_again(adopted, task):
    pipeline = adopted(on_error=task("on_error"))
    left = crash(pipeline, {"t": Act(exit_code=3), "on_error": Act(FOREVER)})
    tasks = (left[0].job.tasks[0], attrs.evolve(left[0].job.tasks[1], state=State.DONE, ended=EPOCH))
    _, jobs, launched = recover(pipeline, [attrs.evolve(left[0], job=attrs.evolve(left[0].job, tasks=tasks))])
    assert (jobs[1].state, launched) == (State.ERROR, [])


def test_a_handler_whose_failure_cannot_be_told_again_is_stopped(adopted, task):
    """The task has failed only in the eyes of the last daemon, which had no time to write that down."""
    pipeline = adopted(on_error=task("on_error"))
    left = crash(pipeline, {"t": Act(FOREVER)})
    transcript, jobs, _ = recover(pipeline, left, remains={"t": Act(1), "on_error": Act(FOREVER)})
    assert transcript.lines(task="on_error")[0] == "1 p#1/on_error SIGINT"
    assert jobs[1].state is State.DONE


def test_what_an_adopted_task_leaves_behind_is_stopped_and_its_log_says_so(adopted):
    async def scenario(rig):
        (view,) = rig.runner.live()
        await to_the_end(rig)
        log.append(await rig.output.read(view.id, "t", "stderr", 0, 1000))

    log = []
    left = crash(adopted(), {"t": Act(FOREVER)})
    transcript, _, _ = recover(adopted(), left, scenario=scenario, remains={"t": Act(1, leftovers=FOREVER)})
    assert transcript.when("p#1/t", "SIGINT") == 1
    assert log[0].startswith(b"prunner-trio: stopped 1 process left in the background: fake (pid ")


def test_an_adopted_task_that_waits_for_its_background_processes_does(adopted):
    left = crash(adopted(orphans=Orphans.WAIT), {"t": Act(FOREVER)})
    transcript, _, _ = recover(adopted(orphans=Orphans.WAIT), left, remains={"t": Act(1, leftovers=3)})
    assert transcript.lines() == ["4 p#1/t done", "4 p#1 done"]


# ---------------------------------------------------------------------------------------------------------- time-outs


def test_the_time_out_of_a_task_goes_on_from_its_start(task):
    pipeline = PipelineDef("p", (task("t", timeout=10.0),), on_daemon_crash=OnDaemonCrash.ADOPT)
    left = crash(pipeline, {"t": Act(FOREVER)}, at=-5)
    transcript, jobs, _ = recover(pipeline, left, remains={"t": Act(FOREVER)})
    assert transcript.lines()[:2] == ["4 p#1/t SIGINT", "4 p#1/t error (timed out after 10s)"]
    assert jobs[1].state is State.ERROR


def test_the_time_out_of_a_job_goes_on_from_its_start(adopted):
    left = crash(adopted(timeout=10.0), {"t": Act(FOREVER)}, at=-5)
    transcript, jobs, _ = recover(adopted(timeout=10.0), left, remains={"t": Act(FOREVER)})
    assert transcript.when("p#1/t", "SIGINT") == 4
    assert (jobs[1].state, jobs[1].error) == (State.ERROR, "timed out after 10s")


@pytest.mark.parametrize("where", ["task", "job"])
def test_a_time_out_that_passes_while_no_daemon_is_there_stops_the_task_as_soon_as_one_is(one, task, where):
    keys = {"on_daemon_crash": OnDaemonCrash.ADOPT}
    pipeline = one(timeout=10.0, **keys) if where == "job" else PipelineDef("p", (task("t", timeout=10.0),), **keys)
    left = crash(pipeline, {"t": Act(FOREVER)}, at=-60)
    transcript, jobs, _ = recover(pipeline, left, remains={"t": Act(FOREVER)})
    assert transcript.lines()[:2] == ["0 p#1/t SIGINT", "0 p#1/t error (timed out after 10s)"]
    assert (jobs[1].state, jobs[1].error) == (State.ERROR, "timed out after 10s")


@pytest.mark.parametrize("where", ["task", "job"])
def test_a_task_that_has_ended_meanwhile_has_not_timed_out(one, task, where):
    keys = {"on_daemon_crash": OnDaemonCrash.ADOPT}
    pipeline = one(timeout=10.0, **keys) if where == "job" else PipelineDef("p", (task("t", timeout=10.0),), **keys)
    left = crash(pipeline, {"t": Act(FOREVER)}, at=-60)
    _, jobs, _ = recover(pipeline, left, remains={"t": Act(-20)})
    assert jobs[1].state is State.DONE


def test_a_job_whose_time_has_passed_begins_no_further_task(chain):
    left = crash(chain(timeout=10.0), {"b": Act(FOREVER)}, at=-60)
    _, jobs, launched = recover(chain(timeout=10.0), left, remains={"b": Act(-20)})
    assert (states(jobs[1]), jobs[1].state, launched) == (
        [State.DONE, State.DONE, State.CANCELED],
        State.ERROR,
        [],
    )


def test_a_clock_that_was_set_back_gives_a_task_its_whole_time_and_not_more(task):
    pipeline = PipelineDef("p", (task("t", timeout=10.0),), on_daemon_crash=OnDaemonCrash.ADOPT)
    left = crash(pipeline, {"t": Act(FOREVER)}, at=5000)
    transcript, _, _ = recover(pipeline, left, remains={"t": Act(FOREVER)})
    assert transcript.when("p#1/t", "SIGINT") == 10


@pytest.mark.parametrize("where", ["task", "job"])
@pytest.mark.parametrize("at", [-4000, 0, 4000])
def test_a_time_out_follows_the_age_of_the_process_whatever_was_done_to_the_clock(one, task, where, at):
    keys = {"on_daemon_crash": OnDaemonCrash.ADOPT}
    pipeline = one(timeout=10.0, **keys) if where == "job" else PipelineDef("p", (task("t", timeout=10.0),), **keys)
    left = crash(pipeline, {"t": Act(FOREVER)}, at=at)
    transcript, _, _ = recover(pipeline, left, remains={"t": Act(FOREVER, age=3.0)})
    assert transcript.when("p#1/t", "SIGINT") == 7


@pytest.mark.parametrize("at", [-4000, 0, 4000])
def test_so_does_that_of_a_job_whose_task_was_not_yet_written_down_to_have_started(task, at):
    pipeline = PipelineDef("p", (task("a"), task("b", "a")), timeout=20.0, on_daemon_crash=OnDaemonCrash.ADOPT)
    (left,) = crash(pipeline, {"a": Act(4), "b": Act(FOREVER)}, after=7, at=at)
    fresh = attrs.evolve(left.job.tasks[1], state=State.WAITING, started=None)
    job = attrs.evolve(left.job, tasks=(left.job.tasks[0], fresh))
    transcript, _, _ = recover(pipeline, [attrs.evolve(left, job=job)], remains={"b": Act(FOREVER, age=3.0)})
    assert transcript.when("p#1/b", "SIGINT") == 13


def test_the_time_out_of_a_job_follows_the_clock_as_it_was_when_its_oldest_task_was_started(task):
    pipeline = PipelineDef(
        "p", (task("a"), task("b", "a"), task("c", "a")), timeout=100.0, on_daemon_crash=OnDaemonCrash.ADOPT
    )
    left = crash(pipeline, {"a": Act(20), "b": Act(FOREVER), "c": Act(FOREVER)}, after=50, at=-4000)
    remains = {"b": Act(FOREVER, age=40.0), "c": Act(FOREVER, age=35.0)}  # ten seconds later than the start of b
    transcript, _, _ = recover(pipeline, left, remains=remains)
    assert transcript.when("p#1/b", "SIGINT") == transcript.when("p#1/c", "SIGINT") == 40


# -------------------------------------------------------------------------------------------------------------- stops


def test_a_cancel_reaches_an_adopted_task(chain):
    async def scenario(rig):
        (view,) = rig.runner.live()
        await rig.at(0.5)
        rig.runner.cancel(view.id, by="jane")
        await to_the_end(rig)

    transcript, jobs, launched = recover(
        chain(), crash(chain(), {"b": Act(FOREVER)}), scenario=scenario, remains={"b": STUBBORN}
    )
    assert transcript.lines()[-1] == "2.5 p#1 canceled (user)"
    assert (jobs[1].stop.by, launched) == ("jane", [])


def test_a_shutdown_reaches_an_adopted_task(adopted):
    async def scenario(rig):
        rig.runner.request_shutdown(StopLevel.CANCEL)
        await rig.runner.finished()
        assert rig.launcher.open == set()

    left = crash(adopted(), {"t": Act(FOREVER)})
    transcript, jobs, _ = recover(adopted(), left, scenario=scenario, remains={"t": Act(FOREVER)})
    assert transcript.lines()[-1] == "0 p#1 canceled (shutdown)"
    assert jobs[1].stop.reason is StopReason.SHUTDOWN


def test_a_drain_waits_for_an_adopted_task(adopted):
    async def scenario(rig):
        rig.runner.request_shutdown(StopLevel.DRAIN)
        await rig.runner.finished()

    left = crash(adopted(), {"t": Act(FOREVER)})
    transcript, jobs, _ = recover(adopted(), left, scenario=scenario, remains={"t": Act(7)})
    assert (transcript.lines()[-1], jobs[1].state) == ("7 p#1 done", State.DONE)


def test_an_end_that_is_lost_while_somebody_waits_for_it_interrupts_the_job(chain, monkeypatch):
    """Somebody has killed the keeper."""
    left = crash(chain(), {"b": Act(FOREVER)})
    monkeypatch.setattr("prunner_trio.testing.fakes.FakeProc.outlives", property(lambda self: True))
    transcript, jobs, launched = recover(chain(), left, remains={"b": Act(2, end_lost=True, leftovers=FOREVER)})
    assert transcript.lines()[0] == "2 p#1/b SIGINT"
    assert (jobs[1].state, jobs[1].stop.reason, jobs[1].error, launched) == (
        State.CANCELED,
        StopReason.INTERRUPTED,
        "the daemon died",
        [],
    )


def test_a_cancel_during_a_failure_is_carried_out_over_a_crash(task):
    """The first reason stays, so the record of the job has to tell of the second one."""
    pipeline = PipelineDef("p", (task("a"), task("b")), on_error=task("on_error"), on_daemon_crash=OnDaemonCrash.ADOPT)
    left = []

    async def life(rig):
        job = await rig.schedule("p")
        await rig.at(1)
        job.cancel(by="jane")
        left.extend(rig.journal.snapshot())

    simulate(pipeline, life, {"a": Act(0.5, exit_code=4), "b": STUBBORN})
    _, jobs, launched = recover(pipeline, left, remains={"b": STUBBORN})
    assert (jobs[1].state, jobs[1].stop.by, launched) == (State.CANCELED, "jane", [])


def test_a_task_that_waited_for_nobody_when_its_time_was_over_has_not_timed_out(task):
    pipeline = PipelineDef("p", (task("t", timeout=10.0, orphans=Orphans.WAIT),), on_daemon_crash=OnDaemonCrash.ADOPT)
    left = crash(pipeline, {"t": Act(FOREVER)}, at=-60)
    _, jobs, _ = recover(pipeline, left, remains={"t": Act(-20)})
    assert jobs[1].state is State.DONE


# ----------------------------------------------------------------------------------------------------------- handover


def hand_over(pipeline, acts, *, jobs=1, after=1.0, outlive=True, before=None):
    """Run jobs under a daemon that hands over; return its transcript, and what is on disk for one that starts then."""
    left = []

    async def life(rig):
        for _ in range(jobs):
            await rig.schedule("p")
        await rig.at(after)
        if before is not None:
            await before(rig)
        await rig.runner.hand_over()
        await rig.runner.finished()
        took.append(rig.runner.counts())
        left.append(rig.journal)

    took = []
    transcript = simulate(pipeline, life, acts, outlive=outlive)
    return transcript, [shifted(saved, -after) for saved in left[0].snapshot()], took[0]


def test_a_handover_stops_nothing_and_says_of_nothing_that_it_has_ended(one):
    transcript, left, counts = hand_over(one(), {"t": Act(FOREVER)}, jobs=2)
    assert transcript.lines()[-1] == "1 p#1/t handed over"
    assert [(saved.job.state, saved.job.handed_over) for saved in left] == [
        (State.RUNNING, True),
        (State.WAITING, False),
    ]
    assert (left[0].job.stop, left[0].job.tasks[0].state, counts) == (None, State.RUNNING, (0, 1))


@pytest.mark.parametrize("policy", OnDaemonCrash)
def test_the_next_daemon_goes_on_with_it_whatever_the_definition_says(one, policy):
    pipeline = one(on_daemon_crash=policy)
    _, left, _ = hand_over(pipeline, {"t": Act(FOREVER)})
    transcript, jobs, launched = recover(pipeline, left, remains={"t": Act(2)})
    assert transcript.lines() == ["2 p#1/t done", "2 p#1 done"]
    assert (jobs[1].state, jobs[1].attempt, jobs[1].handed_over, launched) == (State.DONE, 1, False, [])


def test_a_crash_of_the_next_daemon_is_a_crash_again(one):
    _, left, _ = hand_over(one(), {"t": Act(FOREVER)})
    seen = []

    async def scenario(rig):
        await rig.at(1)
        seen.extend(rig.journal.snapshot())
        rig.runner.request_shutdown(StopLevel.KILL)

    recover(one(), left, scenario=scenario, remains={"t": Act(FOREVER)})
    assert not seen[0].job.handed_over
    assert recover(one(), seen, remains={"t": Act(FOREVER)})[1][1].stop.reason is StopReason.INTERRUPTED


def test_jobs_can_be_handed_over_again_and_again(one):
    left = hand_over(one(), {"t": Act(FOREVER)})[1]
    for _ in range(3):
        snapshot = []

        async def again(rig, snapshot=snapshot):
            await rig.at(1)
            await rig.runner.hand_over()
            await rig.runner.finished()
            snapshot.extend(rig.journal.snapshot())

        transcript, _, _ = recover(one(), left, scenario=again, remains={"t": Act(FOREVER)}, outlive=True)
        assert transcript.lines() == ["1 p#1/t handed over"]
        left = snapshot
        assert (left[0].job.state, left[0].job.handed_over) == (State.RUNNING, True)
    assert recover(one(), left, remains={"t": Act(1)})[1][1].state is State.DONE


def test_nothing_starts_once_the_door_is_closed(task):
    pipeline = PipelineDef("p", (task("a"), task("b", "a")))
    transcript, left, _ = hand_over(pipeline, {"a": Act(1.0)}, after=1.0)
    assert "1 p#1/a done" not in transcript.lines() or left[0].job.task("b").state is State.WAITING
    _, jobs, launched = recover(
        pipeline, left, remains={"a": Act(-0.5)} if not left[0].job.task("a").state.final else {}
    )
    assert (jobs[1].state, launched) == (State.DONE, ["b"])


def test_a_start_that_the_handover_cut_short_is_taken_back(one):
    _, left, _ = hand_over(one(), {"t": Act(5, launch_seconds=2)})
    assert (left[0].job.state, left[0].job.tasks[0].state) == (State.RUNNING, State.WAITING)
    _, jobs, launched = recover(one(), left)
    assert (jobs[1].state, launched) == (State.DONE, ["t"])


def test_a_task_that_cannot_be_handed_over_is_stopped_and_its_job_interrupted(one):
    transcript, left, _ = hand_over(one(), {"t": STUBBORN}, outlive=False)
    assert transcript.lines()[-1] == "3 p#1 canceled (interrupted)"
    assert (left[0].job.error, left[0].job.handed_over) == (
        "the daemon was replaced, and a task could not be handed over",
        False,
    )


def test_adoptable_jobs_can_be_handed_over_without_more_ado(adopted):
    _, left, _ = hand_over(adopted(), {"t": Act(FOREVER)}, outlive=False)
    assert left[0].job.handed_over


def test_a_stop_that_is_under_way_is_finished_first_and_a_canceled_job_is_canceled(one):
    async def cancel(rig):
        next(rig.runner.job(view.id) for view in rig.runner.live()).cancel(by="jane")

    transcript, left, _ = hand_over(one(), {"t": STUBBORN}, before=cancel)
    assert transcript.lines()[-1] == "3 p#1 canceled (user)"
    assert left[0].job.state is State.CANCELED


def test_a_job_that_is_failing_goes_on_failing(task):
    pipeline = PipelineDef("p", (task("a"), task("b")), on_error=task("on_error"))
    transcript, left, _ = hand_over(pipeline, {"a": Act(0.5, exit_code=4), "b": STUBBORN})
    assert transcript.lines()[-1] == "2.5 p#1/b canceled (stopped: fail_fast)", "and no handler begins here"
    _, jobs, launched = recover(pipeline, left)  # SIGKILL has ended its keeper too, which has told nothing
    assert (states(jobs[1]), launched) == ([State.ERROR, State.CANCELED, State.DONE], ["on_error"])
    assert (jobs[1].state, jobs[1].error) == (State.ERROR, "exit status 4")


def test_a_task_whose_time_was_over_when_its_job_was_handed_over_has_timed_out(task):
    pipeline = PipelineDef("p", (task("a", timeout=0.5), task("b")))
    transcript, left, _ = hand_over(pipeline, {"a": STUBBORN, "b": Act(FOREVER)})
    assert transcript.lines()[-4:] == [
        "1 p#1/b handed over",
        "1.5 p#1/a SIGTERM",
        "2.5 p#1/a SIGKILL",
        "2.5 p#1/a error (timed out after 0.5s)",
    ]
    _, jobs, _ = recover(pipeline, left, remains={"b": Act(FOREVER)})
    assert (states(jobs[1]), jobs[1].state) == ([State.ERROR, State.CANCELED], State.ERROR)
    assert jobs[1].error == "timed out after 0.5s"


def test_a_handler_whose_time_was_over_when_its_job_was_handed_over_has_timed_out(one, task):
    pipeline = one(on_error=task("on_error", timeout=0.5))
    transcript, left, _ = hand_over(pipeline, {"t": Act(exit_code=3), "on_error": STUBBORN})
    assert transcript.lines()[-1] == "2.5 p#1/on_error error (timed out after 0.5s)"
    _, jobs, launched = recover(pipeline, left)
    assert (states(jobs[1]), jobs[1].error, launched) == ([State.ERROR, State.ERROR], "exit status 3", [])


def test_a_handler_is_handed_over_too(one, task):
    pipeline = one(on_error=task("on_error"))
    transcript, left, _ = hand_over(pipeline, {"t": Act(exit_code=3), "on_error": Act(FOREVER)})
    assert transcript.lines()[-1] == "1 p#1/on_error handed over"
    _, jobs, launched = recover(pipeline, left, remains={"on_error": Act(1)})
    assert (states(jobs[1]), jobs[1].error, launched) == ([State.ERROR, State.DONE], "exit status 3", [])


def test_a_cancel_that_comes_after_the_handover_is_carried_out_by_the_next_daemon(task):
    pipeline = PipelineDef("p", (task("a"), task("b")))
    left = []

    async def life(rig):
        job = await rig.schedule("p")
        await rig.at(1)
        await rig.runner.hand_over()
        await rig.runner.finished()
        rig.runner.cancel(job.id, by="jane")
        left.extend(rig.journal.snapshot())

    simulate(pipeline, life, {"a": Act(FOREVER), "b": Act(FOREVER)}, outlive=True)
    transcript, jobs, _ = recover(pipeline, left, remains={"a": STUBBORN, "b": STUBBORN})
    assert transcript.lines()[-1] == "2 p#1 canceled (user)"
    assert jobs[1].stop.by == "jane"


def test_nothing_is_let_go_before_the_disk_knows(one):
    seen = []

    async def life(rig):
        await rig.schedule("p")
        await rig.at(1)
        rig.journal.hold = True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rig.runner.hand_over)
            await rig.at(5)
            seen.append(len(rig.launcher.open))
            rig.journal.hold = False
        await rig.runner.finished()

    transcript = simulate(one(), life, {"t": Act(FOREVER)}, outlive=True)
    assert (seen, transcript.lines()[-1]) == ([1], "5 p#1/t handed over")


def test_a_cancel_of_all_jobs_overtakes_a_handover_that_has_not_let_go(one):
    async def life(rig):
        await rig.schedule("p")
        await rig.at(1)
        rig.journal.hold = True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rig.runner.hand_over)
            await rig.at(2)
            rig.runner.request_shutdown(StopLevel.CANCEL)
            rig.journal.hold = False
        await rig.runner.finished()

    transcript = simulate(one(), life, {"t": Act(FOREVER)}, outlive=True)
    assert transcript.lines()[-1] == "2 p#1 canceled (shutdown)"


def test_who_waits_for_a_job_that_is_handed_over_is_told(one):
    async def life(rig):
        job = await rig.schedule("p")
        await rig.at(1)
        await rig.runner.hand_over()
        await rig.runner.finished()
        with pytest.raises(ShuttingDown):
            await job.wait()
        with pytest.raises(ShuttingDown):
            await rig.schedule("p")

    simulate(one(), life, {"t": Act(FOREVER)}, outlive=True)


def test_a_job_that_takes_its_first_step_while_the_handover_is_written_down_is_handed_over_too(one):
    left = []

    async def life(rig):
        rig.journal.hold = True
        job = rig.runner.submit("p")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(job.saved)
            await rig.at(1)
            rig.journal.hold = False
            await job.saved()
            rig.journal.hold = True
            nursery.start_soon(rig.runner.hand_over)
            await rig.at(2)
            rig.journal.hold = False
        await rig.runner.finished()
        left.extend(rig.journal.snapshot())

    simulate(one(), life, {"t": Act(FOREVER)}, outlive=True)
    assert left[0].job.handed_over is (left[0].job.state is State.RUNNING)


def test_why_a_job_is_stopped_from_outside_is_written_down_before_its_tasks_end(chain):
    changes = []

    async def main():
        with trio.CancelScope() as scope:
            async with open_rig(Definitions.of(chain()), {"a": Act(FOREVER)}) as rig:
                record = rig.journal.record

                def spied(change):
                    changes.append(change)
                    return record(change)

                rig.journal.record = spied
                await rig.schedule("p")
                await rig.at(1)
                scope.cancel()
                await trio.sleep_forever()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    stops = [n for n, change in enumerate(changes) if isinstance(change, JobChanged) and change.job.stop is not None]
    ends = [n for n, change in enumerate(changes) if isinstance(change, TaskChanged) and change.task.state.final]
    assert stops[0] < ends[0]
