"""What ends a connection early: a request that the server itself answers, and a client that is not there any more."""

from __future__ import annotations

import html
import json
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prunner_trio.http.server._limits import HttpLimits

REASONS = {status.value: status.phrase.encode("ascii") for status in HTTPStatus}
_PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>That is too much</title>'
    "<h1>That is too much</h1><p>%s</p><p>Go back in your browser to where you were.</p></html>\n"
)
_GUARDS = (
    b"content-security-policy: default-src 'none'\r\nx-content-type-options: nosniff\r\ncache-control: no-store\r\n"
)


class ClientGone(OSError):
    """The client has closed the connection, or takes no more bytes. An OSError, as ASGI wants it from ``send``."""


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
        """Return the whole answer."""
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


def too_large(limits: HttpLimits, headers: Iterable[tuple[bytes, bytes]]) -> Refusal:
    """Return the refusal for a body over `HttpLimits.body_bytes`: a page for a browser."""
    page = any(name == b"accept" and b"text/html" in value for name, value in headers)
    return Refusal(413, f"Request body too large: more than {limits.body_bytes} bytes", page=page)
