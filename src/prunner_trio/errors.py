"""Every error that a user of prunner-trio can cause, and nothing else.

An error carries its facts as attributes; whoever shows it (HTTP, command line, log) chooses the form. Misuse of the
Python API is a plain ``TypeError``, ``ValueError`` or ``RuntimeError`` instead.
"""

from collections.abc import Sequence

import attrs

__all__ = [
    "EndLost",
    "IllegalMove",
    "InvalidDefinition",
    "InvalidVariable",
    "JobAlreadyFinished",
    "JobNotFinished",
    "JobNotFound",
    "JobNotStarted",
    "JobNotWaiting",
    "LaunchError",
    "NothingToRetry",
    "PipelineNotFound",
    "PipelinePaused",
    "Problem",
    "ProcessesSurvived",
    "PrunnerError",
    "QueueDisabled",
    "QueueFull",
    "ShuttingDown",
    "StoreError",
    "StoreLocked",
    "TaskAlreadyFinished",
    "TaskNotFound",
    "TasksChanged",
    "Unauthorized",
]


class PrunnerError(Exception):
    """The root of all errors that a user can cause."""


@attrs.frozen(order=True)
class Problem:
    """One thing that is wrong in a definition file.

    Attributes:
        file: the path as the user knows it (relative to the base directory where possible).
        line: 1-based; 0 if the problem belongs to no line (an unreadable file).
        column: 1-based, in characters; 0 if unknown.
        key: the path of the key, for example ``pipelines.deploy.tasks.build.script``; may be empty.
        message: what is wrong, what is allowed.
        hint: a suggestion such as ``did you mean "script"?``; may be empty.
    """

    file: str
    line: int
    column: int
    key: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        hint = f" ({self.hint})" if self.hint else ""
        return f"{place}: {self.message}{hint}"


class InvalidDefinition(PrunnerError):
    """Definition files have problems; all of them are in `problems`, sorted."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class PipelineNotFound(PrunnerError):
    """No pipeline of the current definitions has this name."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"pipeline {name!r} is not defined")


class InvalidVariable(PrunnerError):
    """A variable of a job cannot be given to a task."""

    def __init__(self, name: str, problem: str) -> None:
        self.name = name
        self.problem = problem
        super().__init__(f"variable {name!r} {problem}")


class QueueFull(PrunnerError):
    """The wait list of the pipeline has reached its limit."""

    def __init__(self, pipeline: str) -> None:
        self.pipeline = pipeline
        super().__init__("concurrency exceeded and queue limit reached for pipeline")


class QueueDisabled(PrunnerError):
    """All slots are taken and the pipeline has no wait list (``queue_limit: 0``)."""

    def __init__(self, pipeline: str) -> None:
        self.pipeline = pipeline
        super().__init__("concurrency exceeded and queueing disabled for pipeline")


class PipelinePaused(QueueDisabled):
    """The pipeline is paused and has no wait list, so that a new job can neither start nor wait."""

    def __init__(self, pipeline: str) -> None:
        self.pipeline = pipeline
        PrunnerError.__init__(self, f"pipeline {pipeline!r} is paused and has no wait list")


class JobNotFound(PrunnerError):
    """No job has this id."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(f"job {job_id!r} does not exist")


class TaskNotFound(PrunnerError):
    """The job has no task of this name."""

    def __init__(self, job_id: str, task: str) -> None:
        self.job_id = job_id
        self.task = task
        super().__init__(f"job {job_id!r} has no task {task!r}")


class JobAlreadyFinished(PrunnerError):
    """The job had ended before; nothing changed."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(f"job {job_id!r} has ended already")


class JobNotFinished(PrunnerError):
    """The job has not ended yet."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(f"job {job_id!r} has not ended yet: only one that is over can be retried")


class JobNotStarted(PrunnerError):
    """The job waits, so none of its tasks can be stopped."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(f"job {job_id!r} has not started: it can only be canceled as a whole")


class JobNotWaiting(PrunnerError):
    """The job has no place in the wait list that is meant."""

    def __init__(self, job_id: str, pipeline: str) -> None:
        self.job_id = job_id
        self.pipeline = pipeline
        super().__init__(f"job {job_id!r} is not on the wait list of pipeline {pipeline!r}")


class TaskAlreadyFinished(PrunnerError):
    """The task had ended before; nothing changed."""

    def __init__(self, job_id: str, task: str) -> None:
        self.job_id = job_id
        self.task = task
        super().__init__(f"task {task!r} of job {job_id!r} has ended already")


class NothingToRetry(PrunnerError):
    """All tasks of the job have succeeded."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(f"all tasks of job {job_id!r} have succeeded: there is none to run again")


class TasksChanged(PrunnerError):
    """The tasks of a pipeline are no longer those of a job, so what they did cannot be taken over."""

    def __init__(self, job_id: str, pipeline: str, changes: Sequence[str]) -> None:
        self.job_id = job_id
        self.pipeline = pipeline
        self.changes = tuple(changes)
        what = "; ".join(changes)
        super().__init__(
            f"pipeline {pipeline!r} has changed since job {job_id!r}: {what}. It can only be retried as a whole"
        )


class ShuttingDown(PrunnerError):
    """The runner takes no new jobs because it is about to end."""

    def __init__(self) -> None:
        super().__init__("the runner is shutting down")


class LaunchError(PrunnerError):
    """A task could not be started; nothing of it was left behind."""


class EndLost(PrunnerError):
    """How a task ended cannot be known: its daemon died, and nothing else has kept the exit status."""

    def __init__(self) -> None:
        super().__init__("its end was lost with the daemon")


class ProcessesSurvived(PrunnerError):
    """Processes of a task were still alive after SIGKILL and the reap time-out."""


class StoreError(PrunnerError):
    """The store could not save or read."""


class StoreLocked(StoreError):
    """Another daemon uses the data directory."""

    def __init__(self, path: str, pid: int | None) -> None:
        self.path = path
        self.pid = pid
        who = f"the daemon with pid {pid}" if pid else "another process"
        super().__init__(f"the data directory {path} is in use by {who}")


class Unauthorized(PrunnerError):
    """A request has no valid token; the message says why, never what the token held."""


class IllegalMove(Exception):
    """A state machine was asked for a move that its table does not have.

    No user can cause it: it is a defect of the runner, and nothing but a job's outermost boundary catches it.
    """
