"""Requests whose answers are waited for: no Trio, so that short commands start fast."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

from prunner_trio.client.daemon import Daemon
from prunner_trio.client.exchange import (
    CONNECT_SECONDS,
    READ_BYTES,
    SILENCE_SECONDS,
    Exchange,
    Head,
    broken,
    refusal,
    unreachable,
)
from prunner_trio.client.problems import ClientError, Kind
from prunner_trio.client.requests import Request

__all__ = ["call", "pieces"]

_PAUSES = (0.1, 0.4)
"""Seconds before a request is sent once more."""


def call(
    daemon: Daemon, request: Request, *, patience: float = SILENCE_SECONDS, pauses: tuple[float, ...] = _PAUSES
) -> Any:
    """Return the JSON of an answer. Blocks.

    A request that may be repeated is sent again if the connection broke before its answer came; not if there was no
    connection, or an answer that says no.

    Args:
        patience: seconds for which the daemon may say nothing.

    Raises:
        ClientError: it was not fulfilled.
    """
    tries = pauses if request.repeatable else ()
    for pause in (*tries, None):
        try:
            body = b"".join(_received(daemon, request, patience))
            break
        except _NotWhole as exc:
            if pause is None:
                raise exc.error from exc.__cause__
            time.sleep(pause)
    return read_json(body)


def read_json(body: bytes) -> Any:
    """Return what a body holds. Raises `ClientError`."""
    try:
        return json.loads(body)
    except ValueError as exc:
        raise ClientError(Kind.STRANGE, "it answers with something else than JSON") from exc


def pieces(daemon: Daemon, request: Request, *, begun: Callable[[Head], None]) -> Iterator[bytes]:
    """Yield the body of an answer as it comes; `begun` gets its head before. Blocks.

    Raises:
        ClientError: it was not fulfilled, or broke off.
    """
    try:
        yield from _received(daemon, request, SILENCE_SECONDS, begun)
    except _NotWhole as exc:
        raise exc.error from exc.__cause__


class _NotWhole(Exception):
    """There was a connection, and it broke."""

    def __init__(self, error: ClientError) -> None:
        super().__init__(str(error))
        self.error = error


def _received(
    daemon: Daemon, request: Request, patience: float, begun: Callable[[Head], None] = lambda _: None
) -> Iterator[bytes]:
    exchange = Exchange(daemon, request)
    with _connected(daemon) as sock:
        sock.settimeout(patience)
        told, refused = False, bytearray()
        try:
            sock.sendall(exchange.opening)
            while not exchange.over:
                body = exchange.feed(sock.recv(READ_BYTES))
                if exchange.head is None:
                    continue
                if not exchange.head.success:
                    refused += body
                    continue
                if not told:
                    told = True
                    begun(exchange.head)
                if body:
                    yield body
        except OSError as exc:  # of the socket: what stands behind a yield does not get here
            raise _NotWhole(unreachable(exc)) from exc
        except ClientError as exc:
            if exc.kind is Kind.UNREACHABLE:
                raise _NotWhole(exc) from exc
            raise
    if exchange.head is None:
        raise _NotWhole(broken())
    if (error := refusal(exchange.head, bytes(refused))) is not None:
        raise error


def _connected(daemon: Daemon) -> socket.socket:
    address = daemon.address
    try:
        sock = socket.create_connection((address.host, address.port), CONNECT_SECONDS)
        if not address.secure:
            return sock
        import ssl

        return ssl.create_default_context().wrap_socket(sock, server_hostname=address.host)
    except (OSError, UnicodeError) as exc:
        raise unreachable(exc if isinstance(exc, OSError) else OSError("no such host")) from exc
