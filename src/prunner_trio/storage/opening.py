"""What happens before a store can be used, all of it blocking: directory, lock, tables, prunner's history."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import attrs

from prunner_trio.errors import StoreError
from prunner_trio.execution.seams import JobAdded, SavedJob
from prunner_trio.storage.examine import recover_if_damaged
from prunner_trio.storage.lock import DirectoryLock
from prunner_trio.storage.progress import Progress, unheard
from prunner_trio.storage.prunner_json import read_prunner
from prunner_trio.storage.reads import Reader
from prunner_trio.storage.recover import Recovered, finish_recovery
from prunner_trio.storage.rows import consequences
from prunner_trio.storage.schema import (
    STORE_FILE,
    VERSION,
    connect,
    connect_for_reading,
    fold_log,
    migrate,
    version_of,
)
from prunner_trio.storage.seal import break_seal
from prunner_trio.storage.tables import UNFIT, Tables

__all__ = ["PRUNNER_FILE", "OpenStore", "open_store", "store_file"]

PRUNNER_FILE = "data.json"
"""Name of prunner's own file in the data directory."""


@attrs.frozen
class OpenStore:
    """A store that is ready for use and belongs to us until `lock` is released.

    Attributes:
        imported: how many jobs came from prunner's file just now.
        recovered: what was done about damage just now; None if there was none.
    """

    path: Path
    lock: DirectoryLock
    connection: sqlite3.Connection
    reader: Reader
    imported: int
    recovered: Recovered | None


def store_file(directory: Path) -> Path:
    """Return where the store of a data directory is."""
    return directory / STORE_FILE


def open_store(directory: Path, now: float, progress: Progress = unheard) -> OpenStore:
    """Lock a data directory and open its store; make either, and bring the tables up to date, as needed.

    Args:
        progress: told of a recovery, which may take long. An exception from it ends it; nothing was changed then.

    Raises:
        StoreLocked: somebody else has it.
        StoreError: it cannot be used now, is newer, or prunner's file in it is broken; nothing was changed then. One
            that is damaged is no error: it is recovered.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise StoreError(f"cannot make the data directory {directory}: {exc.strerror}") from exc
    path = store_file(directory)
    with ExitStack() as undo:
        lock = DirectoryLock(directory)
        undo.callback(lock.release)
        with _errors(path):
            finish_recovery(path)
            recovered = recover_if_damaged(path, now, progress)
            # Read before the store comes to be, so that a broken file leaves nothing behind.
            history = _history(directory / PRUNNER_FILE, now) if _is_new(path) else ()
            break_seal(path)
            connection = connect(path)
            undo.callback(connection.close)
            if version_of(connection, path) != VERSION:
                _set_up(connection, path, history, now)
            fold_log(connection)
        reader = Reader(path)
        undo.pop_all()
    return OpenStore(path, lock, connection, reader, len(history), recovered)


def _is_new(path: Path) -> bool:
    """Whether no start has ever succeeded; one that did not may have left a file without tables."""
    if not path.exists() or not path.stat().st_size:
        return True
    with closing(connect_for_reading(path)) as connection:
        return version_of(connection, path) == 0


def _history(source: Path, now: float) -> Sequence[SavedJob]:
    """Return the jobs of prunner's file, if there is one."""
    try:
        return read_prunner(source.read_bytes(), now=now, source=str(source))
    except FileNotFoundError:
        return ()
    except OSError as exc:
        raise StoreError(f"cannot load {source}: {exc.strerror}") from exc


def _set_up(connection: sqlite3.Connection, path: Path, history: Sequence[SavedJob], now: float) -> None:
    """Make or change the tables and take the history over: all of it or, whatever happens, nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        migrate(connection, path)
        tables = Tables(connection)
        for saved in history:
            added = JobAdded(saved.job, saved.definition)
            tables.insert(added)
            for change in consequences(added):
                tables.write(change)
        if history:
            note = json.dumps({"file": PRUNNER_FILE, "jobs": len(history), "at": now})
            connection.execute("INSERT INTO meta (key, value) VALUES ('imported', ?)", (note,))
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise StoreError(f"cannot open the store {path}: {exc.strerror}") from exc
    except (sqlite3.Error, *UNFIT) as exc:
        raise StoreError(f"cannot open the store {path}: {exc}") from exc
