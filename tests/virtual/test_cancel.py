"""What a cancel does, step by step and to the moment."""

import math

import pytest
import trio

from prunner_trio.definition.pipeline import PipelineDef
from prunner_trio.errors import JobAlreadyFinished, JobNotFound
from prunner_trio.model import State, StopReason
from prunner_trio.testing import Act, MemoryJournal, Rig, simulate

FOREVER = math.inf


async def cancel_at(rig: Rig, seconds: float, pipeline: str = "p"):
    job = await rig.schedule(pipeline)
    await rig.at(seconds)
    job.cancel(by="jane")
    return await job.wait()


def test_a_process_that_obeys_sigint_is_gone_at_once(one):
    transcript = simulate(one(), lambda rig: cancel_at(rig, 5), {"t": Act(FOREVER)})
    assert transcript.lines() == [
        "0 p#1 waiting",
        "0 p#1 running",
        "0 p#1/t running",
        "5 p#1/t SIGINT",
        "5 p#1/t canceled (stopped: user)",
        "5 p#1 canceled (user)",
    ]


def test_signals_rise_from_int_over_term_to_kill(one):
    act = Act(FOREVER, on_sigint=FOREVER, on_sigterm=FOREVER)
    transcript = simulate(one(), lambda rig: cancel_at(rig, 5), {"t": act})
    assert transcript.lines(task="t") == [
        "0 p#1/t running",
        "5 p#1/t SIGINT",
        "6 p#1/t SIGTERM",
        "7 p#1/t SIGKILL",
        "7 p#1/t canceled (stopped: user)",
    ]


def test_a_process_that_ignores_sigint_gets_sigterm_without_delay(one):
    transcript = simulate(one(), lambda rig: cancel_at(rig, 5), {"t": Act(FOREVER, on_sigint=None)})
    assert transcript.lines(task="t")[1:] == [
        "5 p#1/t SIGINT",
        "5 p#1/t SIGTERM instead",
        "5 p#1/t canceled (stopped: user)",
    ]


@pytest.mark.parametrize("cleanup", [0.25, 0.999])
def test_a_program_that_handles_sigint_keeps_its_time(one, cleanup):
    transcript = simulate(one(), lambda rig: cancel_at(rig, 5), {"t": Act(FOREVER, on_sigint=cleanup)})
    assert transcript.lines(task="t")[1:] == ["5 p#1/t SIGINT", f"{5 + cleanup:g} p#1/t canceled (stopped: user)"]


def test_a_program_that_handles_sigterm_keeps_its_time(one):
    act = Act(FOREVER, on_sigint=FOREVER, on_sigterm=0.5)
    transcript = simulate(one(), lambda rig: cancel_at(rig, 5), {"t": act})
    assert transcript.when("p#1/t", "canceled") == 6.5
    assert "SIGKILL" not in str(transcript)


def test_kill_timeout_zero_kills_at_once(one):
    act = Act(FOREVER, on_sigint=FOREVER, on_sigterm=FOREVER)
    transcript = simulate(one(kill_timeout=0.0), lambda rig: cancel_at(rig, 5), {"t": act})
    assert transcript.lines(task="t")[1:] == ["5 p#1/t SIGKILL", "5 p#1/t canceled (stopped: user)"]


def test_the_kill_timeout_of_a_task_wins_over_that_of_the_pipeline(one):
    act = Act(FOREVER, on_sigint=FOREVER, on_sigterm=FOREVER)
    pipeline = one(task={"kill_timeout": 10.0}, kill_timeout=4.0)
    transcript = simulate(pipeline, lambda rig: cancel_at(rig, 5), {"t": act})
    assert transcript.when("p#1/t", "SIGTERM") == 10
    assert transcript.when("p#1/t", "SIGKILL") == 15


def test_processes_that_survive_sigkill_make_the_task_an_error(one):
    transcript = simulate(one(), lambda rig: cancel_at(rig, 5), {"t": Act(FOREVER, immortal=True)})
    assert transcript.lines(task="t")[-1] == ("12 p#1/t error (process tree 1000001 survived SIGKILL for 5 s)")
    assert transcript.lines()[-1].startswith("12 p#1 error (process tree")


def test_what_a_finished_task_leaves_behind_is_stopped_before_the_task_is_over(one, task):
    pipeline = PipelineDef("p", (task("a"), task("b", "a")))

    async def scenario(rig):
        await (await rig.schedule("p")).wait()

    transcript = simulate(pipeline, scenario, {"a": Act(1, leftovers=FOREVER)})
    assert transcript.lines(task="a") == ["0 p#1/a running", "1 p#1/a SIGINT", "1 p#1/a done"]
    assert transcript.when("p#1/b", "running") == 1


def test_tasks_behind_a_canceled_one_never_start(task):
    pipeline = PipelineDef("p", (task("a"), task("b", "a"), task("c", "b")))
    transcript = simulate(pipeline, lambda rig: cancel_at(rig, 5), {"b": Act(FOREVER)})
    assert transcript.lines(task="c") == ["5 p#1/c canceled (stopped: user)"]
    assert transcript.lines(task="a")[-1] == "0 p#1/a done"


def test_a_cancel_while_the_process_is_being_launched_leaves_nothing(one):
    transcript = simulate(one(), lambda rig: cancel_at(rig, 5), {"t": Act(FOREVER, launch_seconds=10)})
    assert transcript.lines()[2:] == [
        "0 p#1/t running",
        "5 p#1/t canceled (stopped: user)",
        "5 p#1 canceled (user)",
    ]


def test_a_cancel_in_the_very_step_in_which_a_dependency_settles_wins(task):
    pipeline = PipelineDef("p", (task("a"), task("b", "a")))

    async def scenario(rig):
        job = await rig.schedule("p")

        def rival(event):
            if event.task == "a" and event.state is State.DONE:
                job.cancel()

        with rig.runner.observe(rival):
            view = await job.wait()
        assert view.state is State.CANCELED
        assert [launch.task for launch in rig.launcher.launches] == ["a"]

    assert simulate(pipeline, scenario).lines(task="b") == ["0 p#1/b canceled (stopped: user)"]


def test_a_cancel_before_the_first_step_starts_nothing(one):
    async def scenario(rig):
        job = rig.runner.submit("p")
        job.cancel()
        view = await job.wait()
        assert (view.state, view.started) == (State.CANCELED, None)
        assert rig.launcher.launches == []

    simulate(one(), scenario, {"t": Act(FOREVER)})


def test_a_cancel_while_the_job_is_being_saved_starts_nothing(one):
    journal = MemoryJournal()

    async def scenario(rig):
        journal.hold = True
        job = rig.runner.submit("p")
        await rig.at(3)
        job.cancel()
        journal.hold = False
        view = await job.wait()
        assert view.state is State.CANCELED
        assert rig.launcher.launches == []

    simulate(one(), scenario, {"t": Act(FOREVER)}, journal=journal)


def test_canceling_twice_keeps_the_first_reason_and_user(one):
    async def scenario(rig):
        job = await rig.schedule("p")
        await rig.at(1)
        job.cancel(by="jane")
        job.cancel(by="joe")
        view = await job.wait()
        job.cancel(by="late")
        assert (view.stop.reason, view.stop.by) == (StopReason.USER, "jane")

    simulate(one(), scenario, {"t": Act(FOREVER)})


def test_a_job_that_has_ended_cannot_be_canceled(one):
    async def scenario(rig):
        job = await rig.schedule("p")
        view = await job.wait()
        with pytest.raises(JobAlreadyFinished):
            job.cancel()
        with pytest.raises(JobNotFound):
            rig.runner.cancel(job.id)
        assert job.view() is view
        assert (await rig.runner.find(job.id)).state is State.DONE

    simulate(one(), scenario)


def test_a_stop_after_the_last_task_changes_nothing(one):
    async def scenario(rig):
        job = await rig.schedule("p")

        def late(event):
            if event.task == "t" and event.state is State.DONE:
                job.cancel()

        with rig.runner.observe(late):
            assert (await job.wait()).state is State.DONE

    simulate(one(), scenario)


def test_canceling_the_wait_does_not_cancel_the_job(one):
    async def scenario(rig):
        job = await rig.schedule("p")
        with trio.move_on_after(1):
            await job.wait()
        assert job.state is State.RUNNING
        assert (await job.wait()).state is State.DONE

    simulate(one(), scenario, {"t": Act(10)})


def test_a_canceled_job_holds_its_slot_until_its_processes_are_gone(one):
    async def scenario(rig):
        first = await rig.schedule("p")
        second = await rig.schedule("p")
        await rig.at(1)
        first.cancel()
        await second.wait()

    acts = {"t": [Act(FOREVER, on_sigint=FOREVER, on_sigterm=FOREVER), Act(1)]}
    transcript = simulate(one(), scenario, acts)
    assert transcript.when("p#1", "canceled") == 3
    assert transcript.when("p#2", "running") == 3


def test_a_canceled_waiting_job_is_out_of_the_list_at_once(one):
    async def scenario(rig):
        first = await rig.schedule("p")
        second = await rig.schedule("p")
        second.cancel(by="jane")
        assert second.state is State.CANCELED
        assert rig.runner.pipelines()[0].waiting == 0
        third = await rig.schedule("p")
        await rig.at(1)
        assert (first.state, third.state) == (State.RUNNING, State.WAITING)
        await third.wait()

    transcript = simulate(one(queue_limit=1), scenario, {"t": Act(5)})
    assert transcript.lines("p#2") == [
        "0 p#2 waiting",
        "0 p#2/t canceled (stopped: user)",
        "0 p#2 canceled (user)",
    ]
