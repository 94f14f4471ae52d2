"""What a job looks like."""

from collections.abc import Mapping
from enum import StrEnum

import attrs

from prunner_trio.http.v1.models._scalars import Time, Uuid
from prunner_trio.model import State, StopReason, WaitReason

__all__ = ["End", "Job", "JobPage", "JobTasks", "Outcome", "Pause", "ScheduleRequest", "Stop", "Task", "Waiting"]


class Outcome(StrEnum):
    """How a job ended, in one word; more than its state tells."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELED = "canceled"
    REPLACED = "replaced"
    REFUSED = "refused"
    SHUTDOWN = "shutdown"
    INTERRUPTED = "interrupted"
    NOT_SAVED = "not_saved"
    INTERNAL = "internal"


@attrs.frozen
class Stop:
    """The record of a stop.

    Attributes:
        reason: why; the first reason stays.
        at: when.
        by: the user who asked, or the task that failed; may be empty.
    """

    reason: StopReason
    at: Time
    by: str


@attrs.frozen
class Pause:
    """Since when a pipeline is paused.

    Attributes:
        at: when.
        by: who paused it; may be empty.
    """

    at: Time
    by: str


@attrs.frozen
class Waiting:
    """Why a job does not run yet.

    Attributes:
        reason: what it waits for.
        position: its place in the wait list of its pipeline, from 1; null if it has a slot already.
        length: how many jobs are on that list.
        slots_taken: how many jobs of the pipeline hold a slot.
        slots: how many may do so (`concurrency`).
        holders: the ids of the jobs that hold them.
        paused: since when its pipeline is paused, and by whom; null if it is not.
        until: it does not start before this time (`start_delay`); null if that has passed.
        text: all this as a sentence.
    """

    reason: WaitReason
    position: int | None
    length: int
    slots_taken: int
    slots: int
    holders: tuple[Uuid, ...]
    paused: Pause | None
    until: Time | None
    text: str


@attrs.frozen
class Task:
    """A task of a job.

    Attributes:
        name: unique within the job; `on_error` is the handler of a failure.
        state: where it stands.
        reason: why the state is what it is; empty if obvious.
        needs: the tasks that it waits for.
        allow_failure: an `error` of this task counts as passed.
        started: null before.
        ended: null before, and of a task that has not begun.
        duration: from start to end; null before the end.
        exit_code: 128 + n after signal n; null if no process has given one.
        cpu_seconds: processor time of its processes; null if nobody counted, or before the end.
        peak_memory: bytes, likewise.
        stop: somebody has asked for the end of this task alone; null if nobody has.
        from_job: the job that ran this task, if a retry has taken over what it did; null if this job does or did.
    """

    name: str
    state: State
    reason: str
    needs: tuple[str, ...]
    allow_failure: bool
    started: Time | None
    ended: Time | None
    duration: float | None
    exit_code: int | None
    cpu_seconds: float | None
    peak_memory: int | None
    stop: Stop | None
    from_job: Uuid | None


@attrs.frozen
class Job:
    """A job at one moment.

    Attributes:
        id: its address is `/v1/jobs/{id}`.
        number: counts up by one per accepted job; newer jobs have higher numbers.
        pipeline: the name of its pipeline.
        state: where it stands.
        outcome: how it ended; null before.
        reason: why it ended like that, as a sentence; empty before the end and after a success.
        user: who scheduled it; may be empty.
        partition: its part of the wait list; may be empty.
        variables: as they were given.
        retry_of: the job that this one does again; null if there is none.
        attempt: 1, and one more for each time that it began again because its daemon had died.
        created: when it was accepted.
        not_before: it may not start before; null if there is no `start_delay`.
        started: null before.
        ended: null before.
        waited: from acceptance to start; null before.
        duration: from start to end; null before, and if it never started.
        waiting: why it does not run yet; null if it is not waiting.
        stop: the first request to stop it; null if there was none.
        error: the text of the first failure; empty if there was none.
        tasks: in the order of their dependencies, by name among equals.
    """

    id: Uuid
    number: int
    pipeline: str
    state: State
    outcome: Outcome | None
    reason: str
    user: str
    partition: str
    variables: Mapping[str, object]
    retry_of: Uuid | None
    attempt: int
    created: Time
    not_before: Time | None
    started: Time | None
    ended: Time | None
    waited: float | None
    duration: float | None
    waiting: Waiting | None
    stop: Stop | None
    error: str
    tasks: tuple[Task, ...]


@attrs.frozen
class JobPage:
    """Some jobs, the newest first.

    Attributes:
        jobs: those on this page.
        older: the `cursor` of the page that follows; null if this page was not full.
        newer: the `cursor` of what comes before it, also of jobs that do not exist yet; null on an empty page.
    """

    jobs: tuple[Job, ...]
    older: str | None
    newer: str | None


@attrs.frozen
class JobTasks:
    """The tasks of a job.

    Attributes:
        tasks: in the order of their dependencies, by name among equals.
    """

    tasks: tuple[Task, ...]


@attrs.frozen
class ScheduleRequest:
    """What ``POST /v1/jobs`` asks for.

    Attributes:
        pipeline: its name.
        variables: what the tasks are given: any JSON, nested at most 100 levels deep.
        partition: the part of the wait list it belongs to (`queue_strategy: partitioned_replace`).
    """

    pipeline: str
    variables: Mapping[str, object] = attrs.field(factory=dict)
    partition: str = ""


@attrs.frozen
class End:
    """How a job that has run ended.

    Attributes:
        id: of the job.
        state: its final state.
        outcome: how it ended.
        started: when.
        ended: when.
        duration: from start to end.
    """

    id: Uuid
    state: State
    outcome: Outcome
    started: Time
    ended: Time
    duration: float
