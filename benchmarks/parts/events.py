"""Telling of one change: to listeners, to subscribers, to those who listen over HTTP."""

from contextlib import AsyncExitStack
from itertools import count

import trio

from benchmarks.measure import Outcome
from benchmarks.parts.timing import repeat, repeat_async
from prunner_trio.execution.bus import Bus
from prunner_trio.http.v1.ring import Ring
from prunner_trio.model import Event, EventKind, JobId, State

__all__ = ["measure"]

_SUBSCRIBERS = 100
_AT_ONCE = 100
_JOB = JobId("00000000-0000-4000-8000-000000000000")


def measure(quick: bool) -> Outcome:
    """Return figures of a bus alone and of the ring behind the streams of events."""
    outcome = Outcome()
    alone, event = Bus(), _event(1)
    with alone.observe(lambda event: None):
        repeat(lambda: alone.publish(event), quick=quick).into(outcome, "listener", 1e6)
    trio.run(_subscribed, outcome, quick)
    trio.run(_ring, outcome, quick)
    return outcome


async def _subscribed(outcome: Outcome, quick: bool) -> None:
    subscribers = 3 if quick else _SUBSCRIBERS
    bus, event = Bus(), _event(1)
    async with AsyncExitStack() as stack:
        channels = [await stack.enter_async_context(bus.subscribe()) for _ in range(subscribers)]

        async def fan_out() -> None:
            for _ in range(_AT_ONCE):
                bus.publish(event)
            for channel in channels:
                for _ in range(_AT_ONCE):
                    channel.receive_nowait()
            await trio.lowlevel.checkpoint()

        timing = await repeat_async(fan_out, quick=quick)
    timing.into(outcome, "subscriber", 1e6, _AT_ONCE * subscribers)


async def _ring(outcome: Outcome, quick: bool) -> None:
    await trio.lowlevel.checkpoint()
    ring, numbers = Ring(), count(1)

    def told() -> None:
        before = ring.last
        ring.note(_event(next(numbers)))
        ring.after(before)

    repeat(told, quick=quick).into(outcome, "stream", 1e6)


def _event(seq: int) -> Event:
    return Event(seq, 1.7e9 + seq, EventKind.TASK, _JOB, "site", "build", State.RUNNING)
