"""The data directory: who may use it, what is in it, what is taken over from prunner, and how to go back."""

import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

import attrs
import pytest
import trio

from prunner_trio.definition.pipeline import PipelineDef, TaskDef
from prunner_trio.errors import StoreError, StoreLocked
from prunner_trio.execution.seams import JobAdded, JobChanged, JobsRemoved, TaskChanged
from prunner_trio.model import JobId, JobView, State, TaskView
from prunner_trio.storage import SqliteJournal, export_prunner, open_journal, read_prunner
from prunner_trio.storage.schema import VERSION

pytestmark = pytest.mark.real

STAMP = "2026-01-02T03:04:05Z"
PIPELINE = PipelineDef("p", (TaskDef("a", ("echo 1",)),))


def new_job(number: int, **rest: object) -> JobView:
    view = JobView(JobId(str(uuid.uuid4())), number, "p", State.WAITING, (TaskView("a"),), created=1000.0 + number)
    return attrs.evolve(view, **rest)


async def nothing(journal: SqliteJournal) -> None:
    """Only open and close."""


def with_journal(directory: Path, scenario: Callable[[SqliteJournal], Awaitable[None]] = nothing) -> None:
    async def bounded() -> None:
        with trio.fail_after(60):
            async with open_journal(directory, now=lambda: 5000.0) as journal:
                await scenario(journal)

    trio.run(bounded)


def stored(**keys: object) -> dict[str, object]:
    task = {"Name": "one", "Script": ["echo 1"], "Status": "done", "Start": STAMP, "End": STAMP, "ExitCode": -1}
    job = {"ID": str(uuid.uuid4()), "Pipeline": "ok", "Completed": True, "Created": STAMP, "Start": STAMP, "End": STAMP}
    return {**job, "Tasks": [task], **keys}


def rows(directory: Path, query: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(directory / "store.db")
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


# ----------------------------------------------------------------------------------------------------------- directory


def test_a_new_directory_and_its_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    directory = tmp_path / "some" / "where"

    async def scenario(journal: SqliteJournal) -> None:
        await journal.committed(journal.record(JobAdded(new_job(1), PIPELINE)))
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}
        assert modes == dict.fromkeys(("lock", "store.db", "store.db-shm", "store.db-wal"), 0o600)

    before = os.umask(0)
    try:
        with_journal(directory, scenario)
    finally:
        os.umask(before)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_after_a_clean_end_all_is_in_one_file(tmp_path: Path) -> None:
    async def scenario(journal: SqliteJournal) -> None:
        await journal.committed(journal.record(JobAdded(new_job(1), PIPELINE)))

    with_journal(tmp_path, scenario)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "store.db", "store.db.sealed"]


def test_a_directory_that_cannot_be_made_is_an_error_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=rf"cannot make the data directory {tmp_path}/file/data: Not a directory"):
        with_journal(tmp_path / "file" / "data")


def test_a_store_that_cannot_be_opened_is_an_error_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "store.db").mkdir()
    with pytest.raises(StoreError, match=rf"{tmp_path}/store\.db: \S"):
        with_journal(tmp_path)


def test_a_lock_that_cannot_be_opened_is_an_error_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    with pytest.raises(StoreError, match=rf"cannot open the lock {tmp_path}/lock: Is a directory"):
        with_journal(tmp_path)


# ---------------------------------------------------------------------------------------------------------------- lock

HOLDER = """
import sys, time
from pathlib import Path
import trio
from prunner_trio.storage import open_journal

async def main():
    async with open_journal(Path(sys.argv[1]), now=time.time):
        print("open", flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


def test_a_second_daemon_is_told_the_pid_of_the_first_until_that_is_dead(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "open\n"
            with pytest.raises(
                StoreLocked, match=rf"{tmp_path} is in use by the daemon with pid {holder.pid}"
            ) as caught:
                with_journal(tmp_path)
            assert (caught.value.path, caught.value.pid) == (str(tmp_path), holder.pid)
        finally:
            holder.kill()
    assert holder.returncode == -signal.SIGKILL
    with_journal(tmp_path)


def test_two_runners_of_one_process_cannot_share_a_directory_but_can_have_one_each(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_journal(tmp_path / "a", now=time.time) as first:
            async with open_journal(tmp_path / "b", now=time.time) as second:
                for journal in (first, second):
                    await journal.committed(journal.record(JobAdded(new_job(1), PIPELINE)))
            with pytest.raises(StoreLocked) as caught:
                async with open_journal(tmp_path / "a", now=time.time):
                    pass
            assert caught.value.pid == os.getpid()
            assert await first.last_number() == 1

    trio.run(main)


def test_a_lock_without_a_pid_is_a_lock(tmp_path: Path) -> None:
    async def scenario(_: SqliteJournal) -> None:
        (tmp_path / "lock").write_text("")
        with pytest.raises(StoreLocked, match="in use by another process"):
            async with open_journal(tmp_path, now=time.time):
                pass

    with_journal(tmp_path, scenario)


def test_a_start_that_fails_gives_the_directory_free(tmp_path: Path) -> None:
    (tmp_path / "data.json").write_text("nonsense")
    with pytest.raises(StoreError):
        with_journal(tmp_path)
    (tmp_path / "data.json").unlink()
    with_journal(tmp_path)


# ------------------------------------------------------------------------------------------------------------- threads


def test_the_threads_and_files_of_a_journal_end_with_it(tmp_path: Path) -> None:
    async def scenario(journal: SqliteJournal) -> None:
        await journal.committed(journal.record(JobAdded(new_job(1), PIPELINE)))
        assert await journal.last_number() == 1
        assert journal._thread.is_alive()
        threads.append(journal._thread)

    threads: list[object] = []
    for _ in range(5):
        with_journal(tmp_path, scenario if not threads else nothing)
    assert not any(thread.is_alive() for thread in threads)
    opened = [
        os.readlink(f"/proc/self/fd/{fd}")
        for fd in os.listdir("/proc/self/fd")
        if os.path.exists(f"/proc/self/fd/{fd}")
    ]
    assert not [path for path in opened if path.startswith(str(tmp_path))]


def test_a_read_can_be_canceled_and_the_next_one_works(tmp_path: Path) -> None:
    async def scenario(journal: SqliteJournal) -> None:
        await journal.committed(journal.record(JobAdded(new_job(1), PIPELINE)))
        for _ in range(20):
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(journal.unfinished)
                    await trio.lowlevel.checkpoint()
                    scope.cancel()
        assert await journal.last_number() == 1

    with_journal(tmp_path, scenario)


# ------------------------------------------------------------------------------------------------------------ versions


def test_a_store_of_a_newer_program_is_refused_and_not_touched(tmp_path: Path) -> None:
    with_journal(tmp_path)
    connection = sqlite3.connect(tmp_path / "store.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = (tmp_path / "store.db").read_bytes()
    with pytest.raises(StoreError, match=rf"store\.db has version 99, this program knows versions up to {VERSION}:"):
        with_journal(tmp_path)
    with pytest.raises(StoreError, match="version 99"):
        b"".join(export_prunner(tmp_path))
    assert (tmp_path / "store.db").read_bytes() == before


def test_a_database_of_something_else_is_refused_and_not_touched(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "store.db")
    connection.execute("CREATE TABLE friend (name)")
    connection.commit()
    connection.close()
    before = (tmp_path / "store.db").read_bytes()
    with pytest.raises(StoreError, match="database of something else"):
        with_journal(tmp_path)
    assert (tmp_path / "store.db").read_bytes() == before


def test_a_file_that_is_no_database_is_kept_beside_the_new_store_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_text("my diary " * 1000)
    with_journal(tmp_path)
    (kept,) = (path for path in tmp_path.glob("store.db.damaged-*") if path.suffix != ".txt")
    assert kept.read_text() == "my diary " * 1000


def test_a_store_left_empty_by_a_crash_at_the_first_start_is_set_up(tmp_path: Path) -> None:
    (tmp_path / "store.db").touch()
    (tmp_path / "data.json").write_text(json.dumps({"Jobs": [stored()]}))

    async def scenario(journal: SqliteJournal) -> None:
        assert journal.imported == 1

    with_journal(tmp_path, scenario)


# ------------------------------------------------------------------------------------------------------------- prunner


def test_history_of_prunner_is_taken_over_once_and_its_file_stays(tmp_path: Path) -> None:
    text = json.dumps({"Jobs": [stored(User="jane", Variables={"x": [1]}), stored(Completed=False, Tasks=[])]})
    (tmp_path / "data.json").write_text(text)

    async def first(journal: SqliteJournal) -> None:
        assert journal.imported == 2
        assert await journal.unfinished() == []
        assert await journal.last_number() == 2
        listed = await journal.jobs(pipeline="ok", before=None, limit=10)
        assert listed == [saved.job for saved in reversed(read_prunner(text.encode(), now=5000.0))]
        saved = await journal.find(listed[1].id)
        assert saved is not None
        assert saved.definition.tasks == (TaskDef("one", ("echo 1",)),)

    async def second(journal: SqliteJournal) -> None:
        assert journal.imported == 0
        assert len(await journal.jobs(pipeline=None, before=None, limit=10)) == 2

    with_journal(tmp_path, first)
    with_journal(tmp_path, second)
    assert (tmp_path / "data.json").read_text() == text
    assert json.loads(str(rows(tmp_path, "SELECT value FROM meta WHERE key = 'imported'")[0][0]))["jobs"] == 2


def test_a_directory_that_began_without_prunner_never_takes_its_file(tmp_path: Path) -> None:
    with_journal(tmp_path)
    (tmp_path / "data.json").write_text("nonsense")
    with_journal(tmp_path)


@pytest.mark.parametrize("text", ["nonsense", '{"Jobs": [', '{"Jobs": {}}', "", "[]", "[" * 100_000])
def test_a_broken_file_of_prunner_stops_the_start_and_nothing_changes(tmp_path: Path, text: str) -> None:
    (tmp_path / "data.json").write_text(text)
    with pytest.raises(StoreError, match=rf"cannot load {tmp_path}/data\.json: \S"):
        with_journal(tmp_path)
    assert (tmp_path / "data.json").read_text() == text
    assert not (tmp_path / "store.db").exists()


def test_a_file_of_prunner_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "data.json").mkdir()
    with pytest.raises(StoreError, match=rf"cannot load {tmp_path}/data\.json: Is a directory"):
        with_journal(tmp_path)


def test_history_is_taken_over_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "data.json"
    file.write_text(json.dumps({"Jobs": [stored(), stored(Pipeline="no text: \ud800")]}))
    with pytest.raises(StoreError, match="cannot open the store"):
        with_journal(tmp_path)
    file.write_text(json.dumps({"Jobs": [stored(), stored()]}))

    async def scenario(journal: SqliteJournal) -> None:
        assert journal.imported == 2

    with_journal(tmp_path, scenario)


def test_the_way_back_to_prunner_works_while_the_daemon_runs(tmp_path: Path) -> None:
    async def scenario(journal: SqliteJournal) -> None:
        waiting = new_job(1, variables={"s": "✓"}, user="jane")
        running = new_job(2, state=State.RUNNING, started=2000.5)
        for job in (waiting, running):
            ticket = journal.record(JobAdded(attrs.evolve(job, state=State.WAITING), PIPELINE))
        ticket = journal.record(JobChanged(running))
        await journal.committed(ticket)
        jobs = json.loads(b"".join(export_prunner(tmp_path)))["Jobs"]
        task = {"Name": "a", "Script": ["echo 1"], "Status": "waiting"}
        assert jobs == [
            {
                "ID": waiting.id,
                "Pipeline": "p",
                "Created": "1970-01-01T00:16:41Z",
                "Tasks": [task],
                "Variables": {"s": "✓"},
                "User": "jane",
            },
            {
                "ID": running.id,
                "Pipeline": "p",
                "Created": "1970-01-01T00:16:42Z",
                "Start": "1970-01-01T00:33:20.5Z",
                "Tasks": [task],
            },
        ]
        await journal.committed(journal.record(JobChanged(attrs.evolve(running, error="goes on"))))

    with_journal(tmp_path, scenario)
    assert len(json.loads(b"".join(export_prunner(tmp_path)))["Jobs"]) == 2


def test_going_back_and_forth_keeps_the_history(tmp_path: Path) -> None:
    file = json.dumps({"Jobs": [stored(Created=f"2026-01-02T03:04:05.{number:09}Z") for number in range(2500)]})
    for name in ("first", "second"):
        directory = tmp_path / name
        directory.mkdir()
        (directory / "data.json").write_text(file)
        with_journal(directory)
        again = b"".join(export_prunner(directory)).decode()
        if name == "second":
            assert again == file
        file = again
    assert len(json.loads(file)["Jobs"]) == 2500


def test_there_is_nothing_to_export_without_a_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no store in"):
        b"".join(export_prunner(tmp_path))
    assert list(tmp_path.iterdir()) == []


# -------------------------------------------------------------------------------------------------------- what it costs


def test_equal_definitions_are_stored_once_and_go_with_their_last_job(tmp_path: Path) -> None:
    other = attrs.evolve(PIPELINE, concurrency=2)
    jobs = [new_job(number) for number in range(1, 5)]

    async def scenario(journal: SqliteJournal) -> None:
        for job, definition in zip(jobs, (PIPELINE, attrs.evolve(PIPELINE), other, other), strict=True):
            ticket = journal.record(JobAdded(job, definition))
        await journal.committed(ticket)
        assert rows(tmp_path, "SELECT count(*) FROM definition") == [(2,)]
        await journal.committed(journal.record(JobsRemoved((jobs[0].id, jobs[2].id, jobs[3].id))))
        assert rows(tmp_path, "SELECT count(*) FROM definition") == [(1,)]
        again = new_job(5)
        await journal.committed(journal.record(JobAdded(again, other)))
        found = await journal.find(again.id)
        assert found is not None
        assert found.definition == other

    with_journal(tmp_path, scenario)


def test_tasks_that_were_never_touched_take_no_room(tmp_path: Path) -> None:
    async def scenario(journal: SqliteJournal) -> None:
        await journal.committed(journal.record(JobAdded(new_job(1), PIPELINE)))
        assert rows(tmp_path, "SELECT count(*) FROM task") == [(0,)]

    with_journal(tmp_path, scenario)


def test_no_change_costs_more_because_there_are_many_jobs(tmp_path: Path) -> None:
    async def steps_of(journal: SqliteJournal, first: int) -> list[int]:
        old, new = new_job(first), new_job(first + 1)
        await journal.committed(journal.record(JobAdded(old, PIPELINE)))
        counts = []
        for change in (
            JobAdded(new, PIPELINE),
            TaskChanged(new.id, 0, TaskView("a", State.DONE)),
            JobChanged(attrs.evolve(new, state=State.DONE)),
            JobsRemoved((old.id,)),
        ):
            steps = 0

            def step() -> int:
                nonlocal steps
                steps += 1
                return 0

            journal._writer._connection.set_progress_handler(step, 1)
            await journal.committed(journal.record(change))
            journal._writer._connection.set_progress_handler(None, 1)
            counts.append(steps)
        return counts

    async def scenario(journal: SqliteJournal) -> None:
        for number in range(1, 10):
            journal.record(JobAdded(new_job(number), PIPELINE))
        few = await steps_of(journal, 10)
        for number in range(20, 1000):
            journal.record(JobAdded(new_job(number), PIPELINE))
        many = await steps_of(journal, 1000)
        assert all(0 < after < before + 100 for before, after in zip(few, many, strict=True))

    with_journal(tmp_path, scenario)


def test_no_question_of_the_engine_walks_over_all_jobs(tmp_path: Path) -> None:
    plans: list[str] = []

    async def scenario(journal: SqliteJournal) -> None:
        for number in range(1, 50):
            ticket = journal.record(JobAdded(new_job(number), PIPELINE))
        await journal.committed(ticket)
        connection = journal._store.reader._connection
        queries: list[str] = []
        connection.set_trace_callback(queries.append)
        await journal.unfinished()
        await journal.last_number()
        await journal.find(JobId("x"))
        await journal.jobs(pipeline=None, before=40, limit=5)
        await journal.jobs(pipeline="p", before=40, limit=5)
        await journal.pipelines()
        await journal.expired("p", keep=5, created_before=9.0)
        connection.set_trace_callback(None)
        selects = [query for query in queries if query.startswith(("SELECT", "WITH"))]
        assert len(selects) >= 9
        plans.extend(str(row[3]) for query in selects for row in connection.execute(f"EXPLAIN QUERY PLAN {query}"))

    with_journal(tmp_path, scenario)
    scans = [
        plan
        for plan in plans
        if plan.startswith("SCAN") and not plan.startswith(("SCAN json_each", "SCAN CONSTANT", "SCAN name"))
    ]
    assert scans == []
    assert any("job_unfinished" in plan for plan in plans)
    assert any("job_finished" in plan for plan in plans)
