"""Failing tasks: fail-fast, the ways around it, handlers and time-outs."""

import math

import pytest

from prunner_trio.definition.pipeline import PipelineDef
from prunner_trio.model import State, StopReason
from prunner_trio.testing import Act, simulate

FOREVER = math.inf


async def run(rig):
    return await (await rig.schedule("p")).wait()


def states(view):
    return {task.name: task.state.value for task in view.tasks}


def result(pipeline, acts, **keys):
    views = []

    async def scenario(rig):
        views.append(await run(rig))

    transcript = simulate(pipeline, scenario, acts, **keys)
    return views[0], transcript


def test_a_failure_stops_the_siblings_and_all_that_needs_it(task):
    pipeline = PipelineDef("p", (task("bad"), task("long"), task("behind", "bad"), task("later", "long")))
    view, transcript = result(pipeline, {"bad": Act(3, exit_code=4), "long": Act(FOREVER, on_sigint=0.5)})
    assert states(view) == {"bad": "error", "long": "canceled", "behind": "canceled", "later": "canceled"}
    assert view.state is State.ERROR
    assert view.error == "exit status 4"
    assert view.stop.reason is StopReason.FAIL_FAST
    assert view.stop.by == "bad"
    assert transcript.when("p#1/long", "SIGINT") == 3
    assert transcript.when("p#1", "error") == 3.5


def test_the_first_failure_is_the_error_of_the_job(task):
    pipeline = PipelineDef("p", (task("a"), task("b")), continue_running_tasks_after_failure=True)
    view, _ = result(pipeline, {"a": Act(2, exit_code=2), "b": Act(1, exit_code=1)})
    assert view.error == "exit status 1"


def test_going_on_after_a_failure_leaves_out_only_what_needs_it(task):
    tasks = (task("bad"), task("long"), task("after_bad", "bad"), task("after_long", "long"), task("last", "after_bad"))
    view, transcript = result(
        PipelineDef("p", tasks, continue_running_tasks_after_failure=True), {"bad": Act(exit_code=1), "long": Act(5)}
    )
    assert states(view) == {
        "bad": "error",
        "long": "done",
        "after_bad": "canceled",
        "after_long": "done",
        "last": "canceled",
    }
    assert view.state is State.ERROR
    assert transcript.lines(task="after_bad") == ["0 p#1/after_bad canceled (needs 'bad', which is error)"]
    assert transcript.lines(task="last") == ["0 p#1/last canceled (needs 'after_bad', which is canceled)"]


def test_an_allowed_failure_counts_as_passed(task):
    view, _ = result(
        PipelineDef("p", (task("soft", allow_failure=True), task("b", "soft"))), {"soft": Act(exit_code=5)}
    )
    assert states(view) == {"soft": "error", "b": "done"}
    assert (view.state, view.error) == (State.DONE, "")
    assert view.tasks[0].exit_code == 5


@pytest.mark.parametrize(("status", "exit_code"), [(1, 1), (255, 255), (-9, 137), (-15, 143)])
def test_exit_codes_and_signals_are_reported_as_a_shell_would(one, status, exit_code):
    view, _ = result(one(), {"t": Act(exit_code=status)})
    assert (view.tasks[0].exit_code, view.tasks[0].reason) == (exit_code, f"exit status {exit_code}")


def test_a_task_that_cannot_be_launched_fails_with_the_reason(one):
    view, _ = result(one(), {"t": Act(launch_error="cannot start /bin/zsh: No such file or directory")})
    assert view.state is State.ERROR
    assert view.error == "cannot start /bin/zsh: No such file or directory"
    assert view.tasks[0].exit_code == -1


def test_a_broken_template_fails_its_task_after_the_entries_before_it(one):
    launches = []

    async def scenario(rig):
        view = await run(rig)
        launches.extend(rig.launcher.launches)
        assert view.error == (
            'template: interpolate:1:7: executing "interpolate" at <.nope>: map has no entry for key "nope"'
        )
        assert view.tasks[0].exit_code == -1

    simulate(one(task={"script": ("echo first", "echo {{.nope}}", "echo third")}), scenario)
    (launch,) = launches
    text = repr(launch.command.argv) + (launch.command.script or "")
    assert "first" in text
    assert "third" not in text


def test_a_task_without_script_is_done_without_a_process(one):
    async def scenario(rig):
        assert (await run(rig)).state is State.DONE
        assert rig.launcher.launches == []

    simulate(one(task={"script": ()}), scenario)


def test_a_pipeline_without_tasks_is_done(one):
    view, _ = result(PipelineDef("p"), {})
    assert (view.state, view.tasks) == (State.DONE, ())


# ------------------------------------------------------------------------------------------------------- time-outs


def test_a_task_that_takes_too_long_is_stopped_and_failed(task):
    pipeline = PipelineDef("p", (task("slow", timeout=10.0), task("b", "slow")))
    view, transcript = result(pipeline, {"slow": Act(FOREVER, on_sigint=0.5)})
    assert transcript.lines(task="slow") == [
        "0 p#1/slow running",
        "10 p#1/slow SIGINT",
        "10.5 p#1/slow error (timed out after 10s)",
    ]
    assert view.state is State.ERROR
    assert view.error == "timed out after 10s"


def test_the_time_of_a_task_begins_with_its_start_and_not_with_the_job(task):
    pipeline = PipelineDef("p", (task("a"), task("b", "a", timeout=10.0)))
    view, transcript = result(pipeline, {"a": Act(60), "b": Act(9.5)})
    assert view.state is State.DONE
    assert transcript.when("p#1/b", "done") == 69.5


def test_a_task_that_ends_in_time_may_take_long_to_clean_up(one):
    view, _ = result(one(task={"timeout": 10.0}), {"t": Act(9.9, leftovers=FOREVER)})
    assert view.state is State.DONE


def test_a_pipeline_that_takes_too_long_fails_its_running_tasks_and_cancels_the_rest(task):
    pipeline = PipelineDef("p", (task("a"), task("b", "a"), task("c", "b")), timeout=10.0)
    view, transcript = result(pipeline, {"a": Act(4), "b": Act(FOREVER)})
    assert states(view) == {"a": "done", "b": "error", "c": "canceled"}
    assert (view.state, view.error) == (State.ERROR, "timed out after 10s")
    assert transcript.when("p#1/b", "SIGINT") == 10


def test_the_time_of_a_pipeline_begins_with_its_start_and_not_while_it_waits(one):
    async def scenario(rig):
        jobs = [await rig.schedule("p"), await rig.schedule("p")]
        assert [(await job.wait()).state for job in jobs] == [State.DONE] * 2

    simulate(one(timeout=10.0), scenario, {"t": Act(9)})


def test_a_user_who_cancels_during_the_stop_of_a_timed_out_task_changes_the_outcome_of_the_rest_only(task):
    async def scenario(rig):
        job = await rig.schedule("p")
        await rig.at(10.25)
        job.cancel()
        view = await job.wait()
        assert view.state is State.CANCELED

    pipeline = PipelineDef("p", (task("slow", timeout=10.0), task("other")))
    simulate(pipeline, scenario, {"slow": Act(FOREVER, on_sigint=0.5), "other": Act(FOREVER)})


# -------------------------------------------------------------------------------------------------------- on_error


def handler(task, **keys):
    return task("on_error", script=("handle {{.failedTaskName}} {{.failedTaskExitCode}}",), **keys)


def test_the_handler_runs_after_everything_else_and_is_told_the_failure(task):
    pipeline = PipelineDef("p", (task("bad"), task("long")), on_error=handler(task))

    async def scenario(rig):
        view = await run(rig)
        assert states(view) == {"bad": "error", "long": "canceled", "on_error": "done"}
        assert (view.state, view.error) == (State.ERROR, "exit status 7")
        env = rig.launcher.launches[-1].env
        assert env["PRUNNER_VAR_FAILEDTASKNAME"] == "bad"
        assert env["PRUNNER_VAR_FAILEDTASKEXITCODE"] == "7"
        assert env["PRUNNER_VAR_FAILEDTASKERROR"] == "exit status 7"
        assert env["PRUNNER_VAR_FAILEDTASKSTDOUT"] == "said this"
        assert env["PRUNNER_VAR_FAILEDTASKSTDERR"] == "and that"
        assert rig.launcher.launches[-1].command.argv == ("handle", "bad", "7")

    transcript = simulate(
        pipeline,
        scenario,
        {"bad": Act(1, exit_code=7, stdout="said this", stderr="and that"), "long": Act(FOREVER, on_sigint=0.5)},
    )
    assert transcript.when("p#1/on_error", "running") == 1.5


def test_a_handler_that_fails_does_not_change_the_error(one, task):
    view, _ = result(one(on_error=handler(task)), {"t": Act(exit_code=1), "on_error": Act(exit_code=9)})
    assert states(view) == {"t": "error", "on_error": "error"}
    assert (view.state, view.error) == (State.ERROR, "exit status 1")


@pytest.mark.parametrize("act", [Act(), Act(1)])
def test_no_handler_without_a_failure(one, task, act):
    view, _ = result(one(on_error=handler(task)), {"t": act})
    assert states(view) == {"t": "done"}


def test_no_handler_after_an_allowed_failure(one, task):
    view, _ = result(one(task={"allow_failure": True}, on_error=handler(task)), {"t": Act(exit_code=1)})
    assert states(view) == {"t": "error"}


def test_no_handler_after_a_cancel(one, task):
    async def scenario(rig):
        job = await rig.schedule("p")
        await rig.at(1)
        job.cancel()
        assert states(await job.wait()) == {"t": "canceled"}

    simulate(one(on_error=handler(task)), scenario, {"t": Act(FOREVER)})


def test_a_user_can_cancel_the_handler_and_the_failure_stands(one, task):
    async def scenario(rig):
        job = await rig.schedule("p")
        await rig.at(5)
        job.cancel()
        view = await job.wait()
        assert states(view) == {"t": "error", "on_error": "canceled"}
        assert view.state is State.ERROR

    transcript = simulate(one(on_error=handler(task)), scenario, {"t": Act(exit_code=1), "on_error": Act(FOREVER)})
    assert transcript.when("p#1/on_error", "SIGINT") == 5


def test_a_handler_has_a_time_limit_of_its_own(one, task):
    pipeline = one(on_error=handler(task, timeout=3.0))
    view, transcript = result(pipeline, {"t": Act(exit_code=1), "on_error": Act(FOREVER)})
    assert transcript.lines(task="on_error")[-1] == "3 p#1/on_error error (timed out after 3s)"
    assert view.error == "exit status 1"


def test_the_next_job_waits_for_the_handler(one, task):
    async def scenario(rig):
        jobs = [await rig.schedule("p"), await rig.schedule("p")]
        for job in jobs:
            await job.wait()

    transcript = simulate(one(on_error=handler(task)), scenario, {"t": Act(exit_code=1), "on_error": Act(10)})
    assert transcript.when("p#2", "running") == 10


# ----------------------------------------------------------------------------------------------- defects of the runner


def test_a_defect_in_one_job_ends_that_job_alone(one):
    def broken(launch):
        raise ZeroDivisionError("a defect")

    async def scenario(rig):
        bad, good = await rig.schedule("bad"), await rig.schedule("p")
        view = await bad.wait()
        assert (view.state, view.error, view.stop.reason) == (State.ERROR, "internal error", StopReason.INTERNAL)
        assert (await good.wait()).state is State.DONE
        assert (await (await rig.schedule("bad")).wait()).state is State.ERROR

    from prunner_trio.definition.pipeline import Definitions

    simulate(Definitions.of(one(), one(name="bad")), scenario, {"bad/t": broken, "p/t": Act(5)})
