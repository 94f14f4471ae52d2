"""Runs a scenario against the real engine, with processes on paper and a clock that jumps."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import attrs
import trio
import trio.testing

from prunner_trio.definition import load_definitions
from prunner_trio.definition.pipeline import Definitions, PipelineDef
from prunner_trio.execution import Job, Runner, run_engine
from prunner_trio.model import Event, EventKind, JobId
from prunner_trio.output.memory import MemoryOutputStore
from prunner_trio.storage.memory import MemoryJournal
from prunner_trio.testing.fakes import Act, Acts, FakeLauncher, Launch
from prunner_trio.testing.transcript import Entry, Transcript

__all__ = ["EPOCH", "Rig", "Scenario", "open_rig", "simulate"]

EPOCH = 1_800_000_000.0
"""Wall time at the start of every simulation, in seconds since 1970."""


@attrs.define(eq=False)
class Rig:
    """A runner on paper.

    Attributes:
        runner: the real one.
        transcript: what has happened so far.
    """

    runner: Runner
    launcher: FakeLauncher
    journal: MemoryJournal
    output: MemoryOutputStore
    transcript: Transcript
    started: float

    async def schedule(self, pipeline: str, *, user: str = "", partition: str = "", **variables: object) -> Job:
        """Schedule a job, with its variables as keywords."""
        return await self.runner.schedule(pipeline, variables=variables, user=user, partition=partition)

    async def at(self, seconds: float) -> None:
        """Sleep until `seconds` after the start of the simulation."""
        await trio.sleep_until(self.started + seconds)


Scenario = Callable[[Rig], Awaitable[object]]


@asynccontextmanager
async def open_rig(
    definitions: Definitions,
    acts: Acts | None = None,
    *,
    journal: MemoryJournal | None = None,
    env: Mapping[str, str] | None = None,
    kill_timeout: float = 2.0,
    most_tasks: int | None = None,
    remains: Mapping[str, Act] | None = None,
    outlive: bool = False,
) -> AsyncIterator[Rig]:
    """Open a runner on paper inside a Trio program that runs on a `MockClock`.

    Args:
        acts: how tasks behave; those not named succeed at once.
        journal: the store of an earlier rig, to try a restart.
        env: the environment that tasks start from.
        kill_timeout: see `run_engine`.
        most_tasks: see `run_engine`.
        remains: what the earlier rig left alive, by task or `job id/task`; each begins now, or with `seconds` of 0 or
            less has ended so long ago and left the record of its end.
        outlive: see `run_engine`.
    """
    transcript, started = Transcript(), trio.current_time()
    journal = journal if journal is not None else MemoryJournal()
    output = MemoryOutputStore()
    numbers: dict[str, int] = {}

    def note(job_id: str, pipeline: str, task: str, what: str) -> None:
        at = round(trio.current_time() - started, 6)
        transcript.add(Entry(at, f"{pipeline}#{numbers.get(job_id, 0)}", task, what))

    def signaled(launch: Launch, what: str) -> None:
        job = runner.job(JobId(launch.job_id))
        note(launch.job_id, job.view().pipeline if job is not None else launch.pipeline, launch.task, what)

    def observed(event: Event) -> None:
        if event.job_id not in numbers and (job := runner.job(event.job_id)) is not None:
            numbers[event.job_id] = job.view().number
        what = event.state.value if event.kind in (EventKind.JOB, EventKind.TASK) else event.kind.value
        note(event.job_id, event.pipeline, event.task, f"{what} ({event.reason})" if event.reason else what)

    def now() -> float:
        return EPOCH + trio.current_time() - started

    launcher = FakeLauncher(acts, signaled, remains, now)
    first = await journal.last_number()

    def new_id() -> JobId:
        nonlocal first
        first += 1
        return JobId(f"00000000-0000-4000-8000-{first:012d}")

    with ExitStack() as watching:  # outlives the runner, so that the transcript has the end of a canceled one too
        async with run_engine(
            definitions,
            launcher=launcher,
            journal=journal,
            output=output,
            env=env or {},
            cwd="/",
            kill_timeout=kill_timeout,
            most_tasks=most_tasks,
            outlive=outlive,
            now=now,
            new_id=new_id,
        ) as runner:
            watching.enter_context(runner.observe(observed))
            numbers.update((view.id, view.number) for view in runner.live())
            yield Rig(runner, launcher, journal, output, transcript, started)


def simulate(
    definitions: Definitions | PipelineDef | str | Path,
    scenario: Scenario,
    acts: Acts | None = None,
    *,
    journal: MemoryJournal | None = None,
    env: Mapping[str, str] | None = None,
    kill_timeout: float = 2.0,
    most_tasks: int | None = None,
    remains: Mapping[str, Act] | None = None,
    outlive: bool = False,
    time_limit: float = 1_000_000.0,
) -> Transcript:
    """Run `scenario(rig)` to its end, let the running jobs finish, and return what happened.

    Time is virtual: hours pass in microseconds, and exactly.

    Args:
        definitions: the path of a definition file, or definitions made in Python.
        time_limit: virtual seconds after which the simulation gives up.

    Raises:
        AssertionError: something was still alive at the end.
        trio.TooSlowError: the time limit has passed.
        InvalidDefinition: the file has problems.
    """
    known = _definitions(definitions)

    async def main() -> Transcript:
        with trio.fail_after(time_limit):
            async with open_rig(
                known,
                acts,
                journal=journal,
                env=env,
                kill_timeout=kill_timeout,
                most_tasks=most_tasks,
                remains=remains,
                outlive=outlive,
            ) as rig:
                await scenario(rig)
        if rig.launcher.open:
            raise AssertionError(f"{len(rig.launcher.open)} process trees were never closed")
        return rig.transcript

    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0), strict_exception_groups=True)


def _definitions(source: Definitions | PipelineDef | str | Path) -> Definitions:
    if isinstance(source, Definitions):
        return source
    if isinstance(source, PipelineDef):
        return Definitions.of(source)
    path = Path(source)
    return load_definitions(path.name, path.parent)
