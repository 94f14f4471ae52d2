"""The last part of a daemon's life: waiting for jobs, but not for ever for a disk that takes nothing."""

import logging
from collections.abc import Callable

import trio
from trio_util import AsyncBool, move_on_when

from prunner_trio.errors import StoreError
from prunner_trio.execution import Runner, StopLevel
from prunner_trio.model import State

__all__ = ["SAVE_TIMEOUT", "hand_over", "jobs_end"]

log = logging.getLogger(__name__)

SAVE_TIMEOUT = 10.0
"""Seconds that the store has for what happened last, once all processes are gone."""


async def hand_over(runner: Runner) -> None:
    """Leave all running jobs to the next daemon, if the store can write that down within `SAVE_TIMEOUT` seconds.

    If it cannot, or if all jobs are to be canceled by now, nothing is let go, and the runner drains or cancels.
    """
    with trio.move_on_after(SAVE_TIMEOUT) as saving:
        await runner.hand_over()
    if saving.cancelled_caught:
        log.error("cannot hand over: the store cannot be written; draining: running jobs end, nothing new starts")


async def jobs_end(runner: Runner, subscribe_level: Callable[[Callable[[], None]], None]) -> None:
    """Wait until no job runs any more.

    A drain waits as long as it takes. When jobs are canceled and nothing of them is left but their last save, the
    store gets `SAVE_TIMEOUT` seconds.

    Args:
        subscribe_level: takes a function that must be called after each change of the runner's level.

    Raises:
        StoreError: the time is over.
    """
    hopeless = AsyncBool(False)

    def look() -> None:
        hopeless.value = runner.level >= StopLevel.CANCEL and _only_saving(runner)

    subscribe_level(look)
    with runner.observe(lambda _event: look()):
        look()
        async with move_on_when(hopeless.wait_value, True, held_for=SAVE_TIMEOUT) as scope:
            await runner.finished()
    if scope.cancelled_caught:
        raise StoreError(f"the end of the last jobs could not be saved within {SAVE_TIMEOUT:g} s")


def _only_saving(runner: Runner) -> bool:
    return all(job.state is State.WAITING or all(task.state.final for task in job.tasks) for job in runner.live())
