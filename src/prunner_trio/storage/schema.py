"""The tables of the store, their versions, and how a connection is opened."""

import logging
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

from prunner_trio.errors import StoreError

__all__ = [
    "BUSY_TIMEOUT_MS",
    "MIGRATIONS",
    "STORE_FILE",
    "VERSION",
    "connect",
    "connect_for_reading",
    "fold_log",
    "migrate",
    "version_of",
]

log = logging.getLogger(__name__)

STORE_FILE = "store.db"
"""Name of the store in the data directory."""

BUSY_TIMEOUT_MS = 2000
"""How long a statement waits while another process, say somebody's `sqlite3` shell, holds the store."""


def _version_1(connection: sqlite3.Connection) -> None:
    """Make the first tables.

    State comes early and the bulky texts last in `job`, so that queries over many jobs read little. The partial
    indexes hold a job only while (or once) it matters to them: a change of state touches few pages.
    """
    for statement in (
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID",
        # AUTOINCREMENT: an id is never used twice, so what a reader has cached under it stays true.
        """CREATE TABLE definition (
            id INTEGER PRIMARY KEY AUTOINCREMENT, hash TEXT NOT NULL UNIQUE, data TEXT NOT NULL)""",
        """CREATE TABLE job (
            number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, pipeline TEXT NOT NULL, definition INTEGER NOT NULL,
            state TEXT NOT NULL, created REAL NOT NULL, started REAL, ended REAL, not_before REAL NOT NULL,
            stop_reason TEXT, stop_at REAL, stop_by TEXT, user TEXT NOT NULL, partition TEXT NOT NULL,
            error TEXT NOT NULL, variables TEXT)""",
        """CREATE TABLE task (
            job INTEGER NOT NULL, position INTEGER NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL, depends_on TEXT,
            started REAL, ended REAL, exit_code INTEGER NOT NULL, reason TEXT NOT NULL,
            allow_failure INTEGER NOT NULL, PRIMARY KEY (job, position)) WITHOUT ROWID""",
        "CREATE INDEX job_pipeline ON job (pipeline)",
        "CREATE INDEX job_unfinished ON job (state) WHERE state IN ('waiting', 'running')",
        "CREATE INDEX job_finished ON job (pipeline, created) WHERE state NOT IN ('waiting', 'running')",
    ):
        connection.execute(statement)


def _version_2(connection: sqlite3.Connection) -> None:
    """Count how often a job began."""
    connection.execute("ALTER TABLE job ADD COLUMN attempt INTEGER NOT NULL DEFAULT 1")


def _version_3(connection: sqlite3.Connection) -> None:
    """Remember which jobs a daemon has left to the next one."""
    connection.execute("ALTER TABLE job ADD COLUMN handed_over INTEGER NOT NULL DEFAULT 0")


def _version_4(connection: sqlite3.Connection) -> None:
    """Remember what people do: retries, moves within wait lists, cancels of single tasks, pauses.

    The index has the pipeline in it so that its entries are not taken for those of an id when a store is salvaged.
    """
    for statement in (
        "ALTER TABLE job ADD COLUMN retry_of TEXT",
        "ALTER TABLE job ADD COLUMN moved_to INTEGER",
        "ALTER TABLE job ADD COLUMN audit TEXT",
        "ALTER TABLE task ADD COLUMN from_job TEXT",
        "ALTER TABLE task ADD COLUMN stop_at REAL",
        "ALTER TABLE task ADD COLUMN stop_by TEXT",
        "CREATE INDEX job_retry ON job (retry_of, pipeline) WHERE retry_of IS NOT NULL",
        """CREATE TABLE pipeline (
            name TEXT PRIMARY KEY, paused_at REAL, paused_by TEXT, audit TEXT) WITHOUT ROWID""",
    ):
        connection.execute(statement)


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (_version_1, _version_2, _version_3, _version_4)
"""Step n leads from version n to version n + 1. Steps are never changed once released, only added."""

VERSION = len(MIGRATIONS)
"""The version this program writes. A new state, a new reason of a stop or a new deed of an audit needs a new version
too: a program that does not know the word takes it for damage."""


def version_of(connection: sqlite3.Connection, path: Path) -> int:
    """Return the version of a store; 0 if it is empty.

    Raises:
        StoreError: it is newer than this program, or not a store at all.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > VERSION:
        raise StoreError(
            f"the store {path} has version {version}, this program knows versions up to {VERSION}: "
            "it was written by a newer prunner-trio"
        )
    if version == 0 and connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise StoreError(f"{path} is a database of something else")
    return version


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the tables to the current version, within the transaction that the caller has begun.

    Raises:
        StoreError: see `version_of`.
    """
    for step in MIGRATIONS[version_of(connection, path) :]:
        step(connection)
    connection.execute(f"PRAGMA user_version = {VERSION:d}")


def connect(path: Path) -> sqlite3.Connection:
    """Open the store for writing; a new file is for its owner alone. Raises `sqlite3.Error`, `OSError`.

    SQLite gives its own side files the mode of the main one, so the mode must be right before it sees the file.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    # The connection is made in one thread and used in another, never in two at a time.
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS:d}")
        version_of(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
    except (sqlite3.Error, StoreError):
        connection.close()
        raise
    return connection


def connect_for_reading(path: Path) -> sqlite3.Connection:
    """Open an existing store without the right to change it. Raises `sqlite3.Error`."""
    uri = f"{path.absolute().as_uri()}?mode=ro"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS:d}")
    return connection


def fold_log(connection: sqlite3.Connection) -> None:
    """Bring the write-ahead log into the file and begin a new one, if nobody reads an older state; never raises.

    The remains of a transaction that was broken off, by a power cut or a disk that did not sync, go with it. They would
    look like damage as soon as shorter transactions stand before them: see `verify.log_problem`.
    """
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as exc:  # nothing is lost: the log goes on
        log.warning("the store's write-ahead log could not be folded in: %s", exc)
