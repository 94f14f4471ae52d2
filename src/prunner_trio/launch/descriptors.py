"""Descriptors for what cannot wait until there are some: two are held, so that they can be given up.

Who has none left to look with would see nobody, and take all for dead; who has none to hold a process with could not
send it a signal.
"""

import errno
import os
from collections.abc import Callable
from typing import TypeVar

import attrs

__all__ = ["close_held", "hold", "look"]

T = TypeVar("T")

_NO_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE})


@attrs.define(eq=False)
class _Spare:
    fd: int | None = None

    def take(self) -> None:
        if self.fd is None:
            try:
                self.fd = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                return

    def give_up(self) -> bool:
        if self.fd is None:
            return False
        os.close(self.fd)
        self.fd = None
        return True


_to_look, _to_hold = _Spare(), _Spare()


def look(once: Callable[[], T]) -> T:
    """Return what a function returns that needs a descriptor for a moment, also where there is none left."""
    try:
        return _with(_to_look, once)
    finally:
        _to_look.take()


def hold(open_it: Callable[[], int]) -> int:
    """Return a descriptor that a function opens, also where there is none left; one at a time, until `close_held`.

    Raises:
        OSError: there is none left, and somebody holds the one there was; or the function has raised it.
    """
    try:
        return _with(_to_hold, open_it)
    except OSError:
        _to_hold.take()
        raise


def close_held(fd: int) -> None:
    """Close a descriptor from `hold`."""
    os.close(fd)
    _to_hold.take()


def _with(spare: _Spare, once: Callable[[], T]) -> T:
    _to_look.take()
    _to_hold.take()
    try:
        return once()
    except OSError as exc:
        if exc.errno not in _NO_DESCRIPTORS or not spare.give_up():
            raise
    return once()
