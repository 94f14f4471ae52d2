"""The processes of a task as one tree, and the register of all trees of this process.

A tree is found from its leader downwards. What lost its parent is found again by the process group, by the tag that
every process of the tree inherits as a resource limit (see `tags`), by the mark that it inherits in its environment, or
because it was seen below the leader before. If this process is a child subreaper (see `open_launcher`), such orphans
become our children, and one read of a small file tells that there are none. If it is not, the whole of /proc has to be
searched, for the group and the tag. With a cgroup leaf, the kernel itself keeps the list, and says whether anybody
is in it.
"""

import contextlib
import os
import secrets
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from resource import RUSAGE_SELF, getrusage, struct_rusage
from urllib.parse import quote

import attrs
import trio

from prunner_trio.launch.cgroup import Leaf
from prunner_trio.launch.crowd import Crowd
from prunner_trio.launch.procfs import (
    Stat,
    descendants,
    environment,
    members_at_large,
    stat,
)
from prunner_trio.launch.tags import tag_for, tag_of

__all__ = ["MARK", "Tree", "Trees", "mark_for"]

MARK = "PRUNNER_TREE"
"""The variable by which a process tells to which trees it belongs, separated by colons, outermost first."""


def mark_for(key: str) -> str:
    """Return the mark of the tree of a command with this key: the same in every daemon, and without a colon."""
    return quote(key.encode(errors="surrogatepass"), safe="/")


_leaders: set[int] = set()
"""The leaders of all trees of this process, whichever register has them: nobody else may reap or signal them."""

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.001, 0.05


@attrs.define(eq=False)
class Trees:
    """All trees of this process.

    Attributes:
        subreaper: orphans become children of this process.
    """

    subreaper: bool = False
    _trees: dict[int, "Tree"] = attrs.field(factory=dict, init=False)
    _by_tag: dict[int, "Tree"] = attrs.field(factory=dict, init=False)
    _instance: str = attrs.field(factory=lambda: secrets.token_hex(8), init=False)
    _count: int = attrs.field(default=0, init=False)
    _kept: set[object] = attrs.field(factory=set, init=False)
    _children_fd: int | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        # At once, for when no descriptor is left it is needed most. The kernel gives orphans to the first living thread
        # of a subreaper: that is the main thread, whose id is the pid.
        if self.subreaper:
            self._children_fd = os.open(f"/proc/self/task/{os.getpid()}/children", os.O_RDONLY | os.O_CLOEXEC)

    def new_mark(self, outer: str, key: str) -> str:
        """Return the mark of the next tree; `outer` is that of the trees in which we ourselves run, if any.

        Args:
            key: see `Command.key`; without one, the mark is one that no tree ever had.
        """
        self._count += 1
        mark = mark_for(key) if key else f"{self._instance}.{self._count}"
        return f"{outer}:{mark}" if outer else mark

    def add(self, tree: "Tree") -> None:
        """Register the tree of a process that was started just now."""
        self._trees[tree.leader] = tree
        self._by_tag[tree.tag] = tree
        _leaders.add(tree.leader)

    def forget(self, tree: "Tree") -> None:
        """Take a tree off the register."""
        del self._trees[tree.leader]
        del self._by_tag[tree.tag]
        _leaders.discard(tree.leader)

    def only_leaders(self) -> bool:
        """Tell whether no child of ours is an orphan. Changes nothing, so it may be called at any moment."""
        return self._children_fd is None or _leaders.issuperset(self._children(self._children_fd))

    def orphans(self) -> list[Stat]:
        """Return the living processes that lost their parents and came to us; reap those that have ended.

        Programs that other parts of this process started in its own group, without a launcher, are not touched.
        """
        if self._children_fd is None:  # no subreaper, or closed: a last child may have ended just before
            return []
        while True:
            living, dead = [], 0
            for pid in self._children(self._children_fd):
                if pid in _leaders or (process := stat(pid)) is None or self._is_of_others(process):
                    continue
                if process.alive:
                    living.append(process)
                    continue
                tree = self._trees.get(process.group) or self._by_tag.get(tag_of(pid) or 0)
                with contextlib.suppress(ChildProcessError):
                    used = os.wait4(pid, os.WNOHANG)[2]
                    dead += 1
                    if tree is not None:
                        tree.note_usage(used)
            if not dead:
                if not living:  # all that live come from an orphan
                    self._kept.clear()
                return living
            # Who ended after the list was read may have left children to us that are not on it.

    def _is_of_others(self, process: Stat) -> bool:
        # A process of a task may go into our group, to look like one of those; it cannot lose its tag unawares.
        if process.group != os.getpgrp():
            return False
        tag = tag_of(process.pid)
        return tag not in self._by_tag and tag not in self._kept

    def strays(self) -> list[Stat]:
        """Return the orphans that nobody has let go."""
        return [orphan for orphan in self.orphans() if not self._is_kept(orphan)]

    def keep(self, tree: "Tree", members: Iterable[Stat]) -> None:
        """Remember that these, and who is still to come from them, belong to nobody from now on."""
        self._kept |= {tree.tag, tree.mark, *((member.pid, member.start) for member in members)}

    def _is_kept(self, orphan: Stat) -> bool:
        if not self._kept:
            return False
        signs = {tag_of(orphan.pid), (orphan.pid, orphan.start), *environment(orphan.pid, MARK).split(":")}
        return not self._kept.isdisjoint(signs)

    def owner(self, orphan: Stat) -> "Tree | None":
        """Return the tree to which an orphan belongs; None if nothing tells."""
        if self._is_kept(orphan):
            return None
        if (tree := self._trees.get(orphan.group)) is not None:
            return tree
        tag = tag_of(orphan.pid)
        if tag is not None and (tree := self._by_tag.get(tag)) is not None:
            return tree
        marks = environment(orphan.pid, MARK).split(":")
        for tree in self._trees.values():
            if tree.mark in marks or tree.knows(orphan):
                return tree
        return next(iter(self._trees.values())) if len(self._trees) == len(_leaders) == 1 else None

    def close(self) -> None:
        """Let go of what the register holds itself."""
        if self._children_fd is not None:
            os.close(self._children_fd)
            self._children_fd = None

    @staticmethod
    def _children(listed: int) -> Iterator[int]:
        # Reading the list is reliable because nobody but us takes entries off it, by reaping.
        size = 1 << 16
        while len(data := os.pread(listed, size, 0)) == size:
            size *= 2
        return map(int, data.split())


@attrs.define(eq=False)
class Tree:
    """The processes of one task.

    Attributes:
        leader: pid of the first process. It stays a zombie until `close`, so that the number, which also names the
            process group, belongs to nobody else while we may signal it.
        mark: what names this tree in `MARK`.
        tag: see `tags`.
    """

    leader: int
    _pidfd: int
    mark: str
    _trees: Trees
    _leaf: Leaf | None
    tag: int = attrs.field(init=False)
    _ended: bool = attrs.field(default=False, init=False)
    _empty: bool = attrs.field(default=False, init=False)
    _crowd: Crowd = attrs.field(factory=Crowd, init=False)
    _seen: dict[int, int] = attrs.field(factory=dict, init=False)
    _cpu: float = attrs.field(default=0.0, init=False)
    _largest: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self.tag = tag_for(self.mark)

    def status(self) -> int | None:
        """Return the leader's exit status, negative for a signal; None while it runs."""
        info = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        if info is None:
            return None
        self._ended = True
        return info.si_status if info.si_code == os.CLD_EXITED else -info.si_status

    async def leader_ended(self) -> int:
        """Wait for the leader and return its status. One waiter at a time."""
        while True:
            await trio.lowlevel.wait_readable(self._pidfd)
            if (status := self.status()) is not None:
                return status

    def knows(self, process: Stat) -> bool:
        """Tell whether a process was seen in this tree before."""
        return self._seen.get(process.pid) == process.start

    def members(self) -> list[Stat]:
        """Return all processes of the tree that are alive, parents before children where it is known."""
        while roots := self._roots():
            if found := descendants(roots):
                self._seen.update((process.pid, process.start) for process in found.values())
                return list(found.values())
            # All of them have ended since we looked; what they leave behind shows only now.
        return []

    def signal(self, sig: int) -> None:
        """Signal every process of the tree; see `Proc.signal_tree`."""
        if sig == signal.SIGKILL:
            self._kill()
            return
        self._crowd.last = sig
        # Parents first: a shell must know of the interrupt before it sees its child end, or it would go on.
        self._crowd.tell(self.members())

    def signaled(self) -> tuple[str, ...]:
        """Return to whom signals were sent, leaders of the tree before others, as `name (pid n)`."""
        return self._crowd.names()

    def hand_over(self) -> None:
        """Leave all to the next daemon; only `close` may follow."""
        self._trees.keep(self, self.members())
        if self._leaf is not None:
            self._leaf.hand_over()

    def let_go(self) -> None:
        """Leave the living alone from now on, but for `close`."""
        if kept := self.members():
            self._trees.keep(self, kept)
            if self._leaf is not None:
                self._leaf.release()

    def is_gone(self) -> bool:
        """Tell whether no process of the tree is alive, for certain."""
        # A list of all processes that changes while it is read may lack one; two in a row will not.
        return not self.members() and (self._trees.subreaper or not self.members())

    async def gone(self) -> None:
        """Wait until no process of the tree is alive; see `_tell_latecomers`."""
        if self.status() is None and not self._crowd.missing:
            await self.leader_ended()
        pause = _SHORTEST_PAUSE
        while members := self.members():
            self._tell_latecomers(members)
            if self._crowd.missing or not await self._crowd.ends(members):
                await trio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
        await trio.lowlevel.checkpoint()

    def note_usage(self, used: struct_rusage) -> None:
        """Add what a process that has ended has used."""
        self._cpu += used.ru_utime + used.ru_stime
        self._largest = max(self._largest, used.ru_maxrss * 1024)

    def close(self) -> tuple[float, int | None]:
        """Reap the leader, give the descriptors back, remove the leaf.

        Returns:
            The processor time in seconds, and the bytes of the largest process if they are known.
        """
        # A leader that survived SIGKILL (in an uninterruptible system call) becomes an orphan of ours.
        with contextlib.suppress(ChildProcessError):
            self.note_usage(os.wait4(self.leader, os.WNOHANG)[2])
        os.close(self._pidfd)
        self._trees.forget(self)
        cpu = None
        if self._leaf is not None:
            cpu = self._leaf.cpu_seconds()
            self._leaf.remove()
        # Until it executes a program, a child is an image of this process, and its peak is never below ours.
        own = getrusage(RUSAGE_SELF).ru_maxrss * 1024
        return self._cpu if cpu is None else cpu, self._largest if self._largest > own else None

    def _tell_latecomers(self, members: Sequence[Stat]) -> None:
        """Give those whom the last signal missed, because they had only just been started, their share.

        Below SIGKILL that is for orphans only: a program that is cleaning up may start others to do so.
        """
        if self._crowd.last == signal.SIGKILL:
            self._kill()
        elif self._crowd.last:
            alive = {process.pid for process in members}
            orphans = [process for process in members if process.parent not in alive]
            self._crowd.tell([process for process in orphans if not self._crowd.knows(process)])
            self._crowd.tell_missed(members)

    def _roots(self) -> list[Stat]:
        """Return living processes below which all members are."""
        if self._empty:
            return []
        leader = None if self._ended or self.status() is not None else stat(self.leader)
        roots = [leader] if leader is not None else []
        roots += [orphan for orphan in self._trees.orphans() if self._trees.owner(orphan) is self]
        if self._leaf is not None:
            # A root's program can leave its cgroup, and is known by the other signs then.
            if self._ended and self._leaf.empty():
                self._empty = not roots
                return roots
            return roots + self._others(roots, self._leaf.pids)
        if not self._trees.subreaper:
            return roots + self._others(roots, lambda: members_at_large(self.leader, self.tag))
        return roots

    def _others(self, known: list[Stat], listed: Callable[[], list[int]]) -> list[Stat]:
        """Return those on a list that are alive and not known, without those whose numbers were another's meanwhile."""
        pids = {process.pid for process in known}
        seen = [process for pid in listed() if pid not in pids and (process := stat(pid)) is not None and process.alive]
        if not seen:
            return []
        still = set(listed())
        return [process for process in seen if process.pid in still]

    def _kill(self) -> None:
        self._crowd.last = signal.SIGKILL
        members = self.members()
        if not members and self._ended:
            return
        if not self._crowd.names():  # the dead have no names
            for process in members:
                self._crowd.note(process)
        if self._leaf is not None:
            self._leaf.kill()
        # At once for the whole group, so that no member can escape by forking. The number is ours until `close`.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.leader, signal.SIGKILL)
        self._crowd.kill(self._beyond_the_leaf)

    def _beyond_the_leaf(self) -> list[Stat]:
        members = self.members()
        if self._leaf is None or not members:
            return members
        inside = set(self._leaf.pids())  # they have got it from the kernel
        return [process for process in members if process.pid not in inside]
