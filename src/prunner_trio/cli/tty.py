"""The whole screen of a terminal, and single keys: for as long as a block lasts."""

import os
import shutil
import termios
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

__all__ = ["keys_in", "painting", "screen_size", "whole_screen"]

_ENTER, _LEAVE = b"\x1b[?1049h\x1b[?25l", b"\x1b[?25h\x1b[?1049l"
_KEYS = {b"\x1b[A": "up", b"\x1bOA": "up", b"k": "up", b"\x1b[B": "down", b"\x1bOB": "down", b"j": "down", b"q": "q"}


@contextmanager
def whole_screen() -> Iterator[None]:
    """Take the alternate screen, hide the cursor, and let keys come one by one and unseen, within the block."""
    before = termios.tcgetattr(0)
    changed = termios.tcgetattr(0)
    changed[3] &= ~(termios.ICANON | termios.ECHO)
    # Stopped by Ctrl-Z we would leave the shell on our screen, without a cursor.
    changed[6][termios.VSUSP] = b"\0"
    termios.tcsetattr(0, termios.TCSADRAIN, changed)
    try:
        os.write(1, _ENTER)
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
        os.write(1, _LEAVE)


def screen_size() -> tuple[int, int]:
    """Return columns and lines."""
    size = shutil.get_terminal_size()
    return size.columns, size.lines


def painting(lines: Sequence[str]) -> bytes:
    """Return what paints lines over the whole screen, without a flicker."""
    text = "\r\n".join(f"\x1b[2K{line}" for line in lines)
    return f"\x1b[H{text}\x1b[J".encode(errors="replace")


def keys_in(data: bytes) -> Iterator[str]:
    """Yield the keys that we know in what came from the keyboard: `up`, `down`, `q`."""
    while data:
        for key, name in _KEYS.items():
            if data.startswith(key):
                yield name
                data = data[len(key) :]
                break
        else:
            data = data[1:]
