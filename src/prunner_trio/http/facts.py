"""A request and its answer as plain values, whatever stands between us and the socket."""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from urllib.parse import parse_qsl

import attrs

__all__ = [
    "Answer",
    "BodyTooLarge",
    "ClientGone",
    "Header",
    "Request",
    "error",
    "json_answer",
    "json_bytes",
    "json_text",
    "plain",
    "to_json",
]

Header = tuple[bytes, bytes]
"""Name in lower case, and value."""

_NO_STORE: Header = (b"cache-control", b"no-store")
_NO_SNIFF: Header = (b"x-content-type-options", b"nosniff")
_KEPT_QUERY = 256
_JSON: Header = (b"content-type", b"application/json")
_PLAIN: Header = (b"content-type", b"text/plain; charset=utf-8")

json_text = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
"""Encode as compact JSON. Raises TypeError or ValueError for what is no JSON value; NaN and infinity are none."""


class BodyTooLarge(Exception):
    """The body of a request has more bytes than we read."""


class ClientGone(Exception):
    """The client went away before its request was complete; nobody waits for an answer."""


@attrs.frozen
class Request:
    """What a client asks.

    Attributes:
        path: percent-decoded.
        query: as sent, without the question mark.
        headers: names in lower case.
        body: reads the whole body; may be called once. Raises `BodyTooLarge` or `ClientGone`.
    """

    method: str
    path: str
    query: bytes
    headers: Sequence[Header]
    body: Callable[[], Awaitable[bytes]]

    def header(self, name: bytes) -> str:
        """Return the first header of that (lower-case) name, or an empty text."""
        return next((value.decode("latin-1") for key, value in self.headers if key == name), "")

    @property
    def media_type(self) -> str:
        """What the body is said to be, without its parameters, in small letters; empty if nothing is said."""
        return self.header(b"content-type").partition(";")[0].strip().lower()

    def parameters(self) -> Mapping[str, str]:
        """Return the query's parameters; of equal names the first counts, as in Go."""
        return _parameters(self.query) if len(self.query) <= _KEPT_QUERY else _parsed(self.query)


@attrs.frozen
class Answer:
    """What a client gets.

    Attributes:
        body: all of it, in one or several chunks; or a stream of unknown length, which whoever sends it closes.
    """

    status: int
    body: tuple[bytes, ...] | AsyncGenerator[bytes, None] = ()
    headers: tuple[Header, ...] = (_NO_STORE,)

    def all_headers(self) -> list[Header]:
        """Return the headers with those that every answer has, and the length if it is known."""
        headers = [*self.headers, _NO_SNIFF]
        if isinstance(self.body, tuple) and self.status not in (204, 304):
            headers.append((b"content-length", b"%d" % sum(map(len, self.body))))
        return headers


def _parsed(query: bytes) -> Mapping[str, str]:
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    return MappingProxyType(dict(reversed(pairs)))


_parameters = lru_cache(maxsize=256)(_parsed)
"""Who polls asks the same again: taking a query apart costs as much as all other looks at a request together."""


def to_json(value: object) -> bytes:
    """Encode as compact JSON in UTF-8. Raises as `json_text` does."""
    return json_bytes(json_text(value))


def json_bytes(text: str) -> bytes:
    """Return JSON in UTF-8; half a surrogate pair, which has no encoding, becomes U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def json_answer(
    body: bytes | tuple[bytes, ...] | AsyncGenerator[bytes, None],
    *,
    status: int = 200,
    caching: Header = _NO_STORE,
    headers: tuple[Header, ...] = (),
) -> Answer:
    """Return an answer whose body is JSON already; the newline at its end is the caller's."""
    return Answer(status, (body,) if isinstance(body, bytes) else body, (_JSON, caching, *headers))


def error(status: int, message: str) -> Answer:
    """Return a refusal in the form of all refusals: ``{"error": "…"}``."""
    return json_answer(to_json({"error": message}) + b"\n", status=status)


def plain(status: int, text: str) -> Answer:
    """Return a line of text."""
    return Answer(status, (text.encode() + b"\n",), (_PLAIN, _NO_STORE))
