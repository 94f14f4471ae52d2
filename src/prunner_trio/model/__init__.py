"""The vocabulary of the runner: states, moves, views, events. Pure values."""

from prunner_trio.model.events import Event, EventKind
from prunner_trio.model.outcome import job_outcome
from prunner_trio.model.query import JobQuery, fold, json_needle
from prunner_trio.model.states import JOB_MOVES, TASK_MOVES, Move, MoveTable, State, next_state
from prunner_trio.model.values import (
    JobId,
    JobView,
    PipelineView,
    StopReason,
    StopRequest,
    TaskView,
    WaitPlace,
    WaitReason,
)

__all__ = [
    "JOB_MOVES",
    "TASK_MOVES",
    "Event",
    "EventKind",
    "JobId",
    "JobQuery",
    "JobView",
    "Move",
    "MoveTable",
    "PipelineView",
    "State",
    "StopReason",
    "StopRequest",
    "TaskView",
    "WaitPlace",
    "WaitReason",
    "fold",
    "job_outcome",
    "json_needle",
    "next_state",
]
