"""A store that cannot be written costs new jobs, and nothing else; it comes back without a restart."""

import logging
import os
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from prunner_trio.definition.pipeline import PipelineDef, TaskDef
from prunner_trio.errors import StoreError
from prunner_trio.execution.seams import JobAdded, JobChanged, JobsRemoved, SavedJob, TaskChanged
from prunner_trio.model import JobId, JobView, State, StopReason, StopRequest, TaskView
from prunner_trio.storage import SqliteJournal, open_journal

pytestmark = pytest.mark.real

PIPELINE = PipelineDef("p", (TaskDef("a"), TaskDef("b")))
BIG = {"x": "y" * 100_000}


def new_job(number: int, **rest: object) -> JobView:
    view = JobView(
        JobId(str(uuid.uuid4())), number, "p", State.WAITING, (TaskView("a"), TaskView("b")), 1000.0 + number
    )
    return attrs.evolve(view, **rest)


def added(job: JobView, *evicted: JobView, definition: PipelineDef = PIPELINE) -> JobAdded:
    return JobAdded(job, definition, evicted)


def running(job: JobView) -> JobChanged:
    return JobChanged(attrs.evolve(job, state=State.RUNNING, started=5.0))


def with_journal(directory: Path, scenario: Callable[[SqliteJournal], Awaitable[None]]) -> None:
    async def bounded() -> None:
        with trio.fail_after(60):
            async with open_journal(directory, now=time.time) as journal:
                await scenario(journal)

    trio.run(bounded)


@contextmanager
def asked(journal: SqliteJournal, authorize: Callable[..., int]) -> Iterator[None]:
    """Let a function allow or refuse every statement of the writer's transactions.

    It is set and taken off in the thread of the writer. SQLite calls it with its connection locked, and Python waits
    for that lock without letting another thread run: who took it off from here meanwhile would wait for ever.
    """
    writer = journal._writer
    commit = writer._commit

    def commit_asking(*args: Any) -> Any:
        writer._connection.set_authorizer(authorize)
        try:
            return commit(*args)
        finally:
            writer._connection.set_authorizer(None)

    writer._commit = commit_asking
    try:
        yield
    finally:
        writer._commit = commit


def outage(journal: SqliteJournal) -> AbstractContextManager[None]:
    """Make SQLite refuse every statement of the writer."""
    return asked(journal, lambda *_: sqlite3.SQLITE_DENY)


async def state_of(journal: SqliteJournal, job: JobView) -> State | None:
    saved = await journal.find(job.id)
    return saved.job.state if saved is not None else None


def test_a_new_job_that_cannot_be_written_is_given_up_with_the_reason_and_the_path(tmp_path: Path) -> None:
    async def scenario(journal: SqliteJournal) -> None:
        job = new_job(1)
        with outage(journal):
            ticket = journal.record(added(job))
            for _ in range(2):
                with pytest.raises(StoreError, match=rf"^the job could not be saved: not authorized .*{tmp_path}"):
                    await journal.committed(ticket)
            assert not journal.ok
            assert "not authorized" in journal.problem
        await journal.committed(journal.record(added(new_job(2))))
        assert journal.ok
        assert await journal.find(job.id) is None
        with pytest.raises(StoreError):
            await journal.committed(ticket)

    with_journal(tmp_path, scenario)


def test_after_an_outage_the_log_begins_anew_without_remains_that_look_like_damage(tmp_path: Path) -> None:
    async def scenario(journal: SqliteJournal) -> None:
        await journal.committed(journal.record(added(new_job(1))))
        log = tmp_path / "store.db-wal"
        assert log.stat().st_size > 0
        with outage(journal), pytest.raises(StoreError):
            await journal.committed(journal.record(added(new_job(2))))
        await journal.committed(journal.record(added(new_job(3))))
        assert log.stat().st_size == 0

    with_journal(tmp_path, scenario)


def test_all_other_changes_are_kept_and_written_once_the_store_is_well(tmp_path: Path) -> None:
    async def scenario(journal: SqliteJournal) -> None:
        job, old = new_job(1), new_job(2)
        await journal.committed(journal.record(added(job)))
        await journal.committed(journal.record(added(old)))
        saved = []

        async def wait(ticket: int) -> None:
            await journal.committed(ticket)
            saved.append(ticket)

        async with trio.open_nursery() as nursery:
            with outage(journal):
                changes = [running(job), TaskChanged(job.id, 0, TaskView("a", State.RUNNING)), JobsRemoved((old.id,))]
                tickets = [journal.record(change) for change in changes]
                for ticket in tickets:
                    nursery.start_soon(wait, ticket)
                with pytest.raises(StoreError):
                    await journal.committed(journal.record(added(new_job(3))))
                await trio.testing.wait_all_tasks_blocked(0.01)
                assert saved == []
        assert sorted(saved) == tickets
        found = await journal.find(job.id)
        assert found is not None
        assert (found.job.state, found.job.tasks[0].state) == (State.RUNNING, State.RUNNING)
        assert await journal.find(old.id) is None

    with_journal(tmp_path, scenario)


def test_a_long_outage_keeps_one_change_per_job_and_task(tmp_path: Path) -> None:
    async def scenario(journal: SqliteJournal) -> None:
        job = new_job(1)
        await journal.committed(journal.record(added(job)))
        with outage(journal):
            for round_ in range(50):
                for position in (0, 1):
                    journal.record(TaskChanged(job.id, position, TaskView("ab"[position], exit_code=round_)))
                journal.record(JobChanged(attrs.evolve(job, error=str(round_))))
                refused = new_job(2 + round_)
                ticket = journal.record(added(refused))
                with pytest.raises(StoreError):
                    await journal.committed(ticket)
                journal.record(JobChanged(attrs.evolve(refused, state=State.CANCELED)))
                journal.record(TaskChanged(refused.id, 0, TaskView("a", State.CANCELED)))
            with pytest.raises(StoreError):
                await journal.committed(journal.record(added(new_job(99))))
            assert len(journal._writer._kept) == 3
        await journal.committed(journal.record(added(new_job(100))))
        found = await journal.find(job.id)
        assert found is not None
        assert found.job.error == "49"
        assert [task.exit_code for task in found.job.tasks] == [49, 49]
        assert [job.number for job in await journal.jobs(pipeline=None, before=None, limit=9)] == [100, 1]

    with_journal(tmp_path, scenario)


def test_a_job_whose_place_was_to_be_taken_keeps_it_when_the_new_one_is_given_up(tmp_path: Path) -> None:
    async def scenario(journal: SqliteJournal) -> None:
        old = new_job(1)
        evicted = attrs.evolve(old, state=State.CANCELED, stop=StopRequest(StopReason.REPLACED, 9.0), tasks=())
        await journal.committed(journal.record(added(old)))
        with outage(journal), pytest.raises(StoreError):
            await journal.committed(journal.record(added(new_job(2), evicted)))
        await journal.committed(journal.record(added(new_job(3))))
        assert await state_of(journal, old) is State.WAITING
        assert [saved.job.number for saved in await journal.unfinished()] == [1, 3]

    with_journal(tmp_path, scenario)


def test_the_store_recovers_by_itself_with_nothing_new_to_write(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(journal: SqliteJournal) -> None:
        with outage(journal), pytest.raises(StoreError):
            await journal.committed(journal.record(added(new_job(1))))
        while not journal.ok:
            await journal._saved.wait()

    with caplog.at_level(logging.WARNING, "prunner_trio.storage"):
        with_journal(tmp_path, scenario)
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    assert "can be written again" in caplog.text


def test_a_store_that_can_begin_but_not_write_is_not_called_well(tmp_path: Path) -> None:
    async def scenario(journal: SqliteJournal) -> None:
        refusals, tried_again, loop = 0, trio.Event(), trio.lowlevel.current_trio_token()

        def authorize(action: int, *_: object) -> int:
            nonlocal refusals
            if action != sqlite3.SQLITE_INSERT:
                return sqlite3.SQLITE_OK
            refusals += 1
            if refusals == 2:
                loop.run_sync_soon(tried_again.set)
            return sqlite3.SQLITE_DENY

        with asked(journal, authorize):
            with pytest.raises(StoreError, match="not authorized"):
                await journal.committed(journal.record(added(new_job(1))))
            await tried_again.wait()
            assert not journal.ok
        while not journal.ok:
            await journal._saved.wait()

    with_journal(tmp_path, scenario)


UNFIT = {
    "no JSON": {"variables": {"x": object()}},
    "not a number": {"variables": {"x": float("nan")}},
    "a number that is taken": {"number": 1},
    "a number beyond 64 bits": {"number": 2**64},
    "a pipeline name that is no text": {"pipeline": "\ud800"},
}


@pytest.mark.parametrize("case", UNFIT)
def test_a_job_that_no_row_can_hold_takes_nobody_along(tmp_path: Path, case: str) -> None:
    async def scenario(journal: SqliteJournal) -> None:
        first, good, bad = new_job(1), new_job(2), attrs.evolve(new_job(3), **UNFIT[case])
        await journal.committed(journal.record(added(first)))
        tickets = [journal.record(change) for change in (running(first), added(bad), added(good), running(good))]
        with pytest.raises(StoreError, match="could not be saved"):
            await journal.committed(tickets[1])
        for ticket in (tickets[0], *tickets[2:]):
            await journal.committed(ticket)
        assert journal.ok
        assert [await state_of(journal, job) for job in (first, good)] == [State.RUNNING, State.RUNNING]
        assert await state_of(journal, bad) is None

    with_journal(tmp_path, scenario)


def test_a_text_that_utf8_cannot_hold_is_saved_with_replacements(tmp_path: Path) -> None:
    async def scenario(journal: SqliteJournal) -> None:
        job = new_job(1, user="a\udcff", error="no such file: \udcff")
        task = TaskView("a", State.ERROR, reason="cannot start \udcff\0x")
        await journal.committed(journal.record(added(job)))
        await journal.committed(journal.record(TaskChanged(job.id, 0, task)))
        found = await journal.find(job.id)
        assert found is not None
        assert (found.job.user, found.job.error, found.job.tasks[0].reason) == (
            "a?",
            "no such file: ?",
            "cannot start ?\0x",
        )

    with_journal(tmp_path, scenario)


def test_a_fault_at_any_step_of_a_transaction_loses_nothing(tmp_path: Path) -> None:
    """For n = 1, 2, ...: break off at the n-th step of SQLite's machine, until a run meets no fault."""

    async def attempt(journal: SqliteJournal, number: int, fault_at: int) -> bool:
        connection, steps = journal._writer._connection, 0

        def step() -> int:
            nonlocal steps
            steps += 1
            return steps == fault_at

        job, gone, fresh, later = (new_job(number + offset) for offset in range(4))
        definition = attrs.evolve(PIPELINE, concurrency=number)  # new to the store, so that its row may be lost, too
        for one in (job, gone):
            await journal.committed(journal.record(added(one)))
        connection.set_progress_handler(step, 1)
        first = journal.record(running(job))
        tickets = [
            journal.record(change)
            for change in (
                added(fresh, definition=definition),
                TaskChanged(job.id, 1, TaskView("b", State.DONE, exit_code=number)),
                JobsRemoved((gone.id,)),
            )
        ]
        refused = False
        try:
            await journal.committed(tickets[0])
        except StoreError:
            refused = True
        journal.record(TaskChanged(job.id, 0, TaskView("a", State.DONE)))  # does not wait for the back-off
        for ticket in (first, *tickets[1:]):
            await journal.committed(ticket)
        connection.set_progress_handler(None, 1)
        await journal.committed(journal.record(added(later, definition=definition)))
        found = await journal.find(job.id)
        assert found is not None
        assert (found.job.state, found.job.tasks[1].exit_code) == (State.RUNNING, number)
        assert (await journal.find(fresh.id) is None) == refused
        assert await journal.find(gone.id) is None
        assert await journal.find(later.id) == SavedJob(later, definition)
        return steps >= fault_at

    async def scenario(journal: SqliteJournal) -> None:
        journal._writer._connection.execute("PRAGMA synchronous = OFF")  # no power is cut here; many rounds are made
        fault_at, number = 1, 1
        while await attempt(journal, number, fault_at):
            fault_at, number = fault_at + 7, number + 4
        assert number > 30
        assert journal.ok

    with_journal(tmp_path, scenario)


def test_another_process_that_holds_the_store_delays_and_then_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prunner_trio.storage.schema.BUSY_TIMEOUT_MS", 300)

    async def scenario(journal: SqliteJournal) -> None:
        job = new_job(1)
        await journal.committed(journal.record(added(job)))
        other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        try:
            change = journal.record(running(job))
            with pytest.raises(StoreError, match="database is locked"):
                await journal.committed(journal.record(added(new_job(2))))
        finally:
            other.execute("ROLLBACK")
            other.close()
        await journal.committed(change)
        assert await state_of(journal, job) is State.RUNNING

    with_journal(tmp_path, scenario)


def test_reading_goes_on_while_the_store_cannot_be_written(tmp_path: Path) -> None:
    async def scenario(journal: SqliteJournal) -> None:
        job = new_job(1)
        await journal.committed(journal.record(added(job)))
        with outage(journal):
            with pytest.raises(StoreError):
                await journal.committed(journal.record(added(new_job(2))))
            assert await state_of(journal, job) is State.WAITING

    with_journal(tmp_path, scenario)


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


def test_a_full_file_system_refuses_new_jobs_until_there_is_room(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    directory = tmp_path / "small"
    directory.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", directory], capture_output=True).returncode:
        pytest.skip("file systems cannot be mounted here")
    try:
        ballast = directory / "ballast"

        async def scenario(journal: SqliteJournal) -> None:
            job = new_job(1)
            await journal.committed(journal.record(added(job)))
            fill(ballast)
            with pytest.raises(StoreError, match=r"database or disk is full|disk I/O error"):
                await journal.committed(journal.record(added(new_job(2, variables=BIG))))
            change = journal.record(running(job))
            with pytest.raises(StoreError):
                await journal.committed(journal.record(added(new_job(3, variables=BIG))))
            ballast.unlink()
            await journal.committed(change)
            await journal.committed(journal.record(added(new_job(4, variables=BIG))))
            assert journal.ok
            assert await state_of(journal, job) is State.RUNNING

        with_journal(directory / "data", scenario)
    finally:
        subprocess.run(["umount", directory], check=True)


LIMITED = """
import resource, sys, time
from pathlib import Path
import trio
import trio.testing
sys.path.insert(0, {here!r})
import {me} as tests
from prunner_trio.errors import StoreError
from prunner_trio.storage import open_journal

async def main():
    with trio.fail_after(50):
        async with open_journal(Path({directory!r}), now=time.time) as journal:
            await journal.committed(journal.record(tests.added(tests.new_job(1))))
            soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (120_000, hard))
            try:
                for number in range(2, 99):
                    await journal.committed(journal.record(tests.added(tests.new_job(number, variables=tests.BIG))))
            except StoreError as exc:
                print("refused", exc)
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            await journal.committed(journal.record(tests.added(tests.new_job(100, variables=tests.BIG))))
            print("ok", journal.ok)

trio.run(main)
"""


def test_a_file_size_limit_refuses_new_jobs_until_it_is_lifted(tmp_path: Path) -> None:
    here = Path(__file__)
    code = LIMITED.format(here=str(here.parent), me=here.stem, directory=str(tmp_path / "data"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    refused, ok = done.stdout.splitlines()
    assert refused.startswith("refused the job could not be saved: ")
    assert str(tmp_path) in refused
    assert ok == "ok True"


def test_what_cannot_be_written_at_the_end_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prunner_trio.storage.journal.FLUSH_TIMEOUT", 0.3)

    async def scenario(journal: SqliteJournal) -> None:
        job = new_job(1)
        await journal.committed(journal.record(added(job)))
        journal._writer._connection.set_authorizer(lambda *_: sqlite3.SQLITE_DENY)
        journal.record(running(job))

    with pytest.raises(StoreError, match="the last changes could not be saved: not authorized"):
        with_journal(tmp_path, scenario)

    async def look(journal: SqliteJournal) -> None:
        assert [saved.job.state for saved in await journal.unfinished()] == [State.WAITING]

    with_journal(tmp_path, look)


def test_a_program_that_is_canceled_still_writes_what_it_recorded(tmp_path: Path) -> None:
    job = new_job(1)

    async def main() -> None:
        with trio.CancelScope() as scope:
            async with open_journal(tmp_path, now=time.time) as journal:
                scope.cancel()
                journal.record(added(job))
        async with open_journal(tmp_path, now=time.time) as journal:
            assert await state_of(journal, job) is State.WAITING

    trio.run(main)


def test_an_error_of_the_program_is_not_hidden_by_one_of_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("prunner_trio.storage.journal.FLUSH_TIMEOUT", 0.2)

    async def scenario(journal: SqliteJournal) -> None:
        journal._writer._connection.set_authorizer(lambda *_: sqlite3.SQLITE_DENY)
        journal.record(JobsRemoved((JobId("x"),)))
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        with_journal(tmp_path, scenario)
    assert "the last changes could not be saved" in caplog.text


def test_a_closed_journal_says_so(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_journal(tmp_path, now=time.time) as journal:
            early = journal.record(added(new_job(1)))
        await journal.committed(early)
        with pytest.raises(StoreError, match="closed"):
            await journal.committed(journal.record(added(new_job(2))))
        with pytest.raises(StoreError, match="closed"):
            await journal.last_number()

    trio.run(main)


def test_a_defect_in_the_writer_is_an_outage_and_not_a_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(journal: SqliteJournal) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(journal._writer, "_commit", lambda *_: {}["gone"])
            with pytest.raises(StoreError, match="KeyError"):
                await journal.committed(journal.record(added(new_job(1))))
        await journal.committed(journal.record(added(new_job(2))))

    with_journal(tmp_path, scenario)
    assert "internal error in the store" in caplog.text


def test_a_row_in_a_state_that_nobody_knows_is_named(tmp_path: Path) -> None:
    async def scenario(journal: SqliteJournal) -> None:
        job, other = new_job(1), new_job(2)
        await journal.committed(journal.record(added(job)))
        await journal.committed(journal.record(added(other)))
        await journal.committed(journal.record(TaskChanged(other.id, 0, TaskView("a", State.DONE))))
        with sqlite3.connect(tmp_path / "store.db") as connection:
            connection.execute("UPDATE job SET state = 'dreaming' WHERE number = 1")
            connection.execute("UPDATE task SET state = 'asleep'")
        connection.close()
        with pytest.raises(StoreError, match=rf"job {job.id} \(number 1\).*'dreaming'"):
            await journal.find(job.id)
        with pytest.raises(StoreError, match=r"task 'a' of job number 2.*'asleep'"):
            await journal.find(other.id)

    with_journal(tmp_path, scenario)


@pytest.mark.parametrize(
    ("column", "text"), [("job SET variables", "{"), ("definition SET data", "[]"), ("definition SET data", "{")]
)
def test_a_damaged_row_is_an_error_of_the_store(tmp_path: Path, column: str, text: str) -> None:
    async def scenario(journal: SqliteJournal) -> None:
        job = new_job(1, variables={"x": 1})
        await journal.committed(journal.record(added(job)))
        with sqlite3.connect(tmp_path / "store.db") as connection:
            connection.execute(f"UPDATE {column} = ?", (text,))
        connection.close()
        with pytest.raises(StoreError):
            await journal.find(job.id)

    with_journal(tmp_path, scenario)


def test_a_job_that_lost_its_definition_is_an_error_of_the_store(tmp_path: Path) -> None:
    async def scenario(journal: SqliteJournal) -> None:
        await journal.committed(journal.record(added(new_job(1))))
        with sqlite3.connect(tmp_path / "store.db") as connection:
            connection.execute("DELETE FROM definition")
        connection.close()
        with pytest.raises(StoreError, match="lost definition 1"):
            await journal.unfinished()

    with_journal(tmp_path, scenario)
