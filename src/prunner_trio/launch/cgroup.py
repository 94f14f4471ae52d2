"""A cgroup for each task: the kernel keeps the list of its processes, whatever they do to hide.

Only the list and `cgroup.kill` are used, so no controller has to be enabled and it does not matter that our own cgroup
has processes of its own.
"""

import contextlib
import logging
import os
from itertools import count
from pathlib import Path

import attrs

from prunner_trio.launch.procfs import stat

__all__ = ["MAIN", "Leaf", "Leaves", "abandoned_homes", "find_parent", "home_below", "write_file"]

log = logging.getLogger(__name__)

MAIN = "main-of-prunner"
"""The group into which a daemon moves: the kernel gives controllers only to groups below one without processes."""

_PREFIX = "prunner."
_numbers = count(1)
_KEPT = "kept-by-prunner"
_MOST_ROUNDS = 100


@attrs.define(eq=False)
class Leaf:
    """The cgroup of one task.

    Attributes:
        path: its directory.
    """

    path: Path
    _leaves: "Leaves"

    @property
    def join_file(self) -> str:
        """The file into which a process writes its pid (or 0 for itself) to become a member."""
        return str(self.path / "cgroup.procs")

    def add(self, pid: int) -> None:
        """Make a process a member; that it is gone is no error."""
        with contextlib.suppress(ProcessLookupError):
            write_file(self.path / "cgroup.procs", str(pid))

    def pids(self) -> list[int]:
        """Return the members that are alive."""
        try:
            return [int(line) for line in (self.path / "cgroup.procs").read_bytes().split()]
        except OSError:
            return []

    def kill(self) -> None:
        """Send SIGKILL to all members at once."""
        with contextlib.suppress(OSError):
            write_file(self.path / "cgroup.kill", "1")

    def release(self) -> None:
        """Move the members, and those whom they start meanwhile, to where nobody ends them."""
        self._leaves.release(self)

    def cpu_seconds(self) -> float | None:
        """Return the processor time of all that were ever members; None if the kernel does not say."""
        try:
            text = (self.path / "cpu.stat").read_text()
        except OSError:
            return None
        used = [line.split()[1] for line in text.splitlines() if line.startswith("usage_usec ")]
        return int(used[0]) / 1_000_000 if used else None

    def remove(self) -> None:
        """Remove the cgroup, now or, if the kernel still holds it, at a later occasion."""
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

    @classmethod
    def below(cls, parent: Path) -> "Leaves":
        """Make a directory for the leaves below `parent`, and end what a daemon that was killed left behind there.

        Raises:
            OSError: the parent is no cgroup v2 in which we may make others, or the kernel is too old (5.14).
        """
        for old in abandoned_homes(parent):
            _end(old)
        home = home_below(parent)
        home.mkdir()
        if not (home / "cgroup.kill").exists():
            home.rmdir()
            raise FileNotFoundError(f"{home}: the kernel has no cgroup.kill")
        return cls(home)

    def new(self) -> Leaf:
        """Make a cgroup. Raises ``OSError``."""
        self._count += 1
        path = self.home / f"task-{self._count}"
        path.mkdir()
        return Leaf(path, self)

    def remove(self, path: Path) -> None:
        """Remove a leaf, and those that the kernel still held when they were to be removed."""
        self._stale.append(path)
        self._stale = [path for path in self._stale if not _removed(path)]

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
        """Remove the directory; whatever still lives in it is killed."""
        _end(self.home)
        with contextlib.suppress(OSError):
            self._kept.rmdir()

    @property
    def parent(self) -> Path:
        """The directory below which all of this is."""
        return self.home.parent

    @property
    def _kept(self) -> Path:
        return self.home.parent / _KEPT


def home_below(parent: Path) -> Path:
    """Return a new directory for groups of this process: the next one knows by the name whose they are."""
    own = stat(os.getpid())
    return parent / f"{_PREFIX}{os.getpid()}-{own.start if own else 0}-{next(_numbers)}"


def abandoned_homes(parent: Path) -> list[Path]:
    """Return the directories of processes that are no more."""
    found = []
    for home in parent.glob(f"{_PREFIX}*"):
        pid, start, *_ = *home.name.removeprefix(_PREFIX).split("-"), ""
        process = stat(int(pid)) if pid.isdigit() else None
        if process is None or str(process.start) != start:
            found.append(home)
    return found


def find_parent() -> Path | None:
    """Return the directory of our own cgroup v2, wherever it is mounted; None if there is none.

    A process that has moved to `MAIN` to make room for the groups of its tasks counts as being where it was before.
    """
    try:
        own = next(line[3:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::"))
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    except (OSError, StopIteration):
        return None
    for line in mounts:
        fields, _, kind = line.partition(" - ")
        if kind.startswith("cgroup2 "):
            root, mount = fields.split(" ")[3:5]
            if own == root or own.startswith(root.rstrip("/") + "/"):
                found = Path(mount + own.removeprefix(root.rstrip("/")))
                return found.parent if found.name == MAIN else found
    return None


def _end(home: Path) -> None:
    try:
        write_file(home / "cgroup.kill", "1")
        for leaf in home.glob("task-*"):
            _removed(leaf)
        home.rmdir()
    except OSError as exc:
        log.warning("cgroup not removed path=%s error=%s", home, exc.strerror)


def _removed(path: Path) -> bool:
    try:
        path.rmdir()
    except FileNotFoundError:
        return True
    except OSError:  # EBUSY for a moment after the last exit
        return False
    return True


def write_file(path: Path, text: str) -> None:
    """Write a file that the kernel makes, in one go. Raises ``OSError``."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
