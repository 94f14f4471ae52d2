"""A log as it grows: what is there and what comes, on one cursor of bytes, until the task is over and all is sent.

The writers are processes that know nothing of us, and write straight into files, so nothing tells of new bytes. While
somebody follows a running task, and only then, the size of the file is looked at every `TICK`; but every `SLOW_TICK`
once nothing has come for `QUIET`, since a hundred who follow silent logs would else keep a quarter of a processor busy.
All who follow do so at the same moments, so the loop wakes once for all of them.
"""

import codecs
import math
import re

import attrs
import trio

from prunner_trio.http.facts import Answer, Header
from prunner_trio.http.line import HEARTBEAT, Line, Streamed
from prunner_trio.http.v1.logs import PIECE, Log, log_headers, log_start
from prunner_trio.http.v1.models import Closing, LogEnd, LogPiece, StreamStart
from prunner_trio.http.v1.questions import LogQuestion
from prunner_trio.http.v1.ring import Ring
from prunner_trio.http.v1.sse import SILENCE, STREAM_HEADERS, sse
from prunner_trio.http.v1.views import exit_code
from prunner_trio.model import State

__all__ = ["QUIET", "SLOW_TICK", "TICK", "follow_events", "follow_text", "grown", "next_tick"]

TICK = 0.02
"""Seconds between two looks at the size of a log that is followed."""

SLOW_TICK = 0.24
"""The same for a log in which nobody has written for a while; a multiple of `TICK`."""

QUIET = 2.0
"""That while, in seconds; it begins anew with each byte, and for each new follower."""

_ID = re.compile(r"(\d{1,18})(?:@(\d{1,9}))?(/end)?", re.ASCII)
_TEXT_HEADERS: tuple[Header, ...] = (
    (b"content-type", b"text/plain; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"sandbox"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
)


async def follow_text(log: Log, ring: Ring, asked: LogQuestion) -> Streamed:
    """Answer with a log as plain text that goes on."""
    growing, size = not log.task().state.final, await log.size()
    start = await log_start(log, asked, size)

    async def write(line: Line) -> None:
        await _Follower(log, ring, line, start).run()

    return Streamed(write, (*_TEXT_HEADERS, *log_headers(start, size, size, growing=growing)[:1]))


async def follow_events(log: Log, ring: Ring, asked: LogQuestion, last_id: str) -> Streamed | Answer:
    """Answer with a log as events, after the one with that id if there is one; 204 to a client that has seen the end.

    The id of an event is the offset at which it ends; from a job's second attempt on, with ``@`` and the attempt.
    """
    match = _ID.fullmatch(last_id)
    attempt = int(match[2] or 1) if match else 0
    if match and match[3] and attempt == log.attempt:
        return Answer(204)
    size = await log.size()
    resumed = match is not None and attempt == log.attempt and int(match[1]) <= size
    start = int(match[1]) if match and resumed else 0 if last_id else await log_start(log, asked, size)

    async def write(line: Line) -> None:
        if last_id and not resumed:
            await line.send(sse("reset", _id(log, 0), StreamStart(0)))
        await _EventFollower(log, ring, line, start).run()

    return Streamed(write, STREAM_HEADERS)


async def grown(log: Log, ring: Ring, state: State, size: int, since: float) -> None:
    """Return when a log has another size than `size`, or its task another state than `state`.

    `state` is not final. A task that waits writes nothing, so only events are waited for then. `since` is when it had
    another size, or was not followed yet.
    """
    while True:
        changed = ring.changed(log.job_id)
        if log.task().state is not state:
            return
        if state is State.WAITING:
            await changed.wait()
        else:
            await _tick(changed, since)
            if await log.size() != size:
                return


async def _tick(changed: trio.Event, since: float) -> None:
    """Wait for the next look. The end of a task, which is an event, is told within a `TICK` in any case."""
    now = trio.current_time()
    if now - since >= QUIET:
        with trio.move_on_at(next_tick(now, SLOW_TICK)):
            await changed.wait()
        if not changed.is_set():
            return
    await trio.sleep_until(next_tick(trio.current_time()))


def next_tick(now: float, tick: float = TICK) -> float:
    """Return the next moment at which sizes are looked at: later than `now`, by `tick` at most or a hair more."""
    moment = tick * (math.floor(now / tick) + 1)
    return moment if moment > now else moment + tick  # 0.06 / 0.02 is a little less than 3


@attrs.define(eq=False)
class _Follower:
    """Sends a log from `position` on, as it is."""

    log: Log
    ring: Ring
    line: Line
    position: int

    async def run(self) -> None:
        """Send until the task is over and all is sent, or the line closes."""
        since = trio.current_time()
        while True:
            state = self.log.task().state  # before the size: if it is final, nothing comes after that
            size = await self.log.size()
            while self.position < size:
                data = await self.log.read(self.position, min(PIECE, size - self.position))
                if not data:  # the file was cut or removed
                    break
                self.position += len(data)
                await self.send(data)
                since = trio.current_time()
            if state.final:
                await self.end()
                return
            if self.line.closing:
                await self.close()
                return
            woken = False
            with self.line.rest(HEARTBEAT):
                await grown(self.log, self.ring, state, size, since)
                woken = True
            if not woken and not self.line.closing:
                await self.silence()

    async def send(self, data: bytes) -> None:
        """Send a piece that ends at `position`."""
        await self.line.send(data)

    async def silence(self) -> None:
        """Show that somebody is there; plain text has no way."""

    async def end(self) -> None:
        """Tell of the end of the log."""

    async def close(self) -> None:
        """Tell of the end of the answer."""


@attrs.define(eq=False)
class _EventFollower(_Follower):
    """Sends a log from `position` on as events, each with whole characters."""

    _decoder: codecs.IncrementalDecoder = attrs.field(
        factory=lambda: codecs.getincrementaldecoder("utf-8")("replace"), init=False
    )
    _sent: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._sent = self.position

    async def send(self, data: bytes) -> None:
        text = self._decoder.decode(data)
        await self._tell(text, self.position - len(self._decoder.getstate()[0]))

    async def silence(self) -> None:
        await self.line.send(SILENCE)

    async def end(self) -> None:
        await self._tell(self._decoder.decode(b"", final=True), self.position)
        task = await self.log.kept_task()
        end = LogEnd(self.position, task.state, exit_code(task))
        await self.line.send(sse("end", f"{_id(self.log, self.position)}/end", end))

    async def close(self) -> None:
        await self.line.send(sse("closing", _id(self.log, self._sent), Closing("the daemon is about to end")))

    async def _tell(self, text: str, end: int) -> None:
        if text:
            await self.line.send(sse("log", _id(self.log, end), LogPiece(self._sent, end, text)))
            self._sent = end


def _id(log: Log, offset: int) -> str:
    return f"{offset}" if log.attempt == 1 else f"{offset}@{log.attempt}"
