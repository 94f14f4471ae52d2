"""The wait for the disk before an answer, which is not for ever."""

import trio

from prunner_trio.http.port import RunnerPort

__all__ = ["PATIENCE", "until_saved"]

PATIENCE = 2.0
"""Seconds for which an answer waits for the disk."""


async def until_saved(runner: RunnerPort) -> None:
    """Wait until what has been done is on disk: a crash must not undo what was answered.

    But a store that cannot write now tries until it can, and what was done has been done in any case: so this returns
    after `PATIENCE` seconds at the latest.

    Raises:
        StoreError: the store is closed.
    """
    with trio.move_on_after(PATIENCE):
        await runner.flush()
