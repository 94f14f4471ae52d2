"""One task is stopped, and its job goes on."""

import math

import attrs
import pytest

from prunner_trio.definition.pipeline import OnDaemonCrash, PipelineDef
from prunner_trio.errors import JobNotFound, JobNotStarted, TaskAlreadyFinished, TaskNotFound
from prunner_trio.execution import StopLevel
from prunner_trio.model import Action, JobId, State, StopReason
from prunner_trio.testing import EPOCH, Act, MemoryJournal, simulate

FOREVER = math.inf
STUBBORN = Act(FOREVER, on_sigint=FOREVER, on_sigterm=FOREVER)


@pytest.fixture
def two(task):
    """Return a pipeline of `a`, what needs it, and `x`, which stands alone."""
    return lambda a=None, **keys: PipelineDef("p", (task("a", **(a or {})), task("b", "a"), task("x")), **keys)


def cancel_at(moment, task="a", by="jane", view=None):
    async def scenario(rig):
        job = await rig.schedule("p")
        await rig.at(moment)
        rig.runner.cancel_task(job.id, task, by=by)
        found = await job.wait()
        assert await rig.runner.find(job.id) == found
        if view is not None:
            view.append(found)

    return scenario


def test_the_others_go_on_and_the_job_is_canceled_in_the_end(two):
    views = []
    transcript = simulate(two(), cancel_at(1, view=views), {"a": Act(FOREVER), "x": Act(5)})
    assert [line for line in transcript.lines() if not line.startswith("0 ")] == [
        "1 p#1/a SIGINT",
        "1 p#1/a canceled (canceled by jane)",
        "1 p#1/b canceled (needs 'a', which is canceled)",
        "5 p#1/x done",
        "5 p#1 canceled (user)",
    ]
    (view,) = views
    assert view.stop is None
    assert (view.task("a").stop.reason, view.task("a").stop.by) == (StopReason.USER, "jane")
    assert [(entry.action, entry.by, entry.detail) for entry in view.audit] == [(Action.TASK_CANCELED, "jane", "a")]


def test_one_that_waits_never_starts(two):
    transcript = simulate(two(), cancel_at(1, "b"), {"a": Act(3), "x": Act(5)})
    assert transcript.when("p#1/b", "canceled (canceled by jane)") == 1
    assert transcript.when("p#1/a", "done") == 3
    assert transcript.when("p#1", "canceled") == 5


def test_one_that_waits_for_room_never_starts(task):
    async def scenario(rig):
        job = await rig.schedule("p")
        await rig.at(1)
        waiting = next(task.name for task in job.view().tasks if task.state is State.WAITING)
        rig.runner.cancel_task(job.id, waiting)
        view = await job.wait()
        assert (view.task(waiting).state, view.task(waiting).reason) == (State.CANCELED, "canceled")

    simulate(PipelineDef("p", (task("a"), task("b"))), scenario, {"a": Act(3), "b": Act(3)}, most_tasks=1)


def test_a_cancel_is_like_a_failure_that_was_allowed(two):
    views = []
    transcript = simulate(two({"allow_failure": True}), cancel_at(1, view=views), {"a": Act(FOREVER)})
    assert transcript.when("p#1/b", "done") == 1
    assert [view.state for view in views] == [State.DONE]


def test_a_failure_elsewhere_weighs_more(two):
    views = []
    simulate(two(), cancel_at(1, view=views), {"a": Act(FOREVER), "x": Act(5, exit_code=2)})
    assert [(view.state, view.error) for view in views] == [(State.ERROR, "exit status 2")]


def test_it_gets_the_whole_stop_sequence_and_is_canceled_once_it_is_gone(two):
    transcript = simulate(two(), cancel_at(1), {"a": STUBBORN})
    assert [entry.what for entry in transcript if entry.task == "a"][1:] == [
        "SIGINT",
        "SIGTERM",
        "SIGKILL",
        "canceled (canceled by jane)",
    ]
    assert transcript.when("p#1/a", "canceled") == 3


def test_who_survives_makes_it_an_error_all_the_same(two):
    views = []
    simulate(two(), cancel_at(1, view=views), {"a": attrs.evolve(STUBBORN, immortal=True)})
    assert views[0].task("a").state is State.ERROR
    assert views[0].state is State.ERROR


def test_a_cancel_while_its_time_is_over_already_changes_nothing(two):
    views = []
    simulate(two({"timeout": 1.0}), cancel_at(1.5, view=views), {"a": STUBBORN})
    assert (views[0].task("a").state, views[0].task("a").reason) == (State.ERROR, "timed out after 1s")
    assert views[0].audit == ()


def test_the_handler_can_be_canceled_too(one, task):
    views = []
    acts = {"t": Act(exit_code=1), "on_error": Act(FOREVER)}
    simulate(one(on_error=task("on_error")), cancel_at(1, "on_error", view=views), acts)
    assert views[0].task("on_error").state is State.CANCELED
    assert views[0].state is State.ERROR


def test_what_cannot_be_canceled(two):
    async def scenario(rig):
        running, waiting = await rig.schedule("p"), await rig.schedule("p")
        await rig.at(1)
        with pytest.raises(TaskAlreadyFinished, match=r"'x' of job .* has ended already"):
            rig.runner.cancel_task(running.id, "x")
        with pytest.raises(TaskNotFound):
            rig.runner.cancel_task(running.id, "on_error")
        with pytest.raises(JobNotStarted, match="only be canceled as a whole"):
            rig.runner.cancel_task(waiting.id, "a")
        with pytest.raises(JobNotFound):
            rig.runner.cancel_task(JobId("nobody"), "a")
        rig.runner.cancel(running.id)
        rig.runner.cancel_task(running.id, "a")
        view = await running.wait()
        assert (view.task("a").stop, view.stop.reason) == (None, StopReason.USER)

    simulate(two(), scenario, {"a": Act(10)})


@pytest.mark.parametrize("moment", ["before the crash", "within the handover"])
def test_the_next_daemon_stops_what_was_to_be_stopped(two, moment):
    left = []

    async def before(rig):
        job = await rig.schedule("p")
        await rig.at(1)
        if moment == "within the handover":
            await rig.runner.hand_over()
        rig.runner.cancel_task(job.id, "a", by="jane")
        left.extend(rig.journal.snapshot())
        if moment == "before the crash":
            rig.runner.request_shutdown(StopLevel.KILL)

    async def after(rig):
        view = await rig.runner.job(left[0].job.id).wait()
        assert (view.task("a").state, view.task("a").reason) == (State.CANCELED, "canceled by jane")
        assert (view.task("x").state, view.state) == (State.DONE, State.CANCELED)

    pipeline = two(on_daemon_crash=OnDaemonCrash.ADOPT)
    simulate(pipeline, before, {"a": Act(FOREVER), "x": Act(FOREVER)})
    assert left[0].job.task("a").stop is not None
    transcript = simulate(pipeline, after, journal=MemoryJournal(left), remains={"a": Act(FOREVER), "x": Act(5)})
    assert transcript.when("p#1/a", "SIGINT") == 0


def test_an_end_before_the_cancel_counts_under_the_next_daemon(two):
    left = []

    async def before(rig):
        job = await rig.schedule("p")
        await rig.at(1)
        rig.runner.cancel_task(job.id, "a")
        left.extend(rig.journal.snapshot())
        rig.runner.request_shutdown(StopLevel.KILL)

    async def after(rig):
        view = await rig.runner.job(left[0].job.id).wait()
        assert view.task("a").state is State.DONE

    pipeline = two(on_daemon_crash=OnDaemonCrash.ADOPT)
    simulate(pipeline, before, {"a": Act(FOREVER), "x": Act(FOREVER)})
    simulate(pipeline, after, journal=MemoryJournal(left), remains={"a": Act(-10), "x": Act(5)})


def test_the_next_daemon_never_starts_what_was_canceled_while_it_waited(two):
    left = []

    async def before(rig):
        job = await rig.schedule("p")
        await rig.at(1)
        rig.runner.cancel_task(job.id, "b", by="jane")
        left.extend(rig.journal.snapshot())
        rig.runner.request_shutdown(StopLevel.KILL)

    async def after(rig):
        view = await rig.runner.job(left[0].job.id).wait()
        assert (view.task("b").state, view.task("b").reason) == (State.CANCELED, "canceled by jane")

    pipeline = two(on_daemon_crash=OnDaemonCrash.ADOPT)
    simulate(pipeline, before, {"a": Act(FOREVER), "x": Act(FOREVER)})
    assert left[0].job.task("b").state is State.WAITING
    transcript = simulate(pipeline, after, journal=MemoryJournal(left), remains={"a": Act(3), "x": Act(5)})
    assert "b running" not in transcript


@pytest.mark.parametrize("keys", [{}, {"continue_running_tasks_after_failure": True}], ids=["stopped", "going on"])
def test_the_next_daemon_stops_a_handler_that_was_to_be_stopped(one, task, keys):
    left = []

    async def before(rig):
        job = await rig.schedule("p")
        await rig.at(2)
        rig.runner.cancel_task(job.id, "on_error", by="jane")
        left.extend(rig.journal.snapshot())
        rig.runner.request_shutdown(StopLevel.KILL)

    async def after(rig):
        job = rig.runner.job(left[0].job.id)
        await rig.at(0.5)
        assert job.view().task("on_error").state is State.RUNNING
        view = await job.wait()
        assert (view.task("on_error").state, view.task("on_error").reason) == (State.CANCELED, "canceled by jane")
        assert (view.state, view.ended) == (State.ERROR, EPOCH + 1)

    pipeline = one(on_error=task("on_error"), on_daemon_crash=OnDaemonCrash.ADOPT, **keys)
    simulate(pipeline, before, {"t": Act(1, exit_code=1), "on_error": Act(FOREVER)})
    remains = {"on_error": Act(FOREVER, on_sigint=FOREVER)}
    simulate(pipeline, after, journal=MemoryJournal(left), remains=remains)


def test_a_handler_that_is_canceled_as_soon_as_it_is_taken_up_is_gone_before_it_is_canceled(one, task):
    left = []

    async def before(rig):
        await rig.schedule("p")
        await rig.at(1)
        left.extend(rig.journal.snapshot())
        rig.runner.request_shutdown(StopLevel.KILL)

    async def after(rig):
        job = rig.runner.job(left[0].job.id)
        rig.runner.cancel_task(job.id, "on_error", by="jane")
        await job.wait()

    pipeline = one(on_error=task("on_error"), on_daemon_crash=OnDaemonCrash.ADOPT)
    simulate(pipeline, before, {"t": Act(exit_code=1), "on_error": Act(FOREVER)})
    slow = Act(FOREVER, on_sigint=0.5)
    transcript = simulate(pipeline, after, journal=MemoryJournal(left), remains={"on_error": slow})
    assert transcript.lines() == [
        "0 p#1/on_error SIGINT",
        "0.5 p#1/on_error canceled (canceled by jane)",
        "0.5 p#1 error (exit status 1)",
    ]
