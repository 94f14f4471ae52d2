"""What users may rely on, as checks that watch a run from the outside.

The watch sees what users and the world see: answers, events, views, processes, what is on the disk. It keeps a small
model of its own and shares no decision with the engine.
"""

import math
from collections.abc import Callable, Iterable, Mapping

import attrs
from tests.simulation.wait_lists import WaitLists

from prunner_trio.definition.pipeline import (
    ON_ERROR,
    Definitions,
    OnDaemonCrash,
    Orphans,
    PipelineDef,
    QueueStrategy,
    TaskDef,
)
from prunner_trio.errors import PrunnerError, QueueDisabled, QueueFull
from prunner_trio.execution import Job, Runner, StopLevel
from prunner_trio.execution.seams import Change, JobAdded, JobsRemoved
from prunner_trio.model import Event, EventKind, JobId, JobView, PipelineView, State, StopReason
from prunner_trio.testing import EPOCH, FakeProc

__all__ = ["INVARIANTS", "KILL_TIMEOUT", "REAP_TIMEOUT", "Violation", "Watch"]

KILL_TIMEOUT = 2.0
REAP_TIMEOUT = 5.0
ORPHAN_SECONDS = 60.0

INVARIANTS = {
    "accepted jobs stay known": "A job that was answered with 202 is on the disk from that moment on, over every "
    "crash, until retention removes it.",
    "saved before started": "No process starts for a job that is not on the disk, and none for a job that could not "
    "be saved.",
    "the final state stays": "A job that was reported as ended is on the disk with just this end, and looks the same "
    "for ever, over every crash. (For a job that was canceled while it waited, this holds from the answer of the "
    "cancel on.)",
    "nothing of the dead lives": "When a task or a job is reported as ended, none of its processes is alive; "
    "those that survive SIGKILL make their task an error that says so. (With `orphans: keep`, what a task leaves "
    "behind when it ends by itself is nobody's business.)",
    "concurrency": "No pipeline has more jobs running, or more jobs with live processes, than its `concurrency`.",
    "slots come back": "Whenever nothing moves, a job that is on the disk, due and waiting is waiting only because "
    "all slots of its pipeline are taken, or because the runner ends.",
    "order of arrival": "Of the waiting jobs that are due, those that came first start first, over every restart.",
    "what can run runs": "Whenever nothing moves, every task of a running job whose needs have passed runs, as long as "
    "the runner has room for it.",
    "room for tasks": "No more tasks run at once than the runner has room for.",
    "delays are kept": "A job never starts before its `start_delay` has passed, over every restart.",
    "the wait list has a limit": "A new job never makes the list longer than `queue_limit`, nor its partition longer "
    "than `queue_partition_limit`.",
    "refused for a reason": "`schedulable` tells whether a job would be accepted, and a job is refused only with "
    "the reason that is true.",
    "one job replaces one": "A new job replaces at most one, the last of the list (of its partition), only when the "
    "limit is reached, and only once it is on the disk itself.",
    "the replaced never run": "A job that was replaced never runs, over every restart.",
    "the canceled never start": "From the moment in which a job is canceled, nothing of it starts: no task, no "
    "handler. A job that was canceled while it waited never runs.",
    "the list is what it says": "`pipelines` tells how many jobs wait: those that were accepted and have neither "
    "started nor ended. A job that is canceled or replaced leaves the list at once.",
    "stops take bounded time": "After a cancel, a shutdown, a failure or a time-out, the processes concerned are gone "
    "within their `kill_timeout` and the time for reaping.",
    "fail-fast": "After a task has failed, no other task of its job starts, unless it continues after failures; only "
    "the handler does.",
    "a paused pipeline starts nothing": "From a pause on no job of the pipeline starts until it is resumed. New ones "
    "are accepted as long as there is a wait list.",
    "a pause holds": "A pause that was answered holds over every crash and restart; so does its end.",
    "a move holds": "A job that is moved stands where it was to be, the others stand as before, and nobody is lost or "
    "there twice. Once it was answered, the order holds over every crash and restart.",
    "a retry keeps what was done": "A retry of what failed takes over just those tasks that are done and whose needs "
    "are taken over too, and names the job that ran them. They never run again, over every restart.",
    "one task alone": "A task that is canceled alone ends in bounded time and never starts again; only those that need "
    "it are canceled with it.",
    "dependencies first": "A task starts only after all it needs have passed.",
    "launched once": "A task is launched at most once in the life of a runner, and never again once the disk knows "
    "that its job had started.",
    "a drain starts nothing": "After a drain has begun no waiting job starts; after a shutdown no task does.",
    "events tell the story": "Events are numbered without gaps, the changes of each job and task are legal, and the "
    "final event of a job is its last, after those of all its tasks.",
    "the outcome is true": "A job is done, an error or canceled for a reason that happened; a task is done "
    "exactly if its process ended with 0.",
    "trees are left alone once closed": "No signal goes to a process tree that is closed, which is done once, and to "
    "every tree.",
    "a restart takes up what was left": "Waiting jobs wait again in their order, with their definitions; those that "
    "were running are canceled as interrupted, once.",
    "retention takes only what may go": "Retention removes only jobs that have ended, beyond `retention_count`, "
    "older than `retention_period`, or a minute after their pipeline has vanished (unless all have), and leaves no "
    "more than `retention_count`.",
    "who waits is told": "When a runner has ended, everybody who waited for a job or for an answer is told.",
    "subscribers see no gaps": "What a subscriber receives has no gaps; one that lags is cut off, not fed with holes.",
    "a handover stops nothing": "What a runner lets go when it hands over gets no signal from it, and no event says "
    "that it has ended; the next runner goes on with it.",
    "the end of an adopted task is its process's": "A task that goes on under another runner is done exactly if its "
    "process ended with 0, whenever that was; an end that nobody knows is never guessed.",
    "what goes on is not begun again": "A task whose processes are there, or have been, is not launched again by the "
    "next runner.",
    "everything ends": "In the end every job has ended: nothing hangs, nothing is forgotten, nothing keeps a slot.",
    "no defects": "No exception escapes the engine, and no job ends for an internal error.",
}
"""Names and sentences; the documentation is made of them."""


@attrs.frozen
class Violation:
    """An invariant that does not hold."""

    invariant: str
    what: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.what}"


@attrs.define(eq=False)
class Known:
    """A job as the outside knows it.

    Attributes:
        nth: submitted as the n-th of the run.
        due: not before this time; on the virtual clock.
        granted: when it got its slot, as far as can be seen.
        listed: it went to the wait list.
        evictor: the job that takes its place, while that is being saved and afterwards.
        told: it was said to be accepted.
        firm: its end, once that is a promise.
        stopped: when somebody asked it to stop, or when it had to.
        begun: the disk knows that it has started.
        existed: the tasks that had processes, in any life.
        adopted: the tasks of which this runner has found something.
        brought_down: it is being stopped because its last runner is gone.
        handed_over: it was left to the next runner.
        touched: the tasks that got signals in this life.
        untouched: those that had got none when they were let go.
        rank: its place in the wait list, relative to others.
        kept: the tasks that it has taken over, and the jobs that ran them.
        task_stops: the tasks that somebody has canceled alone, and when.
    """

    nth: int
    id: JobId
    number: int
    definition: PipelineDef
    partition: str
    submitted: float
    due: float
    job: Job | None = None
    state: State = State.WAITING
    listed: bool = True
    granted: float | None = None
    evictor: "Known | None" = None
    told: bool = False
    firm: JobView | None = None
    ended: JobView | None = None
    canceled: bool = False
    canceled_in_flight: bool = False
    stopped: float | None = None
    failed_at: float | None = None
    started: float | None = None
    begun: bool = False
    refused: bool = False
    gone: bool = False
    tasks: dict[str, State] = attrs.field(factory=dict)
    task_started: dict[str, float] = attrs.field(factory=dict)
    launched: set[str] = attrs.field(factory=set)
    procs: dict[str, FakeProc] = attrs.field(factory=dict)
    statuses: dict[str, int] = attrs.field(factory=dict)
    survivors: set[str] = attrs.field(factory=set)
    existed: set[str] = attrs.field(factory=set)
    adopted: set[str] = attrs.field(factory=set)
    brought_down: bool = False
    handed_over: bool = False
    touched: set[str] = attrs.field(factory=set)
    untouched: set[str] = attrs.field(factory=set)
    rank: int = 0
    kept: dict[str, JobId] = attrs.field(factory=dict)
    task_stops: dict[str, float] = attrs.field(factory=dict)

    @property
    def pipeline(self) -> str:
        return self.definition.name

    @property
    def name(self) -> str:
        return f"{self.pipeline}#{self.nth}"

    def spec(self, task: str) -> TaskDef:
        if task == ON_ERROR and self.definition.on_error is not None:
            return self.definition.on_error
        return next(spec for spec in self.definition.tasks if spec.name == task)

    def orphans(self, task: str) -> Orphans:
        return self.spec(task).orphans or self.definition.orphans or Orphans.KILL

    def patience(self, task: str) -> float:
        """How long the processes of a task may take to disappear, once they have to."""
        choices = (self.spec(task).kill_timeout, self.definition.kill_timeout, KILL_TIMEOUT)
        return next(choice for choice in choices if choice is not None) + REAP_TIMEOUT

    def begin_again(self) -> None:
        self.state, self.listed, self.granted, self.evictor = State.WAITING, True, None, None
        self.ended = self.stopped = self.failed_at = self.started = None
        self.canceled = False
        self.tasks = {
            task.name: State.DONE if task.name in self.kept else State.WAITING for task in self.definition.tasks
        }
        self.task_stops = {}
        self.task_started, self.launched, self.procs, self.statuses = {}, set(), {}, {}
        self.survivors = set()
        self.existed, self.adopted, self.brought_down, self.handed_over = set(), set(), False, False

    def take_up(self, view: JobView, left: Mapping[str, FakeProc], now: float) -> None:
        """Be as the disk has it, with what is left of the tasks."""
        lost = {task.name for task in view.tasks if task.state is State.WAITING and task.name not in left}
        self.existed -= lost  # a start that the disk has lost in a power cut, with all that came of it
        self.state, self.granted, self.evictor = view.state, None, None
        self.listed = view.state is State.WAITING and not left
        self.tasks = {task.name: task.state for task in view.tasks}
        self.started = view.started - EPOCH if view.started is not None else None
        self.task_started = {
            task.name: task.started - EPOCH if task.started is not None else now
            for task in view.tasks
            if task.name in left or task.started is not None
        }
        self.task_started.update({task: now for task in left if task not in self.task_started})
        self.launched, self.procs, self.survivors, self.touched = set(), dict(left), set(), set()
        self.adopted, self.told = set(left), True
        self.ended = self.stopped = None
        self.rank = view.rank
        self.task_stops = {task.name: now for task in view.tasks if task.stop is not None}
        failed = any(task.failed and task.name != ON_ERROR for task in view.tasks)
        self.failed_at = now if failed else None
        self.canceled = view.stop is not None and view.stop.reason in (StopReason.USER, StopReason.SHUTDOWN)
        self.stopped = now if self.canceled else None


class Watch:
    """Watches all lives of a run.

    Attributes:
        violations: what does not hold; the first one counts.
        jobs: all jobs that were ever submitted.
    """

    def __init__(self, clock: Callable[[], float], on_disk: dict[JobId, State], alarm: Callable[[], None]) -> None:
        self.violations: list[Violation] = []
        self.jobs: dict[JobId, Known] = {}
        self._clock = clock
        self._on_disk = on_disk
        self._alarm = alarm
        self.lists = WaitLists(self.expect, clock)
        self._runner: Runner | None = None
        self._live: dict[JobId, Known] = {}
        self._definitions = Definitions()
        self._lately: list[tuple[float, Definitions]] = []
        self._concurrency: dict[str, list[tuple[float, int]]] = {}
        self._level = StopLevel.SERVE
        self._level_at = 0.0
        self._forced = False
        self._handing_over = False
        self._life_at = 0.0
        self._room: float = math.inf
        self._canceling: JobId | None = None
        self._added: JobAdded | None = None
        self._later: list[Callable[[], None]] = []
        self.seq = 0

    def expect(self, holds: object, invariant: str, what: str) -> bool:
        """Note a violation unless it holds."""
        if not holds:
            assert invariant in INVARIANTS
            self.violations.append(Violation(invariant, what))
            self._alarm()
        return bool(holds)

    # ----------------------------------------------------------------------------------------------------- lives

    def life_begins(
        self,
        runner: Runner,
        definitions: Definitions,
        kept: Iterable[JobView],
        most_tasks: int | None,
        left: Mapping[JobId, Mapping[str, FakeProc]],
    ) -> None:
        """A runner has taken up what the last one left: compare with what is on the disk.

        Args:
            kept: what the disk had before the runner began.
            left: what was left of the tasks of its jobs.
        """
        now = self._life_at = self._clock()
        self._room = math.inf if most_tasks is None else most_tasks
        self._runner, self._level, self._forced, self.seq = runner, StopLevel.SERVE, False, 0
        self._handing_over = False
        self._definitions, self._lately, self._later = definitions, [(now, definitions)], []
        self._live = {}
        self._concurrency = {}
        live = {view.id: view for view in runner.live()}
        before = {view.id: view for view in kept}
        for known in self.jobs.values():
            self.expect(
                known.gone or not known.told or known.id in self._on_disk,
                "accepted jobs stay known",
                f"{known.name} was accepted, and the next runner does not know it",
            )
        for job_id, view in before.items():
            known = self.jobs[job_id]
            known.begun = known.begun or view.started is not None
            if view.state.final:
                self._must_stay(known, view)
                self.expect(job_id not in live, "the final state stays", f"{known.name} has ended and lives again")
            elif view.state is State.RUNNING or job_id in left:
                self._was_running(known, view, live.get(job_id), left.get(job_id, {}), now)
            else:
                self._waits_again(known, view, live.get(job_id), now)
        self.lists.life_begins(runner, [*definitions.pipelines])
        waiting = [view.id for view in before.values() if view.state is State.WAITING and view.id not in left]
        self.expect(
            [job_id for job_id in live if job_id in waiting] == sorted(waiting, key=lambda id: before[id].number),
            "a restart takes up what was left",
            "the wait list is not what was on the disk, in its order",
        )
        for pipeline in definitions:
            adopted = sum(known.pipeline == pipeline.name and not known.listed for known in self._live.values())
            self._concurrency[pipeline.name] = [(-1.0, adopted), (now, pipeline.concurrency)]

    def _was_running(
        self, known: Known, view: JobView, live: JobView | None, left: Mapping[str, FakeProc], now: float
    ) -> None:
        meant = known.definition.on_daemon_crash is OnDaemonCrash.ADOPT or view.handed_over
        own = view.stop is None or view.stop.reason in (StopReason.FAIL_FAST, StopReason.TIMEOUT)
        lost = any(task.state is State.RUNNING and task.name not in left for task in view.tasks)
        goes_on = meant and own and not lost
        self.expect(
            not known.handed_over or goes_on,
            "a handover stops nothing",
            f"{known.name} was handed over, and does not go on: {view}",
        )
        if live is None:
            self.expect(
                not goes_on and not left and self._on_disk[known.id] is State.CANCELED,
                "a restart takes up what was left",
                f"{known.name} was running in the last life and is {self._on_disk[known.id]} now",
            )
            return
        self.expect(
            goes_on or left, "a restart takes up what was left", f"{known.name} lives, and nothing is left of it"
        )
        known.take_up(view, left, now)
        known.brought_down, known.handed_over = not goes_on, False
        if known.brought_down:
            known.stopped = now
        self._live[known.id] = known
        self._concurrency.setdefault(known.pipeline, [(now, known.definition.concurrency)])

    def _waits_again(self, known: Known, view: JobView, live: JobView | None, now: float) -> None:
        self.expect(
            live is not None and live.state is State.WAITING,
            "a restart takes up what was left",
            f"{known.name} waited on the disk and does not wait now",
        )
        self.expect(
            known.firm is None, "the final state stays", f"{known.name} had ended and is waiting after a restart"
        )
        self.expect(not known.begun, "launched once", f"{known.name} had begun, and waits")
        self.expect(
            known.evictor is None or known.evictor.id not in self._on_disk,
            "the replaced never run",
            f"{known.name} was replaced by {known.evictor and known.evictor.name}, and waits again",
        )
        known.begin_again()
        known.rank = view.rank
        known.told = True  # whoever sees the list sees it
        self._live[known.id] = known
        self._concurrency.setdefault(known.pipeline, [(now, known.definition.concurrency)])

    def life_ends(self, *, crashed: bool) -> None:
        """The runner is gone."""
        if not crashed:
            self.quiet()
            for known in self._live.values():
                self.expect(
                    known.state is not State.RUNNING
                    or known.handed_over
                    or (self._handing_over and all(state.final for state in known.tasks.values())),
                    "everything ends",
                    f"{known.name} is running, and its runner is gone",
                )
                self.expect(
                    not known.procs, "trees are left alone once closed", f"the tree of {known.name} was never closed"
                )
        self._runner, self._live, self._later = None, {}, []

    def the_end(self, kept: Iterable[JobView]) -> None:
        """The run is over, after a last life without faults."""
        views = {view.id: view for view in kept}
        for known in self.jobs.values():
            if known.told and not known.gone:
                view = views.get(known.id)
                if (
                    self.expect(view, "accepted jobs stay known", f"{known.name} is not on the disk")
                    and view is not None
                ):
                    self.expect(view.state.final, "everything ends", f"{known.name} is still {view.state}")
                    self._must_stay(known, view)
            self.expect(
                known.told or not known.refused or known.id not in views,
                "saved before started",
                f"{known.name} was refused as not saved, and is on the disk",
            )
        for pipeline in self._definitions:
            count = sum(view.pipeline == pipeline.name for view in views.values())
            self.expect(
                not pipeline.retention_count or count <= pipeline.retention_count,
                "retention takes only what may go",
                f"{pipeline.name} has {count} jobs left, {pipeline.retention_count} are to be kept",
            )

    def _must_stay(self, known: Known, view: JobView) -> None:
        if known.firm is not None:
            self._same(known, known.firm, view)
        known.firm = view

    def _same(self, known: Known, before: JobView, now: JobView) -> None:
        """A job has the end that it had; one that was canceled while it was being replaced may exchange the reasons."""
        if known.canceled_in_flight:
            before, now = (attrs.evolve(view, stop=None, ended=None, tasks=(), audit=()) for view in (before, now))
        self.expect(before == now, "the final state stays", f"{known.name} was\n  {before}\nand is now\n  {now}")

    # ------------------------------------------------------------------------------------------------ definitions

    def reloaded(self, definitions: Definitions) -> None:
        now = self._clock()
        self._definitions = definitions
        self._lately.append((now, definitions))
        for pipeline in definitions:
            self._concurrency.setdefault(pipeline.name, []).append((now, pipeline.concurrency))

    def _most_slots(self, pipeline: str, since: float) -> int:
        """The highest concurrency that was in force since then."""
        history = self._concurrency[pipeline]
        return max(
            slots
            for index, (_, slots) in enumerate(history)
            if index + 1 == len(history) or history[index + 1][0] >= since
        )

    # --------------------------------------------------------------------------------------------------- acceptance

    def submitted(self, nth: int, job: Job, partition: str, before: PipelineView, after: PipelineView) -> Known:
        """A job was accepted, if it can be saved."""
        now, view = self._clock(), job.view()
        definition = self._definitions.get(view.pipeline)
        assert definition is not None
        known = Known(nth, job.id, view.number, definition, partition, now, now + definition.start_delay, job)
        if before.waiting > len(self._waiting(view.pipeline)):
            self._put_back_paused()
        known.rank = view.rank
        known.kept = {task.name: task.from_job for task in view.tasks if task.from_job is not None}
        known.begin_again()
        added, self._added = self._added, None
        assert added is not None
        evicted = [self.jobs[other.id] for other in added.evicted]
        known.listed = after.waiting + len(evicted) > before.waiting
        if not known.listed:
            known.granted = now
        self.jobs[known.id] = self._live[known.id] = known
        self._check_limits(known, evicted, before, after)
        self.expect(before.schedulable, "refused for a reason", f"{known.name} was accepted, and not schedulable")
        return known

    def _check_limits(self, known: Known, evicted: list[Known], before: PipelineView, after: PipelineView) -> None:
        p = known.definition
        partitioned = p.queue_strategy is QueueStrategy.PARTITIONED_REPLACE
        if partitioned:
            limit = p.queue_partition_limit
        else:
            limit = 1 if p.queue_limit is None and p.queue_strategy is QueueStrategy.REPLACE else p.queue_limit
        rivals = [
            other
            for other in self._waiting(p.name)
            if other is not known and (not partitioned or other.partition == known.partition)
        ]
        if limit is not None and known.listed and not partitioned:
            self.expect(
                after.waiting <= max(before.waiting, limit),
                "the wait list has a limit",
                f"{known.name} made the list {after.waiting} long, the limit is {limit}",
            )
        self.expect(
            len(evicted) == before.waiting + known.listed - after.waiting <= 1,
            "one job replaces one",
            f"{known.name} came, and the list went from {before.waiting} to {after.waiting}",
        )
        for other in evicted:
            self.expect(
                p.queue_strategy is not QueueStrategy.APPEND and limit is not None and len(rivals) >= limit,
                "one job replaces one",
                f"{known.name} replaced {other.name} although there was room",
            )
            self.expect(
                other in rivals,
                "one job replaces one",
                f"{known.name} replaced {other.name}, which was not waiting there",
            )
            other.evictor = known
        self._later.append(lambda: self._after_acceptance(known, limit, evicted, rivals, partitioned))

    def _after_acceptance(
        self, known: Known, limit: int | None, evicted: list[Known], rivals: list[Known], partitioned: bool
    ) -> None:
        """Look again when nothing moves, since rivals may have been about to start."""
        still = [other for other in rivals if other.state is State.WAITING and other.listed and other not in evicted]
        for gone in evicted:
            self.expect(
                all(other.rank < gone.rank for other in still)
                or self.lists.moved_at.get(known.pipeline, -1.0) >= known.submitted,
                "one job replaces one",
                f"{known.name} replaced {gone.name}, which was not the last of the list",
            )
        if partitioned and known.listed and limit is not None:
            self.expect(
                len([other for other in still if other.evictor is None]) < limit
                or len(rivals) > limit
                or evicted
                or self.lists.paused(known.pipeline)  # since then, so that rivals that were about to start do not
                or self._level > StopLevel.SERVE,
                "the wait list has a limit",
                f"{known.name} is one too many in partition {known.partition!r}, the limit is {limit}",
            )

    def refused(self, pipeline: str, error: PrunnerError, before: PipelineView) -> None:
        """A job was refused at once."""
        p = self._definitions.get(pipeline)
        assert p is not None
        self.expect(not before.schedulable, "refused for a reason", f"{pipeline} was schedulable, then: {error}")
        match error:
            case QueueFull():
                true = p.queue_strategy is QueueStrategy.APPEND and before.waiting >= (p.queue_limit or 0) > 0
            case QueueDisabled():
                true = p.queue_limit == 0
            case _:
                true = False
        self.expect(true, "refused for a reason", f"{pipeline}: {error}")

    def answered(self, known: Known) -> None:
        """The caller has been told that its job is accepted."""
        known.told = True
        self.expect(
            known.id in self._on_disk or known.gone, "accepted jobs stay known", f"{known.name} is not on the disk"
        )

    def not_saved(self, known: Known) -> None:
        """The caller has been told that its job could not be saved."""
        known.refused = True
        self.expect(
            known.id not in self._on_disk and not known.launched,
            "saved before started",
            f"{known.name} could not be saved, and exists",
        )

    def _waiting(self, pipeline: str) -> list[Known]:
        waiting = [
            known
            for known in self._live.values()
            if known.pipeline == pipeline
            and known.state is State.WAITING
            and known.listed
            and not known.canceled
            and (known.evictor is None or known.evictor.refused)
        ]
        return sorted(waiting, key=lambda known: known.rank)

    # --------------------------------------------------------------------------------------------------------- stops

    def cancels(self, known: Known) -> None:
        """Somebody is about to cancel a live job."""
        self._canceling = known.id

    def has_canceled(self, known: Known, *, found: bool) -> None:
        """The call has returned.

        Args:
            found: the job was still live.
        """
        self._canceling = None
        if found:
            known.canceled_in_flight = known.evictor is not None
            self._stop(known)

    def _stop(self, known: Known) -> None:
        known.canceled = True
        if known.stopped is None:
            known.stopped = self._clock()

    def task_canceled(self, known: Known, task: str, *, noted: bool) -> None:
        """Somebody has canceled one task.

        Args:
            noted: the task says so; else it was being stopped already.
        """
        now = self._clock()
        spec, since = known.spec(task), known.task_started.get(task)
        timeouts, failed = [(spec.timeout, since)], False
        if task != ON_ERROR:  # which neither a failure nor the time of its job reaches
            timeouts.append((known.definition.timeout, known.started))
            failed = known.failed_at is not None
        late = any(s is not None and began is not None and now >= began + s for s, began in timeouts)
        stopping = known.canceled or failed or known.brought_down or self._forced or late
        self.expect(
            noted or stopping or task in known.task_stops or self._level >= StopLevel.CANCEL,
            "one task alone",
            f"{known.name}/{task} was canceled, and does not know it",
        )
        if noted:
            known.task_stops.setdefault(task, now)

    def moved(self, pipeline: str, order: list[JobId]) -> Callable[[], None]:
        """A wait list has another order; what is returned is to be called on the answer."""
        assert self._runner is not None
        for view in self._runner.live():
            self.jobs[view.id].rank = view.rank
        return self.lists.moved(pipeline, order)

    @property
    def orderly(self) -> bool:
        """Whether nobody has torn the runner down by force, so that all its answers mean what they say."""
        return not self._forced

    def level_up(self, level: StopLevel) -> None:
        """The runner was told to end."""
        if level <= self._level:
            return
        if self._level is StopLevel.SERVE:
            self._level_at = self._clock()
        self._level = level
        if level >= StopLevel.CANCEL:
            self._stop_all()

    def forced(self) -> None:
        """Whoever embeds the runner fails or is canceled."""
        self._forced = True
        self.level_up(StopLevel.CANCEL)

    def _stop_all(self) -> None:
        for known in self._live.values():
            if known.state is State.RUNNING:
                self._stop(known)

    # -------------------------------------------------------------------------------------------------------- events

    def event(self, event: Event) -> None:
        """The runner says that something has changed."""
        self.seq += 1
        self.expect(event.seq == self.seq, "events tell the story", f"event {event.seq} came as the {self.seq}.")
        if event.kind in (EventKind.MOVED, EventKind.PIPELINE):
            return
        if event.kind is EventKind.REMOVED:
            known = self.jobs[event.job_id]
            if event.reason == StopReason.NOT_SAVED:  # it was canceled while it was being saved, which failed
                known.refused = True
                self.expect(known.id not in self._on_disk, "saved before started", f"{known.name} is on the disk")
                return
            self.expect(known.gone, "retention takes only what may go", f"{known.name} is called removed, but is there")
            return
        known_or_none = self._live.get(event.job_id)
        if known_or_none is None:  # its first event comes before `submit` returns
            first = event.kind is EventKind.JOB and event.state is State.WAITING
            self.expect(first, "events tell the story", f"a job begins with {event}")
            return
        if event.kind is EventKind.TASK:
            self._task_event(known_or_none, event)
        else:
            self._job_event(known_or_none, event)

    def _task_event(self, known: Known, event: Event) -> None:
        before = known.tasks.get(event.task, State.WAITING)
        who = f"{known.name}/{event.task}"
        legal = {
            State.WAITING: (State.RUNNING, State.CANCELED),
            State.RUNNING: (State.DONE, State.ERROR, State.CANCELED),
        }
        self.expect(
            not known.state.final and event.state in legal.get(before, ()),
            "events tell the story",
            f"{who} goes from {before} to {event.state}",
        )
        self.expect(
            not known.handed_over or not event.state.final or event.task not in known.untouched,
            "a handover stops nothing",
            f"{who} is said to be {event.state} after it was let go",
        )
        self.expect(
            event.task != ON_ERROR
            or event.state is not State.RUNNING
            or known.failed_at is not None
            or event.task in known.adopted,
            "the outcome is true",
            f"{who} runs, and nothing has failed",
        )
        known.tasks[event.task] = event.state
        if event.state is State.RUNNING and event.task in known.adopted:
            return
        if event.state is State.RUNNING:
            known.task_started[event.task] = self._clock()
            self._may_start(known, event.task)
            busy = self._tasks_running()
            self.expect(busy <= self._room, "room for tasks", f"{who} is the {busy}. that runs, {self._room} may")
            return
        if event.state is State.CANCELED and event.reason.startswith(("canceled", "needs")):
            needs = () if event.task == ON_ERROR else known.spec(event.task).depends_on
            lost = any(known.tasks[need].final and not self._passed(known, need) for need in needs)
            self.expect(
                event.task in known.task_stops if event.reason.startswith("canceled") else lost,
                "one task alone",
                f"{who} is canceled ({event.reason}), and neither somebody nor what it needs says so",
            )
        immortal = "survived SIGKILL" in event.reason and event.state is State.ERROR
        self.expect(
            event.task not in known.procs and (immortal or event.task not in known.survivors),
            "nothing of the dead lives",
            f"{who} is {event.state}, and its processes are not gone",
        )
        if event.state is State.DONE:
            self.expect(
                known.statuses.get(event.task) == 0,
                "the end of an adopted task is its process's" if event.task in known.adopted else "the outcome is true",
                f"{who} is done, and never ended with 0",
            )
        if event.state is State.ERROR:
            self.expect(
                known.statuses.get(event.task) != 0 or immortal or "timed out" in event.reason,
                "the outcome is true",
                f"{who} is an error ({event.reason}), and ended with 0",
            )
            if not known.spec(event.task).allow_failure and event.task != ON_ERROR and known.failed_at is None:
                known.failed_at = self._clock()

    def _job_event(self, known: Known, event: Event) -> None:
        now = self._clock()
        legal = {
            State.WAITING: (State.RUNNING, State.CANCELED),
            State.RUNNING: (State.DONE, State.ERROR, State.CANCELED),
        }
        self.expect(
            event.state in legal.get(known.state, ()),
            "events tell the story",
            f"{known.name} goes from {known.state} to {event.state} ({event.reason})",
        )
        before, known.state = known.state, event.state
        if event.state is State.RUNNING and known.adopted:
            known.started = now
        elif event.state is State.RUNNING:
            self._job_starts(known, now)
        else:
            self._job_ends(known, event, before)

    def _job_starts(self, known: Known, now: float) -> None:
        name = known.name
        known.started = now
        known.granted = now if known.listed or known.granted is None else known.granted
        self.expect(known.id in self._on_disk, "saved before started", f"{name} runs and is not on the disk")
        self.expect(now >= known.due, "delays are kept", f"{name} was due at {known.due:g} and started at {now:g}")
        self.expect(not known.canceled, "the canceled never start", f"{name} was canceled, and runs")
        self.lists.starts(known.pipeline, name)
        self.expect(
            known.evictor is None or known.evictor.refused,
            "the replaced never run",
            f"{name} was replaced by {known.evictor and known.evictor.name}, and runs",
        )
        if self._level > StopLevel.SERVE:
            self.expect(
                self._level is StopLevel.DRAIN and now == self._level_at,
                "a drain starts nothing",
                f"{name} starts at level {self._level.name}",
            )
        running = [other for other in self._live.values() if other.pipeline == known.pipeline]
        running = [other for other in running if other.state is State.RUNNING]
        most = self._most_slots(known.pipeline, known.submitted)
        self.expect(len(running) <= most, "concurrency", f"{name} starts as number {len(running)}, {most} may run")
        granted = known.granted
        elders = [other for other in self._waiting(known.pipeline) if other.rank < known.rank and other.due < granted]
        if self.lists.moved_at.get(known.pipeline, -1.0) >= granted:
            elders = []  # the order in which slots were given is no longer to be seen
        self._later.append(lambda: self._in_order(known, elders))

    def _in_order(self, known: Known, elders: list[Known]) -> None:
        for elder in elders:
            self.expect(
                elder.state is not State.WAITING
                or not elder.listed
                or elder.canceled
                or elder.evictor is not None
                or self._level > StopLevel.SERVE,
                "order of arrival",
                f"{known.name} started before {elder.name}, which came first and was due at {elder.due:g}",
            )

    def _job_ends(self, known: Known, event: Event, before: State) -> None:
        name, state = known.name, event.state
        for task, task_state in known.tasks.items():
            self.expect(
                task_state.final,
                "events tell the story",
                f"{name} has ended as {state}, its task {task} is {task_state}",
            )
        self.expect(not known.procs, "nothing of the dead lives", f"{name} is {state}, processes are left")
        known.procs.clear()
        job = self._runner.job(known.id) if self._runner is not None else None
        if not self.expect(job, "events tell the story", f"{name} is gone before its last event") or job is None:
            return
        view = known.ended = job.view()
        self.expect(view.state is state, "events tell the story", f"the event says {state}, the view {view.state}")
        reason = view.stop.reason if view.stop is not None else None
        self._check_outcome(known, view, reason, before)
        never_saved = before is State.WAITING and not known.told and known.id not in self._on_disk
        in_flight = self._canceling == known.id or self._forced
        if reason is StopReason.NOT_SAVED or (reason is StopReason.USER and never_saved and not in_flight):
            known.refused = True
            self.expect(
                known.id not in self._on_disk, "saved before started", f"{name} is said to be not saved, but is"
            )
        elif self._canceling != known.id and not self._forced and reason is not StopReason.REFUSED:
            self.expect(
                self._on_disk.get(known.id) is state,
                "the final state stays",
                f"{name} is {state} for all to see, and {self._on_disk.get(known.id)} on the disk",
            )
            known.firm = view

    def _check_outcome(self, known: Known, view: JobView, reason: StopReason | None, before: State) -> None:
        tasks = [task for task in view.tasks if task.name != ON_ERROR]
        failed = any(task.failed for task in tasks)
        alone = {task.name for task in tasks if task.state is State.CANCELED and task.name in known.task_stops}
        passed = all(
            task.state is State.DONE or (task.allow_failure and (task.state is State.ERROR or task.name in alone))
            for task in tasks
        )
        since = self._clock() - known.started if known.started is not None else 0.0
        late = known.definition.timeout is not None and since >= known.definition.timeout
        match view.state:
            case State.DONE:
                true = passed
            case State.ERROR:
                true = failed or (late and reason is StopReason.TIMEOUT and not passed)
            case _:
                true = not (passed and before is State.RUNNING)
        self.expect(true, "the outcome is true", f"{known.name} is {view.state}: {[str(t.state) for t in tasks]}")
        ended = self._level >= StopLevel.CANCEL or self._forced
        causes = {
            StopReason.USER: known.canceled or self._canceling == known.id,
            StopReason.FAIL_FAST: failed,
            StopReason.TIMEOUT: late,
            StopReason.REPLACED: known.evictor is not None and known.evictor.id in self._on_disk,
            StopReason.REFUSED: True,
            StopReason.NOT_SAVED: known.id not in self._on_disk,
            StopReason.SHUTDOWN: ended or known.brought_down,
            StopReason.INTERRUPTED: known.brought_down or self._handing_over,
        }
        self.expect(reason is not StopReason.INTERNAL, "no defects", f"{known.name} ended with an internal error")
        if reason is StopReason.REPLACED:
            self.expect(causes[reason], "one job replaces one", f"{known.name} was replaced by nobody")
        elif reason is not None and reason is not StopReason.INTERNAL:
            self.expect(causes[reason], "the outcome is true", f"{known.name} was stopped: {reason}")
        self.expect(
            view.state is not State.CANCELED or reason is not None or (alone and not failed),
            "the outcome is true",
            f"{known.name}: no reason",
        )

    # ----------------------------------------------------------------------------------------------------- processes

    def launching(self, known: Known, task: str) -> None:
        """The engine asks for the processes of a task."""
        who = f"{known.name}/{task}"
        self.expect(known.id in self._on_disk, "saved before started", f"{who} starts, its job is not on the disk")
        self.expect(known.state is State.RUNNING, "events tell the story", f"{who} starts, its job is {known.state}")
        self.expect(task not in known.launched, "launched once", f"{who} is launched again")
        self.expect(task not in known.kept, "a retry keeps what was done", f"{who} is launched again")
        self.expect(
            task not in known.existed, "what goes on is not begun again", f"{who} is launched again by another runner"
        )
        known.launched.add(task)
        self._may_start(known, task)

    def _may_start(self, known: Known, task: str) -> None:
        who = f"{known.name}/{task}"
        self.expect(not known.canceled, "the canceled never start", f"{who} starts after the cancel of its job")
        self.expect(task not in known.task_stops, "one task alone", f"{who} starts after its cancel")
        self.expect(self._level < StopLevel.CANCEL, "a drain starts nothing", f"{who} starts after the shutdown")
        self.expect(
            known.failed_at is None or task == ON_ERROR or known.definition.continue_running_tasks_after_failure,
            "fail-fast",
            f"{who} starts after a failure",
        )
        if task == ON_ERROR:
            return
        for need in known.spec(task).depends_on:
            passed = self._passed(known, need)
            self.expect(passed, "dependencies first", f"{who} starts, {need} is {known.tasks[need]}")

    def _passed(self, known: Known, task: str) -> bool:
        state = known.tasks[task]
        alone = state is State.CANCELED and task in known.task_stops
        return state is State.DONE or ((state is State.ERROR or alone) and known.spec(task).allow_failure)

    def launched(self, known: Known, task: str, proc: FakeProc) -> None:
        """There are processes now."""
        known.procs[task] = proc
        known.existed.add(task)
        active = {other.id for other in self._live.values() if other.pipeline == known.pipeline and other.procs}
        most = self._most_slots(known.pipeline, min(known.submitted, self._clock()))
        allowed = max(most, self._most_slots(known.pipeline, min(self.jobs[job].submitted for job in active)))
        self.expect(len(active) <= allowed, "concurrency", f"{len(active)} jobs have processes, {allowed} may run")

    def exited(self, known: Known, task: str, status: int) -> None:
        """The engine was told how the leader ended."""
        known.statuses[task] = status

    def signaled(self, known: Known, task: str) -> None:
        """Processes get a signal."""
        self.expect(
            not known.handed_over or task not in known.untouched,
            "a handover stops nothing",
            f"{known.name}/{task} gets a signal after it was let go",
        )
        known.touched.add(task)

    def handed_over(self) -> None:
        """The runner has let all go."""
        self._handing_over = True
        for known in self._live.values():
            whole = all(proc.outlives for proc in known.procs.values())
            whole = whole and not all(state.final for state in known.tasks.values())  # else it is ending
            if known.state is State.RUNNING and not known.canceled and not known.brought_down and whole:
                known.handed_over = True
                known.untouched = {task for task, proc in known.procs.items() if task not in known.touched}

    def passed_on(self, known: Known, task: str) -> None:
        """The engine leaves processes to the next runner."""
        known.procs.pop(task, None)
        self.expect(known.handed_over, "a handover stops nothing", f"{known.name}/{task} is left to nobody")

    def closed(self, known: Known, task: str, *, alive: bool, immortal: bool, let_go: bool) -> None:
        """The engine gives up the processes of a task."""
        known.procs.pop(task, None)
        self.expect(
            not let_go or (known.orphans(task) is Orphans.KEEP and task in known.statuses),
            "nothing of the dead lives",
            f"{known.name}/{task} leaves its processes alone, and was not told to",
        )
        if immortal and alive:
            known.survivors.add(task)
        self.expect(not alive or immortal, "nothing of the dead lives", f"{known.name}/{task} is closed and alive")

    # ---------------------------------------------------------------------------------------------------------- disk

    def recorded(self, change: Change) -> None:
        """The engine gives something to the store."""
        match change:
            case JobAdded():
                self._added = change
            case JobsRemoved(job_ids=job_ids):
                for job_id in job_ids:
                    self._may_be_removed(self.jobs[job_id], job_ids)

    def _may_be_removed(self, known: Known, all_ids: tuple[JobId, ...]) -> None:
        now = self._clock()
        state = self._on_disk.get(known.id)
        if not self.expect(
            state is not None and state.final, "retention takes only what may go", f"{known.name} has not ended"
        ):
            return
        newer = sum(
            other.pipeline == known.pipeline and other.number > known.number and self._on_disk[other.id].final
            for other in self.jobs.values()
            if other.id in self._on_disk
        )
        versions = [
            definitions
            for index, (_, definitions) in enumerate(self._lately)
            if index + 1 == len(self._lately) or self._lately[index + 1][0] >= now
        ]
        allowed = False
        for definitions in versions:
            p = definitions.get(known.pipeline)
            if p is None:  # nothing goes as long as no pipeline at all is defined
                view = known.firm or known.ended
                allowed |= len(definitions) > 0 and (view is None or EPOCH + now - (view.ended or 0) > ORPHAN_SECONDS)
            else:
                allowed |= 0 < p.retention_count <= newer
                allowed |= 0 < p.retention_period < now - known.submitted
        self.expect(allowed, "retention takes only what may go", f"{known.name} was removed too soon")

    def written(self, change: Change) -> None:
        """Something is on the disk for good."""
        if isinstance(change, JobsRemoved):
            for job_id in change.job_ids:
                self.jobs[job_id].gone = True

    # ------------------------------------------------------------------------------------------------------- looking

    def seen(self, view: JobView, firm: JobView | None) -> None:
        """Somebody has looked at a job.

        Args:
            firm: its end, if that was known before the look.
        """
        known = self.jobs[view.id]
        if firm is not None:
            self._same(known, firm, view)
        elif view.state.final and not known.gone:
            on_disk = self._on_disk.get(known.id)
            self.expect(
                on_disk is view.state,
                "the final state stays",
                f"{known.name} is shown as {view.state}, disk: {on_disk}",
            )
            known.firm = known.firm or view

    def flushed(self, known: Known) -> None:
        """A cancel was answered: its effect is a promise, if the job was waiting."""
        if known.ended is not None and known.firm is None and (known.told or known.id in self._on_disk):
            self.expect(
                known.gone or self._on_disk.get(known.id) is State.CANCELED,
                "the final state stays",
                f"the cancel of {known.name} was answered, and is not on the disk",
            )
            known.firm = known.ended

    # --------------------------------------------------------------------------------------------------------- quiet

    def quiet(self) -> None:
        """Nothing moves: the clock is about to jump, or the runner has ended."""
        if self._runner is None:
            return
        now = self._clock()
        serving = self._level is StopLevel.SERVE
        self._put_back_paused()
        if serving:
            for name in {known.pipeline: None for known in self._live.values()}:
                self._no_slot_is_idle(name, now)
        later, self._later = self._later, []
        for check in later:
            check()
        self._accepted_are_known()
        for known in self._live.values():
            self._in_time(known, now)
        self._ready_tasks_run()
        if serving:
            self._lists_agree()

    def _put_back_paused(self) -> None:
        """Jobs that had a slot, and were saved after a pause, wait again."""
        for known in self._live.values():
            reserved = known.state is State.WAITING and not known.listed and not known.canceled and not known.adopted
            if reserved and self.lists.paused(known.pipeline) and known.id in self._on_disk:
                known.listed, known.granted = True, None

    def _accepted_are_known(self) -> None:
        for known in self.jobs.values():
            if known.told and not known.gone and known.id not in self._on_disk:
                self.expect(False, "accepted jobs stay known", f"{known.name} is no longer on the disk")

    def _no_slot_is_idle(self, pipeline: str, now: float) -> None:
        """Free slots belong to those who are due, in order; who is not on the disk yet may only reserve one."""
        if self.lists.paused(pipeline):
            return
        jobs = [known for known in self._live.values() if known.pipeline == pipeline and not known.state.final]
        taken = sum(known.state is State.RUNNING or known.canceled or not known.listed for known in jobs)
        free = self._concurrency[pipeline][-1][1] - taken
        for known in self._waiting(pipeline):
            if known.due <= now and free > 0:
                free -= 1
                self.expect(
                    known.id not in self._on_disk,
                    "slots come back",
                    f"{known.name} waits since {known.due:g}, and {taken} jobs of {pipeline} have slots",
                )
                known.listed, known.granted = False, now

    def _tasks_running(self) -> int:
        """Count the tasks that take up room: what is only being brought down takes none."""
        live = [known for known in self._live.values() if not known.brought_down]
        return sum(list(known.tasks.values()).count(State.RUNNING) for known in live)

    def _ready_tasks_run(self) -> None:
        if self._tasks_running() >= self._room:
            return
        for known in self._live.values():
            stopped = known.canceled or known.failed_at is not None or self._forced
            stopped = stopped or known.brought_down or known.handed_over
            if known.state is State.RUNNING and not stopped:
                for task in known.definition.tasks:
                    ready = all(self._passed(known, need) for need in task.depends_on)
                    self.expect(
                        known.tasks[task.name] is not State.WAITING or not ready or task.name in known.task_stops,
                        "what can run runs",
                        f"{known.name}/{task.name} waits for nothing",
                    )

    def _lists_agree(self) -> None:
        assert self._runner is not None
        now = self._clock()
        for view in self._runner.pipelines():
            mine = self._waiting(view.name)
            # A slot that was free for a moment, between two reloads, may be reserved for a job that is being saved.
            unsaved = [known for known in mine if known.due <= now and known.id not in self._on_disk]
            for known in unsaved[: max(0, len(mine) - view.waiting)]:
                known.listed, known.granted = False, now
                mine.remove(known)
            self.expect(
                view.waiting == len(mine),
                "the list is what it says",
                f"{view.name} says that {view.waiting} jobs wait, {len(mine)} do",
            )

    def _in_time(self, known: Known, now: float) -> None:
        for task in known.procs:
            patience = known.patience(task)
            limits: list[tuple[str, float | None, float | None]] = [
                ("its time-out", known.task_started[task], known.spec(task).timeout),
                ("the cancel", known.stopped, 0.0),
                ("its cancel", known.task_stops.get(task), 0.0),
            ]
            if task != ON_ERROR:
                limits.append(("the time-out of the job", known.started, known.definition.timeout))
                if not known.definition.continue_running_tasks_after_failure:
                    limits.append(("the failure", known.failed_at, 0.0))
            for what, since, after in limits:
                if since is not None and after is not None:
                    self.expect(
                        now <= max(since + after, self._life_at) + patience,
                        "stops take bounded time",
                        f"{known.name}/{task} has processes {now - since - after:g} s after {what}",
                    )

    # --------------------------------------------------------------------------------------------------------- others

    def subscriber(self, seqs: list[int], first: int, *, cut: bool, backlog: int) -> None:
        """A subscriber has come to the end of its channel.

        Args:
            first: the first event after it had subscribed.
            cut: its channel ended before the runner did.
        """
        self.expect(
            seqs == list(range(first, first + len(seqs))), "subscribers see no gaps", f"from {first} on came {seqs}"
        )
        if not cut:
            missed = self.seq - first + 1 - len(seqs)
            self.expect(
                missed == 0 or len(seqs) >= backlog,
                "subscribers see no gaps",
                f"{missed} events are missing at the end",
            )
