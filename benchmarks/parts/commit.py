"""Writing to the store, beside the sync that no durable write can do without."""

import os
import tempfile
import time
from itertools import count
from pathlib import Path
from statistics import median

import attrs
import trio

from benchmarks.measure import Outcome
from benchmarks.parts.samples import added, finished, new_job
from benchmarks.parts.timing import repeat, repeat_async
from prunner_trio.execution.seams import JobChanged, TaskChanged
from prunner_trio.model import State
from prunner_trio.storage import SqliteJournal, open_journal

__all__ = ["measure"]

_AT_ONCE = 200
_BLOCK = b"\0" * 4096


def measure(quick: bool) -> Outcome:
    """Return figures of a store in a temporary directory."""
    outcome = Outcome()
    with tempfile.TemporaryDirectory(prefix="prunner-bench-") as name:
        folder = Path(name)
        trio.run(_measure, folder, outcome, quick)
        with (folder / "file").open("ab", buffering=0) as file:

            def sync() -> None:
                file.write(_BLOCK)
                os.fdatasync(file.fileno())

            outcome.references["one"] = median(repeat(sync, quick=quick).wall) * 1e3
    return outcome


async def _measure(folder: Path, outcome: Outcome, quick: bool) -> None:
    numbers = count(1)
    at_once = 5 if quick else _AT_ONCE
    async with open_journal(folder / "data", now=time.time) as journal:

        async def one() -> None:
            await journal.committed(journal.record(added(new_job(next(numbers)))))

        async def lives() -> None:
            ticket = 0
            for _ in range(at_once):
                ticket = _life(journal, next(numbers))
            await journal.committed(ticket)

        (await repeat_async(one, quick=quick)).into(outcome, "one", 1e3)
        (await repeat_async(lives, quick=quick)).into(outcome, "life", 1e3, at_once)
        (await repeat_async(lambda: journal.jobs(pipeline=None, before=None, limit=50), quick=quick)).into(
            outcome, "page", 1e3
        )


def _life(journal: SqliteJournal, number: int) -> int:
    """Record all changes of a job of three tasks."""
    job, end = new_job(number), finished(number)
    journal.record(added(job))
    journal.record(JobChanged(attrs.evolve(job, state=State.RUNNING, started=end.started)))
    for position, task in enumerate(end.tasks):
        journal.record(TaskChanged(job.id, position, attrs.evolve(task, state=State.RUNNING, ended=None)))
        journal.record(TaskChanged(job.id, position, task))
    return journal.record(JobChanged(end))
