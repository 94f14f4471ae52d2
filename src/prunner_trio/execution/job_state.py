"""What a live job is, and how it changes.

Every change of state goes through the tables of `model.states`, is given to the journal, and then published. What can
be done to a job, and what it does itself, stands in the classes that build on this one: `stopping`, `running_tasks`,
`job`.
"""

import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import attrs
import trio

from prunner_trio.definition.pipeline import PipelineDef
from prunner_trio.errors import StoreError
from prunner_trio.execution.seams import Change, JobChanged, Remaining, SavedJob, TaskChanged, Ticket, task_key
from prunner_trio.execution.services import Services
from prunner_trio.execution.task_run import TaskRun, task_runs
from prunner_trio.model import (
    JOB_MOVES,
    TASK_MOVES,
    Action,
    AuditEntry,
    EventKind,
    JobId,
    JobView,
    Move,
    State,
    StopReason,
    StopRequest,
    TaskView,
    audited,
    next_state,
)

__all__ = ["JobState"]

log = logging.getLogger(__name__)

_NOTHING: Mapping[str, Remaining] = MappingProxyType({})


class JobState:
    """A job as it can be seen, and every change of it."""

    def __init__(
        self,
        saved: SavedJob,
        services: Services,
        remains: Mapping[str, Remaining] = _NOTHING,
        *,
        last: SavedJob | None = None,
    ) -> None:
        """Make a job that is new, or that an earlier daemon had.

        Args:
            remains: what is left of its tasks, by name.
            last: its last attempt as the journal has it, of which `begin_again` brings down what is left.
        """
        self.definition: PipelineDef = saved.definition
        self.finished = trio.Event()
        """Set once the job is final and on disk, or once the runner gives up its wait list."""
        self.survived = False
        """Whether processes of it outlived SIGKILL."""
        self.left = False
        """Whether it is the next daemon's from now on."""
        self._services = services
        self._head = attrs.evolve(saved.job, tasks=()) if saved.job.tasks else saved.job
        self._origin = saved, remains
        self._made: list[TaskRun] | None = None
        self._view = saved.job if saved.job.tasks is saved.definition.waiting_tasks else None
        self._scope = trio.CancelScope()
        self._outcome: Move | None = None
        self._decided = False
        self._abandoned = False
        self._continued = False
        self._ahead = 0.0  # seconds by which the wall clock was set since
        self._last = last
        self._first_failure: TaskRun | None = None

    @property
    def id(self) -> JobId:
        """The job's id."""
        return self._head.id

    @property
    def state(self) -> State:
        """The job's state; final ones only once they are on disk."""
        return self._head.state

    @property
    def rank(self) -> int:
        """Where it stands in its wait list; see `JobView.rank`."""
        return self._head.rank

    @property
    def stop(self) -> StopRequest | None:
        """The first stop request."""
        return self._head.stop

    @property
    def _facts(self) -> dict[str, str]:
        """What belongs to every message about it."""
        return {"job": self.id, "pipeline": self.definition.name}

    @property
    def _tasks(self) -> list[TaskRun]:
        """Its tasks, made when they are needed: of all that a job is they are the most, and many a job only waits."""
        if self._made is None:
            self._made = task_runs(*self._origin)
        return self._made

    @_tasks.setter
    def _tasks(self, tasks: list[TaskRun]) -> None:
        self._made = tasks

    def view(self) -> JobView:
        """Return the job as it is now; the same object until something changes."""
        if self._view is None:
            saved, remains = self._origin
            untouched = saved.definition.waiting_tasks
            if self._made is None and not remains and (not saved.job.tasks or saved.job.tasks is untouched):
                tasks = untouched
            else:
                tasks = tuple(task.view for task in self._tasks)
            self._view = attrs.evolve(self._head, tasks=tasks)
        return self._view

    def note(self, action: Action, by: str, detail: str = "") -> None:
        """Write into the audit of the job what somebody does to it; the caller records the job."""
        self._set_head(audit=audited(self._head.audit, AuditEntry(self._services.now(), action, by, detail)))

    def move_to(self, rank: int) -> None:
        """Give a waiting job another rank; the caller records it."""
        self._set_head(moved_to=rank)

    def _note_stop(self, reason: StopReason, by: str = "", at: float | None = None) -> None:
        if self.stop is None:
            self._set_head(stop=StopRequest(reason, self._services.now() if at is None else at, by))

    def _start(self) -> None:
        self._set_head(state=next_state(JOB_MOVES, self.state, Move.START), started=self._services.now())
        self._record(JobChanged(self._head))
        self._changed(EventKind.JOB, "", self.state, "")
        log.info("job started", extra=self._facts)

    async def _finish(self, outcome: Move) -> None:
        self._decided = True
        final = next_state(JOB_MOVES, self.state, outcome)
        ended = self._services.now()  # shown together with the final state, and not before
        if self._head.handed_over:
            self._set_head(handed_over=False)
        ticket = self._record(JobChanged(attrs.evolve(self._head, state=final, ended=ended)))
        try:
            await self._services.journal.committed(ticket)
            self._services.launcher.forget([task_key(self.id, task.spec.name) for task in self._tasks])
        except StoreError as exc:
            log.error("the end of a job could not be saved: %s", exc, extra=self._facts)
        finally:
            self._settle(outcome, ended)

    def _settle(self, move: Move, ended: float) -> None:
        """Make the end of the job visible: the last thing that happens to it."""
        self._set_head(state=next_state(JOB_MOVES, self.state, move), ended=ended)
        reason = self.stop.reason.value if self.stop and self.state is State.CANCELED else self._head.error
        if self.state is State.CANCELED and not reason:
            reason = StopReason.USER.value  # a task was canceled alone
        self._changed(EventKind.JOB, "", self.state, reason)
        self.finished.set()
        extra = {**self._facts, "state": self.state.value}
        log.info("job ended", extra={**extra, "reason": reason} if reason else extra)

    def _move_task(
        self, task: TaskRun, move: Move, reason: str = "", exit_code: int = 0, *, record: bool = True
    ) -> None:
        state = next_state(TASK_MOVES, task.view.state, move)
        now, view, usage = self._services.now(), task.view, task.usage
        # Not evolved: that takes three times as long, twice per task.
        task.view = TaskView(
            view.name,
            state,
            view.depends_on,
            now if move is Move.START else view.started,
            (task.ended_at or now) if state.final and view.started is not None else None,
            exit_code,
            reason,
            view.allow_failure,
            usage.cpu_seconds,
            usage.peak_memory,
            view.stop,
            view.from_job,
        )
        if task.view.failed and self._first_failure is None:
            self._first_failure = task
            self._set_head(error=self._head.error or reason)
        if record:
            self._record(TaskChanged(self.id, task.position, task.view))
        self._changed(EventKind.TASK, task.spec.name, state, reason)

    def _cancel_unless_final(self, task: TaskRun) -> None:
        if task.view.state.final or (self.left and (task.proc is None or task.left)):
            return
        alone = self.stop is None or task.spec is self.definition.on_error
        if self.left and alone:  # nothing but its own scope can have begun its stop
            self._cut_short(task)
            return
        if self.stop is None:  # nobody wrote down why, so the cancellation came from outside the runner
            self._note_stop(StopReason.SHUTDOWN)
            if self.state is State.RUNNING:  # first: the next daemon, if this one dies now, must know why tasks ended
                self._record(JobChanged(self._head))
        assert self.stop is not None
        running = task.view.state is State.RUNNING
        reason = f"stopped: {self.stop.reason.value}"
        if running and self.stop.reason is StopReason.TIMEOUT:
            self._move_task(task, Move.FAIL, f"timed out after {self.definition.timeout or 0:g}s", -1)
        else:
            self._move_task(task, Move.CANCEL, reason, -1 if running else 0)

    def _cut_short(self, task: TaskRun) -> None:
        """Settle a task whose own scope has stopped it: somebody has canceled it, or its time is over."""
        running = task.view.state is State.RUNNING
        if task.view.state.final:
            return
        if (stop := task.view.stop) is not None:
            self._move_task(
                task, Move.CANCEL, f"canceled by {stop.by}" if stop.by else "canceled", -1 if running else 0
            )
        else:
            self._move_task(task, Move.FAIL, f"timed out after {task.spec.timeout or 0:g}s", -1)

    def _set_head(self, **changes: Any) -> None:
        self._head = attrs.evolve(self._head, **changes)
        self._view = None

    def _record(self, change: Change) -> Ticket:
        return self._services.journal.record(change)

    def _changed(self, kind: EventKind, task: str, state: State, reason: str) -> None:
        self._view = None
        self._services.publish(kind, self.id, self.definition.name, task, state, reason)
