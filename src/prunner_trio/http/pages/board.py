"""Pages whose parts follow what happens: each part is a template, rendered for the page and again for its stream.

A page has one stream, which carries all of its parts. It sends a part when it has become another one, at most every
`TICK`; what has happened meanwhile is one change. Where a client stands is written in the id of each message: the
digests of all parts as it has them. So it can be gone for any time, and gets exactly what is different.
"""

import hashlib
import math
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlencode

import attrs
import trio
from markupsafe import Markup
from quart import Response

from prunner_trio.errors import JobNotFound, StoreError, Unauthorized
from prunner_trio.http.line import HEARTBEAT
from prunner_trio.http.pages.front import Front, guarded
from prunner_trio.http.pages.visit import Refusal, Visit
from prunner_trio.http.service import Parts
from prunner_trio.http.v1.sse import EVENT_STREAM, SILENCE
from prunner_trio.model import JobId

__all__ = ["MOST_LIVE", "TICK", "Board", "Boards"]

TICK = 0.25
"""Seconds between two messages of a stream at least. All streams send at the same moments, so pages that several look
at are rendered once for all of them."""

MOST_LIVE = 300
"""Streams of pages at a time; together with those of API v1 they leave connections for others."""

_KEPT = 16

Values = Mapping[str, Any]


@attrs.frozen
class Board:
    """A kind of such pages.

    Attributes:
        name: its template is ``name.html``, those of its parts are ``name/part.html``.
        parts: their names.
        values: what the templates are given; may raise `Refusal`, `JobNotFound` or `StoreError`.
        over: whether nothing on such a page will change any more.
        refresh: seconds after which a browser without JavaScript loads the page again; None: it does not.
    """

    name: str
    parts: tuple[str, ...]
    values: Callable[..., Awaitable[Values]]
    over: Callable[[Values], bool] = lambda values: False
    refresh: int | None = 10


@attrs.frozen
class _Shown:
    """The parts as they are at one moment."""

    parts: Mapping[str, Markup]
    digests: tuple[str, ...]
    values: Values

    @property
    def version(self) -> str:
        return ".".join(self.digests)


class Boards:
    """Answers for all boards of a site."""

    def __init__(self, front: Front, parts: Parts) -> None:
        self._front, self._parts = front, parts
        self._streams = 0
        self._rendering = trio.Lock()
        self._latest: OrderedDict[object, tuple[float, int, _Shown]] = OrderedDict()

    async def answer(self, board: Board, visit: Visit, job_id: JobId | None = None, **values: str) -> Response:
        """Answer with the page, or with its stream if the query has ``live``.

        Args:
            job_id: only events of this job can change the page; None: all can.
            values: for `Board.values`.
        """
        if "live" in visit.query and visit.facts.method == "GET":
            return await self._stream(board, visit, job_id, values)
        return await self.again(board, visit, {}, status=200, **values)

    async def again(self, board: Board, visit: Visit, more: Values, *, status: int, **values: str) -> Response:
        """Answer with the page; `more` are values for its template, instead of those of the board."""
        shown = await self._render(board, visit, values)
        over = board.over(shown.values)
        return self._front.page(
            visit,
            f"{board.name}.html",
            status=status,
            parts=shown.parts,
            live=None if over else "?" + urlencode({**visit.query, "live": shown.version}),
            refresh=None if over else board.refresh,
            **{**shown.values, **more},
        )

    async def _render(self, board: Board, visit: Visit, given: Mapping[str, str]) -> _Shown:
        values = await board.values(visit, **given)
        parts = {}
        for name in board.parts:  # long lists take a while, and others get their turns of the loop
            parts[name] = self._front.text(f"{board.name}/{name}.html", visit=visit, root=visit.root, **values)
            await trio.lowlevel.checkpoint()
        digests = tuple(hashlib.blake2b(text.encode(), digest_size=6).hexdigest() for text in parts.values())
        return _Shown(parts, digests, values)

    async def _once(self, board: Board, visit: Visit, given: Mapping[str, str]) -> _Shown:
        """Render for a stream, or take what another one of the same page has just rendered."""
        asked = tuple((name, value) for name, value in visit.query.items() if name != "live")
        key = (board.name, visit.visitor, visit.root, asked, *given.items())
        async with self._rendering:
            ring = self._parts.v1.ring
            at, last, shown = self._latest.get(key, (-math.inf, -1, None))
            if shown is None or last != ring.last or trio.current_time() - at >= TICK:
                last = ring.last
                shown = await self._render(board, visit, given)
                self._latest[key] = trio.current_time(), last, shown
                self._latest.move_to_end(key)
                if len(self._latest) > _KEPT:
                    self._latest.popitem(last=False)
        return shown

    async def _stream(self, board: Board, visit: Visit, job_id: JobId | None, values: Mapping[str, str]) -> Response:
        most = min(MOST_LIVE, self._parts.most_streams * 3 // 5)
        if self._streams >= most:
            raise Refusal(503, f"There are {most} live pages, as many as are allowed.")
        last_id = visit.facts.header(b"last-event-id")
        have = tuple((last_id or visit.query["live"]).split("."))
        response = guarded(Response(self._follow(board, visit, job_id, values, have), content_type=EVENT_STREAM))
        response.headers["X-Accel-Buffering"] = "no"  # nginx would gather the messages otherwise
        response.timeout = None
        return response

    async def _follow(
        self, board: Board, visit: Visit, job_id: JobId | None, given: Mapping[str, str], have: tuple[str, ...]
    ) -> AsyncGenerator[bytes, None]:
        """Write the stream. Nothing is open across a `yield` but the count: a client may leave at each of them."""
        self._streams += 1
        try:
            yield SILENCE  # the head goes out with it
            silence = trio.current_time() + HEARTBEAT
            while True:
                changed = self._parts.v1.ring.changed(job_id)  # before the look: what comes after it is not missed
                try:
                    self._parts.gate.visitor(visit.facts)
                    shown = await self._once(board, visit, given)
                except (JobNotFound, Refusal, Unauthorized):
                    yield b"event: reload\ndata: gone\n\n"
                    return
                except StoreError:
                    shown = None  # the page stays as it is until the store answers again
                if shown is not None and shown.digests != have:
                    yield _message(board, shown, have)
                    silence = trio.current_time() + HEARTBEAT
                    have = shown.digests
                if shown is not None and board.over(shown.values):
                    yield b"event: over\ndata: over\n\n"
                    return
                if self._parts.closing.is_set():
                    yield b"event: closing\ndata: the daemon is about to end\n\n"
                    return
                await self._something(changed, silence)
                # What changes nothing here, or is hidden, wakes too: the silence counts from the last send.
                if trio.current_time() >= silence:
                    yield SILENCE
                    silence = trio.current_time() + HEARTBEAT
        finally:
            self._streams -= 1
            if not self._streams:
                self._latest.clear()

    async def _something(self, changed: trio.Event, silence: float) -> None:
        """Wait for a change, the end, or `silence`, the time to show that somebody is there."""
        with trio.move_on_at(silence):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_first, changed, nursery.cancel_scope)
                nursery.start_soon(_first, self._parts.closing, nursery.cancel_scope)
        if changed.is_set() and not self._parts.closing.is_set():
            now = trio.current_time()
            await trio.sleep_until(TICK * (math.floor(now / TICK) + 1))


async def _first(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()


def _message(board: Board, shown: _Shown, have: tuple[str, ...]) -> bytes:
    known = have if len(have) == len(board.parts) else ("",) * len(board.parts)
    pieces = [
        f'<hx-partial hx-target="#part-{name}" hx-swap="innerMorph">{shown.parts[name]}</hx-partial>'
        for name, digest, old in zip(board.parts, shown.digests, known, strict=True)
        if digest != old
    ]
    lines = "".join(f"data: {line}\n" for line in "\n".join(pieces).splitlines())
    return f"id: {shown.version}\n{lines}\n".encode()
