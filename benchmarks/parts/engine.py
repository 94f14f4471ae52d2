"""The engine without a machine below it: processes on paper, a store in memory. What is left is what it adds."""

from collections.abc import Awaitable, Callable

import trio

from benchmarks.measure import Outcome
from benchmarks.parts.timing import repeat_async
from prunner_trio import Definitions, PipelineDef, TaskDef
from prunner_trio.execution import Runner, run_engine
from prunner_trio.output import MemoryOutputStore
from prunner_trio.storage import MemoryJournal
from prunner_trio.testing import FakeLauncher

__all__ = ["measure"]

_TASKS = 100


def measure(quick: bool) -> Outcome:
    """Return figures of a chain, of a fan, and of jobs of one task."""
    outcome = Outcome()
    trio.run(_measure, 3 if quick else _TASKS, outcome, quick)
    return outcome


async def _measure(size: int, outcome: Outcome, quick: bool) -> None:
    names = [f"t{number:05}" for number in range(size)]
    chain = tuple(TaskDef(name, ("/bin/true",), (names[at - 1],) if at else ()) for at, name in enumerate(names))
    fan = tuple(TaskDef(name, ("/bin/true",)) for name in names)
    definitions = Definitions.of(
        PipelineDef("chain", chain, retention_count=1),
        PipelineDef("fan", fan, retention_count=1),
        PipelineDef("one", fan[:1], concurrency=size, retention_count=1),
    )
    async with run_engine(
        definitions,
        launcher=FakeLauncher(),
        journal=MemoryJournal(),
        output=MemoryOutputStore(),
        env={"PATH": "/bin"},
        cwd="/",
    ) as runner:
        (await repeat_async(_one(runner, "chain"), quick=quick)).into(outcome, "chain", 1e6, size)
        (await repeat_async(_one(runner, "fan"), quick=quick)).into(outcome, "fan", 1e6, size)
        (await repeat_async(_many(runner, "one", size), quick=quick)).into(outcome, "job", 1e6, size)


def _one(runner: Runner, name: str) -> Callable[[], Awaitable[None]]:
    return _many(runner, name, 1)


def _many(runner: Runner, name: str, count: int) -> Callable[[], Awaitable[None]]:
    async def run() -> None:
        handles = [runner.submit(name) for _ in range(count)]
        for handle in handles:
            view = await handle.wait()
            if not view.state.final or view.error:
                raise RuntimeError(f"a job that does nothing has failed: {view.error}")

    return run
