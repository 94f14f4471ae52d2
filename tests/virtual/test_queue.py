"""Concurrency, wait lists and delays, in the engine."""

import math

import pytest

from prunner_trio.definition.pipeline import Definitions, PipelineDef, QueueStrategy
from prunner_trio.errors import InvalidVariable, PipelineNotFound, QueueDisabled, QueueFull
from prunner_trio.model import State, StopReason
from prunner_trio.testing import Act, simulate

FOREVER = math.inf
REPLACE = QueueStrategy.REPLACE
PARTITIONED = QueueStrategy.PARTITIONED_REPLACE


async def finish(jobs):
    return [(await job.wait()).state.value for job in jobs]


def test_jobs_run_in_the_order_of_arrival_as_slots_become_free(one):
    async def scenario(rig):
        assert await finish([await rig.schedule("p") for _ in range(5)]) == ["done"] * 5

    transcript = simulate(one(concurrency=2), scenario, {"t": Act(10)})
    starts = [transcript.when(f"p#{n}", "running") for n in range(1, 6)]
    assert starts == [0, 0, 10, 10, 20]


def test_pipelines_do_not_share_slots(one):
    async def scenario(rig):
        await finish([await rig.schedule("p"), await rig.schedule("q")])

    transcript = simulate(Definitions.of(one(), one(name="q")), scenario, {"t": Act(10)})
    assert transcript.when("q#2", "running") == 0


def test_a_full_list_refuses(one):
    async def scenario(rig):
        jobs = [await rig.schedule("p"), await rig.schedule("p")]
        assert not rig.runner.pipelines()[0].schedulable
        with pytest.raises(QueueFull, match="concurrency exceeded and queue limit reached for pipeline"):
            await rig.schedule("p")
        await finish(jobs)
        assert rig.runner.pipelines()[0].schedulable

    simulate(one(queue_limit=1), scenario, {"t": Act(10)})


def test_no_list_still_lets_a_job_take_a_free_slot(one):
    async def scenario(rig):
        job = await rig.schedule("p")
        with pytest.raises(QueueDisabled, match="concurrency exceeded and queueing disabled for pipeline"):
            await rig.schedule("p")
        await job.wait()
        await (await rig.schedule("p")).wait()

    simulate(one(queue_limit=0), scenario, {"t": Act(10)})


def test_two_requests_in_one_step_cannot_both_take_the_last_slot(one):
    async def scenario(rig):
        job = rig.runner.submit("p")
        with pytest.raises(QueueDisabled):
            rig.runner.submit("p")
        await job.wait()

    simulate(one(queue_limit=0), scenario)


def test_replace_gives_the_place_of_the_last_to_the_new(one):
    async def scenario(rig):
        jobs = [await rig.schedule("p") for _ in range(4)]
        assert await finish(jobs) == ["done", "done", "canceled", "done"]
        assert jobs[2].view().stop.reason is StopReason.REPLACED
        assert jobs[2].view().started is None

    simulate(one(queue_strategy=REPLACE, queue_limit=2), scenario, {"t": Act(10)})


def test_replace_without_a_limit_keeps_one(one):
    async def scenario(rig):
        assert await finish([await rig.schedule("p") for _ in range(4)]) == ["done", "canceled", "canceled", "done"]

    simulate(one(queue_strategy=REPLACE), scenario, {"t": Act(10)})


def test_partitions_replace_among_themselves(one):
    async def scenario(rig):
        first = await rig.schedule("p", partition="x")
        jobs = {name: await rig.schedule("p", partition=name[0]) for name in ("x1", "y1", "x2", "y2")}
        assert (await first.wait()).state is State.DONE
        assert dict(zip(jobs, await finish(jobs.values()), strict=True)) == {
            "x1": "canceled",
            "y1": "canceled",
            "x2": "done",
            "y2": "done",
        }

    pipeline = one(queue_strategy=PARTITIONED, queue_partition_limit=1)
    transcript = simulate(pipeline, scenario, {"t": Act(10)})
    assert transcript.when("p#4", "running") < transcript.when("p#5", "running")


# ---------------------------------------------------------------------------------------------------------- delays


def test_a_delayed_job_starts_to_the_moment(one):
    async def scenario(rig):
        await rig.at(100)
        await (await rig.schedule("p")).wait()

    assert simulate(one(start_delay=2.5), scenario).when("p#1", "running") == 102.5


def test_debounce_runs_only_the_last_and_each_new_job_begins_a_new_delay(one):
    async def scenario(rig):
        jobs = []
        for moment in (0, 3, 6, 9):
            await rig.at(moment)
            jobs.append(await rig.schedule("p"))
        assert await finish(jobs) == ["canceled", "canceled", "canceled", "done"]

    transcript = simulate(one(start_delay=5.0, queue_strategy=REPLACE, queue_limit=1), scenario)
    assert transcript.when("p#4", "running") == 14
    assert transcript.when("p#1", "canceled") == 3


def test_a_delayed_job_occupies_a_place(one):
    async def scenario(rig):
        job = await rig.schedule("p")
        with pytest.raises(QueueFull):
            await rig.schedule("p")
        job.cancel()

    simulate(one(start_delay=3600.0, queue_limit=1), scenario)


def test_concurrency_counts_after_the_delay(one):
    async def scenario(rig):
        await finish([await rig.schedule("p"), await rig.schedule("p")])

    transcript = simulate(one(start_delay=1.0), scenario, {"t": Act(10)})
    assert [transcript.when(f"p#{n}", "running") for n in (1, 2)] == [1, 11]


def test_a_canceled_delayed_job_never_starts(one):
    async def scenario(rig):
        job = await rig.schedule("p")
        await rig.at(1)
        job.cancel()
        await rig.at(100)
        assert rig.launcher.launches == []

    simulate(one(start_delay=5.0), scenario)


# ---------------------------------------------------------------------------------------------------------- others


def test_unknown_pipelines_and_bad_variables_are_refused(one):
    async def scenario(rig):
        with pytest.raises(PipelineNotFound):
            await rig.schedule("nope")
        for bad in ({"x": float("nan")}, {"x": "a\0b"}, {"x": object()}, {"x": ["\ud800"]}):
            with pytest.raises(InvalidVariable):
                await rig.runner.schedule("p", variables=bad)
        assert list(rig.runner.live()) == []

    simulate(one(), scenario)


def test_the_reserved_variable_cancels_the_job(one):
    async def scenario(rig):
        job = await rig.schedule("p", __jobID="mine")
        view = await job.wait()
        assert (view.state, view.started) == (State.CANCELED, None)
        assert view.error == "variable name __jobID is reserved for internal use"
        assert rig.launcher.launches == []

    simulate(one(), scenario)


def test_variables_reach_templates_and_the_environment(one):
    async def scenario(rig):
        await (await rig.schedule("p", name="a b", count=12345678901234567890, on=True)).wait()
        (launch,) = rig.launcher.launches
        assert launch.command.argv == ("say", "a b", "12345678901234567890")
        assert launch.env["PRUNNER_VAR_NAME"] == "a b"
        assert launch.env["PRUNNER_VAR_COUNT"] == "12345678901234567890"
        assert launch.env["PRUNNER_VAR_ON"] == "true"

    simulate(one(task={"script": ("say {{quote .name}} {{.count}}",)}), scenario)


def test_a_variable_that_the_environment_cannot_hold_is_told_in_the_log_of_the_task(one):
    async def scenario(rig):
        job = await rig.schedule("p", long="x" * 200_000)
        await job.wait()
        assert "PRUNNER_VAR_LONG" not in rig.launcher.launches[0].env
        said = await rig.output.read(job.id, "t", "stderr", 0, 1000)
        assert said == (b"prunner-trio: PRUNNER_VAR_LONG is not set: 200000 bytes are too long for the environment\n")

    simulate(one(), scenario)


def test_an_accepted_job_keeps_its_definition_and_new_jobs_get_the_new_one(one, task):
    async def scenario(rig):
        old = [await rig.schedule("p"), await rig.schedule("p")]
        rig.runner.replace_definitions(Definitions.of(one(task={"script": ("new",)})))
        new = await rig.schedule("p")
        await finish([*old, new])
        assert [launch.command.argv for launch in rig.launcher.launches] == [("old",), ("old",), ("new",)]

    simulate(one(task={"script": ("old",)}), scenario, {"t": Act(1)})


def test_more_concurrency_after_a_reload_starts_waiting_jobs_at_once(one):
    async def scenario(rig):
        jobs = [await rig.schedule("p") for _ in range(3)]
        await rig.at(1)
        rig.runner.replace_definitions(Definitions.of(one(concurrency=3)))
        await finish(jobs)

    transcript = simulate(one(), scenario, {"t": Act(10)})
    assert [transcript.when(f"p#{n}", "running") for n in (1, 2, 3)] == [0, 1, 1]


def test_jobs_of_a_removed_pipeline_run_to_their_end_in_order(one):
    async def scenario(rig):
        jobs = [await rig.schedule("p"), await rig.schedule("p")]
        rig.runner.replace_definitions(Definitions.of(PipelineDef("q")))
        with pytest.raises(PipelineNotFound):
            await rig.schedule("p")
        assert [view.name for view in rig.runner.pipelines()] == ["q"]
        assert await finish(jobs) == ["done", "done"]

    transcript = simulate(one(), scenario, {"t": Act(10)})
    assert transcript.when("p#2", "running") == 10
