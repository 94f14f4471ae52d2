"""A cgroup for each task: the kernel keeps the list of its processes, whatever they do to hide.

Only the list and `cgroup.kill` are used, so no controller has to be enabled and it does not matter that our own cgroup
has processes of its own.
"""

import contextlib
import errno
import logging
import os
import subprocess
import time
from collections.abc import Collection, Iterator
from itertools import count
from pathlib import Path

import attrs
import trio

from prunner_trio.launch.procfs import read_file, stat
from prunner_trio.launch.standing import Visitor, write_file

__all__ = ["Leaf", "Leaves", "abandoned_homes", "claim", "end_abandoned", "groups_in", "home_below", "removed"]

log = logging.getLogger(__name__)

_PREFIX = "prunner."
_OUTLIVES = "outlives-"
"""Begins the names of leaves whose tasks may outlive us: nobody but their next owner may judge over them."""
_numbers = count(1)
_KEPT = "kept-by-prunner"
_MOST_ROUNDS = 100
_MOST_FREE = 64
_NOBODY = b"populated 0\nfrozen 0\n"
"""What the events of a leaf say if it is as it was made: a frozen one would hold whoever visits it."""
_WARM = 0.01
"""Seconds for which the kernel makes no process wait that moves, after another one has moved."""
_TRIAL = 5.0


@attrs.define(eq=False)
class Leaf:
    """The cgroup of one task.

    Attributes:
        path: its directory.
    """

    path: Path
    _leaves: "Leaves"
    _once: bool = False
    _left: bool = attrs.field(default=False, init=False)
    _handed_over: bool = attrs.field(default=False, init=False)

    @property
    def join_file(self) -> str:
        """The file into which a process writes its pid (or 0 for itself) to become a member."""
        return str(self.path / "cgroup.procs")

    def joined(self) -> contextlib.AbstractContextManager[None]:
        """Let what this process starts in the block be born in here. Raises ``OSError``; see `Visitor.visit`."""
        return self._leaves.visit(self)

    def pids(self) -> list[int]:
        """Return the members that are alive, those of groups below included."""
        if self._left:
            return []
        found = _pids(self.path)
        try:
            if os.stat(self.path).st_nlink > 2:  # a task may be a daemon that makes groups of its own
                for folder, _, _ in os.walk(self.path):
                    if folder != str(self.path):
                        found += _pids(folder)
        except OSError:
            pass
        return found

    def empty(self) -> bool:
        """Tell whether nobody is in here, or in groups below, and so nobody ever will be.

        The kernel itself counts whether anybody is; no process can come in from outside but by writing our files.
        """
        if not self._left:
            self._left = read_file(f"{self.path}/cgroup.events") == _NOBODY
        return self._left

    def kill(self) -> None:
        """Send SIGKILL to all members at once. Not while this process could not leave: see `Visitor.place`."""
        if not self._left and not self._leaves.we_are_in(self):
            with contextlib.suppress(OSError):
                write_file(self.path / "cgroup.kill", "1")

    def release(self) -> None:
        """Move the members, and those whom they start meanwhile, to where nobody ends them."""
        self._leaves.release(self)

    def hand_over(self) -> None:
        """Leave the cgroup to the next daemon, whatever else is done with it from now on."""
        self._handed_over = True
        self._leaves.spare(self.path)

    def cpu_seconds(self) -> float | None:
        """Return the processor time of all that were ever members; None if others were in here before, or unknown."""
        return _cpu_seconds(self.path) if self._once else None

    def remove(self) -> None:
        """Remove the cgroup, now or, if the kernel still holds it, at a later occasion; or let another task have it."""
        if self._handed_over or (self._left and not self._once and self._leaves.take_back(self.path)):
            return
        self._leaves.remove(self.path)


@attrs.define(eq=False)
class Leaves:
    """The cgroups of this process's tasks.

    Attributes:
        home: the directory that has all of them.
    """

    home: Path
    _count: int = attrs.field(default=0, init=False)
    _stale: list[Path] = attrs.field(factory=list, init=False)
    _free: list[Path] = attrs.field(factory=list, init=False)
    _visitor: Visitor = attrs.field(factory=Visitor, init=False)
    _visited: float = attrs.field(default=0.0, init=False)
    _spared: set[Path] = attrs.field(factory=set, init=False)

    @classmethod
    def below(cls, parent: Path, place: str = "") -> "Leaves":
        """Make a directory for the leaves below `parent`.

        Args:
            place: whose tasks they are for; see `end_abandoned`.

        Raises:
            OSError: the parent is no cgroup v2 in which we may make others, or the kernel is too old (5.14).
        """
        home = home_below(parent, place)
        home.mkdir()
        if not (home / "cgroup.kill").exists():
            home.rmdir()
            raise FileNotFoundError(errno.ENOENT, "no control group of version 2 with cgroup.kill (Linux 5.14)")
        return cls(home)

    async def try_out(self) -> None:
        """Let a process be born in a leaf, and kill it there: what a file system promises need not work.

        Raises:
            OSError: something of that does not work here.
        """
        leaf, child = self.new(), None
        try:
            child = _start_in(leaf)
            if leaf.pids() != [child.pid]:
                raise OSError("a process that was started in a control group is not in it")
            leaf.kill()
            with trio.move_on_after(_TRIAL):
                pidfd = os.pidfd_open(child.pid)
                try:
                    await trio.lowlevel.wait_readable(pidfd)
                finally:
                    os.close(pidfd)
                return
            raise OSError("cgroup.kill does not end a process")
        finally:
            if child is not None:
                child.kill()
                child.communicate()
            leaf.remove()

    def new(self, *, once: bool = False, outlives: str = "") -> Leaf:
        """Make a cgroup, or take one that a task has left as it was: to make and remove one costs more than all else.

        Args:
            once: for one task alone, because it has limits or counts something.
            outlives: if not empty, for one task alone, and the next daemon can `claim` it by this name.

        Raises:
            OSError: it cannot be made.
        """
        once = once or bool(outlives)
        while self._free and not once:
            path = self._free.pop()
            if read_file(f"{path}/cgroup.events") == _NOBODY:
                return Leaf(path, self)
            self.remove(path)
        self._count += 1
        path = self.home / (f"{_OUTLIVES}{outlives}" if outlives else f"task-{self._count}")
        path.mkdir()
        return Leaf(path, self, once)

    def take_back(self, path: Path) -> bool:
        """Keep an empty leaf for another task; False if there are enough, or its last task has changed it.

        What a task could have changed in it: its type, and groups below. With controllers there is more.
        """
        try:
            untouched = os.stat(path).st_nlink == 2 and read_file(f"{path}/cgroup.type") == b"domain\n"
        except OSError:
            return False
        if untouched and len(self._free) < _MOST_FREE and not read_file(f"{path}/cgroup.controllers").strip():
            self._free.append(path)
            return True
        return False

    @property
    def slow(self) -> bool:
        """Whether the next visit may take long, unless `get_ready` was called shortly before."""
        return time.monotonic() - self._visited > _WARM

    def get_ready(self) -> None:
        """See `Visitor.get_ready`."""
        with contextlib.suppress(OSError):
            self._visitor.get_ready()

    @contextlib.contextmanager
    def visit(self, leaf: Leaf) -> Iterator[None]:
        """See `Leaf.joined`."""
        with self._visitor.visit(leaf.path):
            yield
        self._visited = time.monotonic()

    def we_are_in(self, leaf: Leaf) -> bool:
        """Tell whether this process is in a leaf, because it could not leave it."""
        return self._visitor.place == leaf.path

    def spare(self, path: Path) -> None:
        """Leave a leaf alone from now on, also in `close`."""
        self._spared.add(path)

    def remove(self, path: Path) -> None:
        """Remove a leaf, and those that the kernel still held when they were to be removed."""
        self._stale.append(path)
        self._stale = [path for path in self._stale if not removed(path)]

    def release(self, leaf: Leaf) -> None:
        """See `Leaf.release`. What cannot be moved is logged, and ends with the leaves."""
        try:
            self._kept.mkdir(exist_ok=True)
            for _ in range(_MOST_ROUNDS):
                pids = leaf.pids()
                for pid in pids:
                    with contextlib.suppress(ProcessLookupError):
                        write_file(self._kept / "cgroup.procs", str(pid))
                if not pids:
                    break
        except OSError as exc:
            log.warning("processes not moved path=%s error=%s", self._kept, exc.strerror)

    def close(self) -> None:
        """Remove the directory; whatever still lives in it is killed, but for leaves that were handed over."""
        if self._visitor.place is None:
            _end(self.home, self._spared)
            self._visitor.close()
        else:
            log.error("control group not ended, this process could not leave it path=%s", self._visitor.place)
        with contextlib.suppress(OSError):
            self._kept.rmdir()

    @property
    def parent(self) -> Path:
        """The directory below which all of this is."""
        return self.home.parent

    @property
    def _kept(self) -> Path:
        return self.home.parent / _KEPT


def claim(parent: Path, owner: str, names: Collection[str]) -> dict[str, Leaf]:
    """Return the leaves by these names that an earlier daemon has left anywhere below `parent`; end its other ones.

    They stay where they are, and what binds their tasks goes on binding them.

    Args:
        owner: all names of the leaves in question begin with it.
    """
    found: dict[str, Leaf] = {}
    for path in [path for home in groups_in(parent, _PREFIX) for path in groups_in(home, f"{_OUTLIVES}{owner}-")]:
        leaf = Leaf(path, Leaves(path.parent), once=True)
        name = path.name.removeprefix(_OUTLIVES)
        if name in names:
            found[name] = leaf
        else:
            leaf.kill()
            leaf.remove()
    return found


def home_below(parent: Path, place: str = "") -> Path:
    """Return a new directory for groups of this process: the next one knows by the name whose they are."""
    own = stat(os.getpid())
    return parent / f"{_PREFIX}{os.getpid()}-{own.start if own else 0}-{next(_numbers)}-{place}"


def end_abandoned(parent: Path, place: str) -> None:
    """End what daemons that were killed have left below `parent`, but for what may outlive its daemon (see `claim`).

    Whoever has to know what that was looks before: a job of which something is alive had begun, whatever the disk says.
    So what belongs to another place (see `place_of`) is left for the next daemon there.
    """
    for old in abandoned_homes(parent):
        if old.name.split("-", 3)[3:] in ([], [""], [place]):
            _end(old, set(groups_in(old, _OUTLIVES)))


def groups_in(folder: Path, prefix: str) -> list[Path]:
    """Return the groups in a folder whose names begin so; none if it is gone, since others remove theirs meanwhile."""
    try:
        with os.scandir(folder) as entries:
            return [folder / entry.name for entry in entries if entry.name.startswith(prefix)]
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []


def abandoned_homes(parent: Path) -> list[Path]:
    """Return the directories of processes that are no more."""
    found = []
    for home in groups_in(parent, _PREFIX):
        pid, start, *_ = *home.name.removeprefix(_PREFIX).split("-"), ""
        process = stat(int(pid)) if pid.isdigit() else None
        if process is None or str(process.start) != start:
            found.append(home)
    return found


def removed(path: Path) -> bool:
    """Remove a group and those below it; False if that has to be tried again, as for a moment after the last exit."""
    try:
        path.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        try:
            below = [entry for entry in path.iterdir() if entry.is_dir()] if path.stat().st_nlink > 2 else []
        except OSError:
            return False
        if below and all(removed(group) for group in below):
            return removed(path)
        return False
    return True


def _end(home: Path, spared: set[Path]) -> None:
    try:
        groups = [leaf for leaf in home.iterdir() if leaf.is_dir() and leaf not in spared] if spared else [home]
        for group in groups:
            write_file(group / "cgroup.kill", "1")
            removed(group)
    except OSError as exc:
        log.warning("cgroup not removed path=%s error=%s", home, exc.strerror)


def _start_in(leaf: Leaf) -> "subprocess.Popen[bytes]":
    """Start a process that waits for input, in our own process group: no launcher takes it for an orphan."""
    with leaf.joined():
        return subprocess.Popen(["/bin/sh", "-c", "read x"], stdin=subprocess.PIPE)


def _pids(folder: str | os.PathLike[str]) -> list[int]:
    return [int(line) for line in read_file(f"{os.fspath(folder)}/cgroup.procs").split()]


def _cpu_seconds(folder: Path) -> float | None:
    _, found, rest = read_file(f"{folder}/cpu.stat").partition(b"usage_usec ")
    return int(rest.split(b"\n", 1)[0]) / 1_000_000 if found else None
