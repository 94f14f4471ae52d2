"""One client's connection: bytes in front, ASGI behind, a limit on everything the client can drag out.

Hypercorn's classes for this (`TCPServer`, `ProtocolWrapper`, `H11Protocol`, `HTTPStream`) share one nursery between
reader, timers and app and let their exceptions pass to the server's nursery; ``docs/http-server.md`` lists what follows
from that. Here a connection is a single task: it reads a head and calls the app, whose own ``receive`` and ``send`` do
the rest of the reading and writing. With no second task there is nothing to leak, and one handler, in `Connection.run`,
bounds what can go wrong.

It reads and writes by system call: through Trio's sockets, every read and write that could be done at once is a turn of
the loop, which costs more than the answer of many a request. Only the first of a kind is done at once, though: a client
may send and read as fast as we do, so whatever is repeated has a turn of the loop in between.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import socket
import struct
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import attrs
import trio

from prunner_trio.http.addresses import address_key
from prunner_trio.http.server._answers import Encoder
from prunner_trio.http.server._refusal import ClientGone, Refusal, too_large
from prunner_trio.http.server._requests import OddHead, Request, read_plain
from prunner_trio.http.server._shared import MOST_TURNED_AWAY, Shared

if TYPE_CHECKING:
    from hypercorn.typing import (
        ASGIReceiveEvent,
        ASGISendEvent,
        HTTPResponseStartEvent,
        HTTPScope,
    )

    from prunner_trio.http.server._limits import HttpLimits

log = logging.getLogger(__name__)

RECEIVE_BYTES = 65_536
SEND_BYTES = 1_048_576  # the kernel goes on in one write for as long as the client reads
PIECES_PER_STEP = 256  # a body in chunks of one byte must not keep the loop busy for long
LINGER_S = 1.0  # how long a client has to take our last word
HALF_CLOSED_GRACE_S = 1.0  # see Exchange._wait_for_disconnect
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


async def serve_connection(shared: Shared, stream: trio.SocketStream) -> None:
    """Serve one accepted connection until it is over. The caller closes `stream`."""
    address = address_key(_host(stream.socket))
    with shared.occupied_place(), shared.from_address(address) as welcome:
        connection = Connection(shared, stream.socket, shared.limits, address)
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
    address: bytes
    client: tuple[str, int] | None = None
    server: tuple[str, int] | None = None
    had_request: bool = False
    unread: bytes = b""  # what came ahead of the next request
    ended: bool = False  # the client has closed its side
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
            exchange = self.exchange = Exchange(self, request, Encoder(request))
            await self.shared.app(exchange.scope(), exchange.receive, exchange.send)
            exchange.check_complete()
            self.exchange = None
            if not await self._next_cycle(exchange):
                await self._linger()
                return

    async def _next_request(self) -> Request | None:
        """Read the next head; None if the client closes, is silent for too long, or the server wants to close."""
        if not self.unread and not self.ended:
            self.unread = await self._first_bytes()
        if not self.unread:
            return None
        plain = read_plain(self.unread, self.ended, self.limits)
        return await self._odd_request() if plain is None else plain

    async def _first_bytes(self) -> bytes:
        """Wait for the beginning of a request, idle and first to be closed; empty if there will be none."""
        silence = self.limits.idle if self.had_request else self.limits.header
        with trio.CancelScope(deadline=trio.current_time() + silence) as scope:
            with self.shared.closed_first(scope, self.address, had_request=self.had_request):
                return await self.receive(min(RECEIVE_BYTES, self.limits.head_bytes))
        return b""

    async def _odd_request(self) -> Request:
        """Read a head that is not plain, or not all here. Raises `Refusal`, also when it takes too long."""
        head, buffered = OddHead(self.limits), len(self.unread)
        head.feed(self.unread)
        if self.ended:
            head.feed(b"")
        self.unread = b""
        deadline = trio.current_time() + self.limits.header
        while (request := head.request()) is None:
            with trio.CancelScope(deadline=deadline) as scope:
                # Never more than the limit: then h11 either has a whole head or refuses it (431).
                received = await self.receive(min(RECEIVE_BYTES, self.limits.head_bytes - buffered))
            if scope.cancelled_caught:
                raise Refusal(408, f"the request's head took longer than {self.limits.header:g} s")
            head.feed(received)
            buffered += len(received)
        return request

    async def _next_cycle(self, exchange: Exchange) -> bool:
        """Get ready for the next request; False if the connection must be closed instead."""
        if exchange.encoder.closes or self.shared.closing or not await self._read_to_end(exchange.request):
            return False
        self.unread, self.ended = exchange.request.ahead, exchange.request.ended
        if self.unread:  # requests that came together must not keep the loop to themselves
            await trio.lowlevel.checkpoint()
        return not self.shared.closing

    async def _read_to_end(self, request: Request) -> bool:
        """Read and forget what the app has left of a body; tell whether there was an end."""
        size = pieces = 0
        try:
            piece = request.piece()
            if piece == b"":  # nearly always, so no clock is set for it
                return True
            with trio.move_on_after(LINGER_S):
                while piece != b"" and size <= self.limits.body_bytes:
                    if piece is None:
                        received = await self.receive(RECEIVE_BYTES)
                        size += len(received)
                        request.feed(received)
                    elif (pieces := pieces + 1) % PIECES_PER_STEP == 0:
                        await trio.lowlevel.checkpoint()
                    piece = request.piece()
        except Refusal:  # the answer is out already
            return False
        return piece == b""

    def receive_at_once(self, size: int) -> bytes | None:
        """Return up to `size` bytes that are here already, nothing at the client's end; None if there are none yet.

        Raises:
            ClientGone: in whatever other way.
        """
        try:
            return os.read(self.sock.fileno(), size)
        except BlockingIOError:
            return None
        except OSError as exc:
            raise ClientGone from exc

    async def receive(self, size: int) -> bytes:
        """Wait for up to `size` bytes from the client; nothing is its end. Always a checkpoint.

        Raises:
            ClientGone: in whatever other way.
        """
        data = None
        while data is None:
            # First, since mostly there is nothing yet, and to ask the kernel would cost a call.
            await trio.lowlevel.wait_readable(self.sock)
            data = self.receive_at_once(size)
        return data

    async def send(self, data: bytes) -> None:
        """Send all of `data`. A checkpoint only if the kernel does not take it in one piece.

        Raises:
            ClientGone: also when no byte was taken for `HttpLimits.write` seconds.
        """
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self.sock.fileno(), rest[:SEND_BYTES]) :]
            except BlockingIOError:
                pass
            except OSError as exc:
                raise ClientGone from exc
            if rest:
                await self._writable()

    async def _writable(self) -> None:
        with trio.move_on_after(self.limits.write) as scope:
            await trio.lowlevel.wait_writable(self.sock)
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
    request: Request
    encoder: Encoder
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
            "http_version": "1.0" if self.request.version == b"1.0" else "1.1",
            "method": self.request.method.decode("ascii"),
            "scheme": "http",
            "path": unquote(path.decode("ascii")),
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": self.request.headers,
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
        connection, request = self.connection, self.request
        if request.waits:
            request.waits = False
            await connection.send(CONTINUE)
        parts: list[bytes] = []
        while len(parts) < PIECES_PER_STEP:
            piece = request.piece()
            if piece:
                parts.append(piece)
                self.body_size += len(piece)
                if self.body_size > connection.limits.body_bytes:
                    raise too_large(connection.limits, request.headers)
            elif piece is not None:
                self.body_complete = True
                break
            elif parts:
                break
            else:
                request.feed(await self._more_of_the_body())
        else:
            await trio.lowlevel.checkpoint()
        return b"".join(parts)

    async def _more_of_the_body(self) -> bytes:
        connection, limit = self.connection, self.connection.limits.body
        if self.body_deadline == math.inf:
            self.body_deadline = trio.current_time() + limit
            if (received := connection.receive_at_once(RECEIVE_BYTES)) is not None:
                return received
        with trio.CancelScope(deadline=self.body_deadline):
            return await connection.receive(RECEIVE_BYTES)
        raise Refusal(408, f"the request's body took longer than {limit:g} s")

    async def _wait_for_disconnect(self) -> None:
        connection, request = self.connection, self.request
        while True:
            if request.ended:
                # The client has closed its side. It may be gone, or only have nothing more to ask (`nc -N`): so
                # leave a quick answer the time to be given.
                await trio.sleep(HALF_CLOSED_GRACE_S)
                return
            if len(request.ahead) >= connection.limits.head_bytes:  # pipelined requests, for which there is a time
                await trio.sleep_forever()
            try:
                request.feed(await connection.receive(RECEIVE_BYTES))
            except ClientGone:
                return

    async def send(self, message: ASGISendEvent) -> None:
        """Send a part of the answer; returns when the kernel has taken it. A checkpoint, except for the last part.

        Raises:
            ClientGone: nobody will read it.
            RuntimeError: the message is none, or not one for now, or cannot be sent.
        """
        if self.gone or self.fault:
            raise ClientGone
        if message["type"] == "http.response.start" and self.head is None:
            self.head = message
        elif message["type"] == "http.response.body" and self.head is not None and not self.complete:
            more = message.get("more_body", False)
            data = self._encode(self.head, message.get("body", b""), more)
            if more:
                await trio.lowlevel.checkpoint()
            try:
                await self.connection.send(data)
            except ClientGone:
                self.gone = True
                raise
            self.complete = not more
        else:
            raise RuntimeError(f"ASGI message out of order: {message['type']}")

    def _encode(self, head: HTTPResponseStartEvent, body: bytes, more: bool) -> bytes:
        """Return what is to be sent for a part of the body: for the first also the head, so both travel together."""
        if self.started:
            return self.encoder.body(body, more=more)
        # A client that still waits for "100 Continue" may or may not send its body after this: nobody could tell
        # that body from a next request.
        close = self.connection.shared.closing or self.request.waits
        start = self.encoder.head(int(head["status"]), head.get("headers", ()), close=close)
        rest = self.encoder.body(body, more=more)
        self.started = True
        return start + rest


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


def _origin_form(target: bytes) -> bytes:
    """Take the path and query out of an absolute URL; anything else is returned as it is."""
    if target.startswith(b"/") or target == b"*":
        return target
    authority, slash, rest = target.partition(b"://")[2].partition(b"/")
    _, question, query = authority.partition(b"?")
    return slash + rest if slash and not question else b"/" + question + query + (slash + rest)


def _first(group: BaseExceptionGroup[Refusal]) -> Refusal:
    found = group.exceptions[0]
    return found if isinstance(found, Refusal) else _first(found)
