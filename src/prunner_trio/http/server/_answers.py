"""Answers as bytes: head and framing, made by hand and in one piece."""

from __future__ import annotations

import re
import time
from email.utils import formatdate
from functools import lru_cache
from typing import TYPE_CHECKING

from prunner_trio.http.server._refusal import REASONS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prunner_trio.http.server._requests import Request

_WITHOUT_BODY = (204, 304)
_FRAMING = frozenset({b"connection", b"content-length", b"transfer-encoding"})
_FIELDS = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+: (?:[^\x00\s]+(?:[ \t]+[^\x00\s]+)*)?\r\n)*")
_LENGTH = re.compile(rb"[0-9]{1,18}")


class Encoder:
    """Makes the bytes of one answer.

    Attributes:
        closes: the connection ends with this answer; known when its head is made.
    """

    def __init__(self, request: Request) -> None:
        """Answer `request`."""
        self.closes = not request.keep_alive
        self._is_head = request.method == b"HEAD"
        self._old = request.version == b"1.0"
        self._silent = False  # the answer has no body, whatever its head says
        self._missing: int | None = None  # bytes of the body that are still to come; None: nobody knows

    def head(self, status: int, headers: Iterable[tuple[bytes, bytes]], *, close: bool) -> bytes:
        """Return the head; `close`: no other request is to follow.

        Raises:
            RuntimeError: an answer must not have such a head.
        """
        if not 200 <= status <= 999:
            raise RuntimeError(f"not the status of an answer: {status}")
        self.closes = self.closes or close
        fields = []
        for name, value in headers:
            name = name.lower()
            if name not in _FRAMING or self._note(name, value):
                fields.append(b"%b: %b\r\n" % (name, value))
        text = b"".join(fields)
        # One look for all of them. A value that brought lines of its own would leave more lines than there are fields.
        if _FIELDS.fullmatch(text) is None or text.count(b"\n") != len(fields):
            raise RuntimeError("a header of the answer has a name or a value that cannot be sent")
        framing = self._framing(status)
        return b"HTTP/1.1 %d %b\r\n%b%b%b\r\n" % (status, REASONS.get(status, b""), text, _date_line(), framing)

    def body(self, data: bytes, *, more: bool) -> bytes:
        """Return what is to be sent for a part of the body; `more`: it is not the last one.

        Raises:
            RuntimeError: the head has announced another length.
        """
        if self._silent:
            return b""
        if self._missing is not None:
            self._missing -= len(data)
            if self._missing < 0 or (self._missing and not more):
                raise RuntimeError("the body of the answer is not as long as its head says")
            return data
        if self._old:
            return data
        chunk = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
        return chunk if more else chunk + b"0\r\n\r\n"

    def _note(self, name: bytes, value: bytes) -> bool:
        """Take what the app says of the framing, which is not its own; tell whether the field is to be sent."""
        if name == b"connection":
            self.closes = self.closes or b"close" in value.lower()
            return False
        if name == b"transfer-encoding":
            if value.lower() != b"chunked":
                raise RuntimeError(f"not a coding that can be sent: {value!r}")
            return False
        if _LENGTH.fullmatch(value) is None or self._missing not in (None, int(value)):
            raise RuntimeError(f"not the one length of an answer: {value!r}")
        first, self._missing = self._missing is None, int(value)
        return first

    def _framing(self, status: int) -> bytes:
        """Return the fields that tell where the body ends."""
        self._silent = self._is_head or status in _WITHOUT_BODY
        unframed = self._missing is None and status not in _WITHOUT_BODY
        chunked = b"transfer-encoding: chunked\r\n" if unframed and not self._old else b""
        return chunked + (b"connection: close\r\n" if self.closes else b"")


def _date_line() -> bytes:
    return _date_line_of(int(time.time()))


@lru_cache(maxsize=1)
def _date_line_of(second: int) -> bytes:
    return b"date: %b\r\n" % formatdate(second, usegmt=True).encode()
