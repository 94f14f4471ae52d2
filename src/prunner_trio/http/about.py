"""What a daemon knows of itself beyond its runner: for those who look after it."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import attrs
import trio

from prunner_trio.errors import Problem

__all__ = ["About", "Sizes", "Tell", "nothing_known"]


@attrs.frozen
class Sizes:
    """Bytes of what a daemon uses; None: nobody knows.

    Attributes:
        memory: of the process, now.
        store: without logs.
        free: on the disk of the data.
    """

    memory: int | None = None
    store: int | None = None
    free: int | None = None


async def _unmeasured() -> Sizes:
    await trio.lowlevel.checkpoint()
    return Sizes()


@attrs.frozen
class About:
    """A daemon at one moment.

    Attributes:
        started: wall time in seconds since the epoch; None: nobody knows.
        problems: what was wrong with the definition files at the last look, so that older definitions are in use.
        missing: what definition files were looked for and where, if there is none; empty: there are some.
        containment: how processes of tasks are found; empty: nobody knows.
        addresses: where it listens.
        data: the folder of jobs and logs; None: there is none.
        measure: returns the present sizes.
    """

    started: float | None = None
    problems: tuple[Problem, ...] = ()
    containment: str = ""
    addresses: tuple[str, ...] = ()
    data: Path | None = None
    measure: Callable[[], Awaitable[Sizes]] = _unmeasured
    missing: str = attrs.field(default="", kw_only=True)


Tell = Callable[[], About]
"""Returns the present state."""


def nothing_known() -> About:
    """Tell nothing: there is a runner, and no daemon around it."""
    return About()
