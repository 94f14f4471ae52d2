"""What a pipeline looks like."""

import attrs

from prunner_trio.http.v1.models._jobs import End, Pause

__all__ = [
    "Edge",
    "Graph",
    "Limits",
    "Node",
    "Pipeline",
    "PipelineDetail",
    "PipelineList",
    "Queue",
    "Retention",
    "TaskDefinition",
    "Variable",
]


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
        paused: since when it starts no jobs, and by whom; null if it is not paused.
        last: how the latest job that has run ended; null if none has.
        ends: the latest ends, at most 20, the oldest first.
    """

    name: str
    file: str
    schedulable: bool
    running: int
    waiting: int
    concurrency: int
    paused: Pause | None
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
        secrets: the names of the variables whose values are masked in its output, those of the pipeline included.
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
    secrets: tuple[str, ...]


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
        on_daemon_crash: what becomes of a running job when the daemon dies: `cancel`, `requeue` or `adopt`.
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
