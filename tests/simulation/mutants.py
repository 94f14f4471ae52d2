"""Breaks the engine on purpose, one way at a time: a simulation that finds nothing has to show that it could."""

import inspect
import math
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any
from unittest import mock

import attrs
import trio
from tests.simulation.invariants import Violation
from tests.simulation.world import play_seed

from prunner_trio.definition.pipeline import ON_ERROR, OnDaemonCrash
from prunner_trio.execution import (
    accepting,
    bus,
    continuing,
    housekeeping,
    job,
    leaving,
    lines,
    recovery,
    running_tasks,
)
from prunner_trio.execution.job import JobRun
from prunner_trio.execution.room import Room
from prunner_trio.execution.runner import Runner
from prunner_trio.execution.seams import JobChanged
from prunner_trio.execution.stop import stop_tree
from prunner_trio.execution.task_run import TaskRun
from prunner_trio.model import State, StopReason
from prunner_trio.policy import Waiting, startable

__all__ = ["MUTANTS", "hunt"]

Mutant = Callable[[], AbstractContextManager[object]]

MUTANTS: dict[str, Mutant] = {}
"""What is broken, and how."""


def hunt(mutant: str, runs: int, first: int = 0) -> tuple[int, Violation] | None:
    """Play runs with a broken engine until one of them is found out.

    Returns:
        How many runs that took, and what was found; None if the mutant survives all of them.
    """
    with MUTANTS[mutant]():
        for number in range(runs):
            violation = play_seed(first + number).violation
            if violation is not None:
                return number + 1, violation
    return None


def _mutant(what: str) -> Callable[[Callable[[], Iterator[None]]], None]:
    def register(breakage: Callable[[], Iterator[None]]) -> None:
        MUTANTS[what] = contextmanager(breakage)

    return register


def _replace(owner: object, name: str, make: Callable[[Any], Any]) -> AbstractContextManager[object]:
    """Put something else in the place of an attribute; `make` is given the original."""
    return mock.patch.object(owner, name, make(inspect.getattr_static(owner, name)))


# ---------------------------------------------------------------------------------------------------------- processes


@_mutant("a stop is not shielded from cancellation")
def _no_shield() -> Iterator[None]:
    async def broken(proc: Any, policy: Any, hurry: Any) -> None:
        await trio.lowlevel.checkpoint()
        await stop_tree(proc, policy, hurry)

    with mock.patch.object(leaving, "stop_tree", broken):
        yield


@_mutant("SIGKILL is never sent")
def _no_kill() -> Iterator[None]:
    async def broken(proc: Any, policy: Any, hurry: Any) -> None:
        with trio.CancelScope(shield=True):
            proc.signal_tree(signal.SIGINT)
            with trio.move_on_after(300):
                await proc.wait_gone()

    with mock.patch.object(leaving, "stop_tree", broken):
        yield


@_mutant("what a task leaves in the background is not stopped")
def _leftovers() -> Iterator[None]:
    async def broken(proc: Any, policy: Any, hurry: Any) -> None:
        if trio.current_effective_deadline() == -math.inf:
            await stop_tree(proc, policy, hurry)

    with mock.patch.object(leaving, "stop_tree", broken):
        yield


@_mutant("a tree is closed before it is stopped")
def _closed_early() -> Iterator[None]:
    async def broken(proc: Any, policy: Any, hurry: Any) -> None:
        proc.close()
        await stop_tree(proc, policy, hurry)

    with mock.patch.object(leaving, "stop_tree", broken):
        yield


# --------------------------------------------------------------------------------------------------------------- jobs


@_mutant("a failure does not stop the other tasks")
def _no_fail_fast() -> Iterator[None]:
    def make(original: Any) -> Any:
        def broken(self: JobRun, reason: StopReason, by: str = "") -> None:
            if reason is not StopReason.FAIL_FAST:
                original(self, reason, by)

        return broken

    with _replace(JobRun, "request_stop", make):
        yield


@_mutant("the time-out of a job is forgotten")
def _no_time_out() -> Iterator[None]:
    async def broken(self: JobRun, seconds: float) -> None:
        await trio.sleep_forever()

    with mock.patch.object(JobRun, "_time_out", broken):
        yield


@_mutant("a task does not look whether what it needs has passed")
def _no_blocker() -> Iterator[None]:
    with mock.patch.object(TaskRun, "blocker", return_value=None):
        yield


@_mutant("a handler starts although somebody has canceled the job")
def _stubborn_handler() -> Iterator[None]:
    def make(original: Any) -> Any:
        def broken(self: JobRun, reason: StopReason, by: str = "") -> None:
            original(self, reason, by)
            self._abandoned = False

        return broken

    with _replace(JobRun, "request_stop", make):
        yield


@_mutant("the end of a job is told before it is on the disk")
def _told_early() -> Iterator[None]:
    def make(original: Any) -> Any:
        async def broken(self: JobRun, outcome: Any) -> None:
            impatient: Any = _Impatient(self._services.journal)
            self._services = attrs.evolve(self._services, journal=impatient)
            await original(self, outcome)

        return broken

    with _replace(JobRun, "_finish", make):
        yield


class _Impatient:
    """A journal that says that everything is committed."""

    def __init__(self, journal: Any) -> None:
        self.record = journal.record

    async def committed(self, ticket: int) -> None:
        await trio.lowlevel.checkpoint()


@_mutant("a cancel of a waiting job is not written down")
def _cancel_not_recorded() -> Iterator[None]:
    def make(original: Any) -> Any:
        def broken(self: JobRun, reason: StopReason, by: str = "", **rest: Any) -> None:
            original(self, reason, by, **{**rest, "record": False})

        return broken

    with _replace(JobRun, "cancel_waiting", make):
        yield


# ---------------------------------------------------------------------------------------------------------- wait lists


@_mutant("one slot too many")
def _slot_too_many() -> Iterator[None]:
    def broken(concurrency: int, waiting: Any, running: int, now: float) -> Any:
        return startable(concurrency + 1, waiting, running, now)

    with mock.patch.object(lines, "startable", broken):
        yield


@_mutant("the youngest starts first")
def _reverse() -> Iterator[None]:
    def broken(concurrency: int, waiting: Any, running: int, now: float) -> Any:
        return startable(concurrency, reversed(list(waiting)), running, now)

    with mock.patch.object(lines, "startable", broken):
        yield


@_mutant("the start delay is ignored")
def _no_delay() -> Iterator[None]:
    def broken(concurrency: int, waiting: Any, running: int, now: float) -> Any:
        return startable(concurrency, waiting, running, math.inf)

    with mock.patch.object(lines, "startable", broken):
        yield


@_mutant("nobody is woken when a delay has passed")
def _no_alarm() -> Iterator[None]:
    with mock.patch.object(Runner, "_rearm"):
        yield


@_mutant("a slot comes back before the processes are gone")
def _slot_early() -> Iterator[None]:
    def make(original: Any) -> Any:
        def broken(self: Runner, job_id: Any, *, by: str = "") -> None:
            run = self._runs.get(job_id)
            original(self, job_id, by=by)
            if run is not None and run.state is State.RUNNING:
                line = self._lines[run.definition.name]
                line.slots.discard(job_id)
                self._pump(line)

        return broken

    with _replace(Runner, "cancel", make):
        yield


@_mutant("a canceled job keeps its place in the list")
def _place_kept() -> Iterator[None]:
    def make(original: Any) -> Any:
        def broken(self: Runner, line: Any, job_id: Any) -> None:
            place = line.waiting.get(job_id)
            original(self, line, job_id)
            if place is not None:
                line.waiting[job_id] = place

        return broken

    with _replace(Runner, "_leave_line", make):
        yield


@_mutant("a job that was replaced is put back into the list")
def _replaced_put_back() -> Iterator[None]:
    def make(original: Any) -> Any:
        def broken(self: Runner, line: Any, run: Any, replaced: Any) -> bool:
            if replaced is not None:
                self._put_back(line, *replaced)
            return bool(original(self, line, run, None))

        return broken

    with _replace(Runner, "_accepted", make):
        yield


@_mutant("a new job replaces two")
def _replaces_two() -> Iterator[None]:
    def make(original: Any) -> Any:
        def broken(self: Runner, pipeline: str, **rest: Any) -> Any:
            before = {name: len(line.waiting) for name, line in self._lines.items()}
            job = original(self, pipeline, **rest)
            line = self._lines[pipeline]
            others = [other for other in line.waiting if other != job.id and other not in line.unsaved]
            if others and len(line.waiting) == before[pipeline]:
                run = self._runs[others[-1]]
                self._leave_line(line, run.id)
                run.cancel_waiting(StopReason.REPLACED)
                self._forget(run)
            return job

        return broken

    with _replace(Runner, "submit", make):
        yield


@_mutant("the job that was to be replaced is lost when the new one cannot be saved")
def _not_put_back() -> Iterator[None]:
    with mock.patch.object(Runner, "_put_back", return_value=None):
        yield


# --------------------------------------------------------------------------------------------------------------- store


@_mutant("a job starts before it is on the disk")
def _starts_early() -> Iterator[None]:
    def make(original: Any) -> Any:
        def broken(self: Runner, pipeline: str, **rest: Any) -> Any:
            job = original(self, pipeline, **rest)
            line = self._lines[pipeline]
            if job.id in line.slots:
                line.unsaved.discard(job.id)
                self._start(line, self._runs[job.id])
            return job

        return broken

    def accepted(original: Any) -> Any:
        def broken(self: Runner, line: Any, run: Any, replaced: Any) -> bool:
            return run.id in line.unsaved and bool(original(self, line, run, replaced))

        return broken

    with _replace(Runner, "submit", make), _replace(Runner, "_accepted", accepted):
        yield


@_mutant("a job is answered before it is on the disk")
def _answered_early() -> Iterator[None]:
    def make(original: Any) -> Any:
        def broken(self: Runner, run: Any, *, saved: bool = False) -> Any:
            return original(self, run, saved=True)

        return broken

    with _replace(Runner, "_adopt", make):
        yield


@_mutant("a job that could not be saved keeps its slot")
def _slot_lost() -> Iterator[None]:
    def make(original: Any) -> Any:
        def broken(self: Runner, line: Any, run: Any, error: str, replaced: Any) -> None:
            held = run.id in line.slots
            original(self, line, run, error, replaced)
            if held:
                line.slots.add(run.id)
                self._runs[run.id] = run

        return broken

    with _replace(Runner, "_give_up", make):
        yield


@_mutant("jobs that share a commit start in any order")
def _any_order() -> Iterator[None]:
    def broken(self: Runner, line: Any) -> None:
        if not line.waiting or self._closing():
            return
        ready = (job for job in line.waiting.values() if job.job_id not in line.unsaved)
        for job_id in startable(line.definition.concurrency, ready, len(line.slots), trio.current_time()):
            del line.waiting[job_id]
            self._start(line, self._runs[job_id])

    with mock.patch.object(Runner, "_pump", broken):
        yield


@_mutant("retention keeps one too few")
def _keeps_too_few() -> Iterator[None]:
    def make(original: Any) -> Any:
        def broken(*about: Any) -> Any:
            rule = original(*about)
            return rule if rule is None or rule.keep is None else attrs.evolve(rule, keep=rule.keep - 1)

        return broken

    with _replace(housekeeping, "retention_rule", make):
        yield


# ------------------------------------------------------------------------------------------------- restarts and the end


@_mutant("a restart forgets the jobs that waited")
def _forgets() -> Iterator[None]:
    with mock.patch.object(Runner, "wait_again", return_value=None):
        yield


@_mutant("a restart loses the delays")
def _delay_lost() -> Iterator[None]:
    def make(original: Any) -> Any:
        def broken(self: Runner, saved: Any) -> None:
            original(self, saved)
            line = self._lines[saved.job.pipeline]
            line.waiting[saved.job.id] = Waiting(saved.job.id, 0.0, saved.job.partition)

        return broken

    with _replace(Runner, "wait_again", make):
        yield


@_mutant("a job that was interrupted runs again")
def _interrupted_again() -> Iterator[None]:
    def broken(saved: Any, journal: Any, now: float) -> None:
        journal.record(JobChanged(attrs.evolve(saved.job, state=State.WAITING, started=None)))

    with mock.patch.object(recovery, "_interrupt", broken):
        yield


@_mutant("a cancel that a crash has cut in half is taken for whole")
def _half_a_cancel() -> Iterator[None]:
    with mock.patch.object(recovery, "_untouched", lambda saved, journal: saved):
        yield


@_mutant("a drain still fills free slots")
def _drain_pumps() -> Iterator[None]:
    with mock.patch.object(Runner, "_closing", return_value=False):
        yield


@_mutant("who waits for a job is not told of the end of the runner")
def _not_told() -> Iterator[None]:
    with mock.patch.object(Runner, "_close", lambda self: self._bus.close()):
        yield


@_mutant("a subscriber that lags is fed with holes")
def _holes() -> Iterator[None]:
    def broken(self: Any, event: Any) -> None:
        for listener in tuple(self._listeners.values()):
            listener(event)
        for channel in tuple(self._channels):
            try:
                channel.send_nowait(event)
            except trio.WouldBlock:
                continue

    with mock.patch.object(bus.Bus, "publish", broken):
        yield


# ------------------------------------------------------------------------------------------- under another runner


@_mutant("a handover stops what it lets go")
def _stopping_handover() -> Iterator[None]:
    def make(original: Any) -> Any:
        async def broken(proc: Any, output: Any, **about: Any) -> int:
            return int(await original(proc, output, **{**about, "handed_over": lambda: False}))

        return broken

    with _replace(running_tasks, "see_off", make):
        yield


@_mutant("a handover is not written down")
def _unmarked() -> Iterator[None]:
    def broken(self: JobRun) -> None:
        if self.state is State.RUNNING:
            self.left = True
            self._scope.cancel()

    with mock.patch.object(JobRun, "mark_handed_over"), mock.patch.object(JobRun, "let_go", broken):
        yield


@_mutant("an adopted task is launched again")
def _launched_again() -> Iterator[None]:
    def make(original: Any) -> Any:
        def broken(self: Runner, saved: Any, remains: Any) -> None:
            tasks = tuple(
                attrs.evolve(task, state=State.WAITING, started=None) if task.state is State.RUNNING else task
                for task in saved.job.tasks
            )
            original(self, attrs.evolve(saved, job=attrs.evolve(saved.job, tasks=tasks)), {})

        return broken

    with _replace(Runner, "go_on", make):
        yield


@_mutant("an end that nobody knows counts as a success")
def _guessed_end() -> Iterator[None]:
    def make(original: Any) -> Any:
        async def broken(self: JobRun, task: TaskRun, proc: Any) -> int:
            await original(self, task, proc)
            return 0

        return broken

    with _replace(JobRun, "_see_off_remains", make):
        yield


@_mutant("a job goes on although the end of a task is lost")
def _lost_end() -> Iterator[None]:
    def broken(saved: Any, left: Any) -> bool:
        return saved.job.stop is None and saved.definition.on_daemon_crash is OnDaemonCrash.ADOPT

    with mock.patch.object(recovery, "can_go_on", broken):
        yield


@_mutant("a job that is to be adopted is stopped")
def _never_adopted() -> Iterator[None]:
    with mock.patch.object(recovery, "can_go_on", return_value=False):
        yield


@_mutant("a job goes on that somebody has canceled")
def _canceled_goes_on() -> Iterator[None]:
    def make(original: Any) -> Any:
        def broken(saved: Any, left: Any) -> bool:
            return bool(original(attrs.evolve(saved, job=attrs.evolve(saved.job, stop=None)), left))

        return broken

    with _replace(recovery, "can_go_on", make):
        yield


@_mutant("a failure is forgotten by the next runner")
def _failure_forgotten() -> Iterator[None]:
    with mock.patch.object(job, "first_failure", return_value=None):
        yield


@_mutant("adopted tasks take no room")
def _no_room() -> Iterator[None]:
    with mock.patch.object(Room, "occupy"), mock.patch.object(Room, "give_back"):
        yield


# ------------------------------------------------------------------------------------------------------------ steering


@_mutant("a paused pipeline fills free slots")
def _pause_ignored() -> Iterator[None]:
    def make(original: Any) -> Any:
        def broken(self: Runner, line: Any) -> None:
            with mock.patch.object(Runner, "pause_of", return_value=None):
                original(self, line)

        return broken

    with _replace(Runner, "_pump", make):
        yield


@_mutant("a job that is being saved starts although its pipeline was paused")
def _pause_too_late() -> Iterator[None]:
    def make(original: Any) -> Any:
        def broken(self: Runner, line: Any, run: Any) -> bool:
            with mock.patch.object(Runner, "pause_of", return_value=None):
                return bool(original(self, line, run))

        return broken

    with _replace(Runner, "_takes_slot", make):
        yield


@_mutant("a restart forgets what is paused")
def _pause_forgotten() -> Iterator[None]:
    with mock.patch.object(Runner, "remember"):
        yield


@_mutant("nobody is woken when a pipeline is resumed")
def _not_resumed() -> Iterator[None]:
    def make(original: Any) -> Any:
        def broken(self: Runner, pipeline: str, *, by: str = "") -> None:
            with mock.patch.object(Runner, "_rearm"):
                original(self, pipeline, by=by)
            self._refill = False

        return broken

    with _replace(Runner, "resume", make):
        yield


@_mutant("a move loses the last of the list")
def _move_loses() -> Iterator[None]:
    def make(original: Any) -> Any:
        def broken(self: Runner, line: Any, order: Any, moved: Any, by: str) -> None:
            original(self, line, order, moved, by)
            if len(line.waiting) > 1:
                line.waiting.popitem()

        return broken

    with _replace(Runner, "_reorder", make):
        yield


@_mutant("a move is not written down")
def _move_unwritten() -> Iterator[None]:
    with mock.patch.object(JobRun, "move_to"):
        yield


@_mutant("of a move only the moved job is written down")
def _move_halved() -> Iterator[None]:
    def make(original: Any) -> Any:
        def broken(self: JobRun, rank: int) -> None:
            if self._head.audit and self._head.audit[-1].at == self._services.now():
                original(self, rank)

        return broken

    with _replace(JobRun, "move_to", make):
        yield


@_mutant("a retry keeps what stands behind a failure")
def _keeps_too_much() -> Iterator[None]:
    def broken(original: Any, pipeline: Any) -> Any:
        done = [task for task in original.tasks if task.state is State.DONE and task.name != ON_ERROR]
        return tuple(attrs.evolve(task, from_job=task.from_job or original.id) for task in done)

    with mock.patch.object(accepting, "kept_tasks", broken):
        yield


@_mutant("a retry of what failed runs everything again")
def _keeps_nothing() -> Iterator[None]:
    def make(original: Any) -> Any:
        def broken(*about: Any) -> Any:
            original(*about)
            return ()

        return broken

    with _replace(accepting, "kept_tasks", make):
        yield


@_mutant("a restart forgets what a retry has kept")
def _kept_forgotten() -> Iterator[None]:
    def make(original: Any) -> Any:
        def broken(task: Any) -> Any:
            return original(attrs.evolve(task, from_job=None))

        return broken

    with _replace(recovery, "begun_anew", make), _replace(continuing, "begun_anew", make):
        yield


@_mutant("the cancel of a task stops its job")
def _cancels_all() -> Iterator[None]:
    def make(original: Any) -> Any:
        def broken(self: JobRun, name: str, by: str) -> None:
            original(self, name, by)
            self._scope.cancel()

        return broken

    with _replace(JobRun, "cancel_task", make):
        yield


@_mutant("a task that was canceled alone starts all the same")
def _starts_canceled() -> Iterator[None]:
    def make(original: Any) -> Any:
        def broken(self: JobRun, name: str, by: str) -> None:
            task = next((task for task in self._tasks if task.spec.name == name), None)
            waits = task is not None and task.view.state is State.WAITING
            scope = mock.Mock(cancel_called=False)
            with mock.patch.object(task, "scope", scope) if waits else nullcontext():
                original(self, name, by)

        return broken

    with _replace(JobRun, "cancel_task", make):
        yield


@_mutant("a job is done although a task was canceled alone")
def _done_all_the_same() -> Iterator[None]:
    def make(original: Any) -> Any:
        def broken(tasks: Any, stop: Any) -> Any:
            return original([attrs.evolve(task, stop=None) for task in tasks], stop)

        return broken

    with _replace(job, "job_outcome", make):
        yield
