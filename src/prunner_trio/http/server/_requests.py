"""Requests as bytes, read without any I/O: the plain ones here, all others by h11.

h11 costs a tenth of a millisecond and more for each request, and nearly all are as plain as a request can be: its whole
head in one read, no chunks, nothing that must be negotiated. These are recognized by one pattern, which is strict: what
it does not know for certain is h11's, together with everything that must be refused.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import attrs
import h11

from prunner_trio.http.server._refusal import Refusal, too_large

if TYPE_CHECKING:
    from prunner_trio.http.server._limits import HttpLimits

REFUSAL_CHARS = 200  # h11 quotes the offending line, however long
_END = b"\r\n\r\n"
_PLAIN = re.compile(
    rb"([A-Z]+) (/[\x21-\x7e]*) HTTP/1\.1\r\n(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*\r\n)+\r\n"
)
_LENGTH = re.compile(rb"[0-9]{1,18}")
_NOT_PLAIN = frozenset({b"connection", b"expect", b"transfer-encoding", b"upgrade"})


@attrs.define(eq=False)
class Request:
    """A request, from its head on.

    Attributes:
        headers: names in lower case.
        keep_alive: the client may ask more on this connection.
        waits: it sends its body only when it is told to continue.
        ended: it has closed its side.
    """

    method: bytes
    target: bytes
    version: bytes
    headers: list[tuple[bytes, bytes]]
    keep_alive: bool
    waits: bool
    ended: bool

    @property
    def ahead(self) -> bytes:
        """What came and was not read; after the end of the body it belongs to the next request."""
        raise NotImplementedError

    def feed(self, data: bytes) -> None:
        """Take what the client has sent; nothing is its end."""
        raise NotImplementedError

    def piece(self) -> bytes | None:
        """Return the next piece of the body: empty at its end, None when more must come first. Raises `Refusal`."""
        raise NotImplementedError


@attrs.define(eq=False)
class PlainRequest(Request):
    """A request with a body of known length, or none."""

    _ahead: bytes
    _left: int

    @property
    def ahead(self) -> bytes:
        return self._ahead

    def feed(self, data: bytes) -> None:
        self._ahead += data
        self.ended = self.ended or not data

    def piece(self) -> bytes | None:
        if not self._left:
            return b""
        piece = self._ahead[: self._left]
        if not piece:
            if self.ended:
                raise Refusal(400, f"the client closed the connection {self._left} bytes before the body's end")
            return None
        self._left -= len(piece)
        self._ahead = self._ahead[len(piece) :]
        return piece


@attrs.define(eq=False)
class OddRequest(Request):
    """Any other request that HTTP/1.1 or 1.0 knows."""

    _parser: h11.Connection
    _complete: bool = False

    @property
    def ahead(self) -> bytes:
        return self._parser.trailing_data[0]

    def feed(self, data: bytes) -> None:
        self._parser.receive_data(data)
        self.ended = self.ended or not data

    def piece(self) -> bytes | None:
        if self._complete:
            return b""
        event = _next_event(self._parser)
        if isinstance(event, h11.Data):
            return bytes(event.data)
        self._complete = isinstance(event, h11.EndOfMessage)
        return b"" if self._complete else None


def read_plain(data: bytes, ended: bool, limits: HttpLimits) -> PlainRequest | None:
    """Return the request whose head `data` begins with; None if it has not all of it, or one that is for h11.

    Raises:
        Refusal: its body is too large.
    """
    end = data.find(_END, 0, limits.head_bytes) + len(_END)
    match = _PLAIN.fullmatch(data, 0, end) if end >= len(_END) else None
    if match is None:
        return None
    headers: list[tuple[bytes, bytes]] = []
    for line in data[match.end(2) + 11 : end - 4].split(b"\r\n"):
        name, _, value = line.partition(b":")
        headers.append((name.lower(), value.strip(b" \t")))
    fields = dict(headers)
    # Names that come twice may contradict one another, so h11 shall see to them.
    if len(fields) != len(headers) or b"host" not in fields or not _NOT_PLAIN.isdisjoint(fields):
        return None
    announced = fields.get(b"content-length", b"0")
    if _LENGTH.fullmatch(announced) is None:
        return None
    length = int(announced)
    if length > limits.body_bytes:
        raise too_large(limits, headers)
    return PlainRequest(match[1], match[2], b"1.1", headers, True, False, ended, data[end:], length)


class OddHead:
    """The head of a request that is not plain, or not all here yet."""

    def __init__(self, limits: HttpLimits) -> None:
        self._limits = limits
        self._parser = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.head_bytes - 1)
        self._ended = False

    def feed(self, data: bytes) -> None:
        """Take what the client has sent; nothing is its end."""
        self._parser.receive_data(data)
        self._ended = self._ended or not data

    def request(self) -> OddRequest | None:
        """Return the request if its head is complete. Raises `Refusal` for what is not HTTP/1.1."""
        event = _next_event(self._parser)
        if not isinstance(event, h11.Request):
            return None
        _check_head(event, self._limits)
        return OddRequest(
            event.method,
            event.target,
            event.http_version,
            list(event.headers),
            event.http_version >= b"1.1" and not _has(event, b"connection", b"close"),
            self._parser.they_are_waiting_for_100_continue,
            self._ended,
            self._parser,
        )


def _next_event(parser: h11.Connection) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
    try:
        return parser.next_event()
    except h11.RemoteProtocolError as exc:
        raise Refusal(exc.error_status_hint, str(exc)[:REFUSAL_CHARS]) from exc


def _has(request: h11.Request, wanted: bytes, token: bytes) -> bool:
    return any(
        token == part.strip() for name, value in request.headers if name == wanted for part in value.lower().split(b",")
    )


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
        raise too_large(limits, request.headers)
    if not (request.target.startswith((b"/", b"http://", b"https://")) or request.target == b"*"):
        raise Refusal(400, "the request target is neither a path nor an http URL")
