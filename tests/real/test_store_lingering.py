"""When changes are written: at once for those who wait, together soon after for all others."""

import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio
import trio.testing

from prunner_trio.definition.pipeline import PipelineDef, TaskDef
from prunner_trio.execution.seams import JobAdded, TaskChanged
from prunner_trio.model import JobId, JobView, State, TaskView
from prunner_trio.storage import SqliteJournal, journal, open_journal, writer

pytestmark = pytest.mark.real

FOR_EVER = 3600.0

PIPELINE = PipelineDef("p", (TaskDef("a", ("true",)),))
Attempts = list[int]


def run(directory: Path, scenario: Callable[[SqliteJournal, Attempts], Awaitable[None]]) -> Attempts:
    """Run a scenario with a journal; return how many changes each attempt to write had."""
    attempts: Attempts = []

    async def bounded() -> None:
        with trio.fail_after(60):
            async with open_journal(
                directory, now=lambda: 5000.0, attempted=lambda changes, seconds, ok: attempts.append(changes)
            ) as opened:
                await scenario(opened, attempts)

    trio.run(bounded)
    return attempts


async def job_in(journal: SqliteJournal) -> JobId:
    job = JobView(JobId(str(uuid.uuid4())), 1, "p", State.WAITING, (TaskView("a"),), created=1000.0)
    await journal.committed(journal.record(JobAdded(job, PIPELINE)))
    return job.id


def change(job_id: JobId) -> TaskChanged:
    return TaskChanged(job_id, 0, TaskView("a", State.RUNNING, started=1001.0))


def test_what_nobody_waits_for_goes_with_the_next_that_somebody_waits_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "LINGER", FOR_EVER)

    async def scenario(journal: SqliteJournal, attempts: Attempts) -> None:
        job_id = await job_in(journal)
        for _ in range(4):
            ticket = journal.record(change(job_id))
            await trio.testing.wait_all_tasks_blocked()
        assert attempts == [1]
        await journal.committed(ticket)
        assert attempts == [1, 4]

    assert run(tmp_path, scenario) == [1, 4]


def test_what_nobody_ever_waits_for_is_written_soon(tmp_path: Path) -> None:
    async def scenario(journal: SqliteJournal, attempts: Attempts) -> None:
        job_id = await job_in(journal)
        await journal.changed()
        for _ in range(3):
            journal.record(change(job_id))
            await journal.changed()

    assert sum(run(tmp_path, scenario)) == 4


def test_who_waits_while_another_batch_is_written_does_not_linger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "LINGER", FOR_EVER)

    async def scenario(journal: SqliteJournal, attempts: Attempts) -> None:
        job_id = await job_in(journal)
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(journal.committed, journal.record(change(job_id)))

    assert run(tmp_path, scenario) in ([1, 3], [1, 1, 2], [1, 2, 1])


def test_a_batch_does_not_grow_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "LINGER", FOR_EVER)
    monkeypatch.setattr(journal, "LARGEST_BATCH", 5)

    async def scenario(journal: SqliteJournal, attempts: Attempts) -> None:
        job_id = await job_in(journal)
        await journal.changed()
        for _ in range(5):
            journal.record(change(job_id))
        await journal.changed()
        assert attempts == [1, 5]

    run(tmp_path, scenario)


def test_closing_writes_what_lingers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "LINGER", FOR_EVER)

    async def scenario(journal: SqliteJournal, attempts: Attempts) -> None:
        job_id = await job_in(journal)
        journal.record(change(job_id))

    assert run(tmp_path, scenario) == [1, 1]

    async def look(journal: SqliteJournal, attempts: Attempts) -> None:
        [saved] = await journal.unfinished()
        assert saved.job.tasks[0].state is State.RUNNING

    run(tmp_path, look)
