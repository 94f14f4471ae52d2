"""What /proc says about processes. Everything here is a moment's truth: a process may be gone when it is read.

A pid alone names nobody: it may have been given to another process. `open_process` pins the process that was seen.
"""

import contextlib
import os
import signal
import time
from collections.abc import Container, Iterable

import attrs

from prunner_trio.launch.descriptors import close_held, hold, look
from prunner_trio.launch.tags import tag_of

__all__ = [
    "Pinned",
    "Stat",
    "age",
    "all_pids",
    "children",
    "descendants",
    "environment",
    "ignores",
    "inner_pid",
    "members_at_large",
    "open_process",
    "read_file",
    "stat",
]


_MOST_LOOKS = 10
_TICKS = os.sysconf("SC_CLK_TCK")


@attrs.frozen
class Stat:
    """One process.

    Attributes:
        start: clock ticks since boot; together with `pid` it names one process for ever.
        alive: False for a zombie: it has ended and waits for its parent.
        name: of the program or script, at most 15 bytes of it.
    """

    pid: int
    start: int
    parent: int
    group: int
    alive: bool
    name: str = ""


def stat(pid: int) -> Stat | None:
    """Return what is known of a process; None if there is none."""
    text = read_file(f"/proc/{pid}/stat")
    if not text:
        return None
    end = text.rindex(b")")
    fields = text[end + 2 :].split(b" ")
    # The main thread of a process may end before the others; the process lives on, though it is shown as a zombie.
    alive = fields[0] not in (b"Z", b"X", b"x") or int(fields[17]) > 1
    name = text[text.index(b"(") + 1 : end].decode(errors="replace")
    return Stat(pid, int(fields[19]), int(fields[1]), int(fields[2]), alive, name)


def age(process: Stat) -> float:
    """Return for how many seconds a process has been there, those included for which the machine slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - process.start / _TICKS


def children(pid: int) -> list[int]:
    """Return the children of a process, zombies included."""
    try:
        threads = look(lambda: os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return []
    found: list[int] = []
    for thread in threads:
        found += map(int, read_file(f"/proc/{pid}/task/{thread}/children").split())
    return found


def descendants(roots: Iterable[Stat], without: Container[int] = ()) -> dict[int, Stat]:
    """Return those of these processes that are still there, and all below them, parents before children.

    Zombies are left out, not their children. A number that was on a list of children may be another's when it is looked
    at. It cannot, if its parent is as named and still there afterwards; and who is older than this look was born to
    somebody who was seen in it.

    Args:
        without: numbers of processes that are left out with all below them.
    """
    began = _ticks_since_boot()
    queue = [process for root in roots if (process := stat(root.pid)) is not None and process.start == root.start]
    met = {process.pid for process in queue}
    found: dict[int, Stat] = {}
    for process in queue:
        if process.alive:
            found[process.pid] = process
        fresh = [pid for pid in children(process.pid) if pid not in met and pid not in without]
        born = [child for pid in fresh if (child := stat(pid)) is not None]
        if born and (parent := stat(process.pid)) is not None and parent.start == process.start:
            born = [child for child in born if child.parent == process.pid]
        else:
            born = [child for child in born if child.start < began]
        met.update(child.pid for child in born)
        queue += born
    return found


def _ticks_since_boot() -> int:
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * _TICKS)


def all_pids() -> list[int]:
    """Return the pids of all processes, zombies included."""
    return [int(name) for name in look(lambda: os.listdir("/proc")) if name.isdigit()]


def members_at_large(group: int, tag: int) -> list[int]:
    """Return all processes of a process group, and those of this user that have a tag, zombies included."""
    found: list[int] = []
    seen: set[int] = set()
    for _ in range(_MOST_LOOKS):
        vanished = set()
        fresh = set(all_pids()) - seen
        for pid in fresh:
            try:
                if os.getpgid(pid) == group or tag_of(pid, thorough=False) == tag:
                    found.append(pid)
            except OSError:
                vanished.add(pid)
        if found or not vanished:
            break
        # Who vanished may have been a member, and may have left a child that was not on the list yet.
        seen |= fresh - vanished
    return found


def environment(pid: int, name: str) -> str:
    """Return a variable of the environment with which a process was started; empty if unset or not ours to read."""
    prefix = os.fsencode(name) + b"="
    for entry in read_file(f"/proc/{pid}/environ").split(b"\0"):
        if entry.startswith(prefix):
            return os.fsdecode(entry.removeprefix(prefix))
    return ""


def ignores(pid: int, sig: int) -> bool:
    """Tell whether a process ignores a signal."""
    for line in read_file(f"/proc/{pid}/status").splitlines():
        if line.startswith(b"SigIgn:"):
            return bool(int(line.split()[1], 16) >> (sig - 1) & 1)
    return False


def inner_pid(pid: int) -> int:
    """Return the number of a process in the innermost PID namespace that it is in; 0 if it is gone."""
    for line in read_file(f"/proc/{pid}/status").splitlines():
        if line.startswith(b"NSpid:"):
            return int(line.split()[-1])
    return 0


@attrs.define(eq=False)
class Pinned:
    """A process that cannot be mistaken for another one, held by a descriptor."""

    process: Stat
    fd: int

    def send(self, sig: int) -> None:
        """Send a signal; that the process is gone, or not ours, is no error."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            signal.pidfd_send_signal(self.fd, sig)

    def close(self) -> None:
        """Let the process go."""
        close_held(self.fd)


def open_process(process: Stat) -> Pinned | None:
    """Pin a process that was seen a moment ago; None if it is gone.

    Raises:
        OSError: no descriptor is to be had.
    """
    try:
        fd = hold(lambda: os.pidfd_open(process.pid))
    except ProcessLookupError:
        return None
    now = stat(process.pid)
    if now is None or now.start != process.start or not now.alive:
        close_held(fd)
        return None
    return Pinned(process, fd)


def read_file(path: str) -> bytes:
    """Return the content of a small file; nothing if it, or its process, is gone."""
    try:
        return look(lambda: _content(path))
    except OSError:
        return b""


def _content(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(fd, 65536):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(fd)
