"""One client's connection: h11 in front, ASGI behind, a limit on everything the client can drag out.

Hypercorn's classes for this (`TCPServer`, `ProtocolWrapper`, `H11Protocol`, `HTTPStream`) share one nursery between
reader, timers and app and let their exceptions pass to the server's nursery; ``docs/http-server.md`` lists what follows
from that. Here a connection is a single task: it reads a head and calls the app, whose own ``receive`` and ``send`` do
the rest of the reading and writing. With no second task there is nothing to leak, and one handler, in `Connection.run`,
bounds what can go wrong.
"""

from __future__ import annotations

import contextlib
import html
import json
import logging
import math
import socket
import struct
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import attrs
import h11
import trio

from prunner_trio.http.addresses import address_key
from prunner_trio.http.server._shared import MOST_TURNED_AWAY, Shared

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hypercorn.typing import (
        ASGIReceiveEvent,
        ASGISendEvent,
        HTTPResponseBodyEvent,
        HTTPResponseStartEvent,
        HTTPScope,
    )

    from prunner_trio.http.server._limits import HttpLimits

log = logging.getLogger(__name__)

RECEIVE_BYTES = 65_536
EVENTS_PER_STEP = 256  # a body in chunks of one byte must not keep the loop busy for long
REFUSAL_CHARS = 200  # h11 quotes the offending line, however long
LINGER_S = 1.0  # how long a client has to take our last word
HALF_CLOSED_GRACE_S = 1.0  # see Exchange._wait_for_disconnect
REASONS = {status.value: status.phrase.encode("ascii") for status in HTTPStatus}
WITHOUT_BODY = (204, 304)
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class ClientGone(OSError):
    """The client has closed the connection, or takes no more bytes. An OSError, as ASGI wants it from ``send``."""


_PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>That is too much</title>'
    "<h1>That is too much</h1><p>%s</p><p>Go back in your browser to where you were.</p></html>\n"
)
_GUARDS = (
    b"content-security-policy: default-src 'none'\r\nx-content-type-options: nosniff\r\ncache-control: no-store\r\n"
)


class Refusal(Exception):
    """The request is answered by the server itself, with `status`, and the connection is closed.

    `page`: a browser asks, that is to be told by a page.
    """

    def __init__(self, status: int, text: str, *, page: bool = False) -> None:
        super().__init__(status, text)
        self.status = status
        self.text = text
        self.page = page

    def encode(self, *, with_body: bool) -> bytes:
        """Return the whole answer, made without h11, whose state an error may have spoiled."""
        kind, body = b"text/plain; charset=utf-8", self.text.encode() + b"\n"
        if self.page:
            kind, body = b"text/html; charset=utf-8", (_PAGE % html.escape(self.text)).encode()
        elif self.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:  # the app's own check answers the same
            kind, body = b"application/json", json.dumps({"error": self.text}).encode()
        more = _GUARDS if self.page else b""
        more += b"retry-after: 5\r\n" if self.status == HTTPStatus.TOO_MANY_REQUESTS else b""
        head = b"HTTP/1.1 %d %s\r\ncontent-type: %s\r\ncontent-length: %d\r\n%sconnection: close\r\n\r\n"
        start = head % (self.status, REASONS.get(self.status, b""), kind, len(body), more)
        return start + (body if with_body else b"")


async def serve_connection(shared: Shared, stream: trio.SocketStream) -> None:
    """Serve one accepted connection until it is over. The caller closes `stream`."""
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=shared.limits.head_bytes - 1)
    address = address_key(_host(stream.socket))
    with shared.occupied_place(), shared.from_address(address) as welcome:
        connection = Connection(shared, stream.socket, shared.limits, parser, address)
        if welcome:
            await connection.run()
        else:
            await connection.turn_away()


@attrs.define(eq=False)
class Connection:
    """One client, from accept to close."""

    shared: Shared
    sock: trio.socket.SocketType
    limits: HttpLimits
    parser: h11.Connection
    address: bytes
    client: tuple[str, int] | None = None
    server: tuple[str, int] | None = None
    had_request: bool = False
    # The request under way. While there is one, the client is owed an answer: closing is then a reset.
    exchange: Exchange | None = None

    async def run(self) -> None:
        """Serve requests until one side has enough. Raises nothing but Cancelled and what is no `Exception`."""
        refusal: Refusal | None = None
        try:
            try:
                await self._converse()
            except* ClientGone:
                log.debug("client gone client=%s", self.client)
            except* Refusal as refusals:
                refusal = _first(refusals)
            except* Exception:
                # The boundary of a connection: a bug in the app, in h11 or here ends this connection, and not the
                # server which all the others share. Hypercorn has none. Cancelled is no Exception and passes.
                log.exception("request failed client=%s request=%s", self.client, self.exchange)
                refusal = Refusal(500, "internal server error")
            if self.exchange is not None and self.exchange.fault is not None:
                refusal = self.exchange.fault
            if refusal is not None:
                await self._refuse(refusal)
        finally:
            if self.exchange is not None:  # an answer cut off must not look like one that ended
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)

    async def turn_away(self) -> None:
        """Say that the client's address has as many connections as are allowed, unless too many are being told."""
        if self.shared.turned_away >= MOST_TURNED_AWAY:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            return
        self.shared.turned_away += 1
        try:
            await self._refuse(Refusal(429, "your address has as many connections as are allowed; close one first"))
        finally:
            self.shared.turned_away -= 1

    async def _converse(self) -> None:
        try:
            self.client = _end(self.sock, self.sock.getpeername())
            self.server = _end(self.sock, self.sock.getsockname())
        except OSError as exc:
            raise ClientGone from exc
        while (request := await self._next_request()) is not None:
            self.had_request = True
            exchange = self.exchange = Exchange(self, request)
            await self.shared.app(exchange.scope(), exchange.receive, exchange.send)
            exchange.check_complete()
            self.exchange = None
            if not await self._next_cycle():
                await self._linger()
                return

    async def _next_request(self) -> h11.Request | None:
        """Read the next head; None if the client closes, is silent for too long, or the server wants to close."""
        buffered = len(self.parser.trailing_data[0])
        silence = self.limits.idle if self.had_request else self.limits.header
        deadline = trio.current_time() + (self.limits.header if buffered else silence)
        while True:
            event = self.next_event()
            if isinstance(event, h11.Request):
                _check_head(event, self.limits)
                return event
            if event is not h11.NEED_DATA:
                return None
            with trio.CancelScope(deadline=deadline) as scope:
                with (
                    self.shared.closed_first(scope, self.address, had_request=self.had_request)
                    if not buffered
                    else contextlib.nullcontext()
                ):
                    # Never more than the limit: then h11 either has a whole head or refuses it (431).
                    received = await self.receive(min(RECEIVE_BYTES, self.limits.head_bytes - buffered))
            if scope.cancelled_caught:
                if not buffered:
                    return None
                raise Refusal(408, f"the request's head took longer than {self.limits.header:g} s")
            if not buffered:
                deadline = trio.current_time() + self.limits.header
            buffered += received

    async def _next_cycle(self) -> bool:
        """Get ready for the next request; False if the connection must be closed instead."""
        # When the app answered without asking for the body, there may be a rest of it: read it and forget it.
        with trio.move_on_after(LINGER_S):
            size = 0
            try:
                while self.parser.their_state is h11.SEND_BODY and size <= self.limits.body_bytes:
                    if self.next_event() is h11.NEED_DATA:
                        size += await self.receive(RECEIVE_BYTES)
            except Refusal:  # the answer is out already
                return False
        if self.shared.closing or self.parser.states != {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}:
            return False
        self.parser.start_next_cycle()
        return True

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """Parse what was received. Raises `Refusal` for what is not HTTP/1.1."""
        try:
            return self.parser.next_event()
        except h11.RemoteProtocolError as exc:
            raise Refusal(exc.error_status_hint, str(exc)[:REFUSAL_CHARS]) from exc

    async def receive(self, size: int) -> int:
        """Hand up to `size` bytes from the client to the parser; 0 is its end. Raises `ClientGone`."""
        try:
            data = await self.sock.recv(size)
        except OSError as exc:
            raise ClientGone from exc
        self.parser.receive_data(data)
        return len(data)

    async def send(self, data: bytes) -> None:
        """Send all of `data`. Raises `ClientGone`, also when no byte was taken for `HttpLimits.write` seconds."""
        rest = memoryview(data)
        while rest:
            with trio.move_on_after(self.limits.write) as scope:
                try:
                    sent = await self.sock.send(rest)
                except OSError as exc:
                    raise ClientGone from exc
                rest = rest[sent:]
            if scope.cancelled_caught:
                raise ClientGone(f"the client took nothing for {self.limits.write:g} s")

    async def _refuse(self, refusal: Refusal) -> None:
        """Answer with `refusal`, unless the app's answer has begun."""
        exchange = self.exchange
        if exchange is None or not exchange.started:
            is_head = exchange is not None and exchange.request.method == b"HEAD"
            with trio.move_on_after(LINGER_S) as scope, contextlib.suppress(ClientGone):
                await self.send(refusal.encode(with_body=not is_head))
            if scope.cancelled_caught:
                return
        elif not exchange.complete:
            return
        self.exchange = None
        await self._linger()

    async def _linger(self) -> None:
        """Close our side and wait for the client to close its own.

        Closing both at once while bytes from the client are unread makes the kernel send a reset, which may destroy
        our answer before the client has read it (RFC 9112, section 9.6).
        """
        with trio.move_on_after(LINGER_S):
            try:
                self.sock.shutdown(socket.SHUT_WR)
                while await self.sock.recv(RECEIVE_BYTES):
                    pass
            except OSError:
                return


@attrs.define(eq=False)
class Exchange:
    """One request and its answer, as the app sees them: an ASGI scope, ``receive`` and ``send``."""

    connection: Connection
    request: h11.Request
    body_size: int = 0
    body_deadline: float = math.inf
    body_complete: bool = False
    head: HTTPResponseStartEvent | None = None  # held back until there is a body to go with it
    started: bool = False
    complete: bool = False
    gone: bool = False
    fault: Refusal | None = None

    def __str__(self) -> str:
        target = self.request.target.partition(b"?")[0]  # a query may hold a token
        return f"{self.request.method.decode()} {target.decode()}"

    def scope(self) -> HTTPScope:
        """Build the ASGI scope."""
        path, _, query = _origin_form(self.request.target).partition(b"?")
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.0" if self.request.http_version == b"1.0" else "1.1",
            "method": self.request.method.decode("ascii"),
            "scheme": "http",
            "path": unquote(path.decode("ascii")),
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": list(self.request.headers),
            "client": self.connection.client,
            "server": self.connection.server,
            "state": self.connection.shared.state.copy(),  # type: ignore[typeddict-item]
            "extensions": {},
        }

    def check_complete(self) -> None:
        """Raise unless the app has answered in full: `Refusal`, `ClientGone`, or RuntimeError if it is to blame."""
        if self.complete:
            return
        if self.fault is not None:
            raise self.fault
        if self.gone:
            raise ClientGone
        raise RuntimeError("the app returned before its answer was complete")

    async def receive(self) -> ASGIReceiveEvent:
        """Return the next part of the body or, after its end, wait until the client has gone."""
        if not (self.body_complete or self.complete or self.gone or self.fault):
            try:
                body = await self._receive_body()
            except Refusal as refusal:
                self.fault = refusal  # sent when the app has returned
            except ClientGone:
                self.gone = True
            else:
                return {"type": "http.request", "body": body, "more_body": not self.body_complete}
        if not (self.complete or self.gone or self.fault):
            await self._wait_for_disconnect()
            self.gone = True
        return {"type": "http.disconnect"}

    async def _receive_body(self) -> bytes:
        connection, limits = self.connection, self.connection.limits
        if connection.parser.they_are_waiting_for_100_continue:
            proceed = h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
            await connection.send(connection.parser.send(proceed))
        parts: list[bytes] = []
        while len(parts) < EVENTS_PER_STEP:
            event = connection.next_event()
            if isinstance(event, h11.Data):
                parts.append(event.data)
                self.body_size += len(event.data)
                if self.body_size > limits.body_bytes:
                    raise too_large(limits, self.request)
            elif isinstance(event, h11.EndOfMessage):
                self.body_complete = True
                break
            elif parts:
                break
            else:
                self.body_deadline = min(self.body_deadline, trio.current_time() + limits.body)
                with trio.CancelScope(deadline=self.body_deadline) as scope:
                    await connection.receive(RECEIVE_BYTES)
                if scope.cancelled_caught:
                    raise Refusal(408, f"the request's body took longer than {limits.body:g} s")
        else:
            await trio.lowlevel.checkpoint()
        return b"".join(parts)

    async def _wait_for_disconnect(self) -> None:
        connection = self.connection
        while True:
            ahead, closed = connection.parser.trailing_data
            if closed:
                # The client has closed its side. It may be gone, or only have nothing more to ask (`nc -N`): so
                # leave a quick answer the time to be given.
                await trio.sleep(HALF_CLOSED_GRACE_S)
                return
            if len(ahead) >= connection.limits.head_bytes:  # pipelined requests, for which there is a time
                await trio.sleep_forever()
            try:
                await connection.receive(RECEIVE_BYTES)
            except ClientGone:
                return

    async def send(self, message: ASGISendEvent) -> None:
        """Send a part of the answer; returns when the kernel has taken it.

        Raises:
            ClientGone: nobody will read it.
            RuntimeError: the message is none, or not one for now. (h11 raises LocalProtocolError for false headers.)
        """
        if self.gone or self.fault:
            raise ClientGone
        if message["type"] == "http.response.start" and self.head is None:
            self.head = message
        elif message["type"] == "http.response.body" and self.head is not None and not self.complete:
            data = self._encode(self.head, message)
            try:
                await self.connection.send(data)
            except ClientGone:
                self.gone = True
                raise
            self.complete = not message.get("more_body", False)
        else:
            raise RuntimeError(f"ASGI message out of order: {message['type']}")

    def _encode(self, head: HTTPResponseStartEvent, message: HTTPResponseBodyEvent) -> bytes:
        """Return what is to be sent for `message`: with the first also the head, so that both travel together."""
        parser = self.connection.parser
        body = message.get("body", b"")
        parts = []
        if not self.started:
            parts.append(parser.send(self._response(head)))
            self.started = True
        if body and self.request.method != b"HEAD" and int(head["status"]) not in WITHOUT_BODY:
            parts.append(parser.send(h11.Data(data=body)))
        if not message.get("more_body", False):
            parts.append(parser.send(h11.EndOfMessage()))
        return b"".join(parts)

    def _response(self, head: HTTPResponseStartEvent) -> h11.Response:
        shared, parser = self.connection.shared, self.connection.parser
        status = int(head["status"])
        headers = [*_pairs(head.get("headers", ())), *shared.config.response_headers("h11")]
        # A client that still waits for "100 Continue" may or may not send its body after this: nobody could tell
        # that body from a next request.
        if shared.closing or parser.they_are_waiting_for_100_continue:
            headers.append((b"connection", b"close"))
        return h11.Response(status_code=status, headers=headers, reason=REASONS.get(status, b""))


def _end(sock: trio.socket.SocketType, name: Any) -> tuple[str, int] | None:
    """Return one end of a connection as ASGI wants it: nothing for a UNIX socket."""
    return (name[0], name[1]) if sock.family in (socket.AF_INET, socket.AF_INET6) else None


def _host(sock: trio.socket.SocketType) -> str | None:
    """Return the address of the other end; None if it has none, or is gone already."""
    try:
        end = _end(sock, sock.getpeername())
    except OSError:
        return None
    return end[0] if end is not None else None


def too_large(limits: HttpLimits, request: h11.Request) -> Refusal:
    """Return the refusal for a body over `HttpLimits.body_bytes`: a page for a browser."""
    page = any(name == b"accept" and b"text/html" in value for name, value in request.headers)
    return Refusal(413, f"Request body too large: more than {limits.body_bytes} bytes", page=page)


def _check_head(request: h11.Request, limits: HttpLimits) -> None:
    """Refuse what h11 lets pass and we do not want. ``Upgrade`` is ignored, as RFC 9110, section 7.8 allows."""
    if not request.http_version.startswith(b"1."):  # also the preface of HTTP/2
        raise Refusal(505, "only HTTP/1.1 and HTTP/1.0 are spoken here")
    lengths = [value for name, value in request.headers if name == b"content-length"]
    if any(name == b"transfer-encoding" for name, _ in request.headers):
        # Two parties that disagree on where a body ends can be made to see different requests (RFC 9112, 6.1).
        if lengths:
            raise Refusal(400, "both Content-Length and Transfer-Encoding")
        if request.http_version == b"1.0":
            raise Refusal(400, "Transfer-Encoding in HTTP/1.0")
    if lengths and int(lengths[0]) > limits.body_bytes:
        raise too_large(limits, request)
    if not (request.target.startswith((b"/", b"http://", b"https://")) or request.target == b"*"):
        raise Refusal(400, "the request target is neither a path nor an http URL")


def _origin_form(target: bytes) -> bytes:
    """Take the path and query out of an absolute URL; anything else is returned as it is."""
    if target.startswith(b"/") or target == b"*":
        return target
    authority, slash, rest = target.partition(b"://")[2].partition(b"/")
    _, question, query = authority.partition(b"?")
    return slash + rest if slash and not question else b"/" + question + query + (slash + rest)


def _pairs(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(bytes(name), bytes(value)) for name, value in headers]


def _first(group: BaseExceptionGroup[Refusal]) -> Refusal:
    found = group.exceptions[0]
    return found if isinstance(found, Refusal) else _first(found)
