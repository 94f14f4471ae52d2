"""What tests of real processes share: who is alive, and what this machine allows."""

import os
from pathlib import Path

from prunner_trio.launch.cgroup import Leaves
from prunner_trio.launch.standing import find_parent

__all__ = ["cgroup_works", "command_line", "everybody", "living", "sleeping"]


def cgroup_works() -> bool:
    """Tell whether cgroups of version 2 can be made here."""
    parent = find_parent()
    try:
        if parent is None:
            return False
        Leaves.below(parent).close()
    except OSError:
        return False
    return True


def everybody() -> list[int]:
    """Return the pids of all processes, zombies included."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def command_line(pid: int) -> list[str]:
    """Return the words by which a process was started; none for a zombie, and for who is gone."""
    try:
        text = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return []
    return text.split("\0")[:-1]


def living(token: str) -> list[int]:
    """Return the living processes that have a text in their command line, in which a blank follows each word."""
    return [pid for pid in everybody() if token in "".join(f"{word} " for word in command_line(pid))]


def sleeping(token: str) -> list[int]:
    """Return the living programs `sleep` that have a text in their command line."""
    lines = ((pid, command_line(pid)) for pid in everybody())
    return [pid for pid, words in lines if words and words[0].endswith("sleep") and token in " ".join(words)]
