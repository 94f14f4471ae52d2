"""What the engine needs from the world, as protocols; adapters and fakes implement them.

The engine is the only caller. Each method says whether it is a checkpoint (async ones are) and what it may raise;
an adapter maps foreign exceptions to these at its own edge.
"""

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Protocol

import attrs

from prunner_trio.definition.pipeline import NO_LIMITS, Limits, PipelineDef
from prunner_trio.model import JobId, JobQuery, JobView, PipelineRecord, TaskView
from prunner_trio.policy.mask import Mask

__all__ = [
    "NO_USAGE",
    "Change",
    "Command",
    "Expired",
    "JobAdded",
    "JobChanged",
    "JobReset",
    "JobsChanged",
    "JobsRemoved",
    "Journal",
    "Launcher",
    "OutputStore",
    "PipelineChanged",
    "Proc",
    "Remaining",
    "SavedJob",
    "Stream",
    "TaskChanged",
    "TaskOutput",
    "Ticket",
    "Usage",
    "task_key",
]


class Stream(StrEnum):
    """The two outputs of a task."""

    STDOUT = "stdout"
    STDERR = "stderr"


# ------------------------------------------------------------------------------------------------------- processes


def task_key(job_id: JobId, task: str) -> str:
    """Return the name of a task's processes: the same in every daemon, so that the next one finds what is left."""
    return f"{job_id}/{task}"


@attrs.frozen
class Command:
    """What to execute.

    Attributes:
        argv: program and arguments; the program is looked up on the PATH of the task's own environment.
        cwd: an absolute path.
        script: if set, the launcher makes this text readable under a path that no other user can read, and appends
            that path to `argv`. The text appears in no process list.
        fallback: executed instead when the program of `argv` is not found or cannot be executed, so that the message
            and the status are those of a shell.
        entries: the entries of the task's script with their templates filled in, for those who show or check them.
        limits: what all processes together may use.
        limits_optional: start without the limits that cannot be enforced, rather than not at all.
        key: by what a later daemon finds the processes; see `task_key`. Empty: none ever looks for them.
        outlives: the processes may outlive this daemon: their end is to be kept where the next one finds it.
    """

    argv: tuple[str, ...]
    cwd: str
    script: str | None = attrs.field(default=None, repr=False)
    fallback: "Command | None" = None
    entries: tuple[str, ...] = attrs.field(default=(), repr=False)
    limits: Limits = NO_LIMITS
    limits_optional: bool = False
    key: str = ""
    outlives: bool = False


@attrs.frozen
class Usage:
    """What a task has used, as far as somebody has counted it.

    Attributes:
        cpu_seconds: processor time of its processes.
        peak_memory: bytes.
        reached: the names of the limits because of which something was killed or refused.
    """

    cpu_seconds: float | None = None
    peak_memory: int | None = None
    reached: frozenset[str] = frozenset()


NO_USAGE = Usage()
"""Nobody has counted anything, or not yet."""


class Proc(Protocol):
    """A task's processes, as one tree."""

    @property
    def pid(self) -> int:
        """The leader's process id, for messages."""
        ...

    @property
    def outlives(self) -> bool:
        """Whether a later daemon can tell how it ends: it was launched so, and what keeps its end is there."""
        ...

    async def wait(self) -> int:
        """Return the leader's exit status: 0 to 255, or -n when signal n ended it. One waiter at a time."""
        ...

    def signal_tree(self, sig: int) -> None:
        """Send a signal to everybody in the tree. Nobody there, or no permission, is not an error.

        SIGINT is the gentlest step: a process that ignores it gets SIGTERM instead.
        """
        ...

    @property
    def gone(self) -> bool:
        """Whether no process of the tree is alive, and so none ever will be."""
        ...

    async def wait_gone(self) -> None:
        """Return when no process of the tree is alive; at once if that is so already."""
        ...

    def signaled(self) -> tuple[str, ...]:
        """Return to whom signals were sent, in words for a person: `sleep (pid 123)`."""
        ...

    def let_go(self) -> None:
        """Leave who is still alive alone from now on, even when the launcher is closed. Only `close` may follow."""
        ...

    def hand_over(self) -> None:
        """Leave all to the next daemon as it is, limits included. Only `close` may follow."""
        ...

    def close(self) -> Usage:
        """Reap, close descriptors, remove what the launcher made. Called exactly once, after everything else."""
        ...


class Remaining(Proc, Protocol):
    """What is left of a task that an earlier daemon launched: processes, or the record of their end, or both.

    Its `wait` raises `EndLost` where nothing tells the exit status; `outlives` says whether that is so already.
    """

    @property
    def ended(self) -> float | None:
        """When its leader ended, in wall time, if its status is known; else None."""
        ...

    @property
    def age(self) -> float | None:
        """For how many seconds its leader has been alive, by a clock that nobody can set; None if that is unknown."""
        ...


class Launcher(Protocol):
    """Starts processes."""

    async def launch(self, command: Command, env: Mapping[str, str], output: "TaskOutput") -> Proc:
        """Start `command` with exactly the environment `env`, an empty stdin, and its output in `output`.

        Either returns a `Proc` that the caller now owns, or raises (`LaunchError`, `Cancelled`) with nothing left
        behind.
        """
        ...

    async def remains(self, keys: Collection[str]) -> Mapping[str, Remaining]:
        """Return what is left of commands that earlier daemons launched under these keys, alive or recorded.

        Called once, before the first launch. What is returned can be signaled and waited for like any other tree.
        What was kept of other commands is thrown away.
        """
        ...

    def forget(self, keys: Collection[str]) -> None:
        """Throw away what is kept of the ends of these commands: they are on disk elsewhere. Not a checkpoint."""
        ...


# ---------------------------------------------------------------------------------------------------------- output


class TaskOutput(Protocol):
    """Where one task writes; open from just before its launch until its end."""

    def fileno(self, stream: Stream) -> int:
        """Return a descriptor, opened for appending or that of a pipe, that a child can inherit."""
        ...

    def write(self, stream: Stream, data: bytes) -> None:
        """Append something that the runner itself has to say; best effort, never raises ``OSError``."""
        ...

    async def copy(self) -> None:
        """Bring what processes write into the log, until no process can write any more; may be canceled at any time.

        Called after the launch, once, and only for output that was opened with a limit or a mask.
        """
        ...

    def close(self) -> None:
        """Bring what was written by now into the log, and close the runner's descriptors; may be called twice."""
        ...


class OutputStore(Protocol):
    """The logs of all tasks."""

    def open(self, job_id: JobId, task: str, limit: int | None = None, mask: Mask | None = None) -> TaskOutput:
        """Create the files of a task. Raises `LaunchError` with the reason and the path.

        Args:
            limit: the most bytes of what processes write that each of the two logs may have; None: no limit.
            mask: what must not be in the logs, whatever processes write; None: nothing.
        """
        ...

    async def read(self, job_id: JobId, task: str, stream: Stream, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from `offset`; fewer at the end, none if there is no such file."""
        ...

    async def size(self, job_id: JobId, task: str, stream: Stream) -> int:
        """Return the number of bytes written so far; 0 if there is no such file."""
        ...

    async def set_aside(self, job_id: JobId, attempt: int) -> None:
        """Keep the logs of a job's earlier attempt under other names; the next attempt begins with empty ones.

        Done a second time for the same attempt, it changes nothing. Problems are logged.
        """
        ...

    async def remove(self, job_ids: Sequence[JobId]) -> None:
        """Delete all logs of these jobs; those that are gone already are fine, problems are logged."""
        ...


# ----------------------------------------------------------------------------------------------------------- store

Ticket = int
"""Names one recorded change; grows with every change."""


@attrs.frozen
class JobAdded:
    """A new job, with the definition that it keeps for life.

    Attributes:
        evicted: jobs whose places it takes, as they will be: `canceled`. Saved in the same transaction, or, if the new
            job cannot be saved, not at all: they were accepted and keep their places.
    """

    job: JobView
    definition: PipelineDef
    evicted: tuple[JobView, ...] = ()


@attrs.frozen
class JobChanged:
    """A job's own fields changed; its tasks are not looked at."""

    job: JobView


@attrs.frozen
class JobsChanged:
    """The own fields of several jobs changed together: all of it is saved, or nothing."""

    jobs: tuple[JobView, ...]


@attrs.frozen
class JobReset:
    """A job begins again: its own fields are as given, and none of its tasks has been touched.

    What a retry has taken over of another job (`TaskView.from_job`) stays.
    """

    job: JobView


@attrs.frozen
class TaskChanged:
    """One task changed (or, for `on_error`, came to be) at this position in the job's list."""

    job_id: JobId
    position: int
    task: TaskView


@attrs.frozen
class JobsRemoved:
    """Retention deletes these jobs."""

    job_ids: tuple[JobId, ...]


@attrs.frozen
class PipelineChanged:
    """What is remembered of a pipeline, as it is now."""

    record: PipelineRecord


Change = JobAdded | JobChanged | JobsChanged | JobReset | TaskChanged | JobsRemoved | PipelineChanged


@attrs.frozen
class SavedJob:
    """A job as the store has it.

    `job.tasks` holds all tasks; those never touched are `waiting` or, in a job that is final, `canceled`.
    """

    job: JobView
    definition: PipelineDef


@attrs.frozen
class Expired:
    """Finished jobs of one pipeline that retention may delete, and when to look again.

    Attributes:
        job_ids: those to delete now.
        oldest: creation time of the oldest finished job that stays; None if none stays.
    """

    job_ids: tuple[JobId, ...]
    oldest: float | None


class Journal(Protocol):
    """Keeps jobs over a restart."""

    @property
    def problem(self) -> str:
        """Why the store cannot be written, as far as the last attempt could tell; empty if it can."""
        ...

    def record(self, change: Change) -> Ticket:
        """Take a change into the open batch. Never blocks, never raises.

        Changes reach the disk in the order in which they were recorded. One that cannot be written: a `JobAdded` is
        given up (see `committed`), all others are kept and tried again.
        """
        ...

    async def committed(self, ticket: Ticket) -> None:
        """Return when the change, and all before it, would survive a power cut.

        For anything but a `JobAdded` this waits as long as the store cannot write.

        Raises:
            StoreError: the change is a `JobAdded` that could not be written and never will be, or the journal closed.
        """
        ...

    async def unfinished(self) -> Sequence[SavedJob]:
        """Return the jobs that are not final, by number: the work of the last daemon that is still to be done."""
        ...

    async def last_number(self) -> int:
        """Return the highest number ever given to a job; 0 if there was none."""
        ...

    async def records(self) -> Sequence[PipelineRecord]:
        """Return all that is remembered of pipelines, by name; the names are not only those that are defined."""
        ...

    async def find(self, job_id: JobId) -> SavedJob | None:
        """Return a job, if the store has it. Raises `StoreError`."""
        ...

    async def jobs(self, *, pipeline: str | None, before: int | None, limit: int) -> Sequence[JobView]:
        """Return finished and unfinished jobs, newest first, with numbers below `before`. Raises `StoreError`."""
        ...

    async def search(self, query: JobQuery, *, without: Collection[int] = ()) -> Sequence[JobView]:
        """Return a page of jobs as they are on disk, newest first, but none of the numbers `without`.

        Raises `StoreError`.
        """
        ...

    async def pipelines(self) -> Sequence[str]:
        """Return the names of all pipelines that have finished jobs. Raises `StoreError`."""
        ...

    async def expired(
        self, pipeline: str, *, keep: int | None, created_before: float | None, ended_before: float | None = None
    ) -> Expired:
        """Select finished jobs of a pipeline: beyond the newest `keep`, or created before, or ended before a time.

        A None switches its condition off. Raises `StoreError`.
        """
        ...
