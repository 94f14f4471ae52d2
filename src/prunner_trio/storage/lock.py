"""The lock of a data directory: one daemon at a time, and the second one learns who the first is."""

import fcntl
import os
from pathlib import Path

from prunner_trio.errors import StoreError, StoreLocked

__all__ = ["LOCK_FILE", "DirectoryLock"]

LOCK_FILE = "lock"
"""Name of the lock in the data directory; it holds the pid of the daemon that has it."""


class DirectoryLock:
    """Holds a data directory from its making until `release`.

    The kernel drops the lock when the process dies, however it dies. The file stays: deleting it would let two
    processes lock two files of the same name.
    """

    def __init__(self, directory: Path) -> None:
        """Take the lock.

        Raises:
            StoreLocked: another process, or another runner of this one, has it.
            StoreError: the file system cannot lock, or the file cannot be opened.
        """
        path = directory / LOCK_FILE
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise StoreError(f"cannot open the lock {path}: {exc.strerror}") from exc
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, b"%d\n" % os.getpid(), 0)
        except BlockingIOError:
            pid = _pid_in(self._fd)
            os.close(self._fd)
            raise StoreLocked(str(directory), pid) from None
        except OSError as exc:
            os.close(self._fd)
            raise StoreError(f"cannot lock {path}: {exc.strerror}") from exc

    def release(self) -> None:
        """Give the directory free."""
        os.close(self._fd)


def _pid_in(fd: int) -> int | None:
    text = os.pread(fd, 32, 0).strip()
    return int(text) if text.isdigit() else None
