"""What is still alive of tasks that an earlier daemon launched.

These processes are not our children: their exit status goes to somebody else, and their numbers may be given to others
at any moment. So they are found anew by the signs that every process of a task inherits (see `tags` and `tree.MARK`),
and each is pinned before a signal is sent or its end waited for. How a task ended is known if it had a keeper that has
written it down (see `ends`).
"""

import contextlib
import os
import signal
from collections.abc import Collection, Container, Iterator, Mapping

import attrs
import trio

from prunner_trio.errors import EndLost
from prunner_trio.execution.seams import Usage
from prunner_trio.launch.cgroup import Leaf
from prunner_trio.launch.crowd import Crowd
from prunner_trio.launch.ends import End, Ends
from prunner_trio.launch.procfs import Stat, age, all_pids, descendants, environment, open_process, stat
from prunner_trio.launch.tags import tag_for, tag_of
from prunner_trio.launch.tree import MARK, mark_for

__all__ = ["Remains", "find_remains"]

_PAUSE = 0.01

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
    recorded = _recorded(ends)
    found = {}
    for key in keys:
        mark = mark_for(key)
        has_record = recorded is None or (bool(recorded) and tag_for(mark) in recorded)
        found[key] = Remains(mark, ends if has_record else None, leaves.get(key))
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


def _recorded(ends: Ends | None) -> frozenset[int] | None:
    """Return whose ends are recorded; None: nobody knows, all must be tried.

    One look at the directory, since nobody makes records now: with 100,000 jobs that wait, trying to open one for each
    of their tasks took a third of the time until the daemon was ready.
    """
    try:
        return ends.tags() if ends is not None else frozenset()
    except OSError:
        return None


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
    _crowd: Crowd = attrs.field(factory=Crowd, init=False)

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
    def age(self) -> float | None:
        """See `Remaining.age`; known as long as the keeper is alive."""
        return age(self._keeper) if self._keeper is not None and self.ended is None else None

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
        self._crowd.last = sig
        if sig == signal.SIGKILL:
            self._kill()
        else:
            self._crowd.tell(self._members())

    @property
    def gone(self) -> bool:
        """Whether none is alive."""
        return not self._members()

    async def wait_gone(self) -> None:
        """Return when none is alive. Those who come to light after SIGKILL get it too."""
        if not self._members():
            await trio.lowlevel.cancel_shielded_checkpoint()
            return
        await trio.lowlevel.checkpoint()
        while members := self._members():
            if self._crowd.last == signal.SIGKILL:
                self._kill()
            elif self._crowd.last:
                self._crowd.tell_missed(members)
            if self._crowd.missing or not await self._crowd.ends(members):
                await trio.sleep(_PAUSE)

    def signaled(self) -> tuple[str, ...]:
        """Return the names and pids of those to whom signals were sent."""
        return self._crowd.names()

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
        if self._leaf is not None:
            seen = [member for pid in self._leaf.pids() if pid not in self._seen and (member := stat(pid)) is not None]
            inside = set(self._leaf.pids()) if seen else set()
            for member in seen:
                if member.pid in inside:  # else its number may have been another's when it was looked at
                    self.note(member)
        roots = sorted(self._seen.values(), key=lambda process: process.start)
        self._seen = descendants(roots, without={os.getpid()})
        return list(self._seen.values())

    def _kill(self) -> None:
        if self._leaf is not None:
            self._leaf.kill()
        self._crowd.kill(self._members)


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
        if not _signs_of(pid, ours):
            continue
        # Once more after it was looked at, or its number could have been another's by then.
        if (process := stat(pid)) is not None and process.alive and (found := _signs_of(pid, ours)) is not None:
            yield process, *found


def _signs_of(pid: int, ours: Container[str]) -> tuple[int, list[str]] | None:
    tag = tag_of(pid) or 0
    marks = [mark for mark in environment(pid, MARK).split(":") if mark not in ours]
    return (tag, marks) if tag or marks else None
