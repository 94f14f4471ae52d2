"""What short commands write to: a terminal, or something that a program reads."""

import json
import os
import shutil
import sys
from collections.abc import Iterable

__all__ = ["Paper", "colors_on"]


def colors_on(fd: int, *, plain: bool) -> bool:
    """Whether what is written to a descriptor may have colors; see https://no-color.org."""
    return os.isatty(fd) and not plain and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class Paper:
    """The standard output.

    Attributes:
        terminal: somebody looks at it.
        colors: and may see colors.
        width: columns.
    """

    def __init__(self, *, plain: bool) -> None:
        self.terminal = sys.stdout.isatty()
        self.colors = self.terminal and colors_on(sys.stdout.fileno(), plain=plain)
        self.width = shutil.get_terminal_size().columns
        for stream in (sys.stdout, sys.stderr):
            # A sign of ours that the locale has no letter for must not end the program.
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]

    def lines(self, lines: Iterable[str]) -> None:
        """Write lines."""
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        sys.stdout.flush()

    def json(self, value: object, *, indent: int | None = 2) -> None:
        """Write a value as JSON; without an indent in one line."""
        self.lines([json.dumps(value, ensure_ascii=False, indent=indent)])
