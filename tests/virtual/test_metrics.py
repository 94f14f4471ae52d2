"""What is counted when jobs run, and that the number of its labels has an end."""

import math

import pytest
import trio
import trio.testing

from prunner_trio.definition.pipeline import Definitions, PipelineDef
from prunner_trio.errors import LaunchError
from prunner_trio.execution.seams import Command
from prunner_trio.metrics import Family, Metrics, TimedLauncher
from prunner_trio.metrics.histogram import Distribution, Histogram
from prunner_trio.metrics.loop import LoopLag
from prunner_trio.testing import Act, MemoryJournal, simulate

INFO = {"version": "1", "python": "3", "trio": "0", "containment": "group"}


def watching(metrics, rig):
    return metrics.watching(rig.runner, connections=lambda: 7, info=INFO)


def values(metrics):
    """Return all samples by name and labels."""
    return {(family.metric.name, *labels): value for family in metrics.families() for labels, value in family.samples}


def sum_and_count(value):
    assert isinstance(value, Distribution)
    return round(value.sum, 6), sum(value.counts)


def test_jobs_and_tasks_are_counted_by_pipeline_and_outcome(one):
    found = {}

    async def scenario(rig):
        metrics = Metrics()
        with watching(metrics, rig):
            for name in ("good", "bad", "good"):
                await (await rig.schedule(name)).wait()
            stopped = await rig.schedule("good")
            await trio.sleep(1)
            rig.runner.cancel(stopped.id)
            await stopped.wait()
            found.update(values(metrics))

    pipelines = Definitions.of(one(name="good"), one(name="bad"))
    simulate(pipelines, scenario, {"good/t": [Act(3), Act(5), Act(math.inf)], "bad/t": Act(2, exit_code=1)})
    assert found["prunner_jobs_submitted_total", "good"] == 3
    assert [found["prunner_jobs_finished_total", "good", end] for end in ("done", "error", "canceled")] == [2, 0, 1]
    assert [found["prunner_jobs_finished_total", "bad", end] for end in ("done", "error", "canceled")] == [0, 1, 0]
    assert found["prunner_tasks_finished_total", "good", "done"] == 2
    assert found["prunner_tasks_finished_total", "good", "canceled"] == 1
    assert found["prunner_tasks_finished_total", "bad", "error"] == 1
    assert sum_and_count(found["prunner_task_duration_seconds", "good"]) == (9, 3)
    assert sum_and_count(found["prunner_job_duration_seconds", "good"]) == (9, 3)
    assert sum_and_count(found["prunner_job_duration_seconds", "bad"]) == (2, 1)
    assert found["prunner_http_connections",] == 7


def test_running_and_waiting_jobs_are_those_of_the_moment_and_0_where_there_are_none(one):
    seen = []

    async def scenario(rig):
        metrics = Metrics()
        with watching(metrics, rig):
            jobs = [await rig.schedule("p") for _ in range(3)]
            await trio.sleep(1)
            seen.append(values(metrics))
            for job in jobs:
                await job.wait()
            seen.append(values(metrics))

    simulate(Definitions.of(one(), one(name="idle")), scenario, {"t": Act(10)})
    assert (seen[0]["prunner_jobs_running", "p"], seen[0]["prunner_jobs_waiting", "p"]) == (1, 2)
    assert (seen[1]["prunner_jobs_running", "p"], seen[1]["prunner_jobs_waiting", "p"]) == (0, 0)
    assert (seen[0]["prunner_jobs_running", "idle"], seen[0]["prunner_jobs_submitted_total", "idle"]) == (0, 0)


@pytest.mark.parametrize(("delay", "waited"), [(0, 10), (4, 6)])
def test_the_wait_for_a_slot_is_counted_and_the_start_delay_is_not(one, delay, waited):
    found = {}

    async def scenario(rig):
        metrics = Metrics()
        with watching(metrics, rig):
            await rig.schedule("p")
            await trio.sleep(delay)
            await (await rig.schedule("p")).wait()
            found.update(values(metrics))

    simulate(one(start_delay=float(delay)), scenario, {"t": Act(10 + delay)})
    assert sum_and_count(found["prunner_queue_wait_seconds", "p"]) == (waited + (delay and 4), 2)


def test_a_job_that_waited_over_a_restart_counts_its_whole_wait_and_is_not_submitted_twice(one):
    journal, found = MemoryJournal(), {}

    async def accept(rig):
        await rig.schedule("p")
        await trio.sleep(1)
        await rig.schedule("p")
        rig.runner.request_shutdown(2)

    async def go_on(rig):
        metrics = Metrics()
        with watching(metrics, rig):
            await trio.sleep(1)
            found.update(values(metrics))

    simulate(one(), accept, {"t": Act(math.inf)}, journal=journal)
    simulate(one(), go_on, journal=journal)
    assert found["prunner_jobs_submitted_total", "p"] == 0
    assert found["prunner_jobs_finished_total", "p", "done"] == 1
    assert sum_and_count(found["prunner_queue_wait_seconds", "p"])[1] == 1


def test_a_pipeline_that_a_reload_removes_takes_its_figures_with_it_and_its_last_job_counts_without_a_name(one):
    found = {}

    async def scenario(rig):
        metrics = Metrics()
        with watching(metrics, rig):
            await (await rig.schedule("old")).wait()
            last = await rig.schedule("old")
            await trio.sleep(1)
            rig.runner.replace_definitions(Definitions.of(one(name="new")))
            found["meanwhile"] = values(metrics)
            await last.wait()
            found["afterwards"] = values(metrics)

    simulate(Definitions.of(one(name="old"), one(name="new")), scenario, {"t": Act(10)})
    for when in ("meanwhile", "afterwards"):
        labels = {key[1] for key in found[when] if key[0].startswith(("prunner_job", "prunner_task", "prunner_queue"))}
        assert labels == {"new", ""}
    assert found["meanwhile"]["prunner_jobs_running", ""] == 1
    assert found["afterwards"]["prunner_jobs_finished_total", "", "done"] == 1
    assert ("prunner_jobs_running", "") not in found["afterwards"]


def test_nothing_is_kept_of_jobs_that_are_over(one):
    async def scenario(rig):
        metrics = Metrics()
        with watching(metrics, rig):
            for _ in range(3):
                await (await rig.schedule("p")).wait()
            assert metrics._begun == {}

    simulate(one(), scenario, {"t": Act(1)})


def test_a_request_for_a_pipeline_that_is_not_defined_leaves_no_label(one):
    async def scenario(rig):
        metrics = Metrics()
        with watching(metrics, rig):
            with pytest.raises(Exception, match="nonsense"):
                await rig.schedule("nonsense")
            assert not any("nonsense" in key for key in values(metrics))

    simulate(one(), scenario)


def test_a_launch_is_timed_with_its_wait_and_a_failed_one_is_counted_apart():
    class Slow:
        async def launch(self, command, env, output):
            await trio.sleep(3)
            if command.argv == ("broken",):
                raise LaunchError("no such program")
            return "proc"

    async def main():
        metrics = Metrics()
        launcher = TimedLauncher(Slow(), metrics.launched, metrics.launch_failed)
        assert await launcher.launch(Command(("true",), "/"), {}, None) == "proc"
        with pytest.raises(LaunchError):
            await launcher.launch(Command(("broken",), "/"), {}, None)
        found = values(metrics)
        assert sum_and_count(found["prunner_spawn_seconds",]) == (3, 1)
        assert found["prunner_spawn_failures_total",] == 1

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_a_store_that_fails_is_not_ok_until_it_writes_again():
    metrics = Metrics(clock=lambda: 0.0)
    metrics.committed(3, 0.25, True)
    assert values(metrics)["prunner_store_ok",] == 1
    metrics.committed(2, 5.0, False)
    found = values(metrics)
    assert (found["prunner_store_ok",], found["prunner_store_failures_total",]) == (0, 1)
    assert sum_and_count(found["prunner_store_commit_seconds",]) == (0.25, 1)
    metrics.committed(0, 0.5, True)
    found = values(metrics)
    assert found["prunner_store_ok",] == 1
    assert sum_and_count(found["prunner_store_commit_seconds",]) == (0.75, 2)
    assert sum_and_count(found["prunner_store_batch_changes",]) == (3, 1)


def test_a_turn_of_the_loop_counts_from_when_it_should_have_begun():
    now = 0.0
    turns = Histogram((0.5, 1.5, 2.5))
    lag = LoopLag(turns, clock=lambda: now)
    lag.before_io_wait(10)
    now = 4.0  # somebody has something to do: woken early
    lag.after_io_wait(10)
    now = 5.0
    lag.before_io_wait(3)
    now = 9.0  # it wanted to sleep until 8
    lag.after_io_wait(3)
    now = 10.0
    lag.before_io_wait(math.inf)
    assert turns.now().counts == (1, 1, 1, 0)
    assert turns.now().sum == 3.0


def test_the_loop_is_watched_as_long_as_the_block_lasts_and_no_longer(one):
    async def scenario(rig):
        metrics = Metrics()
        with watching(metrics, rig):
            await trio.sleep(1)
            first = sum(values(metrics)["prunner_loop_lag_seconds",].counts)
            await trio.sleep(1)
            second = sum(values(metrics)["prunner_loop_lag_seconds",].counts)
        await trio.sleep(1)
        assert 0 < first < second
        assert sum(values(metrics)["prunner_loop_lag_seconds",].counts) - second <= 1

    simulate(one(), scenario)


def test_a_value_on_a_bound_is_in_its_bucket_and_one_below_zero_counts_as_zero():
    histogram = Histogram((1.0, 2.0))
    for value in (-5.0, 1.0, 1.5, 2.0, 3.0):
        histogram.observe(value)
    assert histogram.now() == Distribution((1.0, 2.0), (2, 2, 1), 7.5)


def test_a_name_that_has_no_encoding_becomes_one_that_has():
    async def scenario(rig):
        metrics = Metrics()
        with watching(metrics, rig):
            text = repr([Family(f.metric, f.samples) for f in metrics.families()])
            assert r"\\ud800" in text
            for key in values(metrics):
                "".join(str(part) for part in key).encode()

    simulate(PipelineDef("\ud800"), scenario)
