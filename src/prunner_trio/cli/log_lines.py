"""From the bytes of a log to what is written of it: lines, and what stands in front of them. Pure."""

from collections.abc import Sequence

from prunner_trio.cli.text import plain, shown_line, width_of

__all__ = ["LONGEST_LINE", "PALETTE", "LogLines", "front", "prefix"]

PALETTE = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)
"""Colors for the names of tasks, in this order."""

LONGEST_LINE = 64 * 1024
"""Longer lines are shown in parts."""


class LogLines:
    """One log on its way. For programs, bytes stay as they are; for a terminal, they become text that does no harm."""

    def __init__(self, *, terminal: bool, colors: bool) -> None:
        self._terminal = terminal
        self._colors = colors
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that are whole by now, without their ends."""
        self._rest += data
        *lines, self._rest = self._rest.split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            lines.append(self._rest)
            self._rest = bytearray()
        return [self._shown(bytes(line)) for line in lines]

    def end(self) -> list[bytes]:
        """Return what is left at the end: a line that was not ended."""
        rest, self._rest = bytes(self._rest), bytearray()
        return [self._shown(rest)] if rest else []

    def _shown(self, line: bytes) -> bytes:
        if not self._terminal:
            return line
        return shown_line(line.decode(errors="replace"), colors=self._colors).encode(errors="replace")


def front(prefix: str, color: int, *, colored: bool) -> bytes:
    """Return what stands in front of a line."""
    text = f"\x1b[{color}m{prefix}\x1b[0m" if colored and prefix else prefix
    return text.encode(errors="backslashreplace")


def prefix(task: str, tasks: Sequence[str]) -> str:
    """Return what tells the lines of a task from those of the others that are shown; empty if there are none."""
    if len(tasks) < 2:
        return ""
    name = plain(task)
    return f"{name}{' ' * (max(width_of(plain(other)) for other in tasks) - width_of(name))} | "
