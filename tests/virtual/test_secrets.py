"""Secrets of tasks: who gets them, and that no log and no reason shows them."""

import pytest
import trio

from prunner_trio.definition.pipeline import Orphans, PipelineDef
from prunner_trio.execution.seams import Stream
from prunner_trio.model import State
from prunner_trio.testing import Act, simulate

ENV = {"TOKEN": "s3cr3t-t0ken", "LOGIN": "hunter2hunter2", "PIN": "1234", "EMPTY": "", "BLANK": " " * 9}


def play(pipeline, acts, *, env=ENV, **variables):
    """Run one job; return what became of it, what was launched, and the logs by task and stream."""
    found = {}

    async def scenario(rig):
        job = await rig.schedule("p", **variables)
        found["view"] = view = await job.wait()
        found["launched"] = {launch.task: launch for launch in rig.launcher.launches}
        for task in view.tasks:
            for stream in Stream:
                text = await rig.output.read(job.id, task.name, stream, 0, 1 << 20)
                found[task.name, stream.value] = text.decode()

    simulate(pipeline, scenario, acts, env=env)
    return found


def test_both_logs_of_a_task_are_masked(one):
    act = Act(1, exit_code=1, stdout="with s3cr3t-t0ken", stderr="and czNjcjN0LXQwa2Vu, hunter2hunter2")
    found = play(one(task={"secrets": ("TOKEN",)}, secrets=("LOGIN",)), {"t": act})
    assert (found["t", "stdout"], found["t", "stderr"]) == ("with ***", "and ***, ***")


def test_what_only_begins_like_a_secret_is_shown_in_the_end(one):
    found = play(one(secrets=("TOKEN",)), {"t": Act(1, stdout="s3cr3")})
    assert found["t", "stdout"] == "s3cr3"


def test_a_secret_that_is_cut_off_is_masked(one):
    found = play(one(task={"secrets": ("TOKEN",), "log_limit": 8192}), {"t": Act(1, stdout="with s3cr3t-t0ke")})
    assert found["t", "stdout"] == "with ***"


def test_without_the_key_nothing_is_masked(one):
    found = play(one(), {"t": Act(stdout="s3cr3t-t0ken")})
    assert found["t", "stdout"] == "s3cr3t-t0ken"
    assert found["launched"]["t"].env["TOKEN"] == "s3cr3t-t0ken"


def test_masking_comes_before_the_limit(one):
    text = "s3cr3t-t0ken\n" * 1000
    found = play(one(task={"secrets": ("TOKEN",), "log_limit": 8192}), {"t": Act(stdout=text)})
    assert found["t", "stdout"] == "***\n" * 1000
    found = play(one(task={"secrets": ("TOKEN",), "log_limit": 8192}), {"t": Act(stdout=10 * text)})
    assert "left out here" in found["t", "stdout"]
    assert set(found["t", "stdout"].splitlines()) - {"***"} == {
        line for line in found["t", "stdout"].splitlines() if "left out here" in line
    }


@pytest.mark.parametrize(
    ("name", "value", "keys"),
    [
        ("OF_DAEMON", "from the daemon", {}),
        ("OF_PIPELINE", "from the pipeline", {"env": {"OF_PIPELINE": "from the pipeline"}}),
        ("OF_TASK", "from the task", {"task": {"env": {"OF_TASK": "from the task"}}}),
        ("PRUNNER_VAR_OF_JOB", "from the job", {}),
    ],
)
def test_a_value_may_come_from_any_layer_of_the_environment(one, name, value, keys):
    env = {"OF_DAEMON": "from the daemon", "OF_PIPELINE": "another", "OF_TASK": "another"}
    found = play(one(secrets=(name,), **keys), {"t": Act(stdout=value)}, env=env, of_job="from the job")
    assert found["t", "stdout"] == "***"


# -------------------------------------------------------------------------------------------------------- who gets them


def test_only_tasks_that_list_a_secret_get_it(task):
    handler = task("on_error", secrets=("LOGIN",))
    pipeline = PipelineDef(
        "p", (task("a", secrets=("TOKEN",)), task("b", "a")), on_error=handler, secrets=("PIN",), env={"TOKEN": "other"}
    )
    found = play(pipeline, {"b": Act(exit_code=1)})
    given = {name: set(launch.env) & {"TOKEN", "LOGIN", "PIN"} for name, launch in found["launched"].items()}
    assert given == {"a": {"TOKEN", "PIN"}, "b": {"PIN"}, "on_error": {"LOGIN", "PIN"}}


def test_what_a_task_sets_itself_is_its_own(task):
    own = task("b", env={"TOKEN": "mine"})
    found = play(PipelineDef("p", (task("a", secrets=("TOKEN",)), own)), {"b": Act(stdout="mine")})
    assert found["launched"]["b"].env["TOKEN"] == found["b", "stdout"] == "mine"


def test_what_the_pipeline_lists_all_tasks_get(task):
    pipeline = PipelineDef("p", (task("a", secrets=("TOKEN",)), task("b")), secrets=("TOKEN",))
    found = play(pipeline, {})
    assert all(launch.env["TOKEN"] == "s3cr3t-t0ken" for launch in found["launched"].values())


def test_a_task_whose_secrets_are_not_set_is_not_started(task):
    pipeline = PipelineDef("p", (task("t", secrets=("TOKEN", "GONE", "EMPTY")),), secrets=("LOGIN",))
    found = play(pipeline, {})
    assert found["launched"] == {}
    (view,) = found["view"].tasks
    assert (view.state, view.exit_code) == (State.ERROR, -1)
    assert view.reason == "secrets are not set in the environment, or empty: EMPTY, GONE"


def test_such_a_task_may_fail_like_any_other(task):
    found = play(PipelineDef("p", (task("t", secrets=("GONE",), allow_failure=True),)), {})
    assert found["view"].state is State.DONE


def test_a_secret_that_is_too_short_is_told_of_and_not_masked(one):
    pipeline = one(secrets=("PIN", "BLANK", "TOKEN"))
    found = play(pipeline, {"t": Act(1, stdout="1234 s3cr3t-t0ken", stderr="mine\n")})
    assert found["t", "stdout"] == "1234 ***"
    note = "prunner-trio: the secret {} is not masked: it has less than 6 bytes\n"
    assert found["t", "stderr"] == note.format("BLANK") + note.format("PIN") + "mine\n"


def test_if_all_are_too_short_the_log_is_as_any_other(one):
    found = play(one(secrets=("PIN",), orphans=Orphans.KEEP), {"t": Act(1, stdout="1234")})
    assert found["t", "stdout"] == "1234"


# ------------------------------------------------------------------------------------------------------ beside the logs


def test_the_handler_gets_the_output_as_it_is_kept(task):
    handler = task("on_error", script=("{{ .failedTaskStdout }}",))
    pipeline = PipelineDef("p", (task("t", secrets=("TOKEN",)),), on_error=handler)
    found = play(pipeline, {"t": Act(exit_code=1, stdout="<s3cr3t-t0ken>")})
    assert found["launched"]["on_error"].entries == ("<***>",)


def test_the_reason_of_a_launch_that_fails_does_not_show_them(one):
    found = play(one(secrets=("TOKEN",)), {"t": Act(launch_error="cannot start /bin/s3cr3t-t0ken")})
    assert found["view"].tasks[0].reason == found["view"].error == "cannot start /bin/***"


def test_a_reason_with_half_a_surrogate_pair_is_one(one):
    found = play(one(secrets=("TOKEN",)), {"t": Act(launch_error="cannot start \ud83d s3cr3t-t0ken")})
    assert found["view"].tasks[0].reason == "cannot start \ufffd ***"


def test_a_secret_with_half_a_surrogate_pair_is_a_reason_of_its_own(one):
    found = play(one(secrets=("TOKEN",)), {"t": Act(stdout="none")}, env={"TOKEN": "\ud83d s3cr3t-t0ken"})
    assert found["view"].tasks[0].state is State.DONE


def test_the_message_of_a_template_does_not_show_them(one):
    script = ('{{ index .list "s3cr3t-t0ken" }}',)
    plain = play(one(task={"script": script}), {}, list=["a"])["view"].tasks[0].reason
    hidden = play(one(task={"script": script}, secrets=("TOKEN",)), {}, list=["a"])["view"].tasks[0].reason
    assert "s3cr3t-t0ken" in plain
    assert hidden == plain.replace("s3cr3t-t0ken", "***")


def test_what_is_said_while_being_stopped_is_masked_too(one):
    said = []

    async def scenario(rig):
        job = await rig.schedule("p")
        await trio.sleep(5)
        job.cancel()
        await job.wait()
        said.append((await rig.output.read(job.id, "t", Stream.STDOUT, 0, 9999)).decode())

    simulate(one(secrets=("TOKEN",)), scenario, {"t": Act(60, stdout="s3cr3t-t0ken\ns3cr3t-t0")}, env=ENV)
    assert said == ["***\n***"]
