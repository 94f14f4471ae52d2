"""Keeps a copy of the store that was found whole beside it: what is left if the file itself is lost."""

import logging
import sqlite3
from pathlib import Path
from typing import Protocol

import trio

from prunner_trio.errors import StoreError
from prunner_trio.storage.backup import copy_store
from prunner_trio.storage.recover import last_good_file
from prunner_trio.storage.verify import is_corrupt

__all__ = ["INTERVAL", "LARGEST", "keep_last_good"]

log = logging.getLogger(__name__)

INTERVAL = 3600.0
"""Seconds between two copies, and longer while nothing changes."""

LARGEST = 256 * 1024 * 1024
"""Bytes of a store above which no copy is kept: it would cost too much room and time."""


class _Saving(Protocol):
    @property
    def path(self) -> Path:
        """Where the store is."""
        ...

    async def changed(self) -> None:
        """Return once something new is on disk."""
        ...


async def keep_last_good(journal: _Saving, interval: float = INTERVAL) -> None:
    """Make a copy now, and again whenever `interval` seconds have passed and something has changed. Until canceled.

    What goes wrong is logged: a copy is no condition for anything.
    """
    while True:
        try:
            await trio.to_thread.run_sync(_copy, journal.path)
        except (StoreError, OSError, RuntimeError) as exc:  # RuntimeError: the machine has no thread left
            if _says_that_it_is_damaged(exc):
                log.error("%s; restart the daemon: it goes on with what can be read and keeps the file", exc)
            else:
                log.warning("the last good copy of the store could not be made: %s", exc)
        await trio.sleep(interval)
        await journal.changed()


def _says_that_it_is_damaged(exc: Exception) -> bool:
    cause = exc.__cause__
    return isinstance(exc, StoreError) and (not isinstance(cause, sqlite3.Error) or is_corrupt(cause))


def _copy(path: Path) -> None:
    if path.stat().st_size > LARGEST:
        log.info("the store is too large for a last good copy", extra={"most_bytes": LARGEST})
        return
    new = Path(f"{last_good_file(path)}.new")
    new.unlink(missing_ok=True)  # of a daemon that was killed
    try:
        copy_store(path, new, lambda *_: trio.from_thread.check_cancelled())
        for side in ("-wal", "-shm"):
            Path(f"{new}{side}").unlink(missing_ok=True)
        new.replace(last_good_file(path))
    finally:
        new.unlink(missing_ok=True)
