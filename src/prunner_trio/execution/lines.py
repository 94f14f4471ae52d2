"""The lines of a runner: who waits, who holds a slot, who takes the free ones.

What a runner owns is here; what can be asked of it, and what can be done to it, stands in the classes that build on
this one: `looking`, `steering`, `accepting`, `runner`. One thread owns it all.
"""

import heapq
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from enum import IntEnum
from itertools import takewhile

import attrs
import trio

from prunner_trio.definition.pipeline import Definitions, PipelineDef
from prunner_trio.execution.bus import Bus
from prunner_trio.execution.handle import Job
from prunner_trio.execution.housekeeping import Housekeeping
from prunner_trio.execution.job import JobRun
from prunner_trio.execution.services import Services
from prunner_trio.model import Event, EventKind, JobId, Pause, PipelineRecord, State
from prunner_trio.policy import Waiting, startable

__all__ = ["Line", "Lines", "StopLevel"]


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
class Line:
    """One pipeline: who waits, who holds a slot.

    Attributes:
        definition: the newest one known; it rules concurrency and admission, not what an accepted job does.
        waiting: in the order of their ranks, which is that of arrival unless somebody has moved them.
        unsaved: jobs whose acceptance is not on disk yet: they may not start.
        slots: jobs that hold a slot: accepted for one, running, or ended and not yet saved.
    """

    definition: PipelineDef
    waiting: OrderedDict[JobId, Waiting] = attrs.field(factory=OrderedDict)
    unsaved: set[JobId] = attrs.field(factory=set)
    slots: set[JobId] = attrs.field(factory=set)


class Lines:
    """Everything a runner owns, and the movements from a wait list to a slot and out of it."""

    def __init__(self, definitions: Definitions, services: Services, new_id: Callable[[], JobId]) -> None:
        self._definitions = definitions
        self._services = attrs.evolve(services, publish=self._tell)
        self._new_id = new_id
        self._bus = Bus()
        self._lines: dict[str, Line] = {p.name: Line(p) for p in definitions}
        self._records: dict[str, PipelineRecord] = {}
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

    def _put_back(self, line: Line, run: JobRun, place: Waiting) -> None:
        """Give a job its place again: the one that was to replace it could not be saved."""
        if not run.state.final:
            self._wait(line, place)

    def _start(self, line: Line, run: JobRun) -> None:
        if self._takes_slot(line, run):
            self._nursery.start_soon(self._run, line, run, name=f"job {run.id}")

    def _takes_slot(self, line: Line, run: JobRun) -> bool:
        """Give a job its slot and return whether it is to be run; if not, it waits."""
        # Accepted for a slot just before the door closed, or the pipeline was paused: it waits. But not if it was
        # canceled meanwhile.
        if (self._closing() or self.pause_of(line.definition.name)) and run.stop is None:
            line.slots.discard(run.id)
            self._wait(line, Waiting(run.id, partition=run.view().partition))
            return False
        line.slots.add(run.id)
        return True

    async def _run(self, line: Line, run: JobRun) -> None:
        try:
            await run.run()
        finally:
            self._survivors = self._survivors or run.survived
            self._leave_line(line, run.id)
            if not run.left:
                self._forget(run)
            self._pump(line)
            self._notify()

    def _pump(self, line: Line) -> None:
        """Give free slots to those who are due.

        One that is not on disk yet gets its slot too, and starts once it is: jobs that share a commit would otherwise
        start in the order in which the scheduler happens to wake them.
        """
        if not line.waiting or self._closing() or self.pause_of(line.definition.name):
            return
        for job_id in startable(
            line.definition.concurrency, line.waiting.values(), len(line.slots), trio.current_time()
        ):
            del line.waiting[job_id]
            if job_id in line.unsaved:
                line.slots.add(job_id)
            else:
                self._start(line, self._runs[job_id])

    def _taken(self, line: Line) -> int:
        """Count the slots that nobody new can have: those in use, and those of jobs that are about to start."""
        held = len(line.slots)
        if self.pause_of(line.definition.name):
            return max(held, line.definition.concurrency)
        due = startable(line.definition.concurrency, line.waiting.values(), held, trio.current_time())
        return held + len(due)

    def _closing(self) -> bool:
        """Whether nothing may start any more: the runner was told to end, or whoever runs it is being canceled."""
        return self._level > StopLevel.SERVE or trio.current_effective_deadline() == float("-inf")

    def pause_of(self, pipeline: str) -> Pause | None:
        """Return since when a pipeline is paused, and by whom; None if it is not."""
        record = self._records.get(pipeline)
        return record.pause if record is not None else None

    def _leave_line(self, line: Line, job_id: JobId) -> None:
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

    def _wait(self, line: Line, job: Waiting) -> None:
        """Put a job on a wait list behind those of lower rank, mostly at its end; set the alarm if it is delayed."""
        rank = self._runs[job.job_id].rank
        behind = list(takewhile(lambda other: self._runs[other].rank > rank, reversed(line.waiting)))
        line.waiting[job.job_id] = job
        for other in reversed(behind):
            line.waiting.move_to_end(other)
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

    def _publish(self, kind: EventKind, run: JobRun, task: str, state: State, reason: str) -> Event:
        return self._tell(kind, run.id, run.definition.name, task, state, reason)

    def _removed(self, job_id: JobId, pipeline: str) -> None:
        self._tell(EventKind.REMOVED, job_id, pipeline, "", State.DONE, "retention")

    def _tell(self, kind: EventKind, job_id: JobId, pipeline: str, task: str, state: State, reason: str) -> Event:
        self._seq += 1
        event = Event(self._seq, self._services.now(), kind, job_id, pipeline, task, state, reason)
        self._bus.publish(event)
        return event
