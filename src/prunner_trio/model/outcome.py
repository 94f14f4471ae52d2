"""How a job ends: decided from the states of its tasks and the stop record, never from an exception."""

from collections.abc import Sequence

from prunner_trio.model.states import Move, State
from prunner_trio.model.values import StopReason, StopRequest, TaskView

__all__ = ["job_outcome"]


def job_outcome(tasks: Sequence[TaskView], stop: StopRequest | None) -> Move:
    """Return the last move of a job, all of whose tasks are final.

    A stop that came after the last task had ended changes nothing. A fail-fast stop is a consequence of a failure, so
    the failure decides. A task that somebody has canceled alone fails nothing, but what it was for has not been done.

    Raises:
        ValueError: a task is not final.
    """
    if any(not task.state.final for task in tasks):
        raise ValueError("the outcome of a job is asked for before its tasks have ended")
    if stop is not None and stop.reason is StopReason.INTERNAL:
        return Move.FAIL
    stopped = stop is not None and stop.reason not in (StopReason.FAIL_FAST, StopReason.TIMEOUT)
    cut_off = [task for task in tasks if task.state is State.CANCELED and not task.passed]
    if stopped and cut_off:
        return Move.CANCEL
    if stop is not None and stop.reason is StopReason.TIMEOUT and cut_off:
        return Move.FAIL
    if any(task.failed for task in tasks):
        return Move.FAIL
    return Move.CANCEL if any(task.stop is not None for task in cut_off) else Move.SUCCEED
