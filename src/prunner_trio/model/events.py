"""The stream of changes that everybody who watches a runner sees."""

from enum import StrEnum

import attrs

from prunner_trio.model.states import State
from prunner_trio.model.values import JobId

__all__ = ["Event", "EventKind"]


class EventKind(StrEnum):
    """What an event is about."""

    JOB = "job"
    TASK = "task"
    REMOVED = "removed"
    """A job is no longer known: retention deleted it, or it was canceled before it was saved and never will be."""


@attrs.frozen
class Event:
    """One change, in the order in which it happened.

    Attributes:
        seq: counts up by one per event of a runner, from 1.
        at: wall time.
        task: the name of the task; empty for events of a job.
        state: the state after the change.
        reason: see `TaskView.reason`; for jobs the stop reason or the first error.
    """

    seq: int
    at: float
    kind: EventKind
    job_id: JobId
    pipeline: str
    task: str
    state: State
    reason: str = ""
