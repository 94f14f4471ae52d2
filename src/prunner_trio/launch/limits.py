"""What a task may use at most: control groups for each task that has limits, of version 2 or 1.

Version 2 has one group per task for everything, the one by which its processes are found (see `cgroup`). Of version 1,
each controller is a tree of its own, and a task gets a group in each that it needs. Both may be there at once, each
with some of the controllers.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import attrs

from prunner_trio.definition.pipeline import Limits
from prunner_trio.errors import LaunchError
from prunner_trio.launch.cgroup import Leaf, Leaves, abandoned_homes, groups_in, home_below, removed
from prunner_trio.launch.standing import find_parent, make_room, moving, write_file

__all__ = ["Enclosure", "Enclosures", "enable_controllers", "missing_limits"]

_CONTROLLERS = {"memory": "memory", "cpu": "cpu", "processes": "pids"}
_PROBES = {"memory": "memory.limit_in_bytes", "cpu": "cpu.cfs_quota_us", "processes": "pids.max"}
_PERIOD = 100_000
"""Microseconds within which a share of processor time is counted."""
_SHORTEST_QUOTA = 1000
_MOST_ROUNDS = 10


def missing_limits(parent: Path | None = None) -> dict[str, str]:
    """Return the names of the limits that cannot be enforced here, each with the reason.

    It is tried, not guessed: groups are made and removed. Where version 2 offers the controllers and this process is
    alone in its group, it moves to one below.

    Args:
        parent: a group of version 2 in which we may make others; None: our own one.
    """
    with contextlib.closing(Enclosures.open(None, parent)) as enclosures:
        return enclosures.lacking


@attrs.define(eq=False)
class Enclosure:
    """The groups of one task that has limits."""

    _folders: Mapping[str, Path]
    _leaf: Leaf | None
    _enclosures: "Enclosures"

    @property
    def join_files(self) -> tuple[str, ...]:
        """The files of version 1 into which a process writes its pid to be bound by the limits."""
        return tuple(str(folder / "cgroup.procs") for folder in self._folders.values())

    def peak_memory(self) -> int | None:
        """Return the most bytes that all processes together had at a time; None if nobody counted."""
        text = self._read("memory", "memory.peak", "memory.max_usage_in_bytes")
        return int(text) if text else None

    def reached(self) -> frozenset[str]:
        """Return the names of the limits because of which the kernel has killed or refused something."""
        found = set()
        if _count(self._read("memory", "memory.events", "memory.oom_control"), "oom_kill"):
            found.add("memory")
        if _count(self._read("processes", "pids.events", "pids.events"), "max"):
            found.add("processes")
        return frozenset(found)

    def release(self) -> None:
        """Move the members to our own groups, so that the limits do not bind them any more."""
        for folder in self._folders.values():
            with contextlib.suppress(OSError):
                for _ in range(_MOST_ROUNDS):
                    if not (pids := (folder / "cgroup.procs").read_text().split()):
                        break
                    for pid in pids:
                        with contextlib.suppress(ProcessLookupError):
                            write_file(folder.parent.parent / "cgroup.procs", pid)

    def remove(self) -> None:
        """Remove the groups of version 1, now or at a later occasion; the one of version 2 belongs to the tree."""
        self._enclosures.remove(self._folders.values())

    def _read(self, name: str, in_leaf: str, in_folder: str) -> str:
        folder = self._folders.get(name)
        try:
            if folder is not None:
                return (folder / in_folder).read_text()
            return (self._leaf.path / in_leaf).read_text() if self._leaf is not None else ""
        except OSError:
            return ""


@attrs.define(eq=False)
class Enclosures:
    """The means by which this machine enforces limits.

    Attributes:
        lacking: the limits for which there is no means, and why.
        leaves: where tasks with limits get their group of version 2; None if none of the controllers is there.
    """

    lacking: dict[str, str]
    leaves: Leaves | None
    _owns_leaves: bool
    _by_leaf: frozenset[str]
    _homes: dict[str, Path]
    _count: int = attrs.field(default=0, init=False)
    _stale: list[Path] = attrs.field(factory=list, init=False)

    @classmethod
    def open(cls, leaves: Leaves | None, parent: Path | None = None, place: str = "") -> "Enclosures":
        """Find the means.

        Args:
            leaves: the groups of version 2 that tasks have anyway; None: some are made if they are of use here.
            parent: where to make them; None: in our own group.
            place: whose tasks they are for; see `end_abandoned`.
        """
        lacking: dict[str, str] = {}
        enabled: frozenset[str] = frozenset()
        owns_leaves = leaves is None
        try:
            parent = leaves.parent if leaves is not None else parent or find_parent()
            if parent is not None and (enabled := enable_controllers(parent, _CONTROLLERS.values())):
                leaves = leaves or Leaves.below(parent, place)
                enabled = enable_controllers(leaves.home, enabled)
        except OSError as exc:
            lacking = dict.fromkeys(_CONTROLLERS, f"{exc.filename or parent}: {exc.strerror or exc}")
            enabled = frozenset()
        by_leaf = frozenset(name for name, controller in _CONTROLLERS.items() if controller in enabled)
        homes: dict[str, Path] = {}
        for name, controller in _CONTROLLERS.items():
            if name not in by_leaf:
                try:
                    homes[name] = _open_home(controller, _PROBES[name], place)
                    lacking.pop(name, None)
                except OSError as exc:
                    lacking.setdefault(name, f"{exc.filename}: {exc.strerror}" if exc.filename else str(exc))
        return cls(lacking, leaves if by_leaf else None, owns_leaves, by_leaf, homes)

    def needs_leaf(self, limits: Limits) -> bool:
        """Whether a task with these limits needs a group of version 2."""
        return not self._by_leaf.isdisjoint(limits.names)

    def new(self, limits: Limits, leaf: Leaf | None) -> Enclosure:
        """Make the groups of a task and set its limits, but for those that are lacking.

        Raises:
            LaunchError: a group could not be made, or a limit not set.
        """
        self._count += 1
        folders: dict[str, Path] = {}
        try:
            for name in limits.names:
                if name in self._homes:
                    folder = self._homes[name] / f"task-{self._count}"
                    folder.mkdir()
                    folders[name] = folder
                    _set(folder, _settings_1(name, limits))
                elif name in self._by_leaf and leaf is not None:
                    _set(leaf.path, _settings_2(name, limits))
        except OSError as exc:
            self.remove(folders.values())
            raise LaunchError(f"cannot set the limits of the task: {exc.filename}: {exc.strerror}") from exc
        return Enclosure(folders, leaf, self)

    def remove(self, folders: Iterable[Path]) -> None:
        """Remove groups of version 1, and those that the kernel still held when they were to be removed."""
        self._stale += folders
        self._stale = [folder for folder in self._stale if not removed(folder)]

    def close(self) -> None:
        """Remove what was made, as far as nobody is in it any more."""
        self.remove(())
        for home in self._homes.values():
            removed(home)
        if self._owns_leaves and self.leaves is not None:
            self.leaves.close()


def enable_controllers(group: Path, wanted: Iterable[str]) -> frozenset[str]:
    """Let the groups below one of version 2 have controllers; return those of the wanted ones that they have then.

    The kernel does that only for a group without processes. If we are in it, we make room.

    Raises:
        OSError: we may not, or others are in the group too.
    """
    with moving:  # nobody is away on a visit, to come back to a group that has controllers by then
        return _enable(group, wanted)


def _enable(group: Path, wanted: Iterable[str]) -> frozenset[str]:
    offered = frozenset((group / "cgroup.controllers").read_text().split()) & frozenset(wanted)
    control = group / "cgroup.subtree_control"
    missing = offered - set(control.read_text().split())
    if missing:
        if (group / "cgroup.type").exists():  # all but the root, which may have both
            make_room(group)
            if (group / "cgroup.procs").read_text().strip():
                raise OSError(
                    f"{group}: other processes are in this control group too; in a service give it Delegate=yes"
                )
        write_file(control, " ".join(f"+{controller}" for controller in sorted(missing)))
    return offered


def _open_home(controller: str, probe: str, whose: str) -> Path:
    """Make a directory for the groups of version 1; remove those of daemons that are no more."""
    place = _find_place(controller)
    for old in abandoned_homes(place):
        for folder in groups_in(old, "task-"):
            removed(folder)
        removed(old)
    home = home_below(place, whose)
    home.mkdir()
    if not (home / probe).exists():
        home.rmdir()
        raise OSError(f"{place}: groups here have no {probe}")
    return home


def _find_place(controller: str) -> Path:
    """Return the directory of our own group of version 1 that has a controller."""
    own = None
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            own = path
    for line in Path("/proc/self/mountinfo").read_text().splitlines() if own is not None else ():
        fields, _, rest = line.partition(" - ")
        kind, _, options = rest.split(" ", 2)
        if own is not None and kind == "cgroup" and controller in options.split(","):
            root, mount = fields.split(" ")[3:5]
            root = root.rstrip("/")
            if own == root or own.startswith(f"{root}/"):
                return Path(mount + own.removeprefix(root))
    raise OSError(f"no control group here has the controller {controller!r}")


def _settings_1(name: str, limits: Limits) -> Iterator[tuple[str, str]]:
    if name == "memory":
        yield "memory.limit_in_bytes", str(limits.memory)
        yield "memory.memsw.limit_in_bytes?", str(limits.memory)
    elif name == "cpu":
        yield "cpu.cfs_period_us", str(_PERIOD)
        yield "cpu.cfs_quota_us", str(_quota(limits))
    else:
        yield "pids.max", str(limits.processes)


def _settings_2(name: str, limits: Limits) -> Iterator[tuple[str, str]]:
    if name == "memory":
        yield "memory.max", str(limits.memory)
        yield "memory.swap.max?", "0"
    elif name == "cpu":
        yield "cpu.max", f"{_quota(limits)} {_PERIOD}"
    else:
        yield "pids.max", str(limits.processes)


def _quota(limits: Limits) -> int:
    return max(_SHORTEST_QUOTA, round((limits.cpu or 0) * _PERIOD))


def _set(group: Path, settings: Iterable[tuple[str, str]]) -> None:
    """Write the files of a group; those with a question mark may be missing, for the kernel may not count swap."""
    for name, text in settings:
        file = group / name.removesuffix("?")
        if not name.endswith("?") or file.exists():
            try:
                write_file(file, text)
            except OSError as exc:
                raise OSError(exc.errno, exc.strerror, str(file)) from exc


def _count(text: str, word: str) -> int:
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == word:
            return int(value)
    return 0
