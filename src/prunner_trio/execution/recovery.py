"""Takes up what the last daemon left: the jobs in its journal, and their processes that are still alive.

The journal may lag behind the processes by a moment, since a task is launched before its start is on disk. So the
processes of every unfinished job are looked for, also of those that wait as far as the journal knows.
"""

import logging
from collections.abc import Iterator, Mapping

import attrs

from prunner_trio.definition.pipeline import OnDaemonCrash
from prunner_trio.execution.continuing import begun_anew, can_go_on, without_own_stop
from prunner_trio.execution.runner import Runner
from prunner_trio.execution.seams import JobChanged, JobReset, Journal, Remaining, SavedJob, TaskChanged, task_key
from prunner_trio.execution.services import Services
from prunner_trio.execution.stopping import DAEMON_DIED
from prunner_trio.model import State, StopReason, StopRequest, TaskView

__all__ = ["take_up"]

log = logging.getLogger(__name__)


async def take_up(runner: Runner, services: Services) -> None:
    """Give every unfinished job of the journal to the runner, or write down its end. Nothing is started yet.

    Raises:
        StoreError: the journal cannot be read.
    """
    runner.remember(await services.journal.records())
    unfinished = await services.journal.unfinished()
    keys = [task_key(saved.job.id, task) for saved in unfinished for task in _open_tasks(saved)]
    remains = await services.launcher.remains(keys)
    for saved in unfinished:
        job = saved.job
        left = {task: proc for task in _open_tasks(saved) if (proc := remains.get(task_key(job.id, task))) is not None}
        begun = job.state is State.RUNNING or bool(left)
        if begun and can_go_on(saved, left):
            extra = {"job": job.id, "pipeline": job.pipeline, "tasks": len(left)}
            log.info("job goes on", extra=extra)
            runner.go_on(saved, left)
            continue
        saved = without_own_stop(saved)
        job = saved.job
        if job.stop is None and not begun:
            runner.wait_again(_untouched(saved, services.journal))
        elif job.stop is None and saved.definition.on_daemon_crash is OnDaemonCrash.REQUEUE:
            await _requeue(runner, services, saved, left)
        elif left:
            log.warning("stopping what is left of a job", extra={"job": job.id, "pipeline": job.pipeline})
            runner.stop_remains(saved, left)
        else:
            _interrupt(saved, services.journal, services.now())


def _open_tasks(saved: SavedJob) -> Iterator[str]:
    """Yield the names of all tasks of which processes may be alive."""
    ended = {task.name for task in saved.job.tasks if task.state.final}
    for task in (*saved.definition.tasks, *filter(None, (saved.definition.on_error,))):
        if task.name not in ended:
            yield task.name


def _untouched(saved: SavedJob, journal: Journal) -> SavedJob:
    """Return a waiting job with tasks that wait.

    The end of a job that was canceled before its first step takes several changes, and a crash may part them: what the
    disk has of the tasks then belongs to an end that never came.
    """
    if saved.job.tasks is saved.definition.waiting_tasks:
        return saved
    tasks = []
    for position, task in enumerate(saved.job.tasks):
        fresh = begun_anew(task)
        if task != fresh:
            journal.record(TaskChanged(saved.job.id, position, fresh))
        tasks.append(fresh)
    return attrs.evolve(saved, job=attrs.evolve(saved.job, tasks=tuple(tasks)))


async def _requeue(runner: Runner, services: Services, saved: SavedJob, left: Mapping[str, Remaining]) -> None:
    kept = tuple(task for task in saved.job.tasks if task.from_job is not None)
    attempt = saved.job.attempt + 1
    job = attrs.evolve(saved.job, state=State.WAITING, tasks=kept, started=None, error="", attempt=attempt)
    job = attrs.evolve(job, handed_over=False)
    again = attrs.evolve(saved, job=job)
    log.warning("job begins again", extra={"job": job.id, "pipeline": job.pipeline, "attempt": job.attempt})
    if left:
        runner.begin_again(again, saved, left)
        return
    await services.output.set_aside(job.id, saved.job.attempt)
    services.journal.record(JobReset(job))
    runner.wait_again(again)


def _interrupt(saved: SavedJob, journal: Journal, now: float) -> None:
    """Write down the end of a job of which nothing is alive."""
    job = saved.job
    stop = job.stop or StopRequest(StopReason.INTERRUPTED, now)
    for position, task in enumerate(job.tasks):
        if not task.state.final:
            journal.record(TaskChanged(job.id, position, _interrupted(task, stop, now)))
    error = job.error or (DAEMON_DIED if job.state is State.RUNNING else "")
    end = attrs.evolve(job, state=State.CANCELED, ended=now, stop=stop, error=error, handed_over=False)
    journal.record(JobChanged(end))
    log.warning("job interrupted", extra={"job": job.id, "pipeline": job.pipeline, "reason": error})


def _interrupted(task: TaskView, stop: StopRequest, now: float) -> TaskView:
    running = task.state is State.RUNNING
    return attrs.evolve(
        task,
        state=State.CANCELED,
        ended=now if running else None,
        exit_code=-1 if running else 0,
        reason=f"stopped: {stop.reason.value}",
    )
