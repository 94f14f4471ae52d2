"""The copying of output into logs of limited size or without secrets, beside what else is done with the processes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from prunner_trio.execution.plain_errors import plain_errors
from prunner_trio.execution.seams import TaskOutput

__all__ = ["copying"]


@asynccontextmanager
async def copying(output: TaskOutput) -> AsyncIterator[None]:
    """Copy for as long as the block lasts: its end, and nothing else, ends the copying.

    Shielded: processes that are being stopped may have something to say, and must not hang because nobody reads it. The
    shield lasts as long as the block, which in a cancel is the stop of a process tree, and that is bounded. What is
    still to be read then is for `TaskOutput.close`. Exceptions of the block come out as they are. Entering is no
    checkpoint, so that a launched process can be the block's.
    """
    shield = trio.CancelScope(shield=True)

    async def copy() -> None:
        with shield:
            await output.copy()

    with plain_errors() as block:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(copy, name="copy output")
            try:
                with block:
                    yield
            finally:
                shield.cancel()
