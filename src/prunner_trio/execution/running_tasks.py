"""How the tasks of a job are run: from their turn to the moment when nothing of them is left."""

import logging
from collections.abc import Mapping
from contextlib import nullcontext

import trio

from prunner_trio.definition.pipeline import ON_ERROR, Orphans, TaskDef
from prunner_trio.errors import EndLost, LaunchError, ProcessesSurvived
from prunner_trio.execution.context import working_for
from prunner_trio.execution.copying import copying
from prunner_trio.execution.leaving import see_off, why_failed
from prunner_trio.execution.prepare import log_limit, prepare
from prunner_trio.execution.seams import JobReset, Proc, Remaining, Stream, TaskOutput, task_key
from prunner_trio.execution.stop import StopPolicy, stop_tree
from prunner_trio.execution.stopping import Stopping
from prunner_trio.execution.task_run import TaskRun, task_runs
from prunner_trio.model import Move, State, StopReason

__all__ = ["RunningTasks"]

log = logging.getLogger(__name__)


class RunningTasks(Stopping):
    """Runs tasks, goes on with them, brings down what is left of them."""

    async def _run_task(self, task: TaskRun) -> None:
        try:
            with working_for(self.id, self.definition.name, task.spec.name), task.scope:
                if task.remains is not None:
                    await self._go_on(task)
                else:
                    await self._go_in_turn(task)
            if task.scope.cancelled_caught:
                self._cut_short(task)
            if task.view.failed and not self.definition.continue_running_tasks_after_failure:
                self.request_stop(StopReason.FAIL_FAST, task.spec.name)
        except Exception:  # written down before the nursery cancels the siblings for it; `run` deals with it
            self._note_stop(StopReason.INTERNAL, task.spec.name)
            raise
        finally:
            self._cancel_unless_final(task)
            task.settled.set()

    async def _go_on(self, task: TaskRun) -> None:
        """Take up what an earlier daemon has launched.

        It knew more than the disk: there, the end of what the task needs may still be to come.
        """
        try:
            for dep in task.deps:
                if not dep.settled.is_set():
                    await dep.settled.wait()
        finally:  # it is there, so it must be seen off, whatever happens
            try:
                await self._go(task, self._head.variables)
            finally:
                if self._continued:
                    self._services.room.give_back(task)

    async def _go_in_turn(self, task: TaskRun) -> None:
        for dep in task.deps:
            if not dep.settled.is_set():  # else a turn of the loop for each of what may be a thousand needs
                await dep.settled.wait()
        if blocker := task.blocker():
            self._move_task(task, Move.CANCEL, f"needs {blocker.spec.name!r}, which is {blocker.view.state.value}")
            return
        async with self._services.room:
            await trio.lowlevel.checkpoint_if_cancelled()  # a stop between two tasks wins
            await self._go(task, self._head.variables)

    async def _go(self, task: TaskRun, variables: Mapping[str, object]) -> None:
        age = task.remains.age if self._continued and task.remains is not None else None
        so_far = self._so_far(task.view.started) if age is None else age
        if task.view.state is State.WAITING:
            self._move_task(task, Move.START)
        if task.spec.timeout is not None:
            task.scope.deadline = trio.current_time() + task.spec.timeout - so_far
        await self._attempt(task, variables)

    def _so_far(self, started: float | None) -> float:
        """Return for how long something runs that an earlier daemon has started; 0 for what this one starts."""
        if not self._continued or started is None:
            return 0.0
        return max(0.0, self._services.now() - started - self._ahead)

    async def _attempt(self, task: TaskRun, variables: Mapping[str, object]) -> None:
        try:
            exit_code, broken = await self._execute(task, variables)
        except (LaunchError, ProcessesSurvived) as exc:
            self.survived = self.survived or isinstance(exc, ProcessesSurvived)
            self._move_task(task, Move.FAIL, str(exc), -1)
            return
        except EndLost:
            self.interrupt()
            self._move_task(task, Move.CANCEL, f"stopped: {StopReason.INTERRUPTED.value}", -1)
            return
        if exit_code != 0:
            limits = task.spec.limits.over(self.definition.limits)
            self._move_task(task, Move.FAIL, why_failed(exit_code, task.usage, limits), exit_code)
        elif broken:
            self._move_task(task, Move.FAIL, broken, -1)
        else:
            self._move_task(task, Move.SUCCEED)

    async def _execute(self, task: TaskRun, variables: Mapping[str, object]) -> tuple[int, str]:
        services = self._services
        limit = log_limit(task.spec, self.definition, services.log_limit)
        plan = prepare(
            task.spec,
            self.definition,
            job_id=self.id,
            variables=variables,
            base_env=services.env,
            cwd=services.cwd,
            default_shell=services.shell,
            outlive=services.outlive and limit is None,
        )
        if task.remains is not None:
            status = await self._see_off_remains(task, task.remains)
        elif plan.secrets.missing:
            raise LaunchError(plan.secrets.missing)
        elif plan.command is None:
            return 0, plan.broken
        else:
            output = services.output.open(self.id, task.spec.name, limit, plan.secrets.mask)
            copied = limit is not None or plan.secrets.mask is not None
            try:
                for note in plan.notes:
                    output.write(Stream.STDERR, f"prunner-trio: {note}\n".encode())
                try:
                    proc = await services.launcher.launch(plan.command, plan.env, output)
                except LaunchError as exc:
                    raise LaunchError(plan.secrets.hide(str(exc))) from exc
                async with copying(output) if copied else nullcontext():  # no checkpoint: the process is ours
                    status = await self._see_off(task, proc, output)
            finally:
                output.close()
        return (status if status >= 0 else 128 - status), plan.broken

    async def _see_off_remains(self, task: TaskRun, proc: Remaining) -> int:
        task.remains = None
        if not self._continued:
            return await self._see_off(task, proc, None)
        ended, stops = proc.ended, filter(None, (self.stop, task.view.stop))
        certain = ended is not None and all(ended <= stop.at for stop in stops)
        task.ended_at = ended if certain else None
        try:
            output = self._services.output.open(self.id, task.spec.name, None)
        except LaunchError as exc:  # only what we have to say of it is lost
            log.warning("%s", exc, extra={"job": self.id, "task": task.spec.name})
            return await self._see_off(task, proc, None, certain=certain)
        try:
            return await self._see_off(task, proc, output, certain=certain)
        finally:
            output.close()

    async def _see_off(self, task: TaskRun, proc: Proc, output: TaskOutput | None, *, certain: bool = False) -> int:
        def leaves() -> bool:  # a stop that is under way by then is finished here, and may take the keeper with it
            task.left = self.left
            return task.left

        task.proc = proc
        status = await see_off(
            proc,
            output,
            orphans=task.spec.orphans or self.definition.orphans or Orphans.KILL,
            policy=self._stop_policy(task.spec),
            hurry=self._services.hurry,
            used=task.closed,
            certain=certain,
            handed_over=leaves,
        )
        task.proc = None
        return status

    def _stop_policy(self, task: TaskDef | None) -> StopPolicy:
        seconds = task.kill_timeout if task is not None else None
        if seconds is None:
            seconds = self.definition.kill_timeout
        if seconds is None:
            seconds = self._services.kill_timeout
        return StopPolicy.from_kill_timeout(seconds, self._services.reap_timeout)

    async def begin_again(self, remains: Mapping[str, Remaining]) -> bool:
        """Bring down what is left of the last attempt, write down that a new one begins, and tell whether it may.

        If not, the job has ended, and its last attempt was the last one: somebody has stopped it, processes survived,
        or there was a defect. Nothing of a new attempt may begin before this: a crash would mistake it for the old one.

        Args:
            remains: what is left, by task; the job itself is as it is to be in the new attempt.
        """
        with working_for(self.id, self.definition.name):
            outcome, problem = Move.CANCEL, ""
            try:
                problem = await self._clear(remains)
                # Before the journal knows of the new attempt, whose records these would be taken for.
                self._services.launcher.forget([task_key(self.id, task) for task in remains])
                if not problem and self.stop is None:
                    await self._services.output.set_aside(self.id, self._head.attempt - 1)
                    self._last = None
                    await self._services.journal.committed(self._record(JobReset(self._head)))
            except* Exception:  # the job boundary, as in `run`
                log.exception("internal error in a job", extra=self._facts)
                self._note_stop(StopReason.INTERNAL)
                outcome, problem = Move.FAIL, "internal error"
            if not problem and self.stop is None:
                return True
            if (last := self._last) is not None:  # what its tasks have done stays, as the journal has it
                self._tasks = task_runs(last, {})
                self._set_head(started=last.job.started, attempt=last.job.attempt)
            self._note_stop(StopReason.INTERRUPTED)
            self._set_head(error=self._head.error or problem)
            for task in self._tasks:
                self._cancel_unless_final(task)
            await self._finish(outcome)
            return False

    async def _clear(self, remains: Mapping[str, Remaining]) -> str:
        """Stop what is left of tasks; return what survived that, in words, empty if nothing did.

        Shielded, and bounded as `stop_tree` is.
        """
        specs = {task.spec.name: task.spec for task in self._tasks} | {ON_ERROR: self.definition.on_error}
        problems: list[str] = []

        async def stop(proc: Proc, spec: TaskDef | None) -> None:
            try:
                await stop_tree(proc, self._stop_policy(spec), self._services.hurry)
            except ProcessesSurvived as exc:
                self.survived = True
                problems.append(str(exc))
            finally:
                proc.close()

        async with trio.open_nursery() as nursery:
            for name, proc in remains.items():
                nursery.start_soon(stop, proc, specs.get(name), name=f"clear {self.id}/{name}")
        return "; ".join(problems)
