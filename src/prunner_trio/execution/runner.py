"""The runner: definitions, wait lists, slots and live jobs, all owned by one thread.

Every decision is one synchronous run of code; whatever has to wait (a commit, a process, a moment) is a child task of
the runner's nursery.
"""

import heapq
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from enum import IntEnum
from functools import partial
from types import MappingProxyType

import attrs
import trio

from prunner_trio.definition.pipeline import Definitions, PipelineDef
from prunner_trio.definition.variables import RESERVED, checked_variables
from prunner_trio.errors import JobNotFound, PipelineNotFound, ShuttingDown, StoreError
from prunner_trio.execution.bus import Bus, Listener
from prunner_trio.execution.handle import Job, Saving
from prunner_trio.execution.housekeeping import Housekeeping
from prunner_trio.execution.job import JobRun, Services
from prunner_trio.execution.plain_errors import plain_errors
from prunner_trio.execution.seams import JobAdded, JobReset, JobsRemoved, OutputStore, Remaining, SavedJob, task_key
from prunner_trio.model import (
    Event,
    EventKind,
    JobId,
    JobQuery,
    JobView,
    PipelineView,
    State,
    StopReason,
    WaitPlace,
    WaitReason,
)
from prunner_trio.policy import Waiting, admit, schedulable, startable, wait_places

__all__ = ["Runner", "StopLevel"]

log = logging.getLogger(__name__)

_NO_VARIABLES: Mapping[str, object] = MappingProxyType({})


class StopLevel(IntEnum):
    """How urgently a runner ends; it only goes up."""

    SERVE = 0
    DRAIN = 1
    """No new jobs; running ones finish; the wait list stays on disk."""
    CANCEL = 2
    """Running jobs get the stop sequence."""
    KILL = 3
    """SIGKILL at once."""


@attrs.define(eq=False)
class _Line:
    """One pipeline: who waits, who holds a slot.

    Attributes:
        definition: the newest one known; it rules concurrency and admission, not what an accepted job does.
        waiting: in the order of arrival.
        unsaved: jobs whose acceptance is not on disk yet: they may not start.
        slots: jobs that hold a slot: accepted for one, running, or ended and not yet saved.
    """

    definition: PipelineDef
    waiting: OrderedDict[JobId, Waiting] = attrs.field(factory=OrderedDict)
    unsaved: set[JobId] = attrs.field(factory=set)
    slots: set[JobId] = attrs.field(factory=set)


class Runner:
    """Schedules, runs and remembers jobs. Made by `run_engine`; all methods belong to its Trio thread."""

    def __init__(self, definitions: Definitions, services: Services, new_id: Callable[[], JobId]) -> None:
        self._definitions = definitions
        self._services = attrs.evolve(services, publish=self._publish)
        self._new_id = new_id
        self._bus = Bus()
        self._lines: dict[str, _Line] = {p.name: _Line(p) for p in definitions}
        self._jobs: dict[JobId, Job] = {}
        self._runs: dict[JobId, JobRun] = {}
        self._number = 0
        self._seq = 0
        self._level = StopLevel.SERVE
        self._survivors = False
        self._at_start: list[Callable[[], Awaitable[None]]] = []
        self._changed = trio.Event()
        self._delayed: list[tuple[float, str]] = []  # a heap: when a job becomes due, in which line
        self._refill = False  # slots may be free in any line
        self._rearmed = trio.Event()
        self._nursery: trio.Nursery
        self._housekeeping = Housekeeping(
            services.journal, services.output, services.now, lambda: self._definitions, self._removed, self._runs
        )

    # --------------------------------------------------------------------------------------------------- scheduling

    def submit(
        self,
        pipeline: str,
        *,
        variables: Mapping[str, object] = _NO_VARIABLES,
        user: str = "",
        partition: str = "",
        job_id: JobId | None = None,
    ) -> Job:
        """Decide over a new job, in one synchronous step. Not a checkpoint.

        The job is not on disk yet: `Job.saved` tells when. Nothing of it starts before.

        Args:
            job_id: a UUID that no job has; None: a new random one.

        Raises:
            ValueError: a live job has this id. (With that of a kept one the new job cannot be saved.)
            ShuttingDown: the runner is about to end.
            PipelineNotFound: no such pipeline.
            InvalidVariable: a variable cannot be given to a task.
            QueueFull, QueueDisabled: there is no place for it.
        """
        if self._level > StopLevel.SERVE:
            raise ShuttingDown
        definition = self._definitions.get(pipeline)
        if definition is None:
            raise PipelineNotFound(pipeline)
        if job_id in self._runs:
            raise ValueError(f"there is a job {job_id} already")
        variables = checked_variables(variables)
        line = self._lines[pipeline]
        clock = trio.current_time()
        job_id = job_id or self._new_id()
        new = Waiting(job_id, clock + definition.start_delay if definition.start_delay > 0 else 0.0, partition)
        admission = admit(definition, line.waiting.values(), self._taken(line), new, clock)
        evicted = self._runs[admission.evict] if admission.evict is not None else None
        if evicted is not None:
            place = line.waiting.pop(evicted.id)
        created = self._services.now()
        self._number += 1
        view = JobView(
            id=job_id,
            number=self._number,
            pipeline=pipeline,
            state=State.WAITING,
            tasks=(),
            created=created,
            not_before=created + definition.start_delay if definition.start_delay > 0 else 0.0,
            variables=variables,
            user=user,
            partition=partition,
        )
        run = JobRun(SavedJob(view, definition), self._services)
        job, saving = self._adopt(run)
        if admission.start:
            line.slots.add(job_id)
        else:
            self._wait(line, new)
        line.unsaved.add(job_id)
        ticket = self._services.journal.record(
            JobAdded(run.view(), definition, (evicted.as_evicted(created),) if evicted is not None else ())
        )
        self._publish(EventKind.JOB, run, "", State.WAITING, "")
        replaced = (evicted, place) if evicted is not None else None
        self._nursery.start_soon(self._save, saving, run, line, ticket, replaced, name=f"save {job_id}")
        return job

    async def schedule(
        self,
        pipeline: str,
        *,
        variables: Mapping[str, object] = _NO_VARIABLES,
        user: str = "",
        partition: str = "",
    ) -> Job:
        """Submit a job and wait until it is on disk. A caller that is canceled meanwhile loses only the answer.

        Raises:
            StoreError: it could not be saved, and was canceled before anything of it had started.
            ShuttingDown, PipelineNotFound, InvalidVariable, QueueFull, QueueDisabled: see `submit`.
        """
        job = self.submit(pipeline, variables=variables, user=user, partition=partition)
        await job.saved()
        return job

    def _adopt(self, run: JobRun, *, saved: bool = False) -> tuple[Job, Saving]:
        saving = Saving()
        if saved:
            saving.succeeded()
        job = Job(run, saving, lambda job_id, by: self.cancel(job_id, by=by))
        self._runs[run.id] = run
        self._jobs[run.id] = job
        return job, saving

    async def _save(
        self, saving: Saving, run: JobRun, line: _Line, ticket: int, replaced: tuple[JobRun, Waiting] | None
    ) -> None:
        try:
            await self._services.journal.committed(ticket)
        except StoreError as exc:
            saving.error = exc
            self._give_up(line, run, str(exc), replaced)
        else:
            saving.succeeded()
            self._accepted(line, run, replaced)
        finally:
            saving.done.set()
        self._pump(line)
        self._notify()

    def _give_up(self, line: _Line, run: JobRun, error: str, replaced: tuple[JobRun, Waiting] | None) -> None:
        self._leave_line(line, run.id)
        if replaced is not None:
            self._put_back(line, *replaced)
        if run.state.final:  # canceled meanwhile, so its end has been told; but the store will never have it
            self._tell(EventKind.REMOVED, run.id, run.definition.name, "", run.state, StopReason.NOT_SAVED.value)
        else:
            run.cancel_waiting(StopReason.NOT_SAVED, error=error, record=False)
        self._forget(run)

    def _accepted(self, line: _Line, run: JobRun, replaced: tuple[JobRun, Waiting] | None) -> None:
        line.unsaved.discard(run.id)
        log.info("job accepted", extra={"job": run.id, "pipeline": run.definition.name})
        if replaced is not None and not replaced[0].state.final:
            replaced[0].cancel_waiting(StopReason.REPLACED, record=False, at=run.view().created)
            self._forget(replaced[0])
        if run.state.final:
            return
        if RESERVED in run.view().variables:
            self._leave_line(line, run.id)
            run.cancel_waiting(StopReason.REFUSED, error=f"variable name {RESERVED} is reserved for internal use")
            self._forget(run)
        elif run.id in line.slots:
            self._start(line, run)

    def _put_back(self, line: _Line, run: JobRun, place: Waiting) -> None:
        """Give a job its place again: the one that was to replace it could not be saved."""
        if run.state.final:
            return
        self._wait(line, place)
        for other in list(line.waiting):
            if self._runs[other].view().number > run.view().number:
                line.waiting.move_to_end(other)

    def _start(self, line: _Line, run: JobRun) -> None:
        # Accepted for a slot just before the door closed: it waits on disk. But not if it was canceled meanwhile.
        if self._closing() and run.stop is None:
            line.slots.discard(run.id)
            line.waiting[run.id] = Waiting(run.id)
            line.waiting.move_to_end(run.id, last=False)
            return
        line.slots.add(run.id)
        self._nursery.start_soon(self._run, line, run, name=f"job {run.id}")

    async def _run(self, line: _Line, run: JobRun) -> None:
        try:
            await run.run()
        finally:
            self._survivors = self._survivors or run.survived
            self._leave_line(line, run.id)
            if not run.left:
                self._forget(run)
            self._pump(line)
            self._notify()

    def _pump(self, line: _Line) -> None:
        """Give free slots to those who are due.

        One that is not on disk yet gets its slot too, and starts once it is: jobs that share a commit would otherwise
        start in the order in which the scheduler happens to wake them.
        """
        if not line.waiting or self._closing():
            return
        for job_id in startable(
            line.definition.concurrency, line.waiting.values(), len(line.slots), trio.current_time()
        ):
            del line.waiting[job_id]
            if job_id in line.unsaved:
                line.slots.add(job_id)
            else:
                self._start(line, self._runs[job_id])

    def _taken(self, line: _Line) -> int:
        """Count the slots that nobody new can have: those in use, and those of jobs that are about to start."""
        held = len(line.slots)
        due = startable(line.definition.concurrency, line.waiting.values(), held, trio.current_time())
        return held + len(due)

    def _closing(self) -> bool:
        """Whether nothing may start any more: the runner was told to end, or whoever runs it is being canceled."""
        return self._level > StopLevel.SERVE or trio.current_effective_deadline() == float("-inf")

    def _leave_line(self, line: _Line, job_id: JobId) -> None:
        line.slots.discard(job_id)
        line.unsaved.discard(job_id)
        line.waiting.pop(job_id, None)

    def _forget(self, run: JobRun) -> None:
        """Let a finished job leave memory; the journal has it."""
        if self._runs.pop(run.id, None) is None:
            return
        del self._jobs[run.id]
        self._housekeeping.job_ended(run.definition.name)
        self._drop_unused_line(run.definition.name)

    def _drop_unused_line(self, name: str) -> None:
        if self._definitions.get(name) is None and all(run.definition.name != name for run in self._runs.values()):
            self._lines.pop(name, None)

    def _notify(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    def _wait(self, line: _Line, job: Waiting) -> None:
        """Put a job at the end of a wait list, and set the alarm if it is delayed."""
        line.waiting[job.job_id] = job
        if job.due > trio.current_time():
            heapq.heappush(self._delayed, (job.due, line.definition.name))
            self._rearm()

    def _rearm(self) -> None:
        self._rearmed.set()
        self._rearmed = trio.Event()

    async def _alarm(self) -> None:
        """Wake the lines whose delayed jobs become due, and those whose slots a reload has changed.

        A heap, since it must not cost more per job the more of them wait.
        """
        while True:
            rearmed, now = self._rearmed, trio.current_time()
            due = dict.fromkeys(self._lines if self._refill else ())
            self._refill = False
            while self._delayed and self._delayed[0][0] <= now:
                due[heapq.heappop(self._delayed)[1]] = None
            for name in due:
                if (line := self._lines.get(name)) is not None:
                    self._pump(line)
            with trio.move_on_at(self._delayed[0][0] if self._delayed else float("inf")):
                await rearmed.wait()

    # ------------------------------------------------------------------------------------------------------ looking

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
        taken, slots = len(line.slots), line.definition.concurrency
        places = wait_places(
            line.waiting.values(), line.unsaved, taken=taken, slots=slots, draining=draining, now=trio.current_time()
        )
        for job_id in line.slots:
            if self._runs[job_id].state is State.WAITING:
                unsaved = job_id in line.unsaved and self._runs[job_id].view().attempt == 1
                reason = WaitReason.SAVING if unsaved else WaitReason.STARTING
                places[job_id] = WaitPlace(reason, None, len(line.waiting), taken, slots)
        return places

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

    def _publish(self, kind: EventKind, run: JobRun, task: str, state: State, reason: str) -> Event:
        return self._tell(kind, run.id, run.definition.name, task, state, reason)

    def _removed(self, job_id: JobId, pipeline: str) -> None:
        self._tell(EventKind.REMOVED, job_id, pipeline, "", State.DONE, "retention")

    def _tell(self, kind: EventKind, job_id: JobId, pipeline: str, task: str, state: State, reason: str) -> Event:
        self._seq += 1
        event = Event(self._seq, self._services.now(), kind, job_id, pipeline, task, state, reason)
        self._bus.publish(event)
        return event

    # ------------------------------------------------------------------------------------------------------ steering

    def cancel(self, job_id: JobId, *, by: str = "") -> None:
        """Ask a live job to stop. Returns at once, not a checkpoint.

        The job becomes `canceled` when none of its processes is alive, at the latest `kill_timeout + reap_timeout`
        seconds from now (see `Job.wait`); a waiting job before this returns. `flush` tells when that is on disk.

        Raises:
            JobNotFound: no live job has this id; it may have ended (see `find`).
        """
        run = self._runs.get(job_id)
        if run is None:
            raise JobNotFound(job_id)
        line = self._lines[run.definition.name]
        if job_id in line.slots or run.state is State.RUNNING:  # one that was handed over is stopped by the next daemon
            run.request_stop(StopReason.USER, by)
            return
        self._leave_line(line, job_id)
        run.cancel_waiting(StopReason.USER, by)
        self._forget(run)
        self._notify()

    async def flush(self) -> None:
        """Wait until everything that has happened so far is on disk, as long as that may take.

        Raises:
            StoreError: the journal is closed.
        """
        await self._services.journal.committed(self._services.journal.record(JobsRemoved(())))

    def replace_definitions(self, definitions: Definitions) -> None:
        """Let new definitions count for new jobs. Accepted jobs keep theirs; concurrency follows the new ones."""
        self._definitions = definitions
        for pipeline in definitions:
            if (line := self._lines.get(pipeline.name)) is not None:
                line.definition = pipeline
            else:
                self._lines[pipeline.name] = _Line(pipeline)
        for name in list(self._lines):
            self._drop_unused_line(name)
        self._refill = True
        self._rearm()  # the alarm fills the slots: the caller's scope may be canceled, which says nothing of ours
        self._housekeeping.definitions_changed()

    def request_shutdown(self, level: StopLevel) -> None:
        """Begin to end, or end more urgently; a lower level than the current one changes nothing. Not a checkpoint."""
        if level <= self._level:
            return
        self._level = level
        if level >= StopLevel.KILL:
            self._services.hurry.call()
        if level >= StopLevel.CANCEL:
            for run in self._in_slots():
                run.request_stop(StopReason.SHUTDOWN)
        self._notify()

    async def hand_over(self) -> None:
        """Leave all running jobs to the next daemon: close the door, write it down, let go of them.

        After this `finished` returns as soon as what is being stopped already is gone. A job with a task that cannot be
        handed over is stopped and ends as interrupted. If the store cannot write, this waits; canceled meanwhile, or
        overtaken by a request to cancel all jobs, it lets nothing go, and the runner drains.

        Raises:
            StoreError: the journal is closed.
        """
        self.request_shutdown(StopLevel.DRAIN)
        # Again, because a job that had its slot already may take its first step meanwhile.
        while self._level is StopLevel.DRAIN and sum(run.mark_handed_over() for run in self._in_slots()):
            await self.flush()
        if self._level is StopLevel.DRAIN:
            for run in self._in_slots():
                run.let_go()

    def _in_slots(self) -> list[JobRun]:
        return [self._runs[job_id] for line in self._lines.values() for job_id in line.slots - line.unsaved]

    async def finished(self) -> None:
        """Wait until no job holds a slot any more, which after `request_shutdown` means: for good."""
        while any(line.slots for line in self._lines.values()):
            await self._changed.wait()

    # ------------------------------------------------------------------------------------------------------ lifetime

    def wait_again(self, saved: SavedJob) -> None:
        """Put a job that an earlier runner accepted at the end of its wait list; before the first `start_due`."""
        run = JobRun(saved, self._services)
        self._adopt(run, saved=True)
        line = self._lines.setdefault(saved.job.pipeline, _Line(saved.definition))
        delay = min(saved.job.not_before - self._services.now(), saved.definition.start_delay)
        due = trio.current_time() + delay if delay > 0 else 0.0
        self._wait(line, Waiting(run.id, due, saved.job.partition))

    def go_on(self, saved: SavedJob, remains: Mapping[str, Remaining]) -> None:
        """Take up a job that an earlier daemon has begun, to go on with it where it stands; it holds its slot again."""
        run = JobRun(saved, self._services, remains)
        self._adopt(run, saved=True)
        run.go_on()
        line = self._lines.setdefault(saved.job.pipeline, _Line(saved.definition))
        line.slots.add(run.id)
        self._at_start.append(partial(self._run, line, run))

    def stop_remains(self, saved: SavedJob, remains: Mapping[str, Remaining]) -> None:
        """Take up a job that was running when its daemon died, to bring down what is left of it.

        It holds its slot until nothing is, and then ends as interrupted.
        """
        run = JobRun(saved, self._services, remains)
        self._adopt(run, saved=True)
        run.interrupt()
        line = self._lines.setdefault(saved.job.pipeline, _Line(saved.definition))
        line.slots.add(run.id)
        self._at_start.append(partial(self._run, line, run))

    def begin_again(self, saved: SavedJob, remains: Mapping[str, Remaining]) -> None:
        """Take up a job that is to wait again once what is left of its earlier attempt has been brought down.

        Until then it holds the slot that those processes had.

        Args:
            saved: the job as it will be then.
        """
        run = JobRun(saved, self._services)
        self._adopt(run, saved=True)
        line = self._lines.setdefault(saved.job.pipeline, _Line(saved.definition))
        line.slots.add(run.id)
        line.unsaved.add(run.id)
        self._at_start.append(partial(self._clear, line, run, remains))

    async def _clear(self, line: _Line, run: JobRun, remains: Mapping[str, Remaining]) -> None:
        problem = await run.clear(remains)
        self._survivors = self._survivors or run.survived
        await self._services.output.set_aside(run.id, run.view().attempt - 1)
        # Nothing of the new attempt may begin before: a crash would mistake it for the old one.
        await self._services.journal.committed(
            self._services.journal.record(JobReset(attrs.evolve(run.view(), tasks=())))
        )
        self._services.launcher.forget([task_key(run.id, task) for task in remains])
        self._leave_line(line, run.id)
        if problem or run.stop is not None:
            stop = run.stop
            run.cancel_waiting(stop.reason if stop else StopReason.INTERRUPTED, error=problem)
            self._forget(run)
        else:
            self._publish(EventKind.JOB, run, "", State.WAITING, f"attempt {run.view().attempt}")
            self._put_back(line, run, Waiting(run.id, partition=run.view().partition))
        self._pump(line)
        self._notify()

    @asynccontextmanager
    async def serving(self, last_number: int) -> AsyncIterator[None]:
        """Run jobs as long as the block lasts; see `run_engine`.

        Args:
            last_number: the highest number that any job ever had.
        """
        self._number = last_number
        with plain_errors() as block:
            async with trio.open_nursery() as services:
                services.start_soon(self._alarm, name="alarm")
                services.start_soon(self._housekeeping.run, name="retention")
                try:
                    async with self._running_jobs():
                        with block:
                            yield
                finally:  # only now: subscribers hear the end of the last job, callers whether theirs was saved
                    self._close()
                    services.cancel_scope.cancel()

    @asynccontextmanager
    async def _running_jobs(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as jobs:
            self._nursery = jobs
            for work in self._at_start:
                jobs.start_soon(work)
            self._at_start.clear()
            for line in list(self._lines.values()):
                self._pump(line)
            drained = False
            try:
                yield
                self.request_shutdown(StopLevel.DRAIN)
                await self.finished()
                drained = True
            finally:
                if not drained:
                    self.request_shutdown(StopLevel.CANCEL)

    def _close(self) -> None:
        """Let everybody who waits for a job that stays on the wait list know that it will not run here.

        No job runs any more. One that was about to be replaced is on no list, and somebody may wait for it as well.
        """
        for run in self._runs.values():
            run.finished.set()
        self._bus.close()
