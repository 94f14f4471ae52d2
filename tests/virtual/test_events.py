"""The stream of events, and listeners."""

import math

import trio

from prunner_trio.definition.pipeline import PipelineDef
from prunner_trio.model import EventKind, State
from prunner_trio.testing import Act, simulate


def test_the_final_event_of_a_job_comes_after_those_of_all_its_tasks_and_numbers_have_no_gap(task):
    events = []

    async def scenario(rig):
        async with rig.runner.subscribe() as channel:
            job = await rig.schedule("p")
            async for event in channel:
                events.append(event)
                if event.kind is EventKind.JOB and event.state.final:
                    break
            assert (await job.wait()).state is State.ERROR

    pipeline = PipelineDef("p", (task("a"), task("b"), task("c", "a")))
    simulate(pipeline, scenario, {"a": Act(1, exit_code=1), "b": Act(math.inf)})
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert {(event.task, event.state.value) for event in events[-4:-1]} == {
        ("a", "error"),
        ("b", "canceled"),
        ("c", "canceled"),
    }
    assert (events[-1].task, events[-1].state) == ("", State.ERROR)


def test_a_subscriber_that_lags_is_cut_off_and_disturbs_nobody(one):
    async def scenario(rig):
        async with rig.runner.subscribe() as lazy:
            for _ in range(100):
                await (await rig.schedule("p")).wait()
            got = [event async for event in lazy]
        assert len(got) == 256

    simulate(one(), scenario)


def test_channels_end_when_the_runner_does(one):
    ended = []

    async def scenario(rig):
        async def follow():
            async with rig.runner.subscribe() as channel:
                async for _event in channel:
                    pass
            ended.append(True)

        nursery.start_soon(follow)
        await trio.testing.wait_all_tasks_blocked()

    from prunner_trio.definition.pipeline import Definitions
    from prunner_trio.testing import open_rig

    async def main():
        nonlocal nursery
        async with trio.open_nursery() as nursery, open_rig(Definitions.of(one())) as rig:
            await scenario(rig)

    nursery = None
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert ended == [True]


def test_a_listener_that_fails_is_logged_and_ends_no_job(one, caplog):
    async def scenario(rig):
        def broken(event):
            raise ZeroDivisionError

        with rig.runner.observe(broken):
            assert (await (await rig.schedule("p")).wait()).state is State.DONE

    simulate(one(), scenario)
    assert "a listener failed" in caplog.text


def test_a_view_is_the_same_object_until_something_changes(one):
    async def scenario(rig):
        job = await rig.schedule("p")
        await rig.at(1)
        view = job.view()
        assert job.view() is view
        await job.wait()
        assert job.view() is not view

    simulate(one(), scenario, {"t": Act(5)})
