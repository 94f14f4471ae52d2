"""Which jobs go on under another daemon than the one that began them. Pure."""

from collections.abc import Mapping

import attrs

from prunner_trio.definition.pipeline import ON_ERROR, OnDaemonCrash
from prunner_trio.execution.seams import Remaining, SavedJob
from prunner_trio.model import JobView, State, StopReason, StopRequest, TaskView

__all__ = ["FOR_GOOD", "begun_anew", "can_go_on", "first_failure", "without_own_stop"]

FOR_GOOD = frozenset({StopReason.USER, StopReason.SHUTDOWN, StopReason.INTERRUPTED})
"""Reasons after which nothing of a job begins any more, not even its handler."""

_OWN = frozenset({StopReason.FAIL_FAST, StopReason.TIMEOUT})
"""Reasons that come from the job itself: it goes its way all the same, by stopping what is left and to its handler."""


def can_go_on(saved: SavedJob, left: Mapping[str, Remaining]) -> bool:
    """Tell whether a job that had begun goes on: it is meant to, nobody has stopped it, and no end of a task is lost.

    Args:
        left: what is left of its tasks, by name.
    """
    job = saved.job
    meant = job.handed_over or saved.definition.on_daemon_crash is OnDaemonCrash.ADOPT
    stopped = job.stop is not None and job.stop.reason not in _OWN
    lost = any(task.state is State.RUNNING and task.name not in left for task in job.tasks)
    return meant and not stopped and not lost and all(remaining.outlives for remaining in left.values())


def first_failure(job: JobView) -> TaskView | None:
    """Return the task that was the first to make the job fail."""
    failed = [task for task in job.tasks if task.failed and task.name != ON_ERROR]
    return min(failed, key=lambda task: task.ended or 0.0, default=None)


def without_own_stop(saved: SavedJob) -> SavedJob:
    """Return a job without a stop that came from itself: there is a stronger reason now."""
    stop: StopRequest | None = saved.job.stop
    if stop is None or stop.reason not in _OWN:
        return saved
    return attrs.evolve(saved, job=attrs.evolve(saved.job, stop=None))


def begun_anew(task: TaskView) -> TaskView:
    """Return a task as if nothing had happened to it yet; what a retry has taken over stays done."""
    if task.from_job is not None:
        return task
    return TaskView(task.name, depends_on=task.depends_on, allow_failure=task.allow_failure)
