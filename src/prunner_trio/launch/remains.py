"""What is still alive of tasks that an earlier daemon launched.

These processes are not our children: their exit status goes to somebody else, and their numbers may be given to others
at any moment. So they are found anew by the signs that every process of a task inherits (see `tags` and `tree.MARK`),
and each is pinned before a signal is sent or its end waited for. How a task ended is known if it had a keeper that has
written it down (see `ends`).
"""

import contextlib
import os
import signal
from collections.abc import Collection, Iterable, Iterator, Mapping

import attrs
import trio

from prunner_trio.errors import EndLost
from prunner_trio.execution.seams import Usage
from prunner_trio.launch.cgroup import Leaf
from prunner_trio.launch.ends import End, Ends
from prunner_trio.launch.procfs import Pinned, Stat, all_pids, children, environment, ignores, open_process, stat
from prunner_trio.launch.tags import tag_for, tag_of
from prunner_trio.launch.tree import MARK, mark_for

__all__ = ["Remains", "find_remains"]

_PAUSE = 0.01
_MOST_ROUNDS = 10


_NO_LEAVES: Mapping[str, Leaf] = {}


def find_remains(
    keys: Collection[str], ends: Ends | None = None, leaves: Mapping[str, Leaf] = _NO_LEAVES
) -> dict[str, "Remains"]:
    """Return what lives or is recorded of the tasks with these keys. One look at all processes, however many keys.

    Args:
        leaves: the cgroups of the tasks, by key.
    """
    if not keys:
        return {}
    found = {key: Remains(mark_for(key), ends, leaves.get(key)) for key in keys}
    by_mark = {remains.mark: key for key, remains in found.items()}
    by_tag = {remains.tag: key for key, remains in found.items()}
    there = {key for key, remains in found.items() if remains.recorded}
    there |= {key for key, leaf in leaves.items() if leaf.pids()}
    for process, tag, marks in _signs():
        for key in filter(None, (by_tag.get(tag), *map(by_mark.get, marks))):
            found[key].note(process)
            there.add(key)
    for leaf in (leaf for key, leaf in leaves.items() if key not in there):
        leaf.remove()
    return {key: found[key] for key in found if key in there}


@attrs.define(eq=False)
class Remains:
    """What is left of one task; see `Proc`.

    Attributes:
        mark: what names the task's tree in `MARK`.
    """

    mark: str
    _ends: Ends | None = None
    _leaf: Leaf | None = None
    _keeper: Stat | None = attrs.field(default=None, init=False)
    _end: End | None = attrs.field(default=None, init=False)
    _seen: dict[int, Stat] = attrs.field(factory=dict, init=False)
    _told: dict[tuple[int, int], str] = attrs.field(factory=dict, init=False)
    _last: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self._look_for_keeper()

    def _look_for_keeper(self) -> None:
        end = self._read()
        if end is not None and end.keeper is not None and end.status is None:
            process = stat(end.keeper)
            if process is not None and process.alive and self._is_ours(process):
                self._keeper = process
            self._read()  # it may have written the rest meanwhile

    @property
    def tag(self) -> int:
        """See `tags`."""
        return tag_for(self.mark)

    @property
    def recorded(self) -> bool:
        """Whether there is a record, which says that the task was launched if nothing else."""
        return self._end is not None

    @property
    def outlives(self) -> bool:
        """Whether its end is known or will be; see `Proc.outlives`."""
        return self._keeper is not None or (self._end is not None and self._end.status is not None)

    def settled(self) -> bool:
        """Tell whether nothing more is to be learned soon: a keeper that is alive writes who it is within moments."""
        if not self._seen or not self._nameless():
            return True
        self._look_for_keeper()
        return not self._nameless() or not self._members()

    def _nameless(self) -> bool:
        return self._end is not None and self._end.keeper is None

    @property
    def ended(self) -> float | None:
        """When it ended, in wall time, if its status is known; else None."""
        end = self._read()
        return end.at if end is not None and end.status is not None else None

    @property
    def pid(self) -> int:
        """The oldest of the processes that were seen, for messages; 0 if none was."""
        return min(self._seen.values(), key=lambda process: process.start).pid if self._seen else 0

    def note(self, process: Stat) -> None:
        """Remember a process as one of these."""
        self._seen[process.pid] = process

    async def wait(self) -> int:
        """Wait until the keeper has ended and return the status that it has written down, at once if it is there.

        Without a keeper, wait until all have gone.

        Raises:
            EndLost: there is no status, and never will be.
        """
        if self._keeper is None and self.ended is None:
            await self.wait_gone()
            raise EndLost
        if self._keeper is not None:
            await self._keeper_gone(self._keeper)
        await trio.lowlevel.checkpoint()
        end = self._read()
        if end is None or end.status is None:
            raise EndLost
        return end.status

    async def _keeper_gone(self, keeper: Stat) -> None:
        while self.ended is None:
            try:
                pinned = open_process(keeper)
            except OSError:  # no descriptors left
                await trio.sleep(_PAUSE)
                continue
            if pinned is None:
                return
            try:
                await trio.lowlevel.wait_readable(pinned.fd)
            finally:
                pinned.close()

    def signal_tree(self, sig: int) -> None:
        """Send a signal to all; see `Proc.signal_tree`."""
        self._last = sig
        if sig == signal.SIGKILL:
            self._kill()
        else:
            self._tell(self._members())

    async def wait_gone(self) -> None:
        """Return when none is alive. Those who come to light after SIGKILL get it too."""
        if not self._members():
            await trio.lowlevel.cancel_shielded_checkpoint()
            return
        await trio.lowlevel.checkpoint()
        while members := self._members():
            if self._last == signal.SIGKILL:
                self._kill()
            waited = False
            for pinned in _pin(members):
                await trio.lowlevel.wait_readable(pinned.fd)
                waited = True
            if not waited:
                await trio.sleep(_PAUSE)

    def signaled(self) -> tuple[str, ...]:
        """Return the names and pids of those to whom signals were sent."""
        return tuple(self._told.values())

    def let_go(self) -> None:
        """Leave them alone. They are not our children, so they outlive us anyway, but not in the task's cgroup."""
        if self._leaf is not None:
            self._leaf.release()

    def hand_over(self) -> None:
        """Leave all to the next daemon; only `close` may follow."""
        if self._leaf is not None:
            self._leaf.hand_over()

    def close(self) -> Usage:
        """Remove the cgroup if there is one, and return what that has counted: nobody else has."""
        if self._leaf is None:
            return Usage()
        cpu = self._leaf.cpu_seconds()
        self._leaf.remove()
        with contextlib.suppress(OSError):  # the last one leaves the home of the daemon that died empty
            self._leaf.path.parent.rmdir()
        return Usage(cpu)

    def _read(self) -> End | None:
        if self._ends is not None and (self._end is None or self._end.status is None):
            self._end = self._ends.read(self.tag)
        return self._end

    def _is_ours(self, process: Stat) -> bool:
        return tag_of(process.pid) == self.tag or self.mark in environment(process.pid, MARK).split(":")

    def _members(self) -> list[Stat]:
        """Return all that are alive, parents before children where that is known."""
        for process, tag, marks in _signs():
            if tag == self.tag or self.mark in marks:
                self.note(process)
        for pid in self._leaf.pids() if self._leaf is not None else ():
            if pid not in self._seen and (member := stat(pid)) is not None:
                self.note(member)
        self._seen = {process.pid: process for process in _below(self._seen.values())}
        return list(self._seen.values())

    def _kill(self) -> None:
        if self._leaf is not None:
            self._leaf.kill()
        done: set[tuple[int, int]] = set()
        for _ in range(_MOST_ROUNDS):  # who forks while the list is being worked off leaves a child that is not on it
            fresh = [process for process in self._members() if (process.pid, process.start) not in done]
            if not fresh:
                return
            self._tell(fresh)
            done.update((process.pid, process.start) for process in fresh)

    def _tell(self, processes: Iterable[Stat]) -> None:
        for pinned in _pin(processes):
            gentle = self._last == signal.SIGINT and ignores(pinned.process.pid, signal.SIGINT)
            pinned.send(signal.SIGTERM if gentle else self._last)
            if self._last in (signal.SIGINT, signal.SIGTERM):
                pinned.send(signal.SIGCONT)
            process = pinned.process
            self._told.setdefault((process.pid, process.start), f"{process.name} (pid {process.pid})")


def _signs() -> Iterator[tuple[Stat, int, list[str]]]:
    """Yield each living process but this one, with its tag (0: none) and its marks.

    A task may have started this very daemon, and with it all that it will launch: marks that we bear ourselves say
    nothing.
    """
    own = os.getpid()
    ours = set(environment(own, MARK).split(":")) | {""}
    for pid in all_pids():
        if pid == own:
            continue
        tag = tag_of(pid) or 0
        marks = [mark for mark in environment(pid, MARK).split(":") if mark not in ours]
        if (tag or marks) and (process := stat(pid)) is not None and process.alive:
            yield process, tag, marks


def _below(roots: Iterable[Stat]) -> list[Stat]:
    """Return those of `roots` that are alive still, and all that live below them, without this process and its own."""
    found: list[Stat] = []
    queue = [(root.pid, root.start) for root in sorted(roots, key=lambda root: root.start)]
    met = {pid for pid, _ in queue} | {os.getpid()}
    for pid, start in queue:
        process = stat(pid)
        if process is None or start not in (0, process.start):
            continue
        if process.alive:
            found.append(process)
        fresh = [child for child in children(pid) if child not in met]
        met.update(fresh)
        queue += [(child, 0) for child in fresh]
    return found


def _pin(processes: Iterable[Stat]) -> Iterator[Pinned]:
    """Yield each that lives still, held for as long as the consumer looks at it."""
    for process in processes:
        try:
            pinned = open_process(process)
        except OSError:  # no descriptors left: the next step of the stop sequence may find some
            continue
        if pinned is not None:
            try:
                yield pinned
            finally:
                pinned.close()
