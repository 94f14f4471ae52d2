"""Where this process itself stands in the tree of control groups of version 2, and how it moves.

A process that a program starts is born in the group in which that program stands. So whoever wants a child that was
never outside of a group goes there, starts it, and comes back. That moves the whole process, with all of its threads;
looking where it stands, and moving it, is done by one thread at a time.
"""

import contextlib
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import attrs

from prunner_trio.launch.descriptors import look

__all__ = ["MAIN", "Visitor", "find_parent", "make_room", "moving", "own_group", "write_file"]

log = logging.getLogger(__name__)

MAIN = "main-of-prunner"
"""The group into which a daemon moves: the kernel gives controllers only to groups below one without processes."""

moving = threading.RLock()
"""Held while this process moves, or is away from its own group, or somebody asks where that is."""

_moves = 0
"""How often it has moved for good."""


def own_group() -> Path | None:
    """Return the directory of our own cgroup v2, wherever it is mounted; None if there is none."""
    with moving:
        try:
            lines = Path("/proc/self/cgroup").read_text().splitlines()
            own = next(line[3:] for line in lines if line.startswith("0::"))
            mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        except (OSError, StopIteration):
            return None
    for line in mounts:
        fields, _, kind = line.partition(" - ")
        if kind.startswith("cgroup2 "):
            root, mount = fields.split(" ")[3:5]
            if own == root or own.startswith(root.rstrip("/") + "/"):
                return Path(mount + own.removeprefix(root.rstrip("/")))
    return None


def find_parent() -> Path | None:
    """Return the group below which those of tasks belong: our own, or the one where we were before `make_room`."""
    found = own_group()
    return found.parent if found is not None and found.name == MAIN else found


def make_room(group: Path) -> None:
    """Move to `MAIN` below a group if we are in it. Raises ``OSError``."""
    global _moves
    with moving:
        if str(os.getpid()) in (group / "cgroup.procs").read_text().split():
            (group / MAIN).mkdir(exist_ok=True)
            write_file(group / MAIN / "cgroup.procs", "0")
            _moves += 1


@attrs.define(eq=False)
class Visitor:
    """This process as one that goes to other groups and comes back.

    Attributes:
        place: the group in which it is; None if it is where it belongs.
    """

    place: Path | None = attrs.field(default=None, init=False)
    _way_back: int | None = attrs.field(default=None, init=False)
    _moves: int = attrs.field(default=-1, init=False)

    @contextlib.contextmanager
    def visit(self, group: Path) -> Iterator[None]:
        """Be in a group for the time of the block, which must not have a checkpoint.

        Raises:
            OSError: we cannot go there, and are where we were; or cannot come back, which is tried again at the next
                visit.
        """
        with moving:
            self._return()
            procs = os.open(group / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
            try:
                self.place = group
                try:
                    os.write(procs, b"0")
                    yield
                finally:
                    self._return()
            finally:
                os.close(procs)

    def get_ready(self) -> None:
        """Let the next visit be fast. May take some 10 ms and be called in any thread.

        Before the first move in a while the kernel waits for all processors (a grace period of its RCU). Moving to
        where we are already is a move like any other.
        """
        with moving:
            if self.place is None:
                os.write(self._door(), b"0")

    def close(self) -> None:
        """Give the descriptor back."""
        with moving:
            if self._way_back is not None:
                os.close(self._way_back)
                self._way_back = None

    def _return(self) -> None:
        door = self._door()
        if self.place is None:
            return
        try:
            os.write(door, b"0")
        except OSError as exc:
            # Somebody has given our group controllers, and then no process may enter it.
            log.warning("cannot return to control group error=%s", exc.strerror)
            parent = self.place.parent.parent
            (parent / MAIN).mkdir(exist_ok=True)
            write_file(parent / MAIN / "cgroup.procs", "0")
            self._moves = -1
        self.place = None

    def _door(self) -> int:
        """Return a descriptor by which we come back to where we are now, or were before the visit."""
        if self._way_back is None or (self._moves != _moves and self.place is None):
            group = own_group()
            if group is None:
                raise FileNotFoundError("no cgroup v2 is mounted")
            fresh = os.open(group / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
            self.close()
            self._way_back, self._moves = fresh, _moves
        return self._way_back


def write_file(path: Path, text: str) -> None:
    """Write a file that the kernel makes, in one go. Raises ``OSError``."""

    def write() -> None:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)

    look(write)
