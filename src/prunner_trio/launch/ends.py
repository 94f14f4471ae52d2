"""The records in which keepers write how tasks have ended (see `wrap`): a small file for each task that may outlive us.

They are read by the next daemon. A record that is there says that the task was launched, whatever else is known of it.
"""

import contextlib
import logging
import os
import re
from collections.abc import Iterable
from pathlib import Path

import attrs

from prunner_trio.launch.descriptors import look
from prunner_trio.launch.place import place_of

__all__ = ["End", "Ends"]


log = logging.getLogger(__name__)

_LINES = re.compile(rb"([1-9][0-9]{0,9})\n(?:([0-9]{1,3})\n)?")
"""A pid and a status. What else may be there was left by a full disk or a power cut, and says nothing."""

_NAME = re.compile(r"[0-9a-f]+")

_NONE = 256
"""No exit status is as large."""


@attrs.frozen
class End:
    """What a record says.

    Attributes:
        keeper: pid of the process that writes it; None if it has not begun to.
        status: the exit status; None if it is not known yet, or never will be.
        at: when it was written to, in wall time.
    """

    keeper: int | None
    status: int | None
    at: float


@attrs.define(eq=False)
class Ends:
    """A directory of records, which belongs to one daemon at a time.

    Attributes:
        owner: a word by which other things of these tasks can be told from those of other daemons.
    """

    folder: Path
    owner: str
    _known: set[int] = attrs.field(factory=set, init=False)

    @classmethod
    def open(cls, folder: Path) -> "Ends":
        """Make the directory if it is not there. Raises ``OSError``."""
        folder.mkdir(mode=0o700, exist_ok=True)
        return cls(folder.resolve(), place_of(folder))

    def new(self, tag: int) -> Path:
        """Make an empty record for the task with this tag. Raises ``OSError``."""
        path = self._path(tag)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600))
        self._known.add(tag)
        return path

    def tags(self) -> frozenset[int]:
        """Return the tags of all tasks with a record. Raises ``OSError``."""
        names = (entry.name for entry in os.scandir(self.folder))
        return frozenset(int(name, 16) for name in names if _NAME.fullmatch(name))

    def read(self, tag: int) -> End | None:
        """Return the record of a task; None if there is none. A line counts once it is whole.

        One that cannot be read is there all the same: the task must not be taken for one that was never launched.
        """
        try:
            content, at = look(lambda: _content(self._path(tag)))
        except FileNotFoundError:
            return None
        except OSError as exc:
            log.warning("the end of a task cannot be read", extra={"path": exc.filename, "error": exc.strerror})
            content, at = b"", 0.0
        self._known.add(tag)
        found = _LINES.match(content)
        if found is None:
            return End(None, None, at)
        status = int(found[2]) if found[2] is not None else _NONE
        return End(int(found[1]), status if status < _NONE else None, at)

    def forget(self, tags: Iterable[int]) -> None:
        """Remove records that are not needed any more."""
        if not self._known:  # the usual case, and then the tags need not be made out
            return
        for tag in tags:
            if tag in self._known:
                self._known.discard(tag)
                self._remove(self._path(tag))

    def keep_only(self, tags: Iterable[int]) -> None:
        """Remove the records of all other tasks."""
        wanted = {self._path(tag).name for tag in tags}
        with contextlib.suppress(OSError):
            for entry in list(os.scandir(self.folder)):
                if entry.name not in wanted:
                    self._remove(Path(entry.path))

    def _path(self, tag: int) -> Path:
        return self.folder / f"{tag:x}"

    def _remove(self, path: Path) -> None:
        with contextlib.suppress(OSError):
            path.unlink()


def _content(path: Path) -> tuple[bytes, float]:
    with open(path, "rb", buffering=0) as file:
        return file.read(64), os.fstat(file.fileno()).st_mtime
