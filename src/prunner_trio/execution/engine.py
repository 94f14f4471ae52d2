"""Opens a runner: what the last one left is taken up, and what this one runs never outlives the block."""

import logging
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext

import attrs
import trio

from prunner_trio.definition.pipeline import Definitions
from prunner_trio.execution.job import JobRun, Services
from prunner_trio.execution.runner import Runner
from prunner_trio.execution.seams import JobChanged, Journal, Launcher, OutputStore, SavedJob, TaskChanged
from prunner_trio.execution.stop import REAP_TIMEOUT, Hurry
from prunner_trio.model import Event, EventKind, JobId, State, StopReason, StopRequest, TaskView

__all__ = ["new_job_id", "run_engine"]

log = logging.getLogger(__name__)


def new_job_id() -> JobId:
    """Return a new random id."""
    return JobId(str(uuid.uuid4()))


def _unpublished(kind: EventKind, run: JobRun, task: str, state: State, reason: str) -> Event:
    raise RuntimeError("a job of no runner has no events")


@asynccontextmanager
async def run_engine(
    definitions: Definitions,
    *,
    launcher: Launcher,
    journal: Journal,
    output: OutputStore,
    env: Mapping[str, str],
    cwd: str,
    shell: str = "sh",
    kill_timeout: float = 2.0,
    reap_timeout: float = REAP_TIMEOUT,
    most_tasks: int | None = None,
    now: Callable[[], float] = time.time,
    new_id: Callable[[], JobId] = new_job_id,
) -> AsyncIterator[Runner]:
    """Run jobs as long as the block lasts.

    On entry the journal's unfinished jobs are taken up: waiting ones wait again in their order, running ones count as
    interrupted. Leaving the block drains: running jobs finish, waiting ones stay in the journal. Leaving it by an
    exception or a cancellation cancels the running jobs, as a nursery would.

    Args:
        env: the environment that tasks start from.
        cwd: the directory in which scripts run, an absolute path.
        shell: runs scripts for which the definitions name no other.
        kill_timeout: seconds from the first signal of a stop to SIGKILL, where the definitions say nothing.
        reap_timeout: seconds from SIGKILL until processes count as survivors.
        most_tasks: how many tasks may run at once; the next ones stay `waiting` until one is over. None: no limit.
        now: wall time in seconds since the epoch.
        new_id: makes job ids.
    """
    services = Services(
        launcher=launcher,
        journal=journal,
        output=output,
        now=now,
        publish=_unpublished,
        hurry=Hurry(),
        env=env,
        cwd=cwd,
        shell=shell,
        kill_timeout=kill_timeout,
        reap_timeout=reap_timeout,
        room=nullcontext() if most_tasks is None else trio.CapacityLimiter(most_tasks),
    )
    runner = Runner(definitions, services, new_id)
    last_number = await journal.last_number()
    for saved in await journal.unfinished():
        if saved.job.state is State.RUNNING:
            _interrupt(saved, journal, now())
        else:
            runner.wait_again(_untouched(saved, journal))
    await runner.flush()
    async with runner.serving(last_number):
        yield runner


def _untouched(saved: SavedJob, journal: Journal) -> SavedJob:
    """Return a waiting job with tasks that wait.

    The end of a job that was canceled before its first step takes several changes, and a crash may part them: what the
    disk has of the tasks then belongs to an end that never came.
    """
    tasks = []
    for position, task in enumerate(saved.job.tasks):
        fresh = TaskView(task.name, depends_on=task.depends_on, allow_failure=task.allow_failure)
        if task != fresh:
            journal.record(TaskChanged(saved.job.id, position, fresh))
        tasks.append(fresh)
    return attrs.evolve(saved, job=attrs.evolve(saved.job, tasks=tuple(tasks)))


def _interrupt(saved: SavedJob, journal: Journal, now: float) -> None:
    """Write down the end of a job that was running when its daemon died."""
    for position, task in enumerate(saved.job.tasks):
        if not task.state.final:
            journal.record(TaskChanged(saved.job.id, position, _interrupted(task, now)))
    stop = saved.job.stop or StopRequest(StopReason.INTERRUPTED, now)
    error = saved.job.error or "the daemon died"
    journal.record(JobChanged(attrs.evolve(saved.job, state=State.CANCELED, ended=now, stop=stop, error=error)))
    log.warning("job interrupted", extra={"job": saved.job.id, "pipeline": saved.job.pipeline, "reason": error})


def _interrupted(task: TaskView, now: float) -> TaskView:
    running = task.state is State.RUNNING
    return attrs.evolve(
        task,
        state=State.CANCELED,
        ended=now if running else None,
        exit_code=-1 if running else 0,
        reason=f"stopped: {StopReason.INTERRUPTED.value}",
    )
