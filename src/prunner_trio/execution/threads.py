"""Work that would block, in a thread; where the machine has none left, here and now."""

from collections.abc import Callable
from typing import TypeVar

import trio

__all__ = ["in_thread"]

T = TypeVar("T")


async def in_thread(work: Callable[[], T], *, limiter: trio.CapacityLimiter, abandon_on_cancel: bool = False) -> T:
    """Return what `work` returns, as `trio.to_thread.run_sync` does.

    A user or container that has reached its limit of processes gets no thread either. Then the work, which must be
    short, holds up the loop: better late than an error where there is no reason for one but the machine's.
    """
    begun = False

    def once() -> T:
        nonlocal begun
        begun = True
        return work()

    try:
        return await trio.to_thread.run_sync(once, limiter=limiter, abandon_on_cancel=abandon_on_cancel)
    except RuntimeError:  # what Python raises when a thread cannot be started
        if begun:
            raise
    async with limiter:
        return work()
