"""Jobs that are done again: as a whole, or from what has failed."""

import math

import attrs
import pytest

from prunner_trio.definition.pipeline import Definitions, OnDaemonCrash, PipelineDef, QueueStrategy
from prunner_trio.errors import (
    InvalidVariable,
    JobNotFinished,
    JobNotFound,
    NothingToRetry,
    PipelineNotFound,
    QueueDisabled,
    StoreError,
    TasksChanged,
)
from prunner_trio.execution import StopLevel
from prunner_trio.model import Action, JobId, JobQuery, State
from prunner_trio.testing import Act, MemoryJournal, simulate

FOREVER = math.inf
FAILS_ONCE = [Act(1, exit_code=3), Act(1)]


@pytest.fixture
def diamond(task):
    """Return a pipeline in which `d` needs `b` and `c`, and both need `a`."""
    tasks = (task("a"), task("b", "a"), task("c", "a"), task("d", "b", "c"))
    return lambda **keys: PipelineDef("p", keys.pop("tasks", tasks), **keys)


def states(view):
    return {task.name: task.state.value for task in view.tasks}


def starts(transcript, job):
    return [entry.task for entry in transcript if entry.job == job and entry.task and entry.what == "running"]


def test_a_retry_is_a_new_job_with_the_variables_of_the_old_one(one):
    async def scenario(rig):
        old = await (await rig.schedule("p", user="jane", partition="x", a=1, b=[2])).wait()
        new = await rig.runner.retry(old.id, variables={"b": 3, "c": 4}, by="joe")
        view = await new.wait()
        assert (view.retry_of, view.number, view.user, view.partition) == (old.id, 2, "joe", "x")
        assert view.variables == {"a": 1, "b": 3, "c": 4}
        assert old.variables == {"a": 1, "b": [2]}
        assert view.state is State.DONE

    transcript = simulate(one(), scenario)
    assert transcript.when("p#2", "waiting (retry of 00000000-0000-4000-8000-000000000001)") == 0
    assert starts(transcript, "p#2") == ["t"]


def test_both_ends_of_a_retry_know_of_it(one):
    async def scenario(rig):
        old = await (await rig.schedule("p", user="jane")).wait()
        first = await (await rig.runner.retry(old.id, by="joe")).wait()
        second = await rig.runner.retry(old.id)
        assert [view.id for view in await rig.runner.search(JobQuery(retry_of=old.id))] == [second.id, first.id]
        assert await rig.runner.search(JobQuery(retry_of=first.id)) == []
        entries = await rig.runner.job_audit(old.id)
        assert [(entry.action, entry.by, entry.detail) for entry in entries] == [
            (Action.SCHEDULED, "jane", ""),
            (Action.RETRIED, "joe", first.id),
            (Action.RETRIED, "", second.id),
        ]
        assert [(entry.by, entry.detail) for entry in await rig.runner.job_audit(first.id)] == [("joe", old.id)]

    simulate(one(), scenario, {"t": Act(1)})


def test_from_what_failed_only_that_and_what_needs_it_runs(diamond):
    async def scenario(rig):
        old = await (await rig.schedule("p")).wait()
        assert states(old) == {"a": "done", "b": "error", "c": "done", "d": "canceled"}
        new = await rig.runner.retry(old.id, only_failed=True)
        assert states(new.view()) == {"a": "done", "b": "waiting", "c": "done", "d": "waiting"}
        view = await new.wait()
        assert (view.state, set(states(view).values())) == (State.DONE, {"done"})
        assert [(task.name, task.from_job) for task in view.tasks if task.from_job] == [("a", old.id), ("c", old.id)]
        assert view.task("a") == attrs.evolve(old.task("a"), from_job=old.id)

    transcript = simulate(diamond(), scenario, {"b": FAILS_ONCE})
    assert starts(transcript, "p#2") == ["b", "d"]


def test_what_was_kept_twice_names_the_job_that_ran_it(task):
    async def scenario(rig):
        first = await (await rig.schedule("p")).wait()
        second = await (await rig.runner.retry(first.id, only_failed=True)).wait()
        third = await (await rig.runner.retry(second.id, only_failed=True)).wait()
        assert [task.from_job for task in third.tasks] == [first.id, second.id, None]
        assert third.state is State.DONE

    pipeline = PipelineDef("p", (task("a"), task("b", "a"), task("c", "b")))
    simulate(pipeline, scenario, {"b": FAILS_ONCE, "c": FAILS_ONCE})


def test_a_success_behind_something_that_runs_again_runs_again(task):
    async def scenario(rig):
        old = await (await rig.schedule("p")).wait()
        assert states(old) == {"a": "error", "b": "done", "c": "error"}
        view = await (await rig.runner.retry(old.id, only_failed=True)).wait()
        assert view.state is State.DONE

    pipeline = PipelineDef("p", (task("a", allow_failure=True), task("b", "a"), task("c", "b")))
    transcript = simulate(pipeline, scenario, {"a": FAILS_ONCE, "c": FAILS_ONCE})
    assert starts(transcript, "p#2") == ["a", "b", "c"]


def test_the_handler_has_its_turn_again(one, task):
    async def scenario(rig):
        old = await (await rig.schedule("p")).wait()
        view = await (await rig.runner.retry(old.id, only_failed=True)).wait()
        assert states(view) == {"t": "error", "on_error": "done"}

    transcript = simulate(one(on_error=task("on_error")), scenario, {"t": Act(exit_code=1)})
    assert starts(transcript, "p#2") == ["t", "on_error"]


def test_only_what_is_over_can_be_retried(one):
    async def scenario(rig):
        running, waiting = await rig.schedule("p"), await rig.schedule("p")
        for job in (running, waiting):
            with pytest.raises(JobNotFinished, match="has not ended yet"):
                await rig.runner.retry(job.id)
        with pytest.raises(JobNotFound):
            await rig.runner.retry(JobId("nobody"))

    simulate(one(), scenario, {"t": Act(5)})


def test_there_must_be_something_to_run(one):
    async def scenario(rig):
        old = await (await rig.schedule("p")).wait()
        with pytest.raises(NothingToRetry, match="all tasks of job"):
            await rig.runner.retry(old.id, only_failed=True)

    simulate(one(), scenario)


def test_the_current_definition_decides(diamond, task):
    async def scenario(rig):
        old = await (await rig.schedule("p")).wait()
        tasks = (task("a"), task("b"), task("d", "b"), task("e"))
        rig.runner.replace_definitions(Definitions.of(diamond(tasks=tasks)))
        with pytest.raises(TasksChanged) as caught:
            await rig.runner.retry(old.id, only_failed=True)
        assert caught.value.changes == (
            "task 'c' is gone",
            "task 'b' needs other tasks",
            "task 'd' needs other tasks",
            "task 'e' is new",
        )
        assert "It can only be retried as a whole" in str(caught.value)
        view = await (await rig.runner.retry(old.id)).wait()
        assert sorted(states(view)) == ["a", "b", "d", "e"]
        tasks = (task("a", script=("other",)), task("b", "a"), task("c", "a"), task("d", "c", "b"))
        rig.runner.replace_definitions(Definitions.of(diamond(tasks=tasks)))
        assert (await (await rig.runner.retry(old.id, only_failed=True)).wait()).state is State.DONE
        rig.runner.replace_definitions(Definitions.of(PipelineDef("q", ())))
        with pytest.raises(PipelineNotFound):
            await rig.runner.retry(old.id)

    simulate(diamond(), scenario, {"b": FAILS_ONCE})


def test_a_retry_is_accepted_like_any_other_job(one):
    async def scenario(rig):
        old = await (await rig.schedule("p")).wait()
        with pytest.raises(InvalidVariable):
            await rig.runner.retry(old.id, variables={"a": object()})
        rig.journal.fail_next = 1
        with pytest.raises(StoreError):
            await rig.runner.retry(old.id)
        running = await rig.runner.retry(old.id)
        with pytest.raises(QueueDisabled):
            await rig.runner.retry(old.id)
        await running.wait()

    simulate(one(queue_limit=0), scenario, {"t": Act(1)})


def test_a_retry_may_take_the_place_of_another_job(one):
    async def scenario(rig):
        old = await (await rig.schedule("p")).wait()
        running, waiting = await rig.schedule("p"), await rig.schedule("p")
        retry = await rig.runner.retry(old.id)
        assert (await waiting.wait()).state is State.CANCELED
        await running.wait()
        assert (await retry.wait()).retry_of == old.id

    simulate(one(queue_strategy=QueueStrategy.REPLACE), scenario, {"t": Act(1)})


# ------------------------------------------------------------------------------------------------- over a restart


def test_a_retry_that_waits_over_a_restart_keeps_what_it_has_taken_over(diamond):
    left = []

    async def before(rig):
        old = await (await rig.schedule("p")).wait()
        await rig.schedule("p")
        await rig.runner.retry(old.id, only_failed=True)
        left.extend(rig.journal.snapshot())
        rig.runner.request_shutdown(StopLevel.KILL)

    async def after(rig):
        view = await rig.runner.job(left[2].job.id).wait()
        assert (view.retry_of, view.task("a").from_job) == (left[0].job.id, left[0].job.id)
        assert view.state is State.DONE

    simulate(diamond(), before, {"b": [Act(1, exit_code=3), Act(FOREVER)]})
    transcript = simulate(diamond(), after, journal=MemoryJournal(left))
    assert starts(transcript, "p#3") == ["b", "d"]


def test_a_retry_that_begins_again_after_a_crash_keeps_what_it_has_taken_over(diamond):
    left = []

    async def before(rig):
        old = await (await rig.schedule("p")).wait()
        await rig.runner.retry(old.id, only_failed=True)
        await rig.at(5)
        left.extend(rig.journal.snapshot())
        rig.runner.request_shutdown(StopLevel.KILL)

    async def after(rig):
        view = await rig.runner.job(left[1].job.id).wait()
        assert (view.attempt, view.task("c").from_job, view.state) == (2, left[0].job.id, State.DONE)
        assert rig.journal.snapshot()[1].job == view

    pipeline = diamond(on_daemon_crash=OnDaemonCrash.REQUEUE)
    simulate(pipeline, before, {"b": [Act(1, exit_code=3), Act(FOREVER)]})
    for remains in ({}, {"b": Act(FOREVER)}):
        transcript = simulate(pipeline, after, journal=MemoryJournal(left), remains=remains)
        assert starts(transcript, "p#2") == ["b", "d"]


def test_a_retry_that_is_canceled_while_it_waits_keeps_what_it_has_taken_over(diamond):
    async def scenario(rig):
        old = await (await rig.schedule("p")).wait()
        running = await rig.schedule("p")
        retry = await rig.runner.retry(old.id, only_failed=True)
        retry.cancel(by="jane")
        view = await retry.wait()
        assert states(view) == {"a": "done", "b": "canceled", "c": "done", "d": "canceled"}
        await rig.runner.flush()
        assert await rig.runner.find(retry.id) == view
        running.cancel()

    simulate(diamond(), scenario, {"b": [Act(1, exit_code=3), Act(FOREVER)]})
