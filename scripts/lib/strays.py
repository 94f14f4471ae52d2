"""Processes that hold the output of a stage open after it has ended. Standard library only."""

import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Stray:
    """A process, and by what command it was started."""

    pid: int
    command: str


def holders(pipe: int) -> list[Stray]:
    """Return the other processes that have the writing end of a pipe open, whose reading end is `pipe`."""
    name = os.readlink(f"/proc/self/fd/{pipe}")
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid() and _has_open(int(entry), name):
            found.append(Stray(int(entry), _command(int(entry))))
    return found


def kill_holders(pipe: int) -> None:
    """Kill those processes, and only them: each is held while it is looked at again."""
    name = os.readlink(f"/proc/self/fd/{pipe}")
    for stray in holders(pipe):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            held = os.pidfd_open(stray.pid)
            try:
                if _has_open(stray.pid, name):
                    signal.pidfd_send_signal(held, signal.SIGKILL)
            finally:
                os.close(held)


def _has_open(pid: int, name: str) -> bool:
    try:
        descriptors = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            if os.readlink(descriptor) == name:
                return True
    return False


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return b" ".join(words).decode(errors="replace").strip()
    return ""
