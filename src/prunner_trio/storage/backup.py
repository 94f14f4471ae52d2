"""Copies of a store that are whole, while a daemon goes on writing to it."""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from prunner_trio.errors import StoreError
from prunner_trio.storage.progress import Progress
from prunner_trio.storage.schema import STORE_FILE, connect_for_reading, version_of
from prunner_trio.storage.verify import all_problems_of, explain

__all__ = ["back_up", "copy_store"]

PAGES_PER_STEP = 256
LOGS = "logs"


def copy_store(source: Path, target: Path, progress: Progress) -> None:
    """Copy a store as it is at one moment into a new file, for its owner only, and look whether the copy is whole.

    Blocks. Nobody who writes to the store is held up. The file is on disk when this returns, and gone if it raises.

    Raises:
        StoreError: the store cannot be read, is damaged, or is newer than this program.
        OSError: the file exists, or cannot be written.
    """
    os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        with closing(connect_for_reading(source)) as old, closing(sqlite3.connect(target)) as new:
            version_of(old, source)
            # Within one transaction all steps see one state; else each write to the store would start the copy anew.
            old.execute("BEGIN")
            old.execute("SELECT count(*) FROM sqlite_master").fetchone()
            old.backup(
                new,
                pages=PAGES_PER_STEP,
                progress=lambda _, left, pages: progress("store", pages - left, pages),
            )
            old.execute("ROLLBACK")  # so that the log of the store need not grow any longer
            problems = all_problems_of(new, progress)
        if problems:
            raise StoreError(f"the store {source} is damaged: {problems[0]}")
        descriptor = os.open(target, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except BaseException as exc:
        for side in ("", "-wal", "-shm", "-journal"):
            Path(f"{target}{side}").unlink(missing_ok=True)
        if isinstance(exc, sqlite3.Error):
            raise StoreError(f"the store {source} cannot be copied: {explain(exc)}") from exc
        raise


def back_up(directory: Path, target: Path, *, logs: bool, progress: Progress) -> int:
    """Make a new directory that a daemon can start in: the store, and the logs of the jobs in it.

    Blocks. The directory appears whole or not at all, for its owner only.

    Returns:
        The number of jobs in it.

    Raises:
        StoreError: there is no store, or see `copy_store`; or the target exists already.
        OSError: something cannot be written, or read.
    """
    if not (directory / STORE_FILE).exists():
        raise StoreError(f"there is no store in {directory}")
    if os.path.lexists(target):
        raise StoreError(f"{target} exists already")
    unfinished = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.absolute().parent))
    try:
        copy_store(directory / STORE_FILE, unfinished / STORE_FILE, progress)
        with closing(connect_for_reading(unfinished / STORE_FILE)) as connection:
            jobs = frozenset(row[0] for row in connection.execute("SELECT id FROM job"))
        for side in ("-wal", "-shm"):
            (unfinished / f"{STORE_FILE}{side}").unlink(missing_ok=True)
        if logs:  # after the store, so that no log of a job in it is missing
            _copy_logs(directory / LOGS, unfinished / LOGS, jobs, progress)
        if os.path.lexists(target):
            raise StoreError(f"{target} exists already")
        unfinished.rename(target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return len(jobs)


def _copy_logs(source: Path, target: Path, jobs: frozenset[str], progress: Progress) -> None:
    target.mkdir(mode=0o700)
    for done, job in enumerate(sorted(jobs), 1):
        for file in _files(source / job):
            there = target / file.relative_to(source)
            there.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _copy_file(file, there)
        progress("logs of jobs", done, len(jobs))


def _files(directory: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(directory):
        for name in names:
            if (file := Path(folder, name)).is_file() and not file.is_symlink():
                yield file


def _copy_file(source: Path, target: Path) -> None:
    try:
        old = source.open("rb")
    except FileNotFoundError:  # retention has removed the job meanwhile
        return
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with old, open(descriptor, "wb") as new:
        shutil.copyfileobj(old, new)
        new.flush()
        os.fsync(descriptor)
