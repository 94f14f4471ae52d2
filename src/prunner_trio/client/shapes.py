"""The JSON of API v1 as far as clients look into it: types only, what is there stays as it came.

A daemon may be newer than its client, so there may be more members than these; none of these goes away.
"""

from collections.abc import Mapping
from typing import NotRequired, TypedDict

__all__ = [
    "Audit",
    "Deed",
    "End",
    "Job",
    "JobPage",
    "LogEnd",
    "LogPiece",
    "Occurrence",
    "Pause",
    "Pipeline",
    "PipelineList",
    "PipelinePause",
    "QueuedJob",
    "SignInLink",
    "Stop",
    "Task",
    "WaitLists",
    "Waiting",
]


class Waiting(TypedDict):
    """Why a job does not run yet."""

    reason: str
    position: int | None
    text: str


class Task(TypedDict):
    """A task of a job; times are RFC 3339, durations seconds."""

    name: str
    state: str
    reason: str
    needs: list[str]
    allow_failure: bool
    started: str | None
    ended: str | None
    duration: float | None
    exit_code: int | None
    from_job: NotRequired[str | None]


class Stop(TypedDict):
    """Why a job was told to stop, and by whom."""

    reason: str
    at: str
    by: str


class Job(TypedDict):
    """A job at one moment."""

    id: str
    number: int
    pipeline: str
    state: str
    outcome: str | None
    reason: str
    user: str
    partition: str
    variables: Mapping[str, object]
    retry_of: NotRequired[str | None]
    attempt: int
    created: str
    started: str | None
    ended: str | None
    waited: float | None
    duration: float | None
    waiting: Waiting | None
    stop: NotRequired[Stop | None]
    error: str
    tasks: list[Task]


class JobPage(TypedDict):
    """Some jobs, the newest first."""

    jobs: list[Job]
    older: str | None
    newer: str | None


class End(TypedDict):
    """How a job that has run ended."""

    id: str
    state: str
    outcome: str
    started: str
    ended: str
    duration: float


class Pipeline(TypedDict):
    """A pipeline as it is now."""

    name: str
    file: str
    schedulable: bool
    running: int
    waiting: int
    concurrency: int
    paused: "NotRequired[Pause | None]"
    last: End | None
    ends: list[End]


class PipelineList(TypedDict):
    """All pipelines."""

    pipelines: list[Pipeline]


class Occurrence(TypedDict):
    """One change."""

    seq: int
    at: str
    job: str | None
    pipeline: str
    task: str | None
    state: str
    reason: str


class LogPiece(TypedDict):
    """A piece of a log that is followed; offsets are bytes."""

    offset: int
    next: int
    text: str


class LogEnd(TypedDict):
    """The end of a log that is followed."""

    size: int
    state: str
    exit_code: int | None


class SignInLink(TypedDict):
    """A link that signs in to the web page; `path` belongs behind the address of the daemon."""

    path: str
    expires: str


class Pause(TypedDict):
    """Since when a pipeline is paused, and by whom."""

    at: str
    by: str


class PipelinePause(TypedDict):
    """Whether a pipeline is paused."""

    pipeline: str
    paused: Pause | None


class QueuedJob(TypedDict):
    """A job that waits."""

    id: str
    number: int
    pipeline: str
    user: str
    partition: str
    created: str
    waiting: Waiting


class WaitLists(TypedDict):
    """All jobs that wait, and what is paused."""

    jobs: list[QueuedJob]
    paused: list[PipelinePause]


class Deed(TypedDict):
    """What somebody did."""

    at: str
    action: str
    by: str
    detail: str


class Audit(TypedDict):
    """Who did what to a job."""

    entries: list[Deed]
