"""What API v1 answers: values whose fields are the members of the JSON.

The document is made from these types; what stands under ``Attributes`` becomes the description of a member. All
members are always there. Times are RFC 3339 in UTC with milliseconds, durations are seconds.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import NewType

import attrs

from prunner_trio.model import State, StopReason, WaitReason

__all__ = [
    "Closing",
    "Edge",
    "End",
    "Graph",
    "Health",
    "Job",
    "JobPage",
    "JobTasks",
    "Limits",
    "LogEnd",
    "LogPart",
    "LogPiece",
    "Logs",
    "Node",
    "Occurrence",
    "Outcome",
    "Pipeline",
    "PipelineDetail",
    "PipelineList",
    "Problem",
    "ProblemItem",
    "Queue",
    "Retention",
    "ScheduleRequest",
    "Stop",
    "StreamStart",
    "Task",
    "TaskDefinition",
    "Time",
    "Uuid",
    "Variable",
    "Waiting",
]

Time = NewType("Time", str)
"""RFC 3339 in UTC with milliseconds: ``2026-01-02T03:04:05.678Z``."""

Uuid = NewType("Uuid", str)
"""A UUID: lower case, with dashes."""


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
class Waiting:
    """Why a job does not run yet.

    Attributes:
        reason: what it waits for.
        position: its place in the wait list of its pipeline, from 1; null if it has a slot already.
        length: how many jobs are on that list.
        slots_taken: how many jobs of the pipeline hold a slot.
        slots: how many may do so (`concurrency`).
        until: it does not start before this time (`start_delay`); null if that has passed.
        text: all this as a sentence.
    """

    reason: WaitReason
    position: int | None
    length: int
    slots_taken: int
    slots: int
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


@attrs.frozen
class Pipeline:
    """A pipeline as it is now.

    Attributes:
        name: its address is `/v1/pipelines/{name}`.
        file: where it is defined; empty if in no file.
        schedulable: a new job would be accepted now.
        running: how many jobs hold a slot.
        waiting: how many jobs are on the wait list.
        concurrency: how many jobs may hold a slot at a time.
        last: how the latest job that has run ended; null if none has.
        ends: the latest ends, at most 20, the oldest first.
    """

    name: str
    file: str
    schedulable: bool
    running: int
    waiting: int
    concurrency: int
    last: End | None
    ends: tuple[End, ...]


@attrs.frozen
class PipelineList:
    """All pipelines.

    Attributes:
        pipelines: sorted by name.
    """

    pipelines: tuple[Pipeline, ...]


@attrs.frozen
class Limits:
    """What all processes of one task together may use; null: as much as there is.

    Attributes:
        memory: bytes, swap included.
        cpu: processors; 0.5 is half the time of one.
        processes: how many there may be at a time, threads included.
    """

    memory: int | None
    cpu: float | None
    processes: int | None


@attrs.frozen
class TaskDefinition:
    """A task as it is defined.

    Attributes:
        name: unique within the pipeline.
        depends_on: the tasks that it waits for.
        script: the entries as they are written, templates not filled in.
        allow_failure: an `error` of this task counts as passed.
        env: the names of its environment variables; their values may be secrets.
        shell: runs the script; null: the default.
        timeout: seconds; null: no limit.
        kill_timeout: seconds from the first signal of a stop to SIGKILL; null: that of the pipeline.
        orphans: what becomes of processes that it leaves behind; null: as the pipeline says.
        limits: what it may use, those of the pipeline included.
        log_limit: the most bytes of each of its two logs; 0: no limit; null: as the daemon says.
    """

    name: str
    depends_on: tuple[str, ...]
    script: tuple[str, ...]
    allow_failure: bool
    env: tuple[str, ...]
    shell: str | None
    timeout: float | None
    kill_timeout: float | None
    orphans: str | None
    limits: Limits
    log_limit: int | None


@attrs.frozen
class Variable:
    """A variable that the scripts name, as far as that can be seen without running them.

    Attributes:
        name: to be used in `variables` of a new job.
        env: the environment variable that holds it.
        tasks: the tasks that use it.
        in_template: a template looks it up, and fails without it unless that stands in a condition.
    """

    name: str
    env: str
    tasks: tuple[str, ...]
    in_template: bool


@attrs.frozen
class Queue:
    """What becomes of jobs that cannot start at once.

    Attributes:
        limit: how many may wait; null: no limit; 0: none.
        strategy: `append`, `replace` or `partitioned_replace`.
        partition_limit: how many of one partition may wait; null where there are no partitions.
        start_delay: seconds that every job waits first.
    """

    limit: int | None
    strategy: str
    partition_limit: int | None
    start_delay: float


@attrs.frozen
class Retention:
    """When finished jobs are removed.

    Attributes:
        period: seconds after their creation; 0: never.
        count: how many stay; 0: all.
    """

    period: float
    count: int


@attrs.frozen
class Node:
    """A task in the graph.

    Attributes:
        name: of the task.
        layer: 0 for tasks that need nothing, else one more than the highest layer of those that it needs.
    """

    name: str
    layer: int


@attrs.frozen
class Edge:
    """A dependency.

    Attributes:
        source: the task that comes first.
        target: the task that waits for it.
    """

    source: str
    target: str


@attrs.frozen
class Graph:
    """The tasks as a graph; the handler `on_error` is not in it.

    Attributes:
        nodes: all tasks, in an order in which they could run.
        edges: all dependencies.
        layers: the names, by layer.
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    layers: tuple[tuple[str, ...], ...]


@attrs.frozen
class PipelineDetail(Pipeline):
    """A pipeline with its definition.

    Attributes:
        tasks: in an order in which they could run.
        on_error: the handler of a failure; null if there is none.
        variables: what a form to start it must offer.
        graph: tasks and dependencies.
        queue: what becomes of jobs that cannot start at once.
        retention: when finished jobs are removed.
        env: the names of its environment variables; their values may be secrets.
        shell: default of the tasks; null: the daemon's.
        timeout: seconds for a whole job; null: no limit.
        kill_timeout: seconds from the first signal of a stop to SIGKILL; null: the daemon's default.
        continue_running_tasks_after_failure: a failed task does not stop the others.
        on_daemon_crash: what becomes of a running job when the daemon dies: `cancel` or `requeue`.
    """

    tasks: tuple[TaskDefinition, ...]
    on_error: TaskDefinition | None
    variables: tuple[Variable, ...]
    graph: Graph
    queue: Queue
    retention: Retention
    env: tuple[str, ...]
    shell: str | None
    timeout: float | None
    kill_timeout: float | None
    continue_running_tasks_after_failure: bool
    on_daemon_crash: str


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
class LogPart:
    """A part of a log.

    Attributes:
        text: what is new; bytes that are not UTF-8 are shown as U+FFFD.
        offset: where it begins, in bytes.
        next: where it ends.
        size: how much there is.
    """

    text: str
    offset: int
    next: int
    size: int


@attrs.frozen
class Logs:
    """What a task has written since the last time.

    Attributes:
        stdout: of its standard output.
        stderr: of its standard error.
        since: to be sent with the next request.
        complete: the task is over, and there is no more than this.
    """

    stdout: LogPart
    stderr: LogPart
    since: str
    complete: bool


@attrs.frozen
class LogPiece:
    """A piece of a log that is followed, the data of an event ``log``.

    Attributes:
        offset: where it begins, in bytes.
        next: where it ends: also the event's id.
        text: bytes that are not UTF-8 are shown as U+FFFD.
    """

    offset: int
    next: int
    text: str


@attrs.frozen
class LogEnd:
    """The end of a log that is followed, the data of an event ``end``.

    Attributes:
        size: how much there was, in bytes.
        state: the final state of the task.
        exit_code: null if no process has given one.
    """

    size: int
    state: State
    exit_code: int | None


@attrs.frozen
class Occurrence:
    """One change, the data of the events ``job``, ``task`` and ``removed``.

    Attributes:
        seq: counts up by one per change since the daemon started.
        at: when.
        job: the id of the job.
        pipeline: its pipeline.
        task: the name of the task; null for changes of the job itself.
        state: the state after the change.
        reason: why; may be empty.
    """

    seq: int
    at: Time
    job: Uuid
    pipeline: str
    task: str | None
    state: State
    reason: str


@attrs.frozen
class StreamStart:
    """Where a stream begins, the data of the events ``ready`` and ``reset``.

    Attributes:
        seq: the number of the latest change that the stream will not show.
    """

    seq: int


@attrs.frozen
class Closing:
    """Why a stream ends, the data of the events ``end`` and ``closing``.

    Attributes:
        reason: as a sentence.
    """

    reason: str


@attrs.frozen
class Health:
    """Whether the daemon is well.

    Attributes:
        status: `ok`, or `unready`.
        reason: why it is not ready; empty if it is.
    """

    status: str
    reason: str


@attrs.frozen
class ProblemItem:
    """One thing that is wrong with a request.

    Attributes:
        detail: what, and what is allowed.
        pointer: where in the body (RFC 6901); null if not there.
        parameter: the query parameter or header; null if none.
    """

    detail: str
    pointer: str | None = None
    parameter: str | None = None


@attrs.frozen
class Problem:
    """Why a request was not fulfilled (RFC 9457).

    Attributes:
        type: a URN that names the kind of problem, and never changes.
        title: the kind in words.
        status: the HTTP status.
        detail: what happened this time.
        errors: all that is wrong with the request.
    """

    type: str
    title: str
    status: int
    detail: str
    errors: tuple[ProblemItem, ...] = ()
