"""The forms in which programs show a secret: as it is, and encoded or quoted in the usual ways. Pure."""

import base64
import json
import re
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

__all__ = ["SHORTEST_SECRET", "as_bytes", "is_too_short", "secret_forms"]

SHORTEST_SECRET = 6
"""Bytes, blanks around them not counted; anything shorter would be found everywhere."""

_HALVES = re.compile("[\ud800-\udc7f\udd00-\udfff]")  # without those that stand for bytes that are no UTF-8
_HTML = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})
_ANSI_C = str.maketrans({"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t"})
_LEFT_BY_JAVASCRIPT = "!'()*"
_FOR_DOUBLE_QUOTES = re.compile(r'(["$`\\])')
_FOR_BACKSLASHES = re.compile(r"([\x00-$&-*,;<>?\[-^`{-\x7f])")  # all of ASCII but word characters and @%+=:./-
_ESCAPES = re.compile(rb"%[0-9A-F]{2}")


def as_bytes(text: str) -> bytes:
    """Return the bytes of a text. YAML can write halves of surrogate pairs; those without the other become U+FFFD."""
    joined = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    return _HALVES.sub("\ufffd", joined).encode("utf-8", "surrogateescape")


def is_too_short(value: str) -> bool:
    """Tell whether nothing can be masked for this value."""
    return len(as_bytes(value).strip()) < SHORTEST_SECRET


def secret_forms(value: str) -> frozenset[bytes]:
    """Return what must not be shown of a value from the environment; nothing if it is too short.

    These are the value and each line of it, in base64 and hexadecimal, percent-encoded, quoted as JSON and shells do.
    Of base64, which makes four characters of three bytes, there is a form for each place among the three in which the
    value can begin, without the characters at its edges that depend on what stands beside it.
    """
    if is_too_short(value):
        return frozenset()
    whole = as_bytes(value)
    forms = {line.strip() for line in whole.splitlines()}
    for text in {whole, whole.strip()}:
        forms |= {text, text.hex().encode(), text.hex().upper().encode(), *_base64(text)}
        forms |= set(_percent(text))
        forms.update(map(as_bytes, _quoted(text.decode("utf-8", "surrogateescape"))))
    return frozenset(form for form in forms if len(form.strip()) >= SHORTEST_SECRET)


def _base64(value: bytes) -> Iterator[bytes]:
    for before in range(3):
        first, last = -(-8 * before // 6), 8 * (before + len(value)) // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(bytes(before) + value)[first:last]


def _percent(value: bytes) -> Iterator[bytes]:
    for text in (quote(value, ""), quote(value, "/"), quote_plus(value), quote(value, _LEFT_BY_JAVASCRIPT)):
        form = text.encode()
        yield form
        yield _ESCAPES.sub(lambda escape: escape[0].lower(), form)


def _quoted(value: str) -> Iterator[str]:
    for ascii_only in (True, False):
        form = json.dumps(value, ensure_ascii=ascii_only)[1:-1]
        yield form
        yield form.replace("/", "\\/")
        yield form.translate(_HTML)
    yield value.replace("'", "'\\''")
    yield value.replace("'", "'\"'\"'")
    yield value.translate(_ANSI_C)
    yield _FOR_DOUBLE_QUOTES.sub(r"\\\1", value)
    yield _FOR_BACKSLASHES.sub(r"\\\1", value)
