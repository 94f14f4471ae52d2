"""What a pipeline is once its file has been read and found good: plain values."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import cached_property

import attrs

from prunner_trio.definition.incoming import IncomingHook
from prunner_trio.model import TaskView

__all__ = [
    "DEFAULT_KILL_TIMEOUT",
    "HOOK_TIMEOUT",
    "NO_HOOKS",
    "NO_LIMITS",
    "ON_ERROR",
    "Definitions",
    "Hook",
    "Limits",
    "Notify",
    "OnDaemonCrash",
    "Orphans",
    "PipelineDef",
    "QueueStrategy",
    "TaskDef",
]

DEFAULT_KILL_TIMEOUT = 2.0
"""Seconds from the first signal of a stop to SIGKILL; prunner's value."""

ON_ERROR = "on_error"
"""The name under which the handler of a failed job appears among its tasks."""


class QueueStrategy(StrEnum):
    """What happens to a new job when the wait list is full."""

    APPEND = "append"
    REPLACE = "replace"
    PARTITIONED_REPLACE = "partitioned_replace"


class Orphans(StrEnum):
    """What becomes of processes that a task leaves in the background when it has ended by itself."""

    KILL = "kill"
    """They are stopped as in a cancel, and the task's log says so."""
    WAIT = "wait"
    """The task is over when they are gone."""
    KEEP = "keep"
    """They are let go: neither signaled nor counted, not even when the runner ends."""


class OnDaemonCrash(StrEnum):
    """What becomes of a job that was running when its daemon died."""

    CANCEL = "cancel"
    """What is left of it is stopped, and it ends as canceled (interrupted)."""
    REQUEUE = "requeue"
    """What is left of it is stopped, and it waits again at its old place, to begin from its start."""
    ADOPT = "adopt"
    """Its tasks go on without a daemon, and the job goes on with the next one."""


@attrs.frozen
class Limits:
    """What all processes of one task together may use; None: as much as there is.

    Attributes:
        memory: bytes, swap included.
        cpu: processors; 0.5 is half the time of one.
        processes: how many there may be at a time, threads included.
    """

    memory: int | None = None
    cpu: float | None = None
    processes: int | None = None

    def over(self, other: "Limits") -> "Limits":
        """Return these limits, and those of `other` where there are none."""
        return Limits(
            other.memory if self.memory is None else self.memory,
            other.cpu if self.cpu is None else self.cpu,
            other.processes if self.processes is None else self.processes,
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The names of those that are set."""
        return tuple(name for name in ("memory", "cpu", "processes") if getattr(self, name) is not None)


NO_LIMITS = Limits()
"""All that there is."""


HOOK_TIMEOUT = 10.0
"""Seconds that a hook has, where the definition says nothing."""


@attrs.frozen
class Hook:
    """Whom to tell: a command or a webhook, one of them.

    Attributes:
        command: shell text.
        webhook: an address, http or https.
        secret_env: the variable of the daemon that holds the key for signatures; empty: nothing is signed.
        timeout: seconds for the command, or for each attempt to reach the webhook.
    """

    command: str = ""
    webhook: str = attrs.field(default="", repr=False)  # the path of some is a secret
    secret_env: str = ""
    timeout: float = HOOK_TIMEOUT


@attrs.frozen
class Notify:
    """Whom to tell when a job has ended.

    Attributes:
        failure: with an error.
        recovery: well, after the one before had ended with an error.
        success: well.
    """

    failure: tuple[Hook, ...] = ()
    recovery: tuple[Hook, ...] = ()
    success: tuple[Hook, ...] = ()

    def of(self, moment: str) -> tuple[Hook, ...]:
        """Return the hooks of a moment, by its name."""
        return {"failure": self.failure, "recovery": self.recovery, "success": self.success}[moment]

    def __iter__(self) -> Iterator[Hook]:
        return iter((*self.failure, *self.recovery, *self.success))


NO_HOOKS = Notify()
"""Nobody."""


@attrs.frozen
class TaskDef:
    """One task of a pipeline.

    Attributes:
        script: the entries, each a template and then shell text.
        env: values are texts as written in the file.
        shell: program that runs the script, for example `bash`, `sh` or `/bin/zsh`; None: see `PipelineDef.shell`.
        timeout: seconds; None: no limit.
        kill_timeout: seconds; None: that of the pipeline.
        orphans: None: that of the pipeline.
        limits: win over those of the pipeline.
        limits_optional: run without limits that this machine cannot enforce; None: as the pipeline says.
        log_limit: the most bytes of output that each of the two logs has; 0: no limit; None: that of the pipeline.
        secrets: names of variables whose values are masked in its output, besides those of the pipeline.
    """

    name: str
    script: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()
    allow_failure: bool = False
    env: Mapping[str, str] = attrs.field(factory=dict)
    shell: str | None = None
    timeout: float | None = None
    kill_timeout: float | None = None
    orphans: Orphans | None = None
    limits: Limits = NO_LIMITS
    limits_optional: bool | None = None
    log_limit: int | None = None
    secrets: tuple[str, ...] = ()


@attrs.frozen
class PipelineDef:
    """One pipeline.

    Attributes:
        tasks: in topological order, by name (as text) among those that are free at the same time; without cycles.
        queue_limit: waiting jobs at most; None: no limit.
        queue_partition_limit: waiting jobs of one partition at most; set exactly for `partitioned_replace`.
        start_delay: seconds that every job waits first.
        retention_period: seconds since creation after which a finished job goes; 0: for ever.
        retention_count: finished jobs to keep; 0: all.
        on_error: the handler, named `on_error`; None if there is none.
        shell: default of its tasks; None: bash where there is one, else sh.
        timeout: seconds for the whole job, from its start; None: no limit.
        kill_timeout: seconds from the first signal of a stop to SIGKILL; None: the runner's own
            (2 s unless told otherwise). 0: SIGKILL at once.
        file: where it was read.
        orphans: default of its tasks; None: kill.
        limits: of each of its tasks.
        limits_optional: default of its tasks; None: no.
        on_daemon_crash: what becomes of a running job when the daemon dies.
        log_limit: default of its tasks; None: the runner's own (none unless told otherwise).
        notify: whom the daemon tells of the end of jobs.
        hooks: under which names others may start jobs by a request.
        secrets: names of variables that all tasks have, and whose values are masked in their output.
    """

    name: str
    tasks: tuple[TaskDef, ...] = ()
    concurrency: int = 1
    queue_limit: int | None = None
    queue_strategy: QueueStrategy = QueueStrategy.APPEND
    queue_partition_limit: int | None = None
    start_delay: float = 0.0
    continue_running_tasks_after_failure: bool = False
    retention_period: float = 0.0
    retention_count: int = 0
    env: Mapping[str, str] = attrs.field(factory=dict)
    on_error: TaskDef | None = None
    shell: str | None = None
    timeout: float | None = None
    kill_timeout: float | None = None
    file: str = ""
    orphans: Orphans | None = None
    limits: Limits = NO_LIMITS
    limits_optional: bool | None = None
    on_daemon_crash: OnDaemonCrash = OnDaemonCrash.CANCEL
    log_limit: int | None = None
    notify: Notify = NO_HOOKS
    hooks: tuple[IncomingHook, ...] = ()
    secrets: tuple[str, ...] = ()

    @cached_property
    def all_secrets(self) -> frozenset[str]:
        """The names of all secrets that the pipeline or some task lists; kept, for there may be ten thousand tasks."""
        tasks = (*self.tasks, self.on_error) if self.on_error is not None else self.tasks
        return frozenset(self.secrets).union(*(task.secrets for task in tasks))

    @cached_property
    def waiting_tasks(self) -> tuple[TaskView, ...]:
        """The tasks as they are in a job that waits: the same objects for all such jobs, of which there may be many."""
        return tuple(
            TaskView(task.name, depends_on=task.depends_on, allow_failure=task.allow_failure) for task in self.tasks
        )

    def secrets_of(self, task: TaskDef) -> frozenset[str]:
        """Return the names of all secrets of a task."""
        return frozenset((*self.secrets, *task.secrets))


@attrs.frozen
class Definitions:
    """All pipelines that are known at one time, by name.

    Attributes:
        pipelines: sorted by name.
        files: the files that were read, sorted.
    """

    pipelines: Mapping[str, PipelineDef] = attrs.field(factory=dict)
    files: tuple[str, ...] = ()

    @classmethod
    def of(cls, *pipelines: PipelineDef) -> "Definitions":
        """Make definitions in Python, without a file.

        Raises:
            ValueError: two of them have the same name.
        """
        by_name = {pipeline.name: pipeline for pipeline in sorted(pipelines, key=lambda p: p.name)}
        if len(by_name) != len(pipelines):
            raise ValueError("two pipelines have the same name")
        return cls(by_name)

    @cached_property
    def hooks(self) -> Mapping[str, tuple[PipelineDef, IncomingHook]]:
        """All incoming webhooks by name, each with its pipeline."""
        return {hook.name: (pipeline, hook) for pipeline in self for hook in pipeline.hooks}

    def get(self, name: str) -> PipelineDef | None:
        """Return the pipeline of that name, if there is one."""
        return self.pipelines.get(name)

    def __iter__(self) -> Iterator[PipelineDef]:
        return iter(self.pipelines.values())

    def __len__(self) -> int:
        return len(self.pipelines)
