"""Looks at a store before it is used, and has it recovered if it is damaged. What is no damage is left to others."""

import logging
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from prunner_trio.errors import StoreError
from prunner_trio.storage.progress import Progress
from prunner_trio.storage.reads import Reader
from prunner_trio.storage.recover import Recovered, last_good_file, recover
from prunner_trio.storage.schema import VERSION, connect_for_reading, version_of
from prunner_trio.storage.seal import is_sealed
from prunner_trio.storage.verify import explain, file_problem, is_damage, log_problem, problems_of

__all__ = ["CHECK_SECONDS", "damage_of", "recover_if_damaged"]

log = logging.getLogger(__name__)

CHECK_SECONDS = 2.0
"""How long a start may look for damage; about a hundred thousand jobs of three tasks take that long."""

SEALED_SECONDS = 0.1
"""How long it may if the store is as it was left whole: enough for all of most stores, and for a part of large ones."""

_OURS = frozenset({"job", "task", "definition", "meta"})


def recover_if_damaged(path: Path, now: float, progress: Progress) -> Recovered | None:
    """Look at a store whose directory is ours, and replace it by what can be had of it if it is damaged.

    Args:
        progress: told of a recovery, never of a look, which is short.

    Raises:
        StoreError: it is newer than this program, or a database of something else; nothing was changed.
        OSError, sqlite3.Error: it cannot be read or written now, which is no damage; nothing was changed.
    """
    problems = damage_of(path)
    return recover(path, problems, now, progress) if problems else None


def damage_of(path: Path) -> Sequence[str]:
    """Return in which ways a store is damaged; see `recover_if_damaged`. Changes nothing."""
    if path.exists() and not path.is_file():
        return ()
    if not path.exists() or not path.stat().st_size:
        return _absence(path)
    if problem := file_problem(path):
        return (problem,)
    # For reading only: the last writer to close folds the log in, and with it goes what stands behind a bad frame.
    with closing(connect_for_reading(path)) as connection:
        try:
            version = _version(connection, path)
            if version is None:
                return ("its header is damaged: the version is gone",)
            text, certain = log_problem(path)
            if certain:
                return (text,)
            if text:
                log.warning("%s", text)
            sealed = is_sealed(path)
            end = time.monotonic() + (SEALED_SECONDS if sealed else CHECK_SECONDS)
            problems, everything = problems_of(connection, lambda: time.monotonic() < end) if version else ((), True)
        except sqlite3.Error as exc:
            if not is_damage(exc):
                raise
            return (explain(exc),)
    if not everything and not sealed:
        log.info("the store is too large to look at all of it at a start; `prunner-trio store check` does so")
    return problems or (_unreadable(path) if version == VERSION else ())


def _absence(path: Path) -> Sequence[str]:
    """Return why a store that is not there, or empty, should be there."""
    what = "is empty" if path.exists() else "is gone"
    for other in (Path(f"{path}-wal"), last_good_file(path)):
        if other.is_file() and other.stat().st_size:
            return (f"{path.name} {what}, while there is {other.name}",)
    return ()


def _version(connection: sqlite3.Connection, path: Path) -> int | None:
    """Return the version; None for tables that are ours without one."""
    try:
        return version_of(connection, path)
    except StoreError:
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0 and tables >= _OURS:
            return None
        raise


def _unreadable(path: Path) -> Sequence[str]:
    """Return what keeps the unfinished jobs from being read: the start needs them all."""
    with closing(Reader(path)) as reader:
        try:
            reader.unfinished()
        except StoreError as exc:
            if isinstance(exc.__cause__, sqlite3.Error) and not is_damage(exc.__cause__):
                raise
            return (str(exc),)
    return ()
