"""What happens in the moments between two steps, where the simulation of the whole engine found gaps."""

import math
from contextlib import suppress

import attrs
import pytest
import trio

from prunner_trio.definition.pipeline import Definitions, PipelineDef, QueueStrategy, TaskDef
from prunner_trio.errors import ShuttingDown
from prunner_trio.execution import StopLevel
from prunner_trio.execution.seams import JobChanged
from prunner_trio.model import State
from prunner_trio.testing import Act, MemoryJournal, open_rig, simulate

FOREVER = math.inf
STUBBORN = Act(FOREVER, on_sigint=FOREVER, on_sigterm=FOREVER)


@pytest.mark.parametrize("who", ["a user", "a shutdown", "a kill"])
def test_a_stop_while_a_failed_job_is_being_stopped_keeps_its_handler_from_starting(task, who):
    pipeline = PipelineDef("p", (task("bad"), task("slow")), on_error=TaskDef("on_error", ("work",)))
    acts = {"bad": Act(1, exit_code=1), "slow": STUBBORN, "on_error": STUBBORN}

    async def scenario(rig):
        job = await rig.schedule("p")
        await rig.at(1.5)
        assert job.view().task("bad").state is State.ERROR
        match who:
            case "a user":
                job.cancel()
            case "a shutdown":
                rig.runner.request_shutdown(StopLevel.CANCEL)
            case "a kill":
                rig.runner.request_shutdown(StopLevel.KILL)
        view = await job.wait()
        assert view.state is State.ERROR
        assert view.task("on_error") is None
        assert rig.launcher.open == set()

    assert simulate(pipeline, scenario, acts, time_limit=100).lines(task="on_error") == []


def test_the_end_of_a_replaced_job_is_shown_as_it_is_on_disk(one):
    journal = MemoryJournal()
    pipeline = one(queue_strategy=QueueStrategy.REPLACE, queue_limit=1)

    async def scenario(rig):
        await rig.schedule("p")
        replaced = await rig.schedule("p")
        journal.hold = True
        rig.runner.submit("p")
        await rig.at(3)
        journal.hold = False
        assert await replaced.wait() == await rig.runner.find(replaced.id)

    simulate(pipeline, scenario, {"t": Act(5)}, journal=journal)


def test_a_drain_waits_for_the_answer_to_a_job_that_is_being_saved(one):
    journal = MemoryJournal()
    told = []

    async def client(job):
        await job.saved()
        told.append("saved")
        with pytest.raises(ShuttingDown):
            await job.wait()
        told.append("not here")

    async def main():
        async with trio.open_nursery() as clients:
            async with open_rig(Definitions.of(one(start_delay=60.0)), journal=journal) as rig:
                journal.hold = True
                clients.start_soon(client, rig.runner.submit("p"))
                clients.start_soon(release)

    async def release():
        await trio.sleep(5)
        journal.hold = False

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert told == ["saved", "not here"]
    assert [saved.job.state for saved in journal.snapshot()] == [State.WAITING]


def test_subscribers_hear_the_end_of_jobs_that_are_stopped_by_force(one):
    heard = []

    async def follow(rig):
        async with rig.runner.subscribe() as events:
            heard.extend([(event.task, event.state) async for event in events])

    async def main():
        async with trio.open_nursery() as clients:
            with suppress(ZeroDivisionError):
                async with open_rig(Definitions.of(one()), {"t": STUBBORN}) as rig:
                    clients.start_soon(follow, rig)
                    await trio.testing.wait_all_tasks_blocked()
                    await rig.schedule("p")
                    await trio.sleep(1)
                    raise ZeroDivisionError

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert heard[-2:] == [("t", State.CANCELED), ("", State.CANCELED)]


def test_who_subscribes_to_a_runner_that_has_ended_is_not_left_waiting(one):
    async def main():
        async with open_rig(Definitions.of(one())) as rig:
            pass
        with trio.fail_after(1):
            async with rig.runner.subscribe() as events:
                assert [event async for event in events] == []

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_who_waits_for_a_job_that_was_about_to_be_replaced_is_told_when_the_runner_is_torn_down(one):
    journal = MemoryJournal()
    pipeline = one(queue_strategy=QueueStrategy.REPLACE, queue_limit=1, start_delay=60.0)

    async def client(job):
        with pytest.raises(ShuttingDown):
            await job.wait()
        told.append(job.state)

    async def main():
        with trio.fail_after(10):
            async with trio.open_nursery() as clients:
                with trio.CancelScope() as scope:
                    async with open_rig(Definitions.of(pipeline), journal=journal) as rig:
                        clients.start_soon(client, await rig.schedule("p"))
                        journal.hold = True
                        rig.runner.submit("p")
                        await trio.sleep(1)
                        scope.cancel()
                        await trio.sleep_forever()

    told = []
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert told == [State.WAITING]


@pytest.mark.parametrize("attempt", range(20))  # the scheduler draws lots
def test_jobs_that_are_saved_in_one_commit_start_in_order(one, attempt):
    journal = MemoryJournal()

    async def scenario(rig):
        journal.hold = True
        jobs = [rig.runner.submit("p") for _ in range(3)]
        await rig.at(2)
        journal.hold = False
        for job in jobs:
            await job.wait()

    transcript = simulate(one(start_delay=1.0), scenario, {"t": Act(1)}, journal=journal)
    assert [transcript.when(f"p#{n}", "running") for n in (1, 2, 3)] == [2, 3, 4]


def test_retention_counts_a_job_that_is_canceled_while_it_looks(one):
    journal = MemoryJournal()

    async def scenario(rig):
        jobs = [await rig.schedule("p") for _ in range(3)]
        jobs[0].cancel()
        await rig.at(0.5)
        journal.hold = True  # from here on retention sees what was before
        jobs[1].cancel()
        await rig.at(10)
        journal.hold = False
        await rig.at(20)
        left = [saved.job.number for saved in journal.snapshot()]
        jobs[2].cancel()
        assert left == [2, 3]

    simulate(one(start_delay=60.0, retention_count=1), scenario, journal=journal)


def test_a_reload_while_retention_waits_for_the_store_counts(one):
    journal = MemoryJournal()

    async def scenario(rig):
        for job in [await rig.schedule("p") for _ in range(3)]:
            await job.wait()
        journal.hold = True
        await rig.at(5)
        rig.runner.replace_definitions(Definitions.of(one(retention_count=2)))
        journal.hold = False
        await rig.at(20)
        assert [saved.job.number for saved in journal.snapshot()] == [2, 3]

    simulate(one(retention_count=1), scenario, journal=journal)


def test_a_job_whose_cancel_reached_the_disk_in_part_waits_again_as_if_nothing_had_happened(one):
    journal, halves = MemoryJournal(), []

    async def first(rig):
        journal.hold = True
        job = rig.runner.submit("p")
        await rig.at(1)
        job.cancel()
        record = journal.record

        def crash_between(change):
            if isinstance(change, JobChanged):
                halves.append(journal.snapshot())
            return record(change)

        journal.record = crash_between
        journal.hold = False
        await job.wait()

    async def second(rig):
        (view,) = rig.runner.live()
        assert {task.state for task in view.tasks} == {State.WAITING}
        assert (await rig.runner.job(view.id).wait()).state is State.DONE

    simulate(one(), first, journal=journal)
    ((half,),) = halves
    assert (half.job.state, half.job.tasks[0].state) == (State.WAITING, State.CANCELED)
    simulate(one(), second, journal=MemoryJournal([half]))


def test_a_delayed_job_has_its_slot_from_the_moment_when_it_is_due_also_while_it_is_being_saved(one):
    journal = MemoryJournal()

    async def scenario(rig):
        await rig.at(0.25)
        journal.hold = True
        job = rig.runner.submit("p")
        await rig.at(0.5)
        assert rig.runner.pipelines()[0].waiting == 1
        await rig.at(1.5)
        assert rig.runner.pipelines()[0].waiting == 0
        journal.hold = False
        await job.wait()

    simulate(one(start_delay=1.0), scenario, journal=journal)


def test_retention_removes_a_job_only_after_its_final_event(one):
    class Slow(MemoryJournal):
        """The news that the first job's end is on disk take their time."""

        slow = None

        def record(self, change):
            ticket = super().record(change)
            if isinstance(change, JobChanged) and change.job.state.final and self.slow is None:
                self.slow = ticket
            return ticket

        async def committed(self, ticket):
            await super().committed(ticket)
            if ticket == self.slow:
                await trio.sleep(10)

    async def scenario(rig):
        jobs = [await rig.schedule("p") for _ in range(2)]
        for job in jobs:
            await job.wait()
        await rig.at(20)

    lines = simulate(one(concurrency=2, retention_count=1), scenario, {"t": [Act(1), Act(2)]}, journal=Slow()).lines(
        "p#1"
    )
    assert lines[-2:] == ["11 p#1 done", "12 p#1 removed (retention)"]


def test_a_task_that_the_time_out_of_its_job_stops_says_so_also_after_another_failure(task):
    pipeline = PipelineDef("p", (task("bad"), task("slow")), timeout=3.0, continue_running_tasks_after_failure=True)

    async def scenario(rig):
        view = await (await rig.schedule("p")).wait()
        assert view.error == "exit status 2"
        assert view.task("slow").reason == "timed out after 3s"

    simulate(pipeline, scenario, {"bad": Act(1, exit_code=2), "slow": Act(FOREVER)})


def test_a_new_job_does_not_take_the_slot_that_a_reload_has_made_for_one_that_waits(one):
    async def scenario(rig):
        jobs = [await rig.schedule("p") for _ in range(2)]
        rig.runner.replace_definitions(Definitions.of(one(concurrency=2)))
        jobs.append(rig.runner.submit("p"))
        for job in jobs:
            await job.wait()

    transcript = simulate(one(), scenario, {"t": Act(10)})
    assert [transcript.when(f"p#{n}", "running") for n in (1, 2, 3)] == [0, 0, 10]


def test_a_reload_in_the_first_moment_of_a_runner_fills_the_slots_that_it_makes(one):
    journal = MemoryJournal()

    async def leave_two(rig):
        for _ in range(3):
            await rig.schedule("p")
        rig.runner.request_shutdown(StopLevel.CANCEL)

    async def take_up(rig):
        rig.runner.replace_definitions(Definitions.of(one(concurrency=2)))
        await rig.at(20)

    simulate(one(), leave_two, {"t": Act(FOREVER)}, journal=journal)
    transcript = simulate(one(), take_up, {"t": Act(10)}, journal=journal)
    assert [transcript.when(f"p#{n}", "running") for n in (2, 3)] == [0, 0]


def test_a_handler_that_gets_room_in_the_moment_of_a_cancel_does_not_start(one):
    class Room:
        """Lets the rival step in just before whoever enters goes on."""

        rival = None

        async def __aenter__(self):
            if self.rival is not None:
                self.rival()

        async def __aexit__(self, *exc):
            pass

    async def scenario(rig):
        room = Room()
        rig.runner._services = attrs.evolve(rig.runner._services, room=room)
        job = await rig.schedule("p")
        await rig.at(0.5)
        room.rival = job.cancel
        assert (await job.wait()).state is State.ERROR

    pipeline = one(on_error=TaskDef("on_error", ("work",)))
    lines = simulate(pipeline, scenario, {"t": Act(1, exit_code=1)}).lines(task="on_error")
    assert lines == ["1 p#1/on_error canceled (stopped: fail_fast)"]
