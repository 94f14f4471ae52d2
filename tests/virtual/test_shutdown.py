"""Drain, cancel, kill, and what a restart finds."""

import math

import pytest
import trio

from prunner_trio.errors import ShuttingDown
from prunner_trio.execution import StopLevel
from prunner_trio.model import State, StopReason
from prunner_trio.testing import Act, MemoryJournal, open_rig, simulate

FOREVER = math.inf
STUBBORN = Act(FOREVER, on_sigint=FOREVER, on_sigterm=FOREVER)


def test_a_drain_refuses_new_jobs_finishes_running_ones_and_keeps_the_wait_list(one, task):
    journal = MemoryJournal()

    async def first(rig):
        jobs = [await rig.schedule("p") for _ in range(3)]
        await rig.at(1)
        rig.runner.request_shutdown(StopLevel.DRAIN)
        with pytest.raises(ShuttingDown):
            await rig.schedule("p")
        await rig.runner.finished()
        assert [job.state for job in jobs] == [State.DONE, State.WAITING, State.WAITING]

    transcript = simulate(one(), first, {"t": Act(10)}, journal=journal)
    assert transcript.entries[-1].at == 10

    async def second(rig):
        assert [view.state for view in rig.runner.live()] == [State.WAITING, State.WAITING]
        for view in list(rig.runner.live()):
            await rig.runner.job(view.id).wait()
        assert (await (await rig.schedule("p")).wait()).number == 4

    transcript = simulate(one(), second, {"t": Act(10)}, journal=journal)
    assert [transcript.when(f"p#{n}", "running") for n in (2, 3)] == [0, 10]


def test_a_drain_runs_the_remaining_tasks_of_a_running_job(task):
    from prunner_trio.definition.pipeline import PipelineDef

    async def scenario(rig):
        job = await rig.schedule("p")
        await rig.at(1)
        rig.runner.request_shutdown(StopLevel.DRAIN)
        assert (await job.wait()).state is State.DONE

    simulate(PipelineDef("p", (task("a"), task("b", "a"))), scenario, {"a": Act(10)})


def test_a_cancel_stops_running_jobs_and_keeps_waiting_ones(one):
    journal = MemoryJournal()

    async def scenario(rig):
        jobs = [await rig.schedule("p") for _ in range(2)]
        await rig.at(1)
        rig.runner.request_shutdown(StopLevel.CANCEL)
        view = await jobs[0].wait()
        assert (view.state, view.stop.reason) == (State.CANCELED, StopReason.SHUTDOWN)
        assert jobs[1].state is State.WAITING

    transcript = simulate(one(), scenario, {"t": STUBBORN}, journal=journal)
    assert transcript.when("p#1", "canceled") == 3

    async def again(rig):
        (view,) = rig.runner.live()
        assert (await rig.runner.job(view.id).wait()).number == 2

    simulate(one(), again, journal=journal)


def test_a_drain_can_be_turned_into_a_cancel_and_a_cancel_into_a_kill(one):
    async def scenario(rig):
        job = await rig.schedule("p")
        await rig.at(1)
        rig.runner.request_shutdown(StopLevel.DRAIN)
        await rig.at(5)
        rig.runner.request_shutdown(StopLevel.CANCEL)
        await rig.at(5.5)
        rig.runner.request_shutdown(StopLevel.KILL)
        await job.wait()

    transcript = simulate(one(), scenario, {"t": STUBBORN}, kill_timeout=60.0)
    assert transcript.lines(task="t") == [
        "0 p#1/t running",
        "5 p#1/t SIGINT",
        "5.5 p#1/t SIGKILL",
        "5.5 p#1/t canceled (stopped: shutdown)",
    ]


def test_the_level_never_goes_down(one):
    async def scenario(rig):
        rig.runner.request_shutdown(StopLevel.CANCEL)
        rig.runner.request_shutdown(StopLevel.DRAIN)
        assert rig.runner.level is StopLevel.CANCEL

    simulate(one(), scenario)


def test_leaving_the_block_drains(one):
    async def scenario(rig):
        await rig.schedule("p")
        await rig.at(1)

    assert simulate(one(), scenario, {"t": Act(10)}).lines()[-1] == "10 p#1 done"


@pytest.mark.parametrize("how", ["an exception", "a cancellation"])
def test_leaving_the_block_by_force_cancels_running_jobs_and_keeps_waiting_ones(one, how):
    from prunner_trio.definition.pipeline import Definitions

    journal = MemoryJournal()
    seen = []

    async def main():
        with trio.CancelScope() as scope:
            async with open_rig(Definitions.of(one()), {"t": Act(FOREVER, on_sigint=0.5)}, journal=journal) as rig:
                seen.append(rig)
                seen.extend([await rig.schedule("p"), await rig.schedule("p")])
                await rig.at(1)
                if how == "an exception":
                    raise ZeroDivisionError
                scope.cancel()
                await trio.sleep_forever()

    clock = trio.testing.MockClock(autojump_threshold=0)
    if how == "an exception":
        with pytest.raises(ZeroDivisionError):
            trio.run(main, clock=clock)
    else:
        trio.run(main, clock=clock)
    rig, running, waiting = seen
    view = running.view()
    assert (view.state, view.stop.reason) == (State.CANCELED, StopReason.SHUTDOWN)
    assert rig.transcript.when("p#1", "canceled") == 1.5
    assert rig.launcher.open == set()
    assert waiting.state is State.WAITING


def test_who_waits_for_a_job_that_stays_on_the_list_is_told(one):
    async def scenario(rig):
        await rig.schedule("p")
        waiting = await rig.schedule("p")

        async def wait():
            with pytest.raises(ShuttingDown):
                await waiting.wait()
            told.append(trio.current_time())

        nursery.start_soon(wait)
        await rig.at(1)

    told = []

    async def main():
        nonlocal nursery
        async with trio.open_nursery() as nursery:
            from prunner_trio.definition.pipeline import Definitions

            async with open_rig(Definitions.of(one()), {"t": Act(10)}) as rig:
                await scenario(rig)

    nursery = None
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert told == [10]


# -------------------------------------------------------------------------------------------------- after a crash


def test_after_a_crash_running_jobs_are_interrupted_and_waiting_ones_wait_again(one, task):
    from prunner_trio.definition.pipeline import PipelineDef

    pipeline = PipelineDef("p", (task("a"), task("b", "a"), task("c", "b")))
    crashed = []

    async def before(rig):
        jobs = [await rig.schedule("p", n=n) for n in range(3)]
        await rig.at(5)
        crashed.append(rig.journal.snapshot())
        for job in jobs:
            job.cancel()

    simulate(pipeline, before, {"b": Act(FOREVER)}, journal=MemoryJournal())
    journal = MemoryJournal(crashed[0])

    async def after(rig):
        (first, *_rest) = sorted(await rig.runner.jobs(limit=10), key=lambda view: view.number)
        assert first.state is State.CANCELED
        assert first.stop.reason is StopReason.INTERRUPTED
        assert first.error == "the daemon died"
        assert [task.state.value for task in first.tasks] == ["done", "canceled", "canceled"]
        assert first.ended is not None
        live = list(rig.runner.live())
        assert [view.variables for view in live] == [{"n": 1}, {"n": 2}]
        for view in live:
            assert (await rig.runner.job(view.id).wait()).state is State.DONE

    transcript = simulate(pipeline, after, {"b": Act(1)}, journal=journal)
    assert [transcript.when(f"p#{n}", "running") for n in (2, 3)] == [0, 1]


def test_a_delayed_job_keeps_the_rest_of_its_time_over_a_restart(one):
    journal = MemoryJournal()

    async def before(rig):
        await rig.schedule("p")
        await rig.at(4)

    simulate(one(start_delay=10.0), before, journal=journal)

    async def after(rig):
        (view,) = rig.runner.live()
        # wall time begins anew with each simulation, so all of the ten seconds are left
        await rig.runner.job(view.id).wait()

    assert simulate(one(start_delay=10.0), after, journal=journal).when("p#1", "running") == 10


def test_a_wall_clock_that_was_set_back_does_not_make_a_job_wait_longer_than_its_delay(one):
    journal = MemoryJournal()

    async def before(rig):
        await rig.at(50_000)
        await rig.schedule("p")

    simulate(one(start_delay=10.0), before, journal=journal)

    async def after(rig):
        (view,) = rig.runner.live()
        await rig.runner.job(view.id).wait()

    assert simulate(one(start_delay=10.0), after, journal=journal).when("p#1", "running") == 10


def test_waiting_jobs_of_a_pipeline_that_is_gone_still_run_after_a_restart(one):
    from prunner_trio.definition.pipeline import PipelineDef

    journal = MemoryJournal()

    async def before(rig):
        await rig.schedule("p")
        await rig.schedule("p")
        await rig.at(1)

    simulate(one(), before, {"t": Act(5)}, journal=journal)

    async def after(rig):
        (view,) = rig.runner.live()
        assert (await rig.runner.job(view.id).wait()).state is State.DONE

    simulate(PipelineDef("other"), after, journal=journal)
