"""One request and its answer as bytes, on h11: whoever drives it has the socket."""

import os
from typing import NamedTuple

import h11

from prunner_trio.client.daemon import Daemon
from prunner_trio.client.problems import ClientError, Kind, problem_of
from prunner_trio.client.requests import Request

__all__ = ["CONNECT_SECONDS", "READ_BYTES", "SILENCE_SECONDS", "Exchange", "Head", "broken", "refusal", "unreachable"]

CONNECT_SECONDS = 10.0
"""How long a connection may take."""

SILENCE_SECONDS = 60.0
"""How long the daemon may say nothing; a stream shows a sign of life every 15 s."""

READ_BYTES = 65_536

_MOST_HEAD = 65_536


class Head(NamedTuple):
    """How an answer begins; names of headers in lower case."""

    status: int
    headers: dict[str, str]

    @property
    def success(self) -> bool:
        """The request was fulfilled."""
        return 200 <= self.status < 300


class Exchange:
    """A request on a connection of its own.

    Attributes:
        opening: what is to be sent.
        head: how the answer begins; None before that is known.
        over: the answer is whole.
    """

    def __init__(self, daemon: Daemon, request: Request) -> None:
        """Prepare a request. Raises `ClientError` if its parts cannot stand in one."""
        self.head: Head | None = None
        self.over = False
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MOST_HEAD)
        headers = [
            ("host", daemon.address.authority),
            ("authorization", f"Bearer {daemon.token()}"),
            ("connection", "close"),
            ("user-agent", "prunner-trio"),
            *request.headers,
            *([("content-length", str(len(request.body)))] if request.method == "POST" else []),
        ]
        target = f"{daemon.address.prefix}{request.target}"
        try:
            head = h11.Request(method=request.method, target=target, headers=headers)
            self.opening = self._sent(head) + self._sent(h11.Data(data=request.body)) + self._sent(h11.EndOfMessage())
        except (h11.LocalProtocolError, UnicodeEncodeError):
            # The library's own text would quote the header, which may be the token.
            raise ClientError(Kind.REFUSED, "the token or the key has characters that HTTP cannot send") from None

    def _sent(self, event: h11.Request | h11.Data | h11.EndOfMessage) -> bytes:
        return self._connection.send(event) or b""

    def feed(self, data: bytes) -> bytes:
        """Take what was received, empty at its end, and return what that adds to the answer's body.

        Raises:
            ClientError: it is not HTTP, or ended too early.
        """
        body = bytearray()
        try:
            self._connection.receive_data(data)
            while True:
                event = self._connection.next_event()
                if isinstance(event, h11.Response):
                    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
                    self.head = Head(event.status_code, headers)
                elif isinstance(event, h11.Data):
                    body += event.data
                elif isinstance(event, h11.EndOfMessage):
                    self.over = True
                    break
                elif event is h11.NEED_DATA or event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                    break
        except h11.RemoteProtocolError as exc:
            if not data:
                raise broken() from exc
            raise ClientError(Kind.STRANGE, "what answers there does not speak HTTP") from exc
        return bytes(body)


def unreachable(exc: BaseException) -> ClientError:
    """Return the error for a connection that could not be made, or broke."""
    cause: BaseException | None = exc
    while isinstance(cause, BaseExceptionGroup):  # one for each address of a name
        cause = cause.exceptions[0]
    if isinstance(cause, OSError) and cause.strerror is None and cause.__cause__ is not None:
        return unreachable(cause.__cause__)  # Trio's own text tells how often it has tried
    text = cause.strerror if isinstance(cause, OSError) else None
    if isinstance(cause, OSError) and text and cause.errno and text.endswith(plain := os.strerror(cause.errno)):
        text = plain  # Trio's own text repeats the address in front
    return ClientError(Kind.UNREACHABLE, (text or str(cause) or type(cause).__name__).lower())


def broken() -> ClientError:
    """Return the error for an answer that ends too early."""
    return ClientError(Kind.UNREACHABLE, "the connection ended before the answer did")


def refusal(head: Head, body: bytes) -> ClientError | None:
    """Return the error that an answer stands for; None if it is a success."""
    return None if head.success else problem_of(head.status, body)
