"""One job: a nursery whose child tasks are the nodes of its pipeline's graph.

Every change of state goes through the tables of `model.states`, is given to the journal, and then published. A stop is
written down as a `StopRequest` before anything is canceled; the outcome is computed from that record and the states of
the tasks.
"""

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from types import MappingProxyType
from typing import Any

import attrs
import trio

from prunner_trio.definition.pipeline import ON_ERROR, Orphans, PipelineDef, TaskDef
from prunner_trio.errors import (
    EndLost,
    JobNotStarted,
    LaunchError,
    ProcessesSurvived,
    StoreError,
    TaskAlreadyFinished,
    TaskNotFound,
)
from prunner_trio.execution.context import working_for
from prunner_trio.execution.continuing import FOR_GOOD, begun_anew, first_failure
from prunner_trio.execution.copying import copying
from prunner_trio.execution.leaving import see_off, why_failed
from prunner_trio.execution.prepare import log_limit, prepare
from prunner_trio.execution.room import give_back, occupy
from prunner_trio.execution.seams import (
    Change,
    JobChanged,
    JobReset,
    Journal,
    Launcher,
    OutputStore,
    Proc,
    Remaining,
    SavedJob,
    Stream,
    TaskChanged,
    TaskOutput,
    Ticket,
    Usage,
    task_key,
)
from prunner_trio.execution.stop import Hurry, StopPolicy, stop_tree
from prunner_trio.model import (
    JOB_MOVES,
    TASK_MOVES,
    Action,
    AuditEntry,
    Event,
    EventKind,
    JobId,
    JobView,
    Move,
    State,
    StopReason,
    StopRequest,
    TaskView,
    audited,
    job_outcome,
    next_state,
)

__all__ = ["DAEMON_DIED", "HANDLER_OUTPUT_LIMIT", "NOT_HANDED_OVER", "JobRun", "Services"]

log = logging.getLogger(__name__)

DAEMON_DIED = "the daemon died"
"""The error of a job that was interrupted."""

NOT_HANDED_OVER = "the daemon was replaced, and a task could not be handed over"
"""The error of a job that was stopped because of that."""

HANDLER_OUTPUT_LIMIT = 1024 * 1024
"""Bytes of a failed task's output, counted from its end, that `on_error` is given."""

_NOTHING: Mapping[str, Remaining] = MappingProxyType({})


@attrs.frozen
class Services:
    """What all jobs of a runner share.

    Attributes:
        now: wall time.
        publish: takes (kind, job, task name, state, reason), makes an `Event` of it and tells the subscribers.
        env: the environment that tasks start from.
        cwd: the directory in which scripts run.
        shell: for tasks whose definition names none.
        room: to be entered for as long as a task runs; may make it wait.
        log_limit: for tasks whose definition names none.
        outlive: all tasks may outlive the daemon, not only those of pipelines that ask for it.
    """

    launcher: Launcher
    journal: Journal
    output: OutputStore
    now: Callable[[], float]
    publish: Callable[[EventKind, "JobRun", str, State, str], Event]
    hurry: Hurry
    env: Mapping[str, str] = attrs.field(repr=False)
    cwd: str
    shell: str
    kill_timeout: float
    reap_timeout: float
    room: AbstractAsyncContextManager[object]
    log_limit: int | None = None
    outlive: bool = False


@attrs.define(eq=False)
class TaskRun:
    """A task of a live job; owned by its `JobRun`.

    Attributes:
        remains: what an earlier daemon launched of it and nobody has seen off yet.
        proc: its processes, while somebody waits for their end.
        left: whether these are the next daemon's from now on; else they end under this one in any case.
        ended_at: when its leader ended, if that was before anybody looked.
    """

    spec: TaskDef
    position: int
    view: TaskView
    deps: "tuple[TaskRun, ...]" = ()
    remains: Remaining | None = None
    proc: Proc | None = None
    left: bool = False
    ended_at: float | None = None
    settled: trio.Event = attrs.field(factory=trio.Event)
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    usage: Usage = attrs.field(factory=Usage)

    def closed(self, usage: Usage) -> None:
        """Take note that the processes are gone, and what they have used."""
        self.usage = usage

    def blocker(self) -> "TaskRun | None":
        """Return a dependency that has not passed, if there is one."""
        return next((dep for dep in self.deps if not dep.view.passed), None)


class JobRun:
    """A job from its acceptance to its end."""

    def __init__(
        self,
        saved: SavedJob,
        services: Services,
        remains: Mapping[str, Remaining] = _NOTHING,
        *,
        to_be_cleared: bool = False,
    ) -> None:
        """Make a job that is new, or that an earlier daemon had.

        Args:
            remains: what is left of its tasks, by name.
            to_be_cleared: it is for `begin_again`.
        """
        self.definition: PipelineDef = saved.definition
        self.finished = trio.Event()
        """Set once the job is final and on disk, or once the runner gives up its wait list."""
        self.survived = False
        """Whether processes of it outlived SIGKILL."""
        self.left = False
        """Whether it is the next daemon's from now on."""
        self._services = services
        self._head = attrs.evolve(saved.job, tasks=())
        self._tasks = _task_runs(saved, remains)
        self._view: JobView | None = None
        self._scope = trio.CancelScope()
        self._outcome: Move | None = None
        self._decided = False
        self._abandoned = False
        self._continued = False
        self._ahead = 0.0  # seconds by which the wall clock was set since
        self._to_be_cleared = to_be_cleared
        self._first_failure: TaskRun | None = None

    # --------------------------------------------------------------------------------------------- what can be seen

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

    def view(self) -> JobView:
        """Return the job as it is now; the same object until something changes."""
        if self._view is None:
            self._view = attrs.evolve(self._head, tasks=tuple(task.view for task in self._tasks))
        return self._view

    # ------------------------------------------------------------------------------------------------- being steered

    def note(self, action: Action, by: str, detail: str = "") -> None:
        """Write into the audit of the job what somebody does to it; the caller records the job."""
        self._set_head(audit=audited(self._head.audit, AuditEntry(self._services.now(), action, by, detail)))

    def move_to(self, rank: int) -> None:
        """Give a waiting job another rank; the caller records it."""
        self._set_head(moved_to=rank)

    def cancel_task(self, name: str, by: str) -> None:
        """Ask one task to stop, in a job that goes on; see `Runner.cancel_task`."""
        if self.state is State.WAITING:
            raise JobNotStarted(self.id)
        task = next((task for task in self._tasks if task.spec.name == name), None)
        if task is None:
            raise TaskNotFound(self.id, name)
        if task.view.state.final:
            raise TaskAlreadyFinished(self.id, name)
        if task.scope.cancel_called or (self._scope.cancel_called and not self.left):
            return
        task.view = attrs.evolve(task.view, stop=StopRequest(StopReason.USER, self._services.now(), by))
        self.note(Action.TASK_CANCELED, by, name)
        self._record(TaskChanged(self.id, task.position, task.view))
        self._record(JobChanged(self._head))
        task.scope.cancel()

    def _note_cancel(self, by: str) -> None:
        if all(entry.action is not Action.CANCELED or entry.by != by for entry in self._head.audit):
            self.note(Action.CANCELED, by)

    # ------------------------------------------------------------------------------------------------ being stopped

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
        cleared = self._to_be_cleared and reason is StopReason.USER
        if first and (self.state is State.RUNNING or cleared):
            stop = self.stop if self.stop and self.stop.reason in FOR_GOOD else None
            stop = stop or StopRequest(reason, self._services.now(), by)
            self._record(JobChanged(attrs.evolve(self._last_attempt() if cleared else self._head, stop=stop)))
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
                occupy(self._services.room, task)
            if task.view.stop is not None:
                task.scope.cancel()
        if self.stop is not None:
            self._scope.cancel()

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
                    self._to_be_cleared = False
                    await self._services.journal.committed(self._record(JobReset(self._head)))
            except* Exception:  # the job boundary, as in `run`
                log.exception("internal error in a job", extra=self._facts)
                self._note_stop(StopReason.INTERNAL)
                outcome, problem = Move.FAIL, "internal error"
            if not problem and self.stop is None:
                return True
            if self._to_be_cleared:
                self._record(JobReset(self._last_attempt()))
                self._set_head(attempt=self._head.attempt - 1)
            self._note_stop(StopReason.INTERRUPTED)
            self._set_head(error=self._head.error or problem)
            for task in self._tasks:
                self._cancel_unless_final(task)
            await self._finish(outcome)
            return False

    def _last_attempt(self) -> JobView:
        """Return the job as the journal has it while what is left of its last attempt is brought down."""
        return attrs.evolve(self._head, state=State.RUNNING, attempt=self._head.attempt - 1)

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

    def as_evicted(self, at: float) -> JobView:
        """Return the job as it will be when a newer one has taken its place."""
        stop = StopRequest(StopReason.REPLACED, at)
        return attrs.evolve(self._head, state=State.CANCELED, stop=stop, ended=at)

    def _note_stop(self, reason: StopReason, by: str = "", at: float | None = None) -> None:
        if self.stop is None:
            self._set_head(stop=StopRequest(reason, self._services.now() if at is None else at, by))

    # ------------------------------------------------------------------------------------------------------ running

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
                give_back(self._services.room, task)
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

    async def _finish(self, outcome: Move) -> None:
        self._decided = True
        final = next_state(JOB_MOVES, self.state, outcome)
        ended = self._services.now()  # shown together with the final state, and not before
        self._set_head(handed_over=False)
        ticket = self._record(JobChanged(attrs.evolve(self._head, state=final, ended=ended)))
        try:
            await self._services.journal.committed(ticket)
            self._services.launcher.forget([task_key(self.id, task.spec.name) for task in self._tasks])
        except StoreError as exc:
            log.error("the end of a job could not be saved: %s", exc, extra=self._facts)
        finally:
            self._settle(outcome, ended)

    async def _run_tasks(self) -> None:
        with self._scope:
            if self.state is State.WAITING:
                if all(task.remains is None for task in self._tasks):  # else they must be seen off, whatever happens
                    await trio.lowlevel.checkpoint_if_cancelled()  # a job may be canceled before its first step
                self._start()
            elif self._continued:  # from here on a crash is a crash again
                self._set_head(handed_over=False)
                self._record(JobChanged(self._head))
            async with trio.open_nursery() as timer:
                if (timeout := self.definition.timeout) is not None:
                    late = trio.current_time() + timeout - self._so_far(self._head.started)
                    if late > trio.current_time():
                        timer.start_soon(self._time_out, timeout, late, name=f"{self.id} timeout")
                    else:
                        self._expire(timeout)
                async with trio.open_nursery() as nursery:
                    for task in [task for task in self._tasks if self._belongs_to_graph(task)]:
                        nursery.start_soon(self._run_task, task, name=f"{self.id}/{task.spec.name}")
                timer.cancel_scope.cancel()

    def _belongs_to_graph(self, task: TaskRun) -> bool:
        """Whether a task is still to be run with the others; a handler that goes on has its turn after them."""
        return not task.view.state.final and not (self._continued and task.spec is self.definition.on_error)

    def _so_far(self, started: float | None) -> float:
        """Return for how long something runs that an earlier daemon has started; 0 for what this one starts."""
        if not self._continued or started is None:
            return 0.0
        return max(0.0, self._services.now() - started - self._ahead)

    def _clock_is_ahead(self) -> float:
        """Return by how many seconds the wall clock was set forward since the oldest task that is left was started."""
        now, oldest, ahead = self._services.now(), 0.0, 0.0
        for task in self._tasks:
            age = task.remains.age if task.remains is not None else None
            if age is not None and task.view.started is not None and age > oldest:
                oldest, ahead = age, now - task.view.started - age
        return ahead

    async def _time_out(self, seconds: float, late: float) -> None:
        await trio.sleep_until(late)
        self._expire(seconds)

    def _expire(self, seconds: float) -> None:
        self._set_head(error=self._head.error or f"timed out after {seconds:g}s")
        self.request_stop(StopReason.TIMEOUT)

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
                    give_back(self._services.room, task)

    async def _go_in_turn(self, task: TaskRun) -> None:
        for dep in task.deps:
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
        elif plan.command is None:
            return 0, plan.broken
        else:
            output = services.output.open(self.id, task.spec.name, limit)
            try:
                for note in plan.notes:
                    output.write(Stream.STDERR, f"prunner-trio: {note}\n".encode())
                proc = await services.launcher.launch(plan.command, plan.env, output)
                async with nullcontext() if limit is None else copying(output):  # no checkpoint: the process is ours
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
        choices = (task.kill_timeout if task else None, self.definition.kill_timeout, self._services.kill_timeout)
        seconds = next(choice for choice in choices if choice is not None)
        return StopPolicy.from_kill_timeout(seconds, self._services.reap_timeout)

    # ----------------------------------------------------------------------------------------------------- on_error

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
            variables = {**self._head.variables, **await self._failure_variables(failure)}
            if task.remains is not None:
                await self._go_on(task)
            else:
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

    # ------------------------------------------------------------------------------------------------ state changes

    def _start(self) -> None:
        self._set_head(state=next_state(JOB_MOVES, self.state, Move.START), started=self._services.now())
        self._record(JobChanged(self._head))
        self._changed(EventKind.JOB, "", self.state, "")
        log.info("job started", extra=self._facts)

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
        now = self._services.now()
        task.view = attrs.evolve(
            task.view,
            state=state,
            started=now if move is Move.START else task.view.started,
            ended=(task.ended_at or now) if state.final and task.view.started is not None else None,
            exit_code=exit_code,
            reason=reason,
            cpu_seconds=task.usage.cpu_seconds,
            peak_memory=task.usage.peak_memory,
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
        assert self.stop is not None
        running = task.view.state is State.RUNNING
        reason = f"stopped: {self.stop.reason.value}"
        if running and self.stop.reason is StopReason.TIMEOUT:
            self._move_task(task, Move.FAIL, f"timed out after {self.definition.timeout or 0:g}s", -1)
        else:
            self._move_task(task, Move.CANCEL, reason, -1 if running else 0)

    def _set_head(self, **changes: Any) -> None:
        self._head = attrs.evolve(self._head, **changes)
        self._view = None

    def _record(self, change: Change) -> Ticket:
        return self._services.journal.record(change)

    def _changed(self, kind: EventKind, task: str, state: State, reason: str) -> None:
        self._view = None
        self._services.publish(kind, self, task, state, reason)


def _task_runs(saved: SavedJob, remains: Mapping[str, Remaining]) -> list[TaskRun]:
    """Make the tasks of a job, each with its dependencies; a definition lists them in topological order.

    The handler comes last, if it has begun.
    """
    kept = {view.name: view for view in saved.job.tasks}
    runs: dict[str, TaskRun] = {}
    for position, spec in enumerate(saved.definition.tasks):
        view = kept.get(spec.name) or TaskView(spec.name, depends_on=spec.depends_on, allow_failure=spec.allow_failure)
        runs[spec.name] = TaskRun(spec, position, view, tuple(runs[name] for name in spec.depends_on))
    handler = saved.definition.on_error
    if handler is not None and (handler.name in kept or handler.name in remains):
        view = kept.get(handler.name) or TaskView(handler.name, allow_failure=handler.allow_failure)
        runs[handler.name] = TaskRun(handler, len(runs), view)
    for name, run in runs.items():
        run.remains = remains.get(name)
        if run.view.state.final:
            run.settled.set()
    return list(runs.values())
