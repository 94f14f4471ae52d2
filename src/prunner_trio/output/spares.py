"""Log files in which nobody has written, for the next task: to make a file is what costs most of a short log.

Most tasks say nothing on one of their two streams, and many on neither. For each file and directory that it makes, a
file system has to find and write an inode; a rename it does in place. Measured on ext4 without a journal, shortly after
many files had been removed: 700 to 1,300 µs against 20 to 40; on a file system in memory both are about 10.
"""

import contextlib
import errno
import fcntl
import os
import signal
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from itertools import islice

import attrs

__all__ = ["MOST_FILES", "MOST_FOLDERS", "OPEN_FLAGS", "Spares"]

OPEN_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
"""How a log is opened."""

MOST_FILES = MOST_FOLDERS = 64
"""How many spare files, and directories without an open file, are remembered: hardly ever do more tasks begin before
others end."""

_MOST_IN_FOLDER = 8
"""A directory with more spare files is not used as a whole, since each of them has to be looked at for that."""

_TRIES = 3


@attrs.define(eq=False)
class _Folder:
    """A directory of logs.

    Attributes:
        whole: it was made here, and nothing was written in it.
        open: how many of its files are in use.
        spare: the names of those that were empty when they were closed.
    """

    whole: bool
    open: int = 0
    spare: set[str] = attrs.field(factory=set)


@attrs.define(eq=False)
class Spares:
    """Remembers empty files where they are, and moves them when they are needed.

    That nobody else has a file open, neither a process left in the background nor a reader, is known from the kernel,
    which otherwise grants no write lease (fcntl(2)). It is asked when the file has its new name, by which nobody knows
    it yet; if it refuses, the file gets its old name back and is left alone.
    """

    _folders: dict[str, _Folder] = attrs.field(factory=dict, init=False)
    _idle: OrderedDict[str, _Folder] = attrs.field(factory=OrderedDict, init=False)
    _files: OrderedDict[tuple[str, str], None] = attrs.field(factory=OrderedDict, init=False)
    _leases: bool = attrs.field(default=True, init=False)

    def opened(self, folder: str, *, new: bool) -> None:
        """Note that a file is in use; `new`: its directory has just been made."""
        known = self._folders.get(folder)
        if known is None:
            known = self._folders[folder] = _Folder(whole=new)
        self._idle.pop(folder, None)
        known.open += 1

    def closed(self, folder: str, name: str, empty: bool) -> None:
        """Note that a file is not used by its task any more."""
        known = self._folders.get(folder)
        if known is None or not known.open:  # it was forgotten while this was open
            return
        known.open -= 1
        if not empty:
            known.whole = False
        elif self._leases:
            known.spare.add(name)
            self._files[folder, name] = None
            if len(self._files) > MOST_FILES:
                self._leave_file(*next(iter(self._files)))
        self._settle(folder, known)
        if len(self._idle) > MOST_FOLDERS:
            self.forget(next(iter(self._idle)))

    def forget(self, folder: str) -> None:
        """Leave a directory alone from now on, and all that is in it."""
        self._idle.pop(folder, None)
        if (known := self._folders.pop(folder, None)) is not None:
            for name in known.spare:
                del self._files[folder, name]

    def move_folder(self, folder: str, wanted: Sequence[str]) -> dict[str, int] | None:
        """Give a directory in which nobody has written the name `folder`, which is free.

        Returns:
            Descriptors of its files with the names `wanted`, as far as it has them; None if there is no directory.
        """
        for path, known in list(islice(self._idle.items(), _TRIES)):
            self.forget(path)
            with contextlib.suppress(OSError):
                if known.spare != set(os.listdir(path)):
                    continue
                os.rename(path, folder)
                if (fds := self._open_all(folder, known.spare)) is None:
                    os.rename(folder, path)
                    continue
                for name in known.spare.difference(wanted):
                    os.close(fds.pop(name))
                known.spare.difference_update(wanted)
                self._folders[folder] = self._idle[folder] = known
                self._files.update(((folder, name), None) for name in known.spare)
                return fds
        return None

    def take(self, folder: str, name: str) -> int | None:
        """Return a descriptor of a spare file that has the name `name` now; None if there is none for it."""
        path = f"{folder}/{name}"
        if (folder, name) in self._files:
            self._leave_file(folder, name)
            return self._open_unused(path)
        if not self._files or os.path.lexists(path):
            return None
        for source, old in list(islice(self._files, _TRIES)):
            self._leave_file(source, old)
            with contextlib.suppress(OSError):
                os.rename(f"{source}/{old}", path)
                if (fd := self._open_unused(path)) is not None:
                    return fd
                os.rename(path, f"{source}/{old}")
        return None

    def _leave_file(self, folder: str, name: str) -> None:
        del self._files[folder, name]
        known = self._folders[folder]
        known.spare.discard(name)
        self._settle(folder, known)

    def _settle(self, folder: str, known: _Folder) -> None:
        if known.open:
            return
        if known.whole and len(known.spare) <= _MOST_IN_FOLDER:
            self._idle[folder] = known
            return
        self._idle.pop(folder, None)
        if not known.spare:
            del self._folders[folder]

    def _open_all(self, folder: str, names: Iterable[str]) -> dict[str, int] | None:
        fds: dict[str, int] = {}
        for name in names:
            if (fd := self._open_unused(f"{folder}/{name}")) is None:
                for held in fds.values():
                    os.close(held)
                return None
            fds[name] = fd
        return fds

    def _open_unused(self, path: str) -> int | None:
        """Open a file if it is empty, and nobody else has it open."""
        try:
            fd = os.open(path, OPEN_FLAGS)
        except OSError:
            return None
        try:
            # Whoever opens the file while the lease is held makes the kernel send a signal: one that does nothing.
            fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
            fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
            if _is_like_new(os.fstat(fd)):
                return fd
        except OSError as exc:
            if exc.errno != errno.EAGAIN:  # not "somebody has it", but a file system without leases
                self._leases = False
        os.close(fd)
        return None


def _is_like_new(found: os.stat_result) -> bool:
    """Tell whether a file is as we make them: somebody may have linked it elsewhere, or let others read it."""
    return not found.st_size and found.st_nlink == 1 and found.st_mode & 0o777 == 0o600
