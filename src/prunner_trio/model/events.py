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
    MOVED = "moved"
    """A job has another place in its wait list; so have those that it was moved past."""
    PIPELINE = "pipeline"
    """A pipeline was paused or resumed."""


@attrs.frozen
class Event:
    """One change, in the order in which it happened.

    Attributes:
        seq: counts up by one per event of a runner, from 1.
        at: wall time.
        job_id: empty for events of a pipeline.
        task: the name of the task; empty for all others.
        state: the state after the change; of a pipeline: `waiting` while it is paused, else `running`.
        reason: see `TaskView.reason`; for jobs the stop reason or the first error, `retry of` another one, or the new
            place; for pipelines who did it.
    """

    seq: int
    at: float
    kind: EventKind
    job_id: JobId
    pipeline: str
    task: str
    state: State
    reason: str = ""
