"""The journal in memory can be made to fail and to wait, and a crash of it can be played."""

import uuid

import attrs
import pytest
import trio
import trio.testing

from prunner_trio.definition.pipeline import PipelineDef, TaskDef
from prunner_trio.errors import StoreError
from prunner_trio.execution.seams import JobAdded, JobChanged, Journal, SavedJob, TaskChanged
from prunner_trio.model import JobId, JobView, State, StopReason, StopRequest, TaskView
from prunner_trio.storage import MemoryJournal

pytestmark = pytest.mark.real

PIPELINE = PipelineDef("p", (TaskDef("a"),))


def new_job(number: int) -> JobView:
    return JobView(JobId(str(uuid.uuid4())), number, "p", State.WAITING, (TaskView("a"),), created=1000.0 + number)


def added(job: JobView, *evicted: JobView) -> JobAdded:
    return JobAdded(job, PIPELINE, evicted)


def test_it_is_a_journal() -> None:
    journal: Journal = MemoryJournal()
    assert isinstance(journal, MemoryJournal)


def test_new_jobs_are_given_up_while_it_is_told_to_fail_and_all_else_goes_on() -> None:
    async def main() -> None:
        journal, job = MemoryJournal(), new_job(1)
        await journal.committed(journal.record(added(job)))
        journal.fail_adds = True
        refused = journal.record(added(new_job(2)))
        await journal.committed(journal.record(JobChanged(attrs.evolve(job, state=State.RUNNING))))
        journal.fail_adds = False
        for _ in range(2):
            with pytest.raises(StoreError, match="could not be saved"):
                await journal.committed(refused)
        assert [saved.job.state for saved in journal.snapshot()] == [State.RUNNING]

    trio.run(main)


def test_so_many_of_the_next_jobs_are_given_up() -> None:
    async def main() -> None:
        journal = MemoryJournal()
        journal.fail_next = 2
        tickets = [journal.record(added(new_job(number))) for number in (1, 2, 3)]
        for ticket in tickets[:2]:
            with pytest.raises(StoreError):
                await journal.committed(ticket)
        await journal.committed(tickets[2])
        assert [saved.job.number for saved in journal.snapshot()] == [3]

    trio.run(main)


def test_a_job_whose_place_was_to_be_taken_keeps_it_when_the_new_one_is_given_up() -> None:
    async def main() -> None:
        journal, old = MemoryJournal(), new_job(1)
        evicted = attrs.evolve(old, state=State.CANCELED, stop=StopRequest(StopReason.REPLACED, 5.0), tasks=())
        journal.record(added(old))
        journal.fail_next = 1
        journal.record(added(new_job(2), evicted))
        assert [(saved.job.number, saved.job.state) for saved in journal.snapshot()] == [(1, State.WAITING)]

    trio.run(main)


def test_while_it_holds_nothing_is_committed_and_callers_wait() -> None:
    async def main() -> None:
        journal, job = MemoryJournal(), new_job(1)
        journal.hold = True
        tickets = [journal.record(change) for change in (added(job), TaskChanged(job.id, 0, TaskView("a", State.DONE)))]
        committed = []

        async def wait(ticket: int) -> None:
            await journal.committed(ticket)
            committed.append(ticket)

        async with trio.open_nursery() as nursery:
            for ticket in tickets:
                nursery.start_soon(wait, ticket)
            await trio.testing.wait_all_tasks_blocked()
            assert (committed, journal.snapshot()) == ([], ())
            assert await journal.find(job.id) is None
            journal.hold = False
            assert len(journal.snapshot()) == 1
        assert sorted(committed) == tickets
        assert not journal.hold

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_a_restart_has_what_was_committed_before_the_crash() -> None:
    async def main() -> None:
        journal, kept, lost = MemoryJournal(), new_job(1), new_job(2)
        journal.record(added(kept))
        journal.record(TaskChanged(kept.id, 0, TaskView("a", State.DONE)))
        journal.hold = True
        journal.record(added(lost))
        again = MemoryJournal(journal.snapshot())
        task = TaskView("a", State.DONE)
        assert await again.unfinished() == [SavedJob(attrs.evolve(kept, tasks=(task,)), PIPELINE)]
        assert await again.last_number() == 1
        journal.hold = False
        assert await again.find(lost.id) is None

    trio.run(main)


def test_questions_fail_while_it_is_told_so() -> None:
    async def main() -> None:
        journal = MemoryJournal()
        journal.fail_reads = True
        for question in (
            journal.unfinished(),
            journal.last_number(),
            journal.find(JobId("x")),
            journal.jobs(pipeline=None, before=None, limit=1),
            journal.pipelines(),
            journal.expired("p", keep=1, created_before=None),
        ):
            with pytest.raises(StoreError, match="could not be read"):
                await question
        journal.fail_reads = False
        assert await journal.last_number() == 0

    trio.run(main)


def test_it_can_be_made_before_there_is_a_loop() -> None:
    journal = MemoryJournal()
    ticket = journal.record(added(new_job(1)))
    trio.run(journal.committed, ticket)
