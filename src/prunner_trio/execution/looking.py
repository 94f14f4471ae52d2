"""What can be asked of a runner. Nothing here changes anything."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager

import trio

from prunner_trio.definition.pipeline import Definitions, PipelineDef
from prunner_trio.errors import JobNotFound, PipelineNotFound
from prunner_trio.execution.bus import Listener
from prunner_trio.execution.handle import Job
from prunner_trio.execution.lines import Lines, StopLevel
from prunner_trio.execution.seams import OutputStore
from prunner_trio.model import (
    MOST_ENTRIES,
    Action,
    AuditEntry,
    Event,
    JobId,
    JobQuery,
    JobView,
    PipelineView,
    Queued,
    State,
    WaitPlace,
    WaitReason,
)
from prunner_trio.policy import schedulable, wait_places

__all__ = ["Looking"]


class Looking(Lines):
    """Answers: jobs live and kept, pipelines, places in the wait lists, events."""

    @property
    def definitions(self) -> Definitions:
        """The current definitions."""
        return self._definitions

    @property
    def output(self) -> OutputStore:
        """The logs of all tasks."""
        return self._services.output

    @property
    def level(self) -> StopLevel:
        """How urgently the runner ends."""
        return self._level

    @property
    def survivors(self) -> bool:
        """Whether processes of any job so far outlived SIGKILL."""
        return self._survivors

    def job(self, job_id: JobId) -> Job | None:
        """Return a live job; None if it has ended or never was."""
        return self._jobs.get(job_id)

    def live(self) -> Iterator[JobView]:
        """Yield all live jobs, oldest first."""
        for run in list(self._runs.values()):
            yield run.view()

    async def find(self, job_id: JobId) -> JobView:
        """Return a job, live or kept.

        Raises:
            JobNotFound: there is none with this id.
            StoreError: the store cannot be read.
        """
        if (run := self._runs.get(job_id)) is not None:
            return run.view()
        saved = await self._services.journal.find(job_id)
        if saved is None:
            raise JobNotFound(job_id)
        return saved.job

    async def jobs(
        self, *, pipeline: str | None = None, before: int | None = None, limit: int = 100
    ) -> Sequence[JobView]:
        """Return jobs that are on disk, newest first.

        Args:
            before: only jobs with lower numbers: the last number of one page begins the next.

        Raises:
            StoreError: the store cannot be read.
        """
        kept = await self._services.journal.jobs(pipeline=pipeline, before=before, limit=limit)
        return [run.view() if (run := self._runs.get(view.id)) is not None else view for view in kept]

    async def names(self) -> Sequence[str]:
        """Return the names of all pipelines that are defined or have jobs, live or kept, sorted.

        Raises:
            StoreError: the store cannot be read.
        """
        kept = await self._services.journal.pipelines()
        return sorted({*kept, *(run.definition.name for run in self._runs.values()), *self._definitions.pipelines})

    async def search(self, query: JobQuery) -> Sequence[JobView]:
        """Return a page of jobs, live and kept, newest first.

        Raises:
            StoreError: the store cannot be read.
        """
        live = {view.number: view for view in self.live()}
        kept = await self._services.journal.search(query, without=live)
        return query.page([*kept, *filter(query.matches, live.values())])

    def places(self, pipeline: str) -> Mapping[JobId, WaitPlace]:
        """Return where the waiting jobs of a pipeline stand, and what each of them waits for."""
        line = self._lines.get(pipeline)
        if line is None:
            return {}
        draining = self._level > StopLevel.SERVE
        slots, pause = line.definition.concurrency, self.pause_of(pipeline)
        holders = tuple(sorted(line.slots, key=lambda job_id: self._runs[job_id].view().number))
        places = wait_places(
            line.waiting.values(),
            line.unsaved,
            holders=holders,
            slots=slots,
            draining=draining,
            pause=pause,
            now=trio.current_time(),
        )
        for job_id in holders:
            if self._runs[job_id].state is State.WAITING:
                unsaved = job_id in line.unsaved and self._runs[job_id].view().attempt == 1
                reason = WaitReason.SAVING if unsaved else WaitReason.STARTING
                places[job_id] = WaitPlace(reason, None, len(line.waiting), len(holders), slots, holders, pause)
        return places

    def queue(self) -> list[Queued]:
        """Return all jobs that wait, each with its place and the reason: by pipeline, in the order of the lists.

        Those that have a slot already, and are about to start, come first.
        """
        return [
            Queued(self._runs[job_id].view(), place)
            for pipeline in sorted(self._lines)
            for job_id, place in sorted(self.places(pipeline).items(), key=lambda item: item[1].position or 0)
        ]

    async def job_audit(self, job_id: JobId) -> Sequence[AuditEntry]:
        """Return who scheduled a job, and who has done what to it since, the oldest first.

        Raises:
            JobNotFound: there is none with this id.
            StoreError: the store cannot be read.
        """
        job = await self.find(job_id)
        retries = await self.search(JobQuery(retry_of=job_id, limit=MOST_ENTRIES))
        entries = [
            AuditEntry(job.created, Action.SCHEDULED, job.user, job.retry_of or ""),
            *job.audit,
            *(AuditEntry(retry.created, Action.RETRIED, retry.user, retry.id) for retry in retries),
        ]
        return sorted(entries, key=lambda entry: entry.at)

    def pipeline_audit(self, pipeline: str) -> Sequence[AuditEntry]:
        """Return who has paused and resumed a pipeline, the oldest first.

        Raises:
            PipelineNotFound: nothing is known of it.
        """
        record = self._records.get(pipeline)
        if record is None and pipeline not in self._lines:
            raise PipelineNotFound(pipeline)
        return record.audit if record is not None else ()

    @property
    def unready(self) -> str:
        """Why a new job would not be accepted, whatever its pipeline; empty if it would."""
        if self._level > StopLevel.SERVE:
            return "the daemon is about to end"
        return self._services.journal.problem

    def pipelines(self) -> list[PipelineView]:
        """Return the current pipelines, sorted by name."""
        return [self._pipeline_view(pipeline) for pipeline in self._definitions]

    def _pipeline_view(self, pipeline: PipelineDef) -> PipelineView:
        line = self._lines[pipeline.name]
        return PipelineView(
            name=pipeline.name,
            schedulable=self._level is StopLevel.SERVE
            and schedulable(pipeline, line.waiting.values(), self._taken(line)),
            running=any(self._runs[job_id].state is State.RUNNING for job_id in line.slots),
            waiting=len(line.waiting),
            slots=len(line.slots),
            pause=self.pause_of(pipeline.name),
        )

    def counts(self) -> tuple[int, int]:
        """Return how many jobs run and how many wait; those that are left to the next daemon do neither here."""
        running = sum(len(line.slots) for line in self._lines.values())
        left = sum(run.left and run.state is State.RUNNING for run in self._runs.values())
        return running, len(self._runs) - running - left

    def occupancy(self) -> dict[str, tuple[int, int]]:
        """Return how many jobs run and how many wait, by pipeline, for all that are defined or have such jobs."""
        counts: dict[str, tuple[int, int]] = {}
        for name, line in self._lines.items():
            counts[name] = len(line.slots), len(line.waiting)
        return counts

    def defined(self) -> Mapping[str, PipelineDef]:
        """Return the pipelines of the current definitions, by name."""
        return self._definitions.pipelines

    @property
    def subscribers(self) -> int:
        """How many channels of events are open."""
        return self._bus.subscribers

    def observe(self, listener: Listener) -> AbstractContextManager[None]:
        """Call `listener` with each event as it happens; it must neither block nor raise.

        During the call `job` still returns a job whose final event this is.
        """
        return self._bus.observe(listener)

    def subscribe(self) -> AbstractAsyncContextManager[trio.MemoryReceiveChannel[Event]]:
        """Open a channel of events. A subscriber that lags 256 events behind is cut off: its channel ends."""
        return self._bus.subscribe()
