"""Signals to many processes, and the wait for their end: each is held meanwhile, lest its number become another's."""

import logging
import signal
from collections.abc import Callable, Iterable

import attrs
import trio

from prunner_trio.launch.procfs import Stat, ignores, open_process

__all__ = ["Crowd"]

log = logging.getLogger(__name__)

_MOST_ROUNDS = 10
_Key = tuple[int, int]


@attrs.define(eq=False)
class Crowd:
    """What the processes of one task have been told.

    Attributes:
        last: the last signal that was meant for all of them; 0: none was.
    """

    last: int = 0
    _told: dict[_Key, str] = attrs.field(factory=dict, init=False)
    _missed: set[_Key] = attrs.field(factory=set, init=False)

    def tell(self, processes: Iterable[Stat]) -> None:
        """Send them the last signal.

        SIGINT becomes SIGTERM for who ignores it, and SIGCONT follows both: who is stopped does not act on them. If no
        descriptor is to be had to hold one with, it is `missed`, and the log says so.
        """
        for process in processes:
            try:
                pinned = open_process(process)
            except OSError as exc:
                if not self._missed:
                    log.warning("a process cannot be signaled yet", extra={"pid": process.pid, "error": exc.strerror})
                self._missed.add(_key(process))
                continue
            self._missed.discard(_key(process))
            if pinned is None:
                continue
            try:
                gentle = self.last == signal.SIGINT and ignores(process.pid, signal.SIGINT)
                pinned.send(signal.SIGTERM if gentle else self.last)
                if self.last in (signal.SIGINT, signal.SIGTERM):
                    pinned.send(signal.SIGCONT)
            finally:
                pinned.close()
            self.note(process)

    def tell_missed(self, members: Iterable[Stat]) -> None:
        """Send the last signal to those that did not get one for want of descriptors."""
        missed = [process for process in members if _key(process) in self._missed]
        self._missed.intersection_update(map(_key, missed))
        self.tell(missed)

    @property
    def missing(self) -> bool:
        """Whether somebody has yet to get the last signal, who may live on until then."""
        return bool(self._missed)

    def kill(self, members: Callable[[], Iterable[Stat]]) -> None:
        """Send SIGKILL to all of them.

        Args:
            members: asked again and again, since who forks while a list is worked off leaves a child that is not on it.
        """
        self.last = signal.SIGKILL
        done: set[_Key] = set()
        for _ in range(_MOST_ROUNDS):
            fresh = [process for process in members() if _key(process) not in done]
            if not fresh:
                return
            self.tell(fresh)
            done.update(map(_key, fresh))

    def note(self, process: Stat) -> None:
        """Remember one as told."""
        name = "".join(letter if letter.isprintable() else "?" for letter in process.name)
        self._told.setdefault(_key(process), f"{name} (pid {process.pid})")

    def knows(self, process: Stat) -> bool:
        """Tell whether one was told anything."""
        return _key(process) in self._told

    def names(self) -> tuple[str, ...]:
        """Return who was told, leaders before others, as `name (pid n)`."""
        return tuple(self._told.values())

    async def ends(self, members: Iterable[Stat]) -> bool:
        """Wait for the end of these; False if not even one could be waited for."""
        waited = False
        for process in members:
            try:
                pinned = open_process(process)
            except OSError:
                continue
            if pinned is not None:
                try:
                    await trio.lowlevel.wait_readable(pinned.fd)
                finally:
                    pinned.close()
                waited = True
        return waited


def _key(process: Stat) -> _Key:
    return process.pid, process.start
