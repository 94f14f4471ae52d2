"""What a process of this machine has used."""

import os
import re
import signal
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

__all__ = ["cpu_seconds", "end_sessions", "memory", "peak_memory"]

_CPU_OF_ALL_THREADS = 2
"""The kind of clock, in the low bits of the numbers that Linux gives the clocks of other processes."""


def cpu_seconds(pid: int) -> float:
    """Return the processor time of all threads of a process, without its children; finer than the ticks in /proc."""
    return time.clock_gettime(~pid << 3 | _CPU_OF_ALL_THREADS)


def memory(pid: int) -> int:
    """Return the resident bytes of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def peak_memory(pid: int) -> int:
    """Return the most bytes that were ever resident."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def end_sessions(leaders: Collection[int]) -> None:
    """Kill who is alive in the sessions of processes that are dead: tasks of daemons that were killed."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                session = int((entry / "stat").read_text().rpartition(")")[2].split()[3])
                if session in leaders:
                    os.kill(int(entry.name), signal.SIGKILL)
