"""What the HTTP API needs of a runner; the real one fits, and so does a fake."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from prunner_trio.definition.pipeline import Definitions
from prunner_trio.execution.seams import OutputStore
from prunner_trio.model import (
    AuditEntry,
    Event,
    JobId,
    JobQuery,
    JobView,
    Pause,
    PipelineView,
    Queued,
    WaitPlace,
)

__all__ = ["JobPort", "RunnerPort", "Scrape"]

Scrape = Callable[[str], Awaitable[tuple[str, bytes]]]
"""From an Accept header to a content type and all metrics in it."""


class JobPort(Protocol):
    """A job that is not over yet."""

    @property
    def id(self) -> JobId:
        """A UUID in its usual form."""
        ...

    def view(self) -> JobView:
        """Return the job as it is now."""
        ...

    async def saved(self) -> None:
        """Wait until the job is on disk. Raises `StoreError` if it could not be saved, and will not run."""
        ...

    async def wait(self) -> JobView:
        """Wait for the end of the job. Raises `ShuttingDown` if the runner ended before."""
        ...


class RunnerPort(Protocol):
    """The public verbs of a runner that the API uses."""

    @property
    def output(self) -> OutputStore:
        """The logs of all tasks."""
        ...

    @property
    def definitions(self) -> Definitions:
        """The current definitions."""
        ...

    @property
    def unready(self) -> str:
        """Why no new job would be accepted now; empty if it would."""
        ...

    def pipelines(self) -> Sequence[PipelineView]:
        """Return the pipelines of the current definitions, sorted by name."""
        ...

    def places(self, pipeline: str) -> Mapping[JobId, WaitPlace]:
        """Return where the waiting jobs of a pipeline stand."""
        ...

    def submit(
        self,
        pipeline: str,
        *,
        variables: Mapping[str, object] = ...,
        user: str = "",
        partition: str = "",
        job_id: JobId | None = None,
    ) -> JobPort:
        """Accept a job, in one synchronous step; its `saved` tells when it is on disk. Raises as `schedule` does."""
        ...

    async def schedule(
        self, pipeline: str, *, variables: Mapping[str, object] = ..., user: str = "", partition: str = ""
    ) -> JobPort:
        """Accept a job and return when it is on disk.

        Raises:
            PipelineNotFound, QueueFull, QueueDisabled, InvalidVariable, ShuttingDown, StoreError: it was not accepted.
        """
        ...

    def submit_retry(
        self,
        original: JobView,
        *,
        only_failed: bool = False,
        variables: Mapping[str, object] | None = None,
        by: str = "",
        job_id: JobId | None = None,
    ) -> JobPort:
        """Accept a job that does again what another one did, in one synchronous step.

        Raises:
            JobNotFinished, TasksChanged, NothingToRetry: that cannot be done again, or not like this.
            PipelineNotFound, QueueFull, QueueDisabled, InvalidVariable, ShuttingDown: it was not accepted.
        """
        ...

    def cancel_task(self, job_id: JobId, task: str, *, by: str = "") -> None:
        """Ask one task to stop. Raises `JobNotFound`, `JobNotStarted`, `TaskNotFound` or `TaskAlreadyFinished`."""
        ...

    def move(
        self,
        job_id: JobId,
        *,
        before: JobId | None = None,
        after: JobId | None = None,
        to: int | None = None,
        by: str = "",
    ) -> None:
        """Give a job another place in its wait list. Raises `JobNotFound` or `JobNotWaiting`."""
        ...

    def queue(self) -> Sequence[Queued]:
        """Return all jobs that wait, by pipeline and in the order of the lists."""
        ...

    def pause(self, pipeline: str, *, by: str = "") -> None:
        """Let a pipeline start no jobs. Raises `PipelineNotFound`."""
        ...

    def resume(self, pipeline: str, *, by: str = "") -> None:
        """Let a paused pipeline start jobs again. Raises `PipelineNotFound`."""
        ...

    def pause_of(self, pipeline: str) -> Pause | None:
        """Return since when a pipeline is paused, and by whom; None if it is not."""
        ...

    async def job_audit(self, job_id: JobId) -> Sequence[AuditEntry]:
        """Return who did what to a job, the oldest first. Raises `JobNotFound` or `StoreError`."""
        ...

    def pipeline_audit(self, pipeline: str) -> Sequence[AuditEntry]:
        """Return who paused and resumed a pipeline, the oldest first. Raises `PipelineNotFound`."""
        ...

    def cancel(self, job_id: JobId, *, by: str = "") -> None:
        """Ask a job to stop. Raises `JobNotFound` if it is not waiting or running."""
        ...

    async def flush(self) -> None:
        """Wait, as long as that may take, until what has happened so far is on disk."""
        ...

    def job(self, job_id: JobId) -> JobPort | None:
        """Return a job that is not over; see `observe`."""
        ...

    def live(self) -> Iterator[JobView]:
        """Return all jobs that are waiting or running."""
        ...

    async def find(self, job_id: JobId) -> JobView:
        """Return a job, over or not. Raises `JobNotFound` or `StoreError`."""
        ...

    async def jobs(
        self, *, pipeline: str | None = None, before: int | None = None, limit: int = 100
    ) -> Sequence[JobView]:
        """Return jobs, newest first, with numbers below `before`. Raises `StoreError`."""
        ...

    async def names(self) -> Sequence[str]:
        """Return the names of all pipelines that are defined or have jobs, sorted. Raises `StoreError`."""
        ...

    async def search(self, query: JobQuery) -> Sequence[JobView]:
        """Return a page of jobs, live and kept, newest first. Raises `StoreError`."""
        ...

    def observe(self, listener: Callable[[Event], None]) -> AbstractContextManager[None]:
        """Call `listener` with every event while the context is open.

        During a job's last event, `job` still returns it.
        """
        ...
