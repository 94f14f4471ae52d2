"""Opens a runner: what the last one left is taken up, and what this one runs never outlives the block."""

import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from prunner_trio.definition.pipeline import Definitions
from prunner_trio.execution.recovery import take_up
from prunner_trio.execution.room import Room
from prunner_trio.execution.runner import Runner
from prunner_trio.execution.seams import Journal, Launcher, OutputStore
from prunner_trio.execution.services import Services
from prunner_trio.execution.stop import REAP_TIMEOUT, Hurry
from prunner_trio.model import Event, EventKind, JobId, State

__all__ = ["new_job_id", "run_engine"]


def new_job_id() -> JobId:
    """Return a new random id."""
    return JobId(str(uuid.uuid4()))


def _unpublished(kind: EventKind, job_id: JobId, pipeline: str, task: str, state: State, reason: str) -> Event:
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
    log_limit: int | None = None,
    outlive: bool = False,
    now: Callable[[], float] = time.time,
    new_id: Callable[[], JobId] = new_job_id,
) -> AsyncIterator[Runner]:
    """Run jobs as long as the block lasts.

    On entry the journal's unfinished jobs are taken up: waiting ones wait again in their order. Running ones go on if
    their definition says so or the last runner has handed them over (`Runner.hand_over`); of others what is left is
    brought down, and they count as interrupted or wait again too. Leaving the block drains: running jobs finish,
    waiting ones stay in the journal. Leaving it by an exception or a cancellation cancels the running jobs, as a
    nursery would.

    Args:
        env: the environment that tasks start from.
        cwd: the directory in which scripts run, an absolute path.
        shell: runs scripts for which the definitions name no other.
        kill_timeout: seconds from the first signal of a stop to SIGKILL, where the definitions say nothing.
        reap_timeout: seconds from SIGKILL until processes count as survivors.
        most_tasks: how many tasks may run at once; the next ones stay `waiting` until one is over. None: no limit.
        log_limit: the most bytes of output that each of a task's two logs may have, where the definitions say nothing.
            None: no limit.
        outlive: let the processes of all tasks be able to outlive this program, not only those of pipelines that ask
            for it: without that, they cannot be handed over.
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
        room=Room(most_tasks),
        log_limit=log_limit,
        outlive=outlive,
    )
    runner = Runner(definitions, services, new_id)
    last_number = await journal.last_number()
    await take_up(runner, services)
    await runner.flush()
    async with runner.serving(last_number):
        yield runner
