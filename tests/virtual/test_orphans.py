"""What becomes of processes that a task leaves in the background when it has ended by itself."""

import pytest

from prunner_trio.definition.pipeline import Orphans, PipelineDef
from prunner_trio.execution.seams import Stream
from prunner_trio.model import State
from prunner_trio.testing import Act, simulate

FOREVER = float("inf")


def lines(pipeline, act, *, cancel_at=None):
    """Run one job; return what happened to its task, and what its log says."""
    said = []

    async def scenario(rig):
        job = await rig.schedule("p")
        if cancel_at is not None:
            await rig.at(cancel_at)
            job.cancel()
        await job.wait()
        said.append((await rig.output.read(job.id, "t", Stream.STDERR, 0, 1000)).decode())

    transcript = simulate(pipeline, scenario, {"t": act})
    return transcript.lines(task="t"), said[0]


def test_they_are_stopped_and_the_log_says_so(one):
    happened, said = lines(one(), Act(1, leftovers=FOREVER, stderr="mine\n"))
    assert happened == ["0 p#1/t running", "1 p#1/t SIGINT", "1 p#1/t done"]
    assert said == "mine\nprunner-trio: stopped 1 process left in the background: fake (pid 1000001)\n"


def test_a_task_that_leaves_nobody_has_nothing_of_it_in_its_log(one):
    assert lines(one(), Act(1)) == (["0 p#1/t running", "1 p#1/t done"], "")


def test_who_is_stopped_by_a_cancel_was_not_left_in_the_background(one):
    happened, said = lines(one(), Act(FOREVER), cancel_at=5)
    assert happened[1:] == ["5 p#1/t SIGINT", "5 p#1/t canceled (stopped: user)"]
    assert said == ""


def test_a_task_can_last_until_they_are_gone(one):
    happened, said = lines(one(orphans=Orphans.WAIT), Act(1, exit_code=3, leftovers=60))
    assert happened == ["0 p#1/t running", "61 p#1/t error (exit status 3)"]
    assert said == ""


def test_what_needs_a_task_that_waits_for_them_waits_too(task):
    pipeline = PipelineDef("p", (task("a", orphans=Orphans.WAIT), task("b", "a")))

    async def scenario(rig):
        await (await rig.schedule("p")).wait()

    assert simulate(pipeline, scenario, {"a": Act(1, leftovers=60)}).when("p#1/b", "running") == 61


def test_a_cancel_reaches_those_that_are_waited_for(one):
    happened, said = lines(one(orphans=Orphans.WAIT), Act(1, leftovers=FOREVER), cancel_at=5)
    assert happened[1:] == ["5 p#1/t SIGINT", "5 p#1/t canceled (stopped: user)"]
    assert said == ""


def test_a_time_out_reaches_those_that_are_waited_for(one):
    happened, _ = lines(one(task={"timeout": 10.0}, orphans=Orphans.WAIT), Act(1, leftovers=FOREVER))
    assert happened[1:] == ["10 p#1/t SIGINT", "10 p#1/t error (timed out after 10s)"]


def test_they_can_be_let_go(one):
    happened, said = lines(one(orphans=Orphans.KEEP), Act(1, leftovers=FOREVER))
    assert happened == ["0 p#1/t running", "1 p#1/t let go", "1 p#1/t done"]
    assert said == ""


def test_nobody_is_let_go_when_the_task_is_stopped(one):
    happened, _ = lines(one(orphans=Orphans.KEEP), Act(FOREVER, leftovers=FOREVER), cancel_at=5)
    assert happened[1:] == ["5 p#1/t SIGINT", "5 p#1/t canceled (stopped: user)"]


@pytest.mark.parametrize(
    ("of_task", "of_pipeline", "outcome"),
    [
        (None, None, "SIGINT"),
        (None, Orphans.KEEP, "let go"),
        (Orphans.KILL, Orphans.KEEP, "SIGINT"),
        (Orphans.KEEP, Orphans.KILL, "let go"),
    ],
)
def test_the_word_of_a_task_wins_over_that_of_its_pipeline(one, of_task, of_pipeline, outcome):
    happened, _ = lines(one(task={"orphans": of_task}, orphans=of_pipeline), Act(1, leftovers=FOREVER))
    assert happened[1] == f"1 p#1/t {outcome}"


def test_the_handler_of_a_failure_obeys_too(task):
    handler = task("on_error", orphans=Orphans.KEEP)
    pipeline = PipelineDef("p", (task("t"),), on_error=handler)

    async def scenario(rig):
        assert (await (await rig.schedule("p")).wait()).state is State.ERROR

    transcript = simulate(pipeline, scenario, {"t": Act(exit_code=1), "on_error": Act(1, leftovers=FOREVER)})
    assert transcript.lines(task="on_error")[1] == "1 p#1/on_error let go"
