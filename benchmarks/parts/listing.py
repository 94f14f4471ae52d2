"""The list that prunner's clients poll, with many jobs in it."""

import time

import trio

from benchmarks.measure import Outcome
from benchmarks.parts.samples import finished, pipeline
from benchmarks.parts.timing import Timing, repeat, repeat_async
from prunner_trio import Definitions, open_runner
from prunner_trio.execution.seams import SavedJob
from prunner_trio.http.facts import Request
from prunner_trio.http.listing import Listing
from prunner_trio.http.wire import encode_job
from prunner_trio.storage import MemoryJournal

__all__ = ["measure"]

_KEPT = 10_000


def measure(quick: bool) -> Outcome:
    """Return figures of a listing of a runner whose store is memory."""
    outcome = Outcome()
    job = finished(1)
    repeat(lambda: encode_job(job), quick=quick).into(outcome, "job", 1e6)
    trio.run(_measure, 20 if quick else _KEPT, outcome, quick)
    return outcome


async def _measure(kept: int, outcome: Outcome, quick: bool) -> None:
    # Its jobs wait for ever, so that each new one is a change of the list and nothing else.
    definition = pipeline(start_delay=36_000)
    saved = [SavedJob(finished(number, definition), definition) for number in range(1, kept + 1)]
    async with open_runner(Definitions.of(definition), journal=MemoryJournal(saved)) as runner:
        listing = Listing(runner)
        try:
            wall, cpu = time.perf_counter(), time.process_time()
            await listing.answer(_asked())
            Timing([time.perf_counter() - wall], [time.process_time() - cpu]).into(outcome, "first", 1e3)

            async def again() -> None:
                await listing.answer(_asked())

            (await repeat_async(again, quick=quick)).into(outcome, "again", 1e3)
            changed = Timing()
            for _ in range(3 if quick else 50):
                runner.submit(definition.name)
                wall, cpu = time.perf_counter(), time.process_time()
                await again()
                changed.wall.append(time.perf_counter() - wall)
                changed.cpu.append(time.process_time() - cpu)
            changed.into(outcome, "changed", 1e3)
        finally:
            listing.stop()


def _asked() -> Request:
    async def nothing() -> bytes:
        await trio.lowlevel.checkpoint()
        return b""

    return Request("GET", "/pipelines/jobs", b"", (), nothing)
