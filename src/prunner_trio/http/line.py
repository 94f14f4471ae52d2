"""An answer that stays open: what its writer may do, and how it ends."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import attrs
import trio

from prunner_trio.http.facts import Header

__all__ = ["HEARTBEAT", "Line", "Streamed", "run_line"]

HEARTBEAT = 15.0
"""Seconds of silence after which an event stream says that it is alive."""

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[Any]]


class Line:
    """The open end of an answer. One task writes to it.

    Attributes:
        closing: the server is about to end, and so should the answer, in good order.
    """

    def __init__(self, send: Send) -> None:
        self.closing = False
        self._send = send
        self._rest: trio.CancelScope | None = None

    async def send(self, data: bytes) -> None:
        """Send a piece; returns when the kernel has taken it, so a client that does not read stops its own writer.

        Raises:
            OSError: nobody reads it, or has read for too long.
        """
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    @contextmanager
    def rest(self, seconds: float) -> Iterator[None]:
        """Wait within the block: it ends after that time, or when the line is to close.

        Only waits may stand in it. A send that is cut in two would spoil the framing of what follows.
        """
        with trio.move_on_after(seconds) as scope:
            self._rest = scope
            if self.closing:
                scope.cancel()
            try:
                yield
            finally:
                self._rest = None

    def close(self) -> None:
        """Wake the writer from its rest, to end."""
        self.closing = True
        if self._rest is not None:
            self._rest.cancel()


@attrs.frozen
class Streamed:
    """An answer that is written piece by piece.

    Attributes:
        write: writes the body and returns at its end.
    """

    write: Callable[[Line], Awaitable[None]]
    headers: tuple[Header, ...]
    status: int = 200


async def run_line(streamed: Streamed, receive: Receive, send: Send, closing: trio.Event) -> None:
    """Send an answer to its end, or until the client has gone.

    Args:
        closing: set when the server is about to end.

    Raises:
        OSError: nobody reads it.
    """
    await send({"type": "http.response.start", "status": streamed.status, "headers": list(streamed.headers)})
    line = Line(send)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_until_gone, receive, nursery.cancel_scope, name="client")
        nursery.start_soon(_until_closing, closing, line, name="closing")
        await line.send(b"")  # the head goes out now, whenever there will be a body
        await streamed.write(line)
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        nursery.cancel_scope.cancel()


async def _until_gone(receive: Receive, scope: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _until_closing(closing: trio.Event, line: Line) -> None:
    await closing.wait()
    line.close()
