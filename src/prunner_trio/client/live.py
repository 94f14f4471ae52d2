"""Streams that go on: events and logs, resumed where a connection broke."""

import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio

from prunner_trio.client.blocking import read_json
from prunner_trio.client.daemon import Daemon
from prunner_trio.client.exchange import (
    CONNECT_SECONDS,
    READ_BYTES,
    SILENCE_SECONDS,
    Exchange,
    broken,
    refusal,
    unreachable,
)
from prunner_trio.client.problems import ClientError, Kind
from prunner_trio.client.requests import Request, events, get_job, get_log, since_event
from prunner_trio.client.shapes import Job, LogPiece
from prunner_trio.client.sse import Event, EventParser

__all__ = ["PATIENCE", "Note", "ask", "fetch", "follow_events", "follow_job", "follow_log"]

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
PATIENCE = 60.0
"""Seconds for which a daemon that was there may be away: a restart takes less."""

Note = Callable[[str], Awaitable[None]]
"""Is told in a sentence that a connection broke, and that it is there again."""


async def ask(daemon: Daemon, request: Request) -> Any:
    """Return the JSON of an answer. Raises `ClientError`."""
    return read_json(await fetch(daemon, request))


async def fetch(daemon: Daemon, request: Request) -> bytes:
    """Return the body of an answer. Raises `ClientError`."""
    body = bytearray()
    async with _opened(daemon, request) as answer:
        while (more := await answer.more()) is not None:
            body += more
    return bytes(body)


class _Answer:
    """The body of an answer that is a success."""

    def __init__(self, stream: trio.abc.Stream, exchange: Exchange, begun: bytes) -> None:
        self._stream = stream
        self._exchange = exchange
        self._begun = begun

    @property
    def empty(self) -> bool:
        """There is no body, and there never will be."""
        return self._exchange.head is not None and self._exchange.head.status == 204

    async def more(self) -> bytes | None:
        """Return what comes next; None at the end."""
        if self._begun:
            begun, self._begun = self._begun, b""
            return begun
        return None if self._exchange.over else self._exchange.feed(await _heard(self._stream))


@asynccontextmanager
async def _opened(daemon: Daemon, request: Request) -> AsyncIterator[_Answer]:
    """Send a request; the block begins when its answer is known to be a success.

    Raises:
        ClientError: it is none, or breaks off.
    """
    exchange = Exchange(daemon, request)
    try:
        with trio.fail_after(CONNECT_SECONDS):
            stream = await _connected(daemon)
    except trio.TooSlowError as exc:
        raise unreachable(OSError("no connection in time")) from exc
    except OSError as exc:
        raise unreachable(exc) from exc
    try:
        await _sent(stream, exchange.opening)
        begun = bytearray()
        while exchange.head is None or not (exchange.head.success or exchange.over):
            begun += exchange.feed(await _heard(stream))
        if (error := refusal(exchange.head, bytes(begun))) is not None:
            raise error
        yield _Answer(stream, exchange, bytes(begun))
    finally:
        await trio.aclose_forcefully(stream)


async def _connected(daemon: Daemon) -> trio.abc.Stream:
    address = daemon.address
    plain = await trio.open_tcp_stream(address.host, address.port)
    if not address.secure:
        return plain
    context = await trio.to_thread.run_sync(ssl.create_default_context)
    return trio.SSLStream(plain, context, server_hostname=address.host, https_compatible=True)


async def _sent(stream: trio.abc.Stream, data: bytes) -> None:
    try:
        with trio.fail_after(SILENCE_SECONDS):
            await stream.send_all(data)
    except (trio.BrokenResourceError, trio.TooSlowError) as exc:
        raise _cause(exc) from exc


async def _heard(stream: trio.abc.Stream) -> bytes:
    try:
        with trio.fail_after(SILENCE_SECONDS):
            return bytes(await stream.receive_some(READ_BYTES))
    except (trio.BrokenResourceError, trio.TooSlowError) as exc:
        raise _cause(exc) from exc


def _cause(exc: Exception) -> ClientError:
    return unreachable(exc.__cause__) if isinstance(exc.__cause__, OSError) else broken()


async def follow_events(
    daemon: Daemon, request: Request, heard: Callable[[Sequence[Event]], Awaitable[bool]], note: Note
) -> None:
    """Pass on the events of a stream, those that come together at once, until `heard` returns True or no more come.

    A connection that breaks is made anew, with the id of the last event. A daemon that was never there, or is away for
    longer than `PATIENCE`, is an error.

    Raises:
        ClientError: the request is refused, or the daemon is away.
    """
    last_id, pause = "", 0.0
    lost: float | None = trio.current_time() - PATIENCE  # so that the very first failure counts
    while True:
        try:
            async with _opened(daemon, since_event(request, last_id)) as answer:
                if pause:
                    await note("the daemon is there again")
                lost, pause = None, 0.0
                parser = EventParser()
                while (data := await answer.more()) is not None:
                    if events := parser.feed(data):
                        last_id = events[-1].id or last_id
                        if await heard([event for event in events if event.name != "closing"]):
                            return
                if answer.empty:
                    return  # everything has been heard
                raise broken()
        except ValueError as exc:
            raise ClientError(Kind.STRANGE, f"its stream cannot be understood: {exc}") from exc
        except ClientError as exc:
            if exc.kind not in (Kind.UNREACHABLE, Kind.UNAVAILABLE):
                raise
            now = trio.current_time()
            lost = now if lost is None else lost
            if now - lost >= PATIENCE:
                raise
            if not pause:
                await note(f"the connection is lost ({exc}); trying again for {PATIENCE:g} s")
        pause = min(max(_FIRST_PAUSE, pause * 2), _LONGEST_PAUSE)
        await trio.sleep(pause)


async def follow_job(daemon: Daemon, job_id: str, changed: Callable[[Job], Awaitable[None]], note: Note) -> Job:
    """Pass on a job as it is now and after each change, and return it when it is over.

    Changes that come together are passed on as one.

    Raises:
        ClientError: as `follow_events`.
    """
    latest: list[Job] = []

    async def heard(_: Sequence[Event]) -> bool:
        # An event itself is not enough: a job that begins again after a crash has other tasks than its events tell.
        job: Job = await ask(daemon, get_job(job_id))
        if latest != [job]:
            latest[:] = [job]
            await changed(job)
        return _is_over(job)

    await follow_events(daemon, events(job_id), heard, note)
    job: Job = latest[0] if latest and _is_over(latest[0]) else await ask(daemon, get_job(job_id))
    if latest != [job]:
        await changed(job)
    return job


def _is_over(job: Job) -> bool:
    return job["outcome"] is not None


async def follow_log(
    daemon: Daemon,
    job_id: str,
    task: str,
    stream: str,
    heard: Callable[[LogPiece], Awaitable[None]],
    note: Note,
    *,
    tail: int | None = None,
) -> int:
    """Pass on what is and will be in a log, until the task is over; return the attempt of the job that it belongs to.

    What the daemon has lost, because the job began again, is passed on anew, from offset 0.

    Args:
        tail: begin with so many lines from the end.

    Raises:
        ClientError: as `follow_events`.
    """
    attempt = 1

    async def each(events: Sequence[Event]) -> bool:
        nonlocal attempt
        for event in events:
            # An id is an offset, from the second attempt on with `@` and its number; then perhaps `/end`.
            number = event.id.partition("/")[0].partition("@")[2]
            attempt = int(number) if number.isdigit() else 1
            if event.name == "log":
                await heard(json.loads(event.data))
            elif event.name == "end":
                return True
        return False

    await follow_events(daemon, get_log(job_id, task, stream, tail=tail, follow=True), each, note)
    return attempt
