"""What a process of this machine has used."""

import os
import re
import time
from pathlib import Path

__all__ = ["cpu_seconds", "memory", "peak_memory"]

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
