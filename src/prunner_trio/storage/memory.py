"""The journal without a disk, for programs that need no history and for tests, which can make it fail or wait."""

from collections.abc import Collection, Iterable, Sequence

import attrs
import trio

from prunner_trio.definition.pipeline import PipelineDef
from prunner_trio.errors import StoreError
from prunner_trio.execution.seams import (
    Change,
    Expired,
    JobAdded,
    JobChanged,
    JobReset,
    JobsChanged,
    JobsRemoved,
    PipelineChanged,
    SavedJob,
    TaskChanged,
    Ticket,
)
from prunner_trio.model import JobId, JobQuery, JobView, PipelineRecord, TaskView
from prunner_trio.storage.rows import all_tasks, consequences

__all__ = ["MemoryJournal"]


@attrs.define(eq=False)
class _Entry:
    head: JobView
    definition: PipelineDef
    tasks: dict[int, TaskView] = attrs.field(factory=dict)

    def saved(self) -> SavedJob:
        head = self.head
        tasks = all_tasks(self.definition, self.tasks, head.state, head.stop)
        return SavedJob(attrs.evolve(head, tasks=tasks), self.definition)


class MemoryJournal:
    """Keeps jobs as long as it lives; see `Journal`. A change is committed in the moment in which it is recorded.

    Attributes:
        fail_adds: while true, every new job is given up, as with a full disk.
        fail_next: so many of the next new jobs are given up.
        fail_reads: while true, every question raises `StoreError`.
    """

    def __init__(self, saved: Iterable[SavedJob] = (), records: Iterable[PipelineRecord] = ()) -> None:
        """Begin with these jobs, say those of the `snapshot` of another one: that is a restart."""
        self.fail_adds = False
        self.fail_next = 0
        self.fail_reads = False
        self._entries: dict[JobId, _Entry] = {}
        self._records: dict[str, PipelineRecord] = {}
        self._last_number = 0
        self._records.update((record.name, record) for record in records)
        for job in saved:
            self._add(JobAdded(job.job, job.definition))
        self._recorded: Ticket = 0
        self._durable: Ticket = 0
        self._waiting: list[Change] = []
        self._refused: set[Ticket] = set()
        self._hold = False
        self._moved = trio.Event()

    @property
    def problem(self) -> str:
        """Why nothing new can be saved; see `Journal.problem`."""
        return "the journal was told to fail" if self.fail_adds else ""

    @property
    def hold(self) -> bool:
        """While true, nothing is committed and `committed` waits; set to false, all that was held is committed."""
        return self._hold

    @hold.setter
    def hold(self, hold: bool) -> None:
        self._hold = hold
        if not hold:
            self._commit()

    def snapshot(self) -> tuple[SavedJob, ...]:
        """Return what a crash in this moment would leave behind, by number."""
        entries = sorted(self._entries.values(), key=lambda entry: entry.head.number)
        return tuple(entry.saved() for entry in entries)

    def record(self, change: Change) -> Ticket:
        """Take a change; see `Journal.record`."""
        self._recorded += 1
        self._waiting.append(change)
        if not self._hold:
            self._commit()
        return self._recorded

    async def committed(self, ticket: Ticket) -> None:
        """Return when the change would survive a crash; see `Journal.committed`."""
        if ticket > self._recorded:
            raise ValueError(f"there is no change {ticket} yet")
        await trio.lowlevel.checkpoint()
        while ticket > self._durable:
            await self._moved.wait()
        if ticket in self._refused:
            raise StoreError("the job could not be saved: the journal was told to fail")

    async def unfinished(self) -> Sequence[SavedJob]:
        """Return the jobs that are not final, by number; see `Journal.unfinished`."""
        await self._look()
        return [saved for saved in self.snapshot() if not saved.job.state.final]

    async def last_number(self) -> int:
        """Return the highest number ever given to a job; see `Journal.last_number`."""
        await self._look()
        return self._last_number

    async def records(self) -> Sequence[PipelineRecord]:
        """Return what is remembered of pipelines; see `Journal.records`."""
        await self._look()
        return [record for _, record in sorted(self._records.items())]

    async def find(self, job_id: JobId) -> SavedJob | None:
        """Return a job, if the journal has it; see `Journal.find`."""
        await self._look()
        entry = self._entries.get(job_id)
        return entry.saved() if entry is not None else None

    async def jobs(self, *, pipeline: str | None, before: int | None, limit: int) -> Sequence[JobView]:
        """Return a page of jobs, newest first; see `Journal.jobs`."""
        await self._look()
        found = [
            saved.job
            for saved in reversed(self.snapshot())
            if pipeline in (None, saved.job.pipeline) and (before is None or saved.job.number < before)
        ]
        return found[:limit]

    async def search(self, query: JobQuery, *, without: Collection[int] = ()) -> Sequence[JobView]:
        """Return a page of jobs; see `Journal.search`."""
        await self._look()
        found = [saved.job for saved in self.snapshot() if saved.job.number not in without]
        return query.page([job for job in found if query.matches(job)])

    async def pipelines(self) -> Sequence[str]:
        """Return the names of all pipelines that have finished jobs; see `Journal.pipelines`."""
        await self._look()
        return sorted({entry.head.pipeline for entry in self._entries.values() if entry.head.state.final})

    async def expired(
        self, pipeline: str, *, keep: int | None, created_before: float | None, ended_before: float | None = None
    ) -> Expired:
        """Select finished jobs of a pipeline; see `Journal.expired`."""
        await self._look()
        finished = [saved.job for saved in self.snapshot() if saved.job.pipeline == pipeline and saved.job.state.final]
        surplus = len(finished) - keep if keep is not None else 0
        expired, created = [], []
        for index, job in enumerate(finished):
            ended = job.ended if job.ended is not None else job.created
            if (
                index < surplus
                or (created_before is not None and job.created < created_before)
                or (ended_before is not None and ended < ended_before)
            ):
                expired.append(job.id)
            else:
                created.append(job.created)
        return Expired(tuple(expired), min(created, default=None))

    async def _look(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.fail_reads:
            raise StoreError("the store could not be read: the journal was told to fail")

    def _commit(self) -> None:
        first = self._durable + 1
        for ticket, change in enumerate(self._waiting, first):
            if isinstance(change, JobAdded) and (self.fail_adds or self.fail_next > 0):
                self.fail_next = max(0, self.fail_next - 1)
                self._refused.add(ticket)
            elif isinstance(change, JobAdded):
                self._add(change)
            else:
                self._apply(change)
        self._waiting.clear()
        self._durable = self._recorded
        self._moved.set()
        self._moved = trio.Event()

    def _add(self, change: JobAdded) -> None:
        job = change.job
        self._entries[job.id] = _Entry(attrs.evolve(job, tasks=()), change.definition)
        self._last_number = max(self._last_number, job.number)
        for consequence in consequences(change):
            self._apply(consequence)

    def _apply(self, change: Change) -> None:
        match change:
            case JobChanged(job=job) if job.id in self._entries:
                self._entries[job.id].head = attrs.evolve(job, tasks=())
            case JobsChanged(jobs=jobs):
                for job in jobs:
                    self._apply(JobChanged(job))
            case JobReset(job=job) if job.id in self._entries:
                entry = self._entries[job.id]
                entry.head = attrs.evolve(job, tasks=())
                entry.tasks = {place: task for place, task in entry.tasks.items() if task.from_job is not None}
            case TaskChanged(job_id=job_id, position=position, task=task) if job_id in self._entries:
                self._entries[job_id].tasks[position] = task
            case JobsRemoved(job_ids=job_ids):
                for job_id in job_ids:
                    self._entries.pop(job_id, None)
            case PipelineChanged(record=record):
                self._records[record.name] = record
