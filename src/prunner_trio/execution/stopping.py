"""How a job is stopped, or left to the next daemon.

A stop is written down as a `StopRequest` before anything is canceled; the outcome is computed from that record and the
states of the tasks.
"""

import attrs

from prunner_trio.errors import JobNotStarted, TaskAlreadyFinished, TaskNotFound
from prunner_trio.execution.continuing import FOR_GOOD
from prunner_trio.execution.job_state import JobState
from prunner_trio.execution.seams import JobChanged, TaskChanged
from prunner_trio.model import JOB_MOVES, Action, JobView, Move, State, StopReason, StopRequest, next_state

__all__ = ["DAEMON_DIED", "NOT_HANDED_OVER", "Stopping"]

DAEMON_DIED = "the daemon died"
"""The error of a job that was interrupted."""

NOT_HANDED_OVER = "the daemon was replaced, and a task could not be handed over"
"""The error of a job that was stopped because of that."""


class Stopping(JobState):
    """Is stopped, replaced, interrupted, handed over."""

    def cancel_task(self, name: str, by: str) -> None:
        """Ask one task to stop, in a job that goes on; see `Runner.cancel_task`."""
        if self.state is State.WAITING:
            raise JobNotStarted(self.id)
        task = next((task for task in self._tasks if task.spec.name == name), None)
        if task is None:
            raise TaskNotFound(self.id, name)
        if task.view.state.final:
            raise TaskAlreadyFinished(self.id, name)
        # A handler is not reached by what stops the tasks before it.
        stopping = self._abandoned if task.spec is self.definition.on_error else self._scope.cancel_called
        if task.scope.cancel_called or (stopping and not self.left):
            return
        task.view = attrs.evolve(task.view, stop=StopRequest(StopReason.USER, self._services.now(), by))
        self.note(Action.TASK_CANCELED, by, name)
        self._record(TaskChanged(self.id, task.position, task.view))
        self._record(JobChanged(self._head))
        task.scope.cancel()

    def _note_cancel(self, by: str) -> None:
        if all(entry.action is not Action.CANCELED or entry.by != by for entry in self._head.audit):
            self.note(Action.CANCELED, by)

    def request_stop(self, reason: StopReason, by: str = "") -> None:
        """Ask a running job to stop. Returns at once; later requests keep the first reason.

        A job whose outcome is decided is left alone.
        """
        if self._decided:
            return
        # A handler has a scope of its own, which may not be there yet: somebody who stops a job that has failed, and
        # is being stopped for that already, must not see it begin something new.
        first = reason in FOR_GOOD and not self._abandoned
        self._abandoned = self._abandoned or reason in FOR_GOOD
        self._note_stop(reason, by)
        if reason is StopReason.USER:
            self._note_cancel(by)
        # The next daemon, if this one dies meanwhile, must neither begin it again nor go on with it.
        last = self._last_attempt() if reason is StopReason.USER else None
        if first and (self.state is State.RUNNING or last is not None):
            stop = self.stop if self.stop and self.stop.reason in FOR_GOOD else None
            stop = stop or StopRequest(reason, self._services.now(), by)
            self._record(JobChanged(attrs.evolve(last or self._head, stop=stop)))
        self._scope.cancel()

    def cancel_waiting(
        self, reason: StopReason, by: str = "", *, error: str = "", record: bool = True, at: float | None = None
    ) -> None:
        """Settle a job that has not started: no scope reaches it.

        The states of its tasks follow from its own, so they are not recorded one by one.

        Args:
            record: False if the journal has it already, or must never have it.
            at: when that was, if not now.
        """
        at = self._services.now() if at is None else at
        self._note_stop(reason, by, at)
        if reason is StopReason.USER:
            self._note_cancel(by)
        for task in [task for task in self._tasks if not task.view.state.final]:
            self._move_task(task, Move.CANCEL, f"stopped: {reason.value}", record=False)
        self._decided = True
        self._set_head(error=error)
        if record:
            final = next_state(JOB_MOVES, self.state, Move.CANCEL)
            self._record(JobChanged(attrs.evolve(self._head, state=final, ended=at)))
        self._settle(Move.CANCEL, at)

    def interrupt(self) -> None:
        """Ask a job to stop whose daemon has died; `run` sees off what is left of it."""
        self._set_head(error=self._head.error or DAEMON_DIED)
        self.request_stop(StopReason.INTERRUPTED)

    def as_evicted(self, at: float) -> JobView:
        """Return the job as it will be when a newer one has taken its place."""
        stop = StopRequest(StopReason.REPLACED, at)
        return attrs.evolve(self._head, state=State.CANCELED, stop=stop, ended=at)

    def mark_handed_over(self) -> bool:
        """Write down that a running job is left to the next daemon, unless it is being stopped for good.

        Returns:
            Whether that is news.
        """
        if self.state is not State.RUNNING or self._decided or self._abandoned or self._head.handed_over:
            return False
        self._set_head(handed_over=True)
        self._record(JobChanged(self._head))
        return True

    def let_go(self) -> None:
        """Leave a job to the next daemon as it is; `run` returns soon, and nothing of it has ended.

        If one of its tasks cannot be handed over, the job is stopped instead, and ends as interrupted. One that is
        being stopped for good, or has ended but for its last commit, goes on to its end.
        """
        if self._decided or self._abandoned:
            return
        running = [task.proc for task in self._tasks if task.view.state is State.RUNNING and task.proc is not None]
        if not all(proc.outlives for proc in running):
            self._set_head(error=self._head.error or NOT_HANDED_OVER)
            self.request_stop(StopReason.INTERRUPTED)
            return
        self.left = True
        if self.state is State.RUNNING:
            self._record(JobChanged(self._head))  # it may be stopping by now
        self._scope.cancel()

    def _last_attempt(self) -> JobView | None:
        """Return the job as it is while what is left of its last attempt is brought down; None if nothing is."""
        if self._last is None:
            return None
        last = self._last.job
        return attrs.evolve(self._head, state=State.RUNNING, started=last.started, attempt=last.attempt)
