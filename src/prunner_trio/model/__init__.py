"""The vocabulary of the runner: states, moves, views, events. Pure values."""

from prunner_trio.model.audit import MOST_ENTRIES, Action, AuditEntry, audited
from prunner_trio.model.events import Event, EventKind
from prunner_trio.model.outcome import job_outcome
from prunner_trio.model.query import JobQuery, fold, json_needle
from prunner_trio.model.states import JOB_MOVES, TASK_MOVES, Move, MoveTable, State, next_state
from prunner_trio.model.values import (
    JobId,
    JobView,
    Pause,
    PipelineRecord,
    PipelineView,
    Queued,
    StopReason,
    StopRequest,
    TaskView,
    WaitPlace,
    WaitReason,
)

__all__ = [
    "JOB_MOVES",
    "MOST_ENTRIES",
    "TASK_MOVES",
    "Action",
    "AuditEntry",
    "Event",
    "EventKind",
    "JobId",
    "JobQuery",
    "JobView",
    "Move",
    "MoveTable",
    "Pause",
    "PipelineRecord",
    "PipelineView",
    "Queued",
    "State",
    "StopReason",
    "StopRequest",
    "TaskView",
    "WaitPlace",
    "WaitReason",
    "audited",
    "fold",
    "job_outcome",
    "json_needle",
    "next_state",
]
