"""A store on paper that follows the contract of `Journal` to the letter: group commit, outages, death at any call."""

from collections.abc import Callable, Sequence

import trio

from prunner_trio.errors import StoreError
from prunner_trio.execution.seams import Change, Expired, JobAdded, JobChanged, JobsRemoved, SavedJob, Ticket
from prunner_trio.model import JobId, JobView, PipelineRecord, State
from prunner_trio.testing import MemoryJournal

__all__ = ["Disk", "Platter"]


class Platter:
    """What survives every crash.

    Attributes:
        journal: all that was ever committed.
        states: the state of each job on it.
    """

    def __init__(self) -> None:
        self.journal = MemoryJournal()
        self.states: dict[JobId, State] = {}

    def write(self, change: Change) -> None:
        """Apply a change for good; an addition and its evictions are one transaction."""
        self.journal.record(change)
        match change:
            case JobAdded(job=job, evicted=evicted):
                self.states[job.id] = job.state
                self.states.update((other.id, other.state) for other in evicted if other.id in self.states)
            case JobChanged(job=job) if job.id in self.states:
                self.states[job.id] = job.state
            case JobsRemoved(job_ids=job_ids):
                for job_id in job_ids:
                    self.states.pop(job_id, None)


class Disk:
    """The journal of one life. Implements `Journal`.

    A commit takes `commit_seconds`; what is recorded meanwhile goes into the next one. There is no writer task: each
    call first does what was due, so that this store can be thrown away at any moment.
    """

    def __init__(
        self,
        platter: Platter,
        commit_seconds: float,
        called: Callable[[str], None],
        recorded: Callable[[Change], None],
        written: Callable[[Change], None],
    ) -> None:
        """Begin a life.

        Args:
            called: told of each call before it has an effect; it may make the store `dead`.
            recorded: told of each change that the engine records.
            written: told of each change that is on the platter.
        """
        self.dead = False
        self.platter = platter
        self._seconds = commit_seconds
        self._called = called
        self._recorded = recorded
        self._written = written
        self._held_until = self._broken_until = self._unreadable_until = 0.0
        self._ticket: Ticket = 0
        self._kept: list[tuple[Ticket, Change]] = []
        self._batch: list[tuple[Ticket, Change]] = []
        self._open: list[tuple[Ticket, Change]] = []
        self._ends = 0.0
        self._refused: set[Ticket] = set()
        self._moved = trio.Event()

    # --------------------------------------------------------------------------------------------------------- faults

    def hold(self, until: float) -> None:
        """Let no commit come to its end before `until`."""
        self.advance()
        self._held_until = max(self._held_until, until)

    def break_down(self, until: float) -> None:
        """Until then new jobs are given up, and all other changes are kept and written afterwards."""
        self.advance()
        self._broken_until = max(self._broken_until, until)

    def hide(self, until: float) -> None:
        """Let all reads fail until then."""
        self._unreadable_until = max(self._unreadable_until, until)

    def close(self) -> None:
        """Write all that is left, as a store does that is closed in good order."""
        self._held_until = self._broken_until = 0.0
        self._ends = trio.current_time()
        while self._batch or self._kept:
            self.advance()
            self._ends = trio.current_time()

    @property
    def settled(self) -> bool:
        """Whether nothing waits to be written."""
        return not (self._kept or self._batch or self._open)

    def advance(self) -> None:
        """Do what was due by now."""
        if self.dead:
            return
        now = trio.current_time()
        while self._batch and (end := max(self._ends, self._held_until)) <= now:
            batch, self._batch, self._open = self._batch, self._open, []
            self._ends = end + self._seconds
            self._attempt(batch, broken=end < self._broken_until)
        if self._kept and max(self._broken_until, self._held_until) <= now:
            self._attempt([], broken=False)

    def _attempt(self, batch: list[tuple[Ticket, Change]], *, broken: bool) -> None:
        if broken:
            self._refused.update(ticket for ticket, change in batch if isinstance(change, JobAdded))
            self._kept += [entry for entry in batch if not isinstance(entry[1], JobAdded)]
        else:
            entries, self._kept = self._kept + batch, []
            for _, change in entries:
                self.platter.write(change)
                self._written(change)
        self._moved.set()
        self._moved = trio.Event()

    # ------------------------------------------------------------------------------------------------------- journal

    def record(self, change: Change) -> Ticket:
        self._ticket += 1
        self._called("record")
        if self.dead:
            return self._ticket
        self.advance()
        self._recorded(change)
        if self._batch:
            self._open.append((self._ticket, change))
        else:
            self._batch.append((self._ticket, change))
            self._ends = trio.current_time() + self._seconds
        self.advance()
        return self._ticket

    async def committed(self, ticket: Ticket) -> None:
        await self._call("committed")
        while True:
            self.advance()
            if ticket in self._refused:
                raise StoreError("the job could not be saved: no space left on paper")
            if not any(waiting <= ticket for waiting, _ in (*self._kept, *self._batch, *self._open)):
                break
            with trio.move_on_at(self._next()):
                await self._moved.wait()
        await self._call("committed, at its end")

    def _next(self) -> float:
        times = [max(self._ends, self._held_until)] if self._batch else []
        if self._kept:
            times.append(max(self._broken_until, self._held_until))
        return min(times)

    async def _call(self, name: str) -> None:
        self._called(name)
        await trio.lowlevel.checkpoint()
        if self.dead:
            await trio.sleep_forever()

    async def _read(self, name: str) -> MemoryJournal:
        await self._call(name)
        self.advance()
        if trio.current_time() < self._unreadable_until:
            raise StoreError("the store could not be read: the paper is wet")
        return self.platter.journal

    async def unfinished(self) -> Sequence[SavedJob]:
        return await (await self._read("unfinished")).unfinished()

    async def last_number(self) -> int:
        return await (await self._read("last_number")).last_number()

    async def records(self) -> Sequence[PipelineRecord]:
        return await (await self._read("records")).records()

    async def find(self, job_id: JobId) -> SavedJob | None:
        return await (await self._read("find")).find(job_id)

    async def jobs(self, *, pipeline: str | None, before: int | None, limit: int) -> Sequence[JobView]:
        return await (await self._read("jobs")).jobs(pipeline=pipeline, before=before, limit=limit)

    async def pipelines(self) -> Sequence[str]:
        return await (await self._read("pipelines")).pipelines()

    async def expired(
        self, pipeline: str, *, keep: int | None, created_before: float | None, ended_before: float | None = None
    ) -> Expired:
        journal = await self._read("expired")
        return await journal.expired(pipeline, keep=keep, created_before=created_before, ended_before=ended_before)
