"""A PID namespace for each task: whatever its processes do, they end with the first one of it.

That is a small shell (see `wrap`), which runs the command as its child. Nobody in the namespace can end it, hide from
it or leave; the kernel gives it all orphans. A signal below SIGKILL does not reach it, so all but it are told.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import socket
from collections.abc import Iterator

import attrs
import trio

from prunner_trio.launch.procfs import Stat, children, descendants, inner_pid, stat
from prunner_trio.launch.tree import Tree

__all__ = ["NamespaceTree", "Namespaces"]

_CLONE_NEWPID = 0x20000000
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.001, 0.05
_MOST_BYTES = 64


@attrs.define(eq=False)
class Namespaces:
    """Makes PID namespaces.

    Attributes:
        unshare: path of the program that shows a namespace in /proc.
    """

    unshare: str
    _own: int
    _away: bool = attrs.field(default=False, init=False)

    @classmethod
    def open(cls) -> "Namespaces":
        """Find what is needed. Raises ``OSError``."""
        unshare = shutil.which("unshare")
        if unshare is None:
            raise FileNotFoundError("the program unshare (util-linux) is not installed")
        return cls(unshare, os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC))

    @contextlib.contextmanager
    def fresh(self) -> Iterator[None]:
        """Let the first process that this thread starts in the block be the first one of a new namespace.

        Raises:
            OSError: we may not, or there are too many.
        """
        self._come_back()
        _check(ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWPID))
        self._away = True
        try:
            yield
        finally:
            self._come_back()

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._own)

    def _come_back(self) -> None:
        if self._away:  # else what this thread starts next would be part of a task, or could not be started
            _check(ctypes.CDLL(None, use_errno=True).setns(self._own, _CLONE_NEWPID))
            self._away = False


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@attrs.define(eq=False)
class NamespaceTree(Tree):
    """The processes of one task in a namespace of its own. Its leader is the first process, not the command."""

    _control: socket.socket
    _heard: bytes = attrs.field(default=b"", init=False)
    _waiter: tuple[int, int] | None = attrs.field(default=None, init=False)

    async def leader_ended(self) -> int:
        """Wait for the command and return its status: 0 to 255, and 128 + n when signal n ended it.

        Negative if the first process ended before it could tell.
        """
        await trio.lowlevel.checkpoint()
        while self._listen():
            await trio.lowlevel.wait_readable(self._control)
        if (status := self._command_status()) is not None:
            return status
        return await super().leader_ended()

    def members(self) -> list[Stat]:
        """Return the living processes of the namespace, parents before children, but not the two that are ours."""
        self._listen()
        # Before the first process has told of its child there is no command, and when it is reaped there is nobody.
        if self._waiter is None or self.status() is not None:
            return []
        leader = stat(self.leader)
        found = descendants([leader] if leader is not None else [])
        found.pop(self.leader, None)
        return [process for process in found.values() if (process.pid, process.start) != self._waiter]

    def let_go(self) -> None:
        """Do nothing: they end with the namespace."""

    def is_gone(self) -> bool:
        """Tell whether the namespace has ended; nobody ends its first process but we."""
        return self.status() is not None

    async def gone(self) -> None:
        """Wait until nobody is left but the first process, and end that."""
        if not self._crowd.last:
            await self.leader_ended()
        pause = _SHORTEST_PAUSE
        # A list of children that changes while it is read may lack one; two in a row will not.
        while members := self.members() or self.members():
            self._tell_latecomers(members)
            if self._crowd.missing or not await self._crowd.ends(members):
                await trio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
        self._end()
        while self.status() is None:
            await trio.lowlevel.wait_readable(self._pidfd)
        await trio.lowlevel.checkpoint()

    def close(self) -> tuple[float, int | None]:
        """End the namespace, if it has not ended, and do as any tree."""
        self._end()
        self._control.close()
        return super().close()

    def _kill(self) -> None:
        self._crowd.last = signal.SIGKILL
        for process in self.members() if not self._crowd.names() else ():
            self._crowd.note(process)
        self._end()

    def _end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def _listen(self) -> bool:
        """Take in what the first process has to say; False when it has said all that it will."""
        while self._command_status() is None:
            try:
                more = self._control.recv(_MOST_BYTES, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return True
            except ConnectionError:
                return False
            if not more:
                return False
            self._heard += more
            if self._waiter is None and b"\n" in self._heard:
                self._waiter = self._find(int(self._heard.split(b"\n")[0]))
        return False

    def _command_status(self) -> int | None:
        lines = self._heard.split(b"\n")
        return int(lines[1]) if len(lines) > 2 else None

    def _find(self, number: int) -> tuple[int, int]:
        """Return pid and start of the child of the first process that has this number inside; zeros if it is gone."""
        for pid in children(self.leader):
            if inner_pid(pid) == number and (process := stat(pid)) is not None:
                return pid, process.start
        return 0, 0
