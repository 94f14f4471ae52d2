"""A runner may be told how many tasks can run at once, whatever the pipelines say."""

import trio
import trio.testing

from prunner_trio.definition.pipeline import Definitions, PipelineDef
from prunner_trio.model import State
from prunner_trio.testing import Act, simulate

FOREVER = float("inf")
TEN = {"a": Act(10), "b": Act(10), "c": Act(10)}


def starts(transcript):
    return [entry.at for entry in transcript if entry.what == "running" and entry.task]


def test_the_next_task_starts_when_one_is_over(task):
    pipeline = PipelineDef("p", (task("a"), task("b"), task("c")))

    async def scenario(rig):
        assert (await (await rig.schedule("p")).wait()).state is State.DONE

    assert starts(simulate(pipeline, scenario, TEN, most_tasks=2)) == [0, 0, 10]


def test_the_tasks_of_all_jobs_count_together(one):
    definitions = Definitions.of(one(name="p"), one(name="q"), one(name="r"))

    async def scenario(rig):
        jobs = [await rig.schedule(name) for name in "pqr"]
        for job in jobs:
            await job.wait()

    transcript = simulate(definitions, scenario, {"t": Act(10)}, most_tasks=1)
    assert starts(transcript) == [0, 10, 20]
    assert [transcript.when(f"{name}#{number}/t", "running") for number, name in enumerate("pqr", 1)] == [0, 10, 20]


def test_the_time_of_a_task_begins_when_there_is_room_for_it(task):
    pipeline = PipelineDef("p", (task("a", timeout=15.0), task("b", timeout=15.0), task("c", timeout=15.0)))

    async def scenario(rig):
        assert (await (await rig.schedule("p")).wait()).state is State.DONE

    assert starts(simulate(pipeline, scenario, TEN, most_tasks=1)) == [0, 10, 20]


def test_a_task_that_waits_for_room_can_be_canceled_and_takes_none(one):
    definitions = Definitions.of(one(name="p"), one(name="q"), one(name="r"))

    async def scenario(rig):
        jobs = [await rig.schedule(name) for name in "pqr"]
        await rig.at(5)
        jobs[1].cancel()
        assert (await jobs[1].wait()).state is State.CANCELED
        assert trio.current_time() - rig.started == 5
        assert (await jobs[2].wait()).state is State.DONE

    assert starts(simulate(definitions, scenario, {"t": Act(10)}, most_tasks=1)) == [0, 10]


def test_a_task_holds_its_room_until_its_processes_are_gone(one):
    definitions = Definitions.of(one(name="p"), one(name="q"))

    async def scenario(rig):
        jobs = [await rig.schedule(name) for name in "pq"]
        await rig.at(5)
        jobs[0].cancel()
        await jobs[1].wait()

    acts = {"p/t": Act(FOREVER, on_sigint=0.5), "q/t": Act(10)}
    assert starts(simulate(definitions, scenario, acts, most_tasks=1)) == [0, 5.5]


def test_the_handler_of_a_failure_needs_room_too(task, one):
    failing = PipelineDef("p", (task("t"),), on_error=task("on_error"))

    async def scenario(rig):
        job = await rig.schedule("p")
        await trio.testing.wait_all_tasks_blocked()
        other = await rig.schedule("q")
        assert (await job.wait()).tasks[-1].state is State.DONE
        await other.wait()

    acts = {"p/t": Act(1, exit_code=1), "q/t": Act(10)}
    transcript = simulate(Definitions.of(failing, one(name="q")), scenario, acts, most_tasks=1)
    assert transcript.when("p#1/on_error", "running") == 11
