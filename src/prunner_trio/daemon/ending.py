"""The last part of a daemon's life: waiting for jobs, but not for ever for a disk that takes nothing."""

from collections.abc import Callable

import trio

from prunner_trio.errors import StoreError
from prunner_trio.execution import Runner, StopLevel
from prunner_trio.model import State

__all__ = ["SAVE_TIMEOUT", "jobs_end"]

SAVE_TIMEOUT = 10.0
"""Seconds that the store has for what happened last, once all processes are gone."""


async def jobs_end(runner: Runner, subscribe_level: Callable[[Callable[[], None]], None]) -> None:
    """Wait until no job runs any more.

    A drain waits as long as it takes. When jobs are canceled and nothing of them is left but their last save, the
    store gets `SAVE_TIMEOUT` seconds.

    Args:
        subscribe_level: takes a function that must be called after each change of the runner's level.

    Raises:
        ExceptionGroup: of one StoreError, when the time is over.
    """
    changed = trio.Event()

    def look_again() -> None:
        nonlocal changed
        changed.set()
        changed = trio.Event()

    async def give_up() -> None:
        while True:
            change = changed
            hopeless = runner.level >= StopLevel.CANCEL and _only_saving(runner)
            with trio.move_on_after(SAVE_TIMEOUT if hopeless else float("inf")) as scope:
                await change.wait()
            if scope.cancelled_caught:
                raise StoreError(f"the end of the last jobs could not be saved within {SAVE_TIMEOUT:g} s")

    subscribe_level(look_again)
    with runner.observe(lambda _event: look_again()):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(give_up, name="save time-out")
            await runner.finished()
            nursery.cancel_scope.cancel()


def _only_saving(runner: Runner) -> bool:
    return all(job.state is State.WAITING or all(task.state.final for task in job.tasks) for job in runner.live())
