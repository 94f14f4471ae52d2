"""What the outside may know of jobs and tasks: immutable values, without behavior of their own.

All points in time are wall time in seconds since the epoch (UTC); durations are seconds.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import NewType

import attrs

from prunner_trio.model.audit import AuditEntry
from prunner_trio.model.states import State

__all__ = [
    "JobId",
    "JobView",
    "Pause",
    "PipelineRecord",
    "PipelineView",
    "Queued",
    "StopReason",
    "StopRequest",
    "TaskView",
    "WaitPlace",
    "WaitReason",
]

JobId = NewType("JobId", str)
"""A UUID in its usual form: lower case, with dashes."""


class StopReason(StrEnum):
    """Why a job was told to stop."""

    USER = "user"
    """Somebody canceled it."""
    FAIL_FAST = "fail_fast"
    """One of its tasks failed."""
    TIMEOUT = "timeout"
    """The pipeline's own `timeout` has passed."""
    REPLACED = "replaced"
    """A newer job took its place in the wait list."""
    REFUSED = "refused"
    """Its variables cannot be used (prunner accepts such a job and cancels it at once)."""
    NOT_SAVED = "not_saved"
    """The store could not write it, so it was never accepted."""
    SHUTDOWN = "shutdown"
    """The runner, or the program that embeds it, ends."""
    INTERRUPTED = "interrupted"
    """The daemon died while the job was running, or was replaced by another one to which it could not be given."""
    INTERNAL = "internal"
    """A defect of the runner."""


@attrs.frozen
class StopRequest:
    """The record of a stop, written before anything is canceled.

    Attributes:
        reason: the first reason stays; later requests can only hurry it.
        at: wall time.
        by: the user who asked, or the task that failed; may be empty.
    """

    reason: StopReason
    at: float
    by: str = ""


@attrs.frozen
class TaskView:
    """A task at one moment.

    Attributes:
        exit_code: 0 before the end and after success; 128 + n for signal n; -1 if no process gave one.
        reason: why the state is what it is: `exit status 3`, `needs 'build', which is error`; empty if obvious.
        allow_failure: an `error` of this task counts as passed.
        cpu_seconds: processor time that its processes have used; None if nobody counted, or before the end.
        peak_memory: bytes, likewise: what all had at a time where the task has a memory limit, else what the largest
            single process had.
        stop: somebody has asked for the end of this task alone.
        from_job: the job that ran it, if a retry has taken over what it did; the logs are there.
    """

    name: str
    state: State = State.WAITING
    depends_on: tuple[str, ...] = ()
    started: float | None = None
    ended: float | None = None
    exit_code: int = 0
    reason: str = ""
    allow_failure: bool = False
    cpu_seconds: float | None = None
    peak_memory: int | None = None
    stop: StopRequest | None = None
    from_job: JobId | None = None

    @property
    def failed(self) -> bool:
        """Whether this task makes its job fail."""
        return self.state is State.ERROR and not self.allow_failure

    @property
    def passed(self) -> bool:
        """Whether tasks that need this one may start: it is done, or it came to nothing and may."""
        if self.state is State.CANCELED:
            return self.allow_failure and self.stop is not None
        return self.state in (State.DONE, State.SKIPPED) or (self.state is State.ERROR and self.allow_failure)


@attrs.frozen
class JobView:
    """A job at one moment.

    Attributes:
        number: counts up by one per accepted job; newer jobs have higher numbers.
        tasks: in topological order, by name among equals; `on_error` last once it has been needed.
        not_before: the job may not start before this time (`start_delay`).
        stop: the first stop request, if any.
        error: the text of the first failure; empty if there was none.
        attempt: 1, and one more for each time that it began again because its daemon had died (`requeue`).
        handed_over: its daemon has left it, running, to the next one.
        retry_of: the job that this one is a retry of.
        moved_to: its rank in the wait list, if somebody has moved it or others past it.
        audit: what was done to it since it was scheduled, the oldest first.
    """

    id: JobId
    number: int
    pipeline: str
    state: State
    tasks: tuple[TaskView, ...]
    created: float
    started: float | None = None
    ended: float | None = None
    not_before: float = 0.0
    variables: Mapping[str, object] = attrs.field(factory=dict)
    user: str = ""
    partition: str = ""
    stop: StopRequest | None = None
    error: str = ""
    attempt: int = 1
    handed_over: bool = False
    retry_of: JobId | None = None
    moved_to: int | None = None
    audit: tuple[AuditEntry, ...] = ()

    @property
    def rank(self) -> int:
        """Where it stands in the wait list: jobs of lower rank come first."""
        return self.number if self.moved_to is None else self.moved_to

    def task(self, name: str) -> TaskView | None:
        """Return the task of that name, if the job has one."""
        return next((task for task in self.tasks if task.name == name), None)


@attrs.frozen
class Pause:
    """A pipeline accepts jobs and starts none.

    Attributes:
        at: since when.
        by: who paused it; may be empty.
    """

    at: float
    by: str = ""


@attrs.frozen
class PipelineRecord:
    """What is remembered of a pipeline beside its definition and its jobs.

    Attributes:
        pause: None if it is not paused.
        audit: who paused and resumed it, the oldest first.
    """

    name: str
    pause: Pause | None = None
    audit: tuple[AuditEntry, ...] = ()


@attrs.frozen
class PipelineView:
    """A pipeline of the current definitions.

    Attributes:
        schedulable: a new job would be accepted now.
        running: a job of it has started and is not over.
        waiting: how many jobs are on its wait list.
        slots: how many jobs hold a slot: running, about to start, or ended and being saved.
        pause: since when nothing of it starts, and who wanted that; None if it is not paused.
    """

    name: str
    schedulable: bool
    running: bool
    waiting: int
    slots: int = 0
    pause: Pause | None = None


class WaitReason(StrEnum):
    """Why a job does not run yet."""

    PAUSED = "paused"
    """Its pipeline is paused."""
    SLOTS = "slots"
    """All slots of its pipeline are taken."""
    DELAYED = "delayed"
    """Its `start_delay` has not passed."""
    SAVING = "saving"
    """Its acceptance is not on disk yet."""
    STARTING = "starting"
    """It has a slot and is about to start, or what is left of its earlier attempt is being brought down."""
    DRAINING = "draining"
    """The daemon starts nothing any more; the next one will."""


@attrs.frozen
class WaitPlace:
    """Where a job waits.

    Attributes:
        position: in the wait list of its pipeline, from 1; None if it has a slot already.
        length: of that list.
        taken: how many jobs of its pipeline hold a slot.
        slots: how many may.
        holders: the jobs that hold them, the oldest first.
        pause: that of its pipeline.
    """

    reason: WaitReason
    position: int | None
    length: int
    taken: int
    slots: int
    holders: tuple[JobId, ...] = ()
    pause: Pause | None = None


@attrs.frozen
class Queued:
    """A job that waits, and why."""

    job: JobView
    place: WaitPlace
