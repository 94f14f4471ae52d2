"""One job: a nursery whose child tasks are the nodes of its pipeline's graph."""

import logging

import attrs
import trio

from prunner_trio.execution.context import working_for
from prunner_trio.execution.continuing import begun_anew, first_failure
from prunner_trio.execution.running_tasks import RunningTasks
from prunner_trio.execution.seams import JobChanged, Stream, TaskChanged
from prunner_trio.execution.task_run import TaskRun
from prunner_trio.model import Move, State, StopReason, TaskView, job_outcome

__all__ = ["HANDLER_OUTPUT_LIMIT", "JobRun"]

log = logging.getLogger(__name__)

HANDLER_OUTPUT_LIMIT = 1024 * 1024
"""Bytes of a failed task's output, counted from its end, that `on_error` is given."""


class JobRun(RunningTasks):
    """A job from its acceptance to its end."""

    def go_on(self) -> None:
        """Let a job that an earlier daemon has begun go on where it stands. Not a checkpoint; `run` does the work."""
        self._continued = True
        failure = first_failure(self.view())
        if failure is not None:
            self._first_failure = next(task for task in self._tasks if task.view is failure)
            self._set_head(error=self._head.error or failure.reason)
            if not self.definition.continue_running_tasks_after_failure:
                self._note_stop(StopReason.FAIL_FAST, failure.name, failure.ended)
        self._ahead = self._clock_is_ahead()
        for task in self._tasks:
            if task.remains is not None:
                self._services.room.occupy(task)
            if task.view.stop is not None:
                task.scope.cancel()
        if self.stop is not None:
            self._scope.cancel()

    async def run(self) -> None:
        """Run the job to its end. Returns, or raises only `Cancelled`, with nothing of it alive.

        The job is final only after its last commit: what has been reported completed stays completed.
        """
        with working_for(self.id, self.definition.name):
            await self._run()

    async def _run(self) -> None:
        try:
            await self._run_tasks()
            if not self.left:
                self._outcome = self._decide()
                await self._run_handler()
        except* Exception:  # the job boundary: a defect of the runner ends one job, not all of them
            log.exception("internal error in a job", extra=self._facts)
            self._note_stop(StopReason.INTERNAL)
            self._set_head(error=self._head.error or "internal error")
            self._outcome = Move.FAIL
        finally:
            if self.left:
                self._leave()
            else:
                await self._clear_handler()
                for task in self._tasks:
                    self._cancel_unless_final(task)
                await self._finish(self._outcome or self._decide())

    async def _clear_handler(self) -> None:
        """Stop a handler that an earlier daemon has launched, and that has nothing to do after all."""
        for task in self._tasks:
            if (proc := task.remains) is not None:
                task.remains = None
                await self._clear({task.spec.name: proc})
                self._services.room.give_back(task)
                if self.stop is None:
                    self._move_task(task, Move.CANCEL, "nothing has failed", -1)

    def _leave(self) -> None:
        for task in self._tasks:
            if (proc := task.remains) is not None:
                proc.hand_over()
                task.closed(proc.close())
                continue
            if (
                task.view.state is State.RUNNING and task.proc is None
            ):  # the door closed between its start and its launch
                fresh = attrs.evolve(begun_anew(task.view), stop=task.view.stop)
                self._record(TaskChanged(self.id, task.position, fresh))
        self.finished.set()

    def _decide(self) -> Move:
        if self.state is State.WAITING:
            return Move.CANCEL
        handler = self.definition.on_error if self._continued else None  # it may be there already, and has no say
        return job_outcome(
            [task.view for task in self._tasks if handler is None or task.spec is not handler], self.stop
        )

    async def _run_tasks(self) -> None:
        with self._scope:
            if self.state is State.WAITING:
                if all(task.remains is None for task in self._tasks):  # else they must be seen off, whatever happens
                    await trio.lowlevel.checkpoint_if_cancelled()  # a job may be canceled before its first step
                self._start()
            elif self._continued:  # from here on a crash is a crash again
                self._set_head(handed_over=False)
                self._record(JobChanged(self._head))
            if (timeout := self.definition.timeout) is None:
                await self._run_graph()
                return
            async with trio.open_nursery() as timer:
                late = trio.current_time() + timeout - self._so_far(self._head.started)
                if late > trio.current_time():
                    timer.start_soon(self._time_out, timeout, late, name=f"{self.id} timeout")
                else:
                    self._expire(timeout)
                await self._run_graph()
                timer.cancel_scope.cancel()

    async def _run_graph(self) -> None:
        async with trio.open_nursery() as nursery:
            for task in [task for task in self._tasks if self._belongs_to_graph(task)]:
                nursery.start_soon(self._run_task, task, name=f"{self.id}/{task.spec.name}")

    def _belongs_to_graph(self, task: TaskRun) -> bool:
        """Whether a task is still to be run with the others; a handler that goes on has its turn after them."""
        return not task.view.state.final and not (self._continued and task.spec is self.definition.on_error)

    def _clock_is_ahead(self) -> float:
        """Return by how many seconds the wall clock was set forward since the oldest task that is left was started."""
        now, oldest, ahead = self._services.now(), 0.0, 0.0
        moments = (
            self._head.started,
            *(moment for task in self._tasks for moment in (task.view.started, task.view.ended)),
        )
        latest = max((moment for moment in moments if moment is not None), default=now)
        for task in self._tasks:
            age = task.remains.age if task.remains is not None else None
            if age is not None and age > oldest:
                # One whose start was not on the disk yet began shortly after what is.
                started = latest if task.view.started is None else task.view.started
                oldest, ahead = age, now - started - age
        return ahead

    async def _time_out(self, seconds: float, late: float) -> None:
        await trio.sleep_until(late)
        self._expire(seconds)

    def _expire(self, seconds: float) -> None:
        self._set_head(error=self._head.error or f"timed out after {seconds:g}s")
        self.request_stop(StopReason.TIMEOUT)

    async def _run_handler(self) -> None:
        """Run `on_error` after a failure. The outcome stands; fail-fast cannot reach the handler, a user can."""
        handler, failure = self.definition.on_error, self._first_failure
        if handler is None or failure is None or self._outcome is not Move.FAIL or self._abandoned:
            return
        self._scope = trio.CancelScope()
        task = next((task for task in self._tasks if task.spec is handler), None)
        if task is None:
            task = TaskRun(handler, len(self._tasks), TaskView(handler.name, allow_failure=handler.allow_failure))
            self._tasks.append(task)
        elif task.view.state.final:
            return
        with working_for(self.id, self.definition.name, handler.name), self._scope, task.scope:
            if task.remains is not None:  # at once: it must be seen off, also if it has been canceled
                await self._go_on(task)
            else:
                variables = {**self._head.variables, **await self._failure_variables(failure)}
                async with self._services.room:
                    await trio.lowlevel.checkpoint_if_cancelled()  # entering is no place for a cancel
                    await self._go(task, variables)
        if task.scope.cancelled_caught:
            self._cut_short(task)
        self._cancel_unless_final(task)

    async def _failure_variables(self, failure: TaskRun) -> dict[str, object]:
        return {
            "failedTaskName": failure.spec.name,
            "failedTaskExitCode": failure.view.exit_code,
            "failedTaskError": failure.view.reason,
            "failedTaskStdout": await self._tail(failure.spec.name, Stream.STDOUT),
            "failedTaskStderr": await self._tail(failure.spec.name, Stream.STDERR),
        }

    async def _tail(self, task: str, stream: Stream) -> str:
        output = self._services.output
        size = await output.size(self.id, task, stream)
        tail = await output.read(self.id, task, stream, max(0, size - HANDLER_OUTPUT_LIMIT), HANDLER_OUTPUT_LIMIT)
        return tail.decode(errors="replace").replace("\0", "\ufffd")
