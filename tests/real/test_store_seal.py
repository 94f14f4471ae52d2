"""A store that was left whole and is as it was left is not looked at again for long."""

import os
import sqlite3
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio

from prunner_trio.definition.pipeline import PipelineDef, TaskDef
from prunner_trio.execution.seams import JobAdded
from prunner_trio.model import JobId, JobView, State, TaskView
from prunner_trio.storage import SqliteJournal, examine, open_journal
from prunner_trio.storage.seal import is_sealed, seal, seal_file

pytestmark = pytest.mark.real

PIPELINE = PipelineDef("p", (TaskDef("a", ("true",)),))


async def nothing(journal: SqliteJournal) -> None:
    """Only open and close."""


async def one_job(journal: SqliteJournal) -> None:
    job = JobView(JobId(str(uuid.uuid4())), 1, "p", State.WAITING, (TaskView("a"),), created=1000.0)
    await journal.committed(journal.record(JobAdded(job, PIPELINE)))


def life(directory: Path, scenario: Callable[[SqliteJournal], Awaitable[None]] = nothing) -> bool:
    """Open a store, do something, close it; return whether something was recovered."""

    async def bounded() -> bool:
        with trio.fail_after(60):
            async with open_journal(directory, now=lambda: 5000.0) as journal:
                assert not seal_file(directory / "store.db").exists()
                await scenario(journal)
                return journal.recovered is not None

    return trio.run(bounded)


def damage(store: Path) -> None:
    """Break a job so that only a look at its texts can tell, and leave the file as old as it was."""
    before = store.stat()
    connection = sqlite3.connect(store, isolation_level=None)
    connection.execute("UPDATE job SET user = CAST(x'ff' AS TEXT)")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    os.utime(store, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_store_is_sealed_when_it_is_closed(tmp_path: Path) -> None:
    life(tmp_path, one_job)
    assert is_sealed(tmp_path / "store.db")
    assert seal_file(tmp_path / "store.db").stat().st_mode & 0o777 == 0o600


def test_a_sealed_store_is_looked_at_for_a_moment_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    life(tmp_path, one_job)
    damage(tmp_path / "store.db")
    monkeypatch.setattr(examine, "SEALED_SECONDS", -1.0)
    monkeypatch.setattr(examine, "CHECK_SECONDS", 600.0)
    monkeypatch.setattr("prunner_trio.storage.verify._STEPS_BETWEEN_LOOKS", 1)
    asked: list[bool] = []
    problems_of = examine.problems_of

    def watched(connection: sqlite3.Connection, go_on: Callable[[], bool]) -> tuple[object, bool]:
        found = problems_of(connection, go_on)
        asked.append(found[1])
        return found

    monkeypatch.setattr(examine, "problems_of", watched)
    examine.damage_of(tmp_path / "store.db")
    seal_file(tmp_path / "store.db").unlink()
    assert examine.damage_of(tmp_path / "store.db")
    assert asked == [False, True]


@pytest.mark.parametrize(
    "change",
    [
        lambda store: store.write_bytes(store.read_bytes()),
        lambda store: os.truncate(store, store.stat().st_size + 4096),
        lambda store: Path(f"{store}-wal").write_bytes(b"x"),
        lambda store: store.rename(f"{store}.x").replace(store.with_name("y")),
        lambda store: seal_file(store).write_bytes(b""),
    ],
    ids=["written", "longer", "with a log", "gone", "no seal"],
)
def test_a_store_that_was_touched_is_not_sealed(tmp_path: Path, change: Callable[[Path], object]) -> None:
    life(tmp_path, one_job)
    store = tmp_path / "store.db"
    os.utime(store, ns=(0, 1))
    seal(store)
    assert is_sealed(store)
    change(store)
    assert not is_sealed(store)


def test_a_store_with_a_log_that_is_not_folded_in_is_not_sealed(tmp_path: Path) -> None:
    life(tmp_path, one_job)
    seal_file(tmp_path / "store.db").unlink()
    (tmp_path / "store.db-wal").write_bytes(b"x")
    seal(tmp_path / "store.db")
    assert not seal_file(tmp_path / "store.db").exists()


def test_damage_of_a_small_store_is_found_though_it_is_sealed(tmp_path: Path) -> None:
    life(tmp_path, one_job)
    store = tmp_path / "store.db"
    damage(store)
    assert is_sealed(store)
    assert life(tmp_path)


def test_a_store_that_could_not_be_written_is_not_sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def outage(journal: SqliteJournal) -> None:
        await one_job(journal)
        journal._writer._failing = True

    life(tmp_path, outage)
    assert not is_sealed(tmp_path / "store.db")
