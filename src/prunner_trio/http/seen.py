"""A runner as somebody sees it from whom pipelines are hidden: as if there were none of these, nor jobs of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager

import attrs

from prunner_trio.definition.pipeline import Definitions
from prunner_trio.errors import JobNotFound, PipelineNotFound
from prunner_trio.execution.seams import OutputStore
from prunner_trio.http.port import JobPort, RunnerPort
from prunner_trio.http.rights import Rights
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

__all__ = ["SeenRunner", "seen_by"]


def seen_by(runner: RunnerPort, rights: Rights) -> RunnerPort:
    """Return the runner as somebody with these rights sees it: itself, if nothing is hidden."""
    return SeenRunner(runner, rights) if rights.restricted else runner


@attrs.define(eq=False)
class SeenRunner:
    """A runner without the pipelines that `rights` do not see, and without their jobs and events.

    What is hidden is answered as what does not exist. Roles are not looked at here. The numbers of jobs and events
    are those of the whole runner, so they show that there was something else, and not what.
    """

    runner: RunnerPort
    rights: Rights
    _defined: tuple[Definitions, Definitions] | None = attrs.field(default=None, init=False)

    @property
    def output(self) -> OutputStore:
        """The logs of all tasks. Whoever asks for one has found its job before, here."""
        return self.runner.output

    @property
    def definitions(self) -> Definitions:
        """The current definitions of what is seen."""
        all_of_them = self.runner.definitions
        if self._defined is None or self._defined[0] is not all_of_them:
            seen = {each.name: each for each in all_of_them if self.rights.sees(each.name)}
            files = tuple(sorted({each.file for each in seen.values() if each.file}))
            self._defined = all_of_them, Definitions(seen, files)
        return self._defined[1]

    @property
    def unready(self) -> str:
        """Why no new job would be accepted now; empty if it would."""
        return self.runner.unready

    def pipelines(self) -> Sequence[PipelineView]:
        """Return the pipelines that are seen, sorted by name."""
        return [view for view in self.runner.pipelines() if self.rights.sees(view.name)]

    def places(self, pipeline: str) -> Mapping[JobId, WaitPlace]:
        """Return where the waiting jobs of a pipeline stand."""
        return self.runner.places(pipeline) if self.rights.sees(pipeline) else {}

    def submit(
        self,
        pipeline: str,
        *,
        variables: Mapping[str, object] | None = None,
        user: str = "",
        partition: str = "",
        job_id: JobId | None = None,
    ) -> JobPort:
        """Accept a job, in one synchronous step. Raises as `schedule` does."""
        self._check_defined(pipeline)
        return self.runner.submit(pipeline, variables=variables or {}, user=user, partition=partition, job_id=job_id)

    async def schedule(
        self, pipeline: str, *, variables: Mapping[str, object] | None = None, user: str = "", partition: str = ""
    ) -> JobPort:
        """Accept a job and return when it is on disk. Raises as the runner does."""
        self._check_defined(pipeline)
        return await self.runner.schedule(pipeline, variables=variables or {}, user=user, partition=partition)

    def submit_retry(
        self,
        original: JobView,
        *,
        only_failed: bool = False,
        variables: Mapping[str, object] | None = None,
        by: str = "",
        job_id: JobId | None = None,
    ) -> JobPort:
        """Accept a job that does again what another one did. Raises as the runner does."""
        self._check_defined(original.pipeline)
        return self.runner.submit_retry(original, only_failed=only_failed, variables=variables, by=by, job_id=job_id)

    def cancel_task(self, job_id: JobId, task: str, *, by: str = "") -> None:
        """Ask one task to stop. Raises as the runner does, and `JobNotFound` if the job is hidden."""
        self._check_live(job_id)
        self.runner.cancel_task(job_id, task, by=by)

    def move(
        self,
        job_id: JobId,
        *,
        before: JobId | None = None,
        after: JobId | None = None,
        to: int | None = None,
        by: str = "",
    ) -> None:
        """Give a job another place in its wait list. Raises as the runner does, and `JobNotFound` if it is hidden."""
        self._check_live(job_id)
        self.runner.move(job_id, before=before, after=after, to=to, by=by)

    def queue(self) -> Sequence[Queued]:
        """Return all jobs that wait and are seen."""
        return [queued for queued in self.runner.queue() if self.rights.sees(queued.job.pipeline)]

    def pause(self, pipeline: str, *, by: str = "") -> None:
        """Let a pipeline start no jobs. Raises `PipelineNotFound`, also if it is hidden."""
        self._check_seen(pipeline)
        self.runner.pause(pipeline, by=by)

    def resume(self, pipeline: str, *, by: str = "") -> None:
        """Let a paused pipeline start jobs again. Raises `PipelineNotFound`, also if it is hidden."""
        self._check_seen(pipeline)
        self.runner.resume(pipeline, by=by)

    def pause_of(self, pipeline: str) -> Pause | None:
        """Return since when a pipeline is paused, and by whom; None if it is not, or hidden."""
        return self.runner.pause_of(pipeline) if self.rights.sees(pipeline) else None

    async def job_audit(self, job_id: JobId) -> Sequence[AuditEntry]:
        """Return who did what to a job, the oldest first. Raises `JobNotFound` or `StoreError`."""
        await self.find(job_id)
        return await self.runner.job_audit(job_id)

    def pipeline_audit(self, pipeline: str) -> Sequence[AuditEntry]:
        """Return who paused and resumed a pipeline. Raises `PipelineNotFound`, also if it is hidden."""
        self._check_seen(pipeline)
        return self.runner.pipeline_audit(pipeline)

    def cancel(self, job_id: JobId, *, by: str = "") -> None:
        """Ask a job to stop. Raises `JobNotFound` if it is not waiting or running, or hidden."""
        self._check_live(job_id)
        self.runner.cancel(job_id, by=by)

    async def flush(self) -> None:
        """Wait, as long as that may take, until what has happened so far is on disk."""
        await self.runner.flush()

    def job(self, job_id: JobId) -> JobPort | None:
        """Return a job that is not over; see `observe`."""
        job = self.runner.job(job_id)
        return job if job is not None and self.rights.sees(job.view().pipeline) else None

    def live(self) -> Iterator[JobView]:
        """Return all jobs that are waiting or running."""
        return (view for view in self.runner.live() if self.rights.sees(view.pipeline))

    async def find(self, job_id: JobId) -> JobView:
        """Return a job, over or not. Raises `JobNotFound` or `StoreError`."""
        view = await self.runner.find(job_id)
        if not self.rights.sees(view.pipeline):
            raise JobNotFound(job_id)
        return view

    async def jobs(
        self, *, pipeline: str | None = None, before: int | None = None, limit: int = 100
    ) -> Sequence[JobView]:
        """Return jobs, newest first, with numbers below `before`. Raises `StoreError`."""
        found: list[JobView] = []
        while page := await self.runner.jobs(pipeline=pipeline, before=before, limit=limit):
            found += [view for view in page if self.rights.sees(view.pipeline)]
            before = page[-1].number
            if len(found) >= limit:
                break
        return found[:limit]

    async def names(self) -> Sequence[str]:
        """Return the names of all pipelines that are seen and defined, or have jobs. Raises `StoreError`."""
        return [name for name in await self.runner.names() if self.rights.sees(name)]

    async def search(self, query: JobQuery) -> Sequence[JobView]:
        """Return a page of jobs, live and kept, newest first. Raises `StoreError`."""
        names = await self.names()
        if query.among is not None:
            names = [name for name in names if name in query.among]
        return await self.runner.search(attrs.evolve(query, among=tuple(names)))

    def observe(self, listener: Callable[[Event], None]) -> AbstractContextManager[None]:
        """Call `listener` with every event of what is seen while the context is open."""

        def hear(event: Event) -> None:
            if self.rights.sees(event.pipeline):
                listener(event)

        return self.runner.observe(hear)

    def _check_live(self, job_id: JobId) -> None:
        if self.job(job_id) is None:
            raise JobNotFound(job_id)

    def _check_seen(self, pipeline: str) -> None:
        if not self.rights.sees(pipeline):
            raise PipelineNotFound(pipeline)

    def _check_defined(self, pipeline: str) -> None:
        # Of all others alike, and before anything else is looked at: what a runner that is about to end says of a
        # pipeline that it has, and of one that it has not, differs.
        if not self.rights.sees(pipeline) or self.runner.definitions.get(pipeline) is None:
            raise PipelineNotFound(pipeline)
