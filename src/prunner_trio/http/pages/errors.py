"""The first line of an output that looks like an error: a guess, to open a long log where one would look first."""

import re

__all__ = ["first_error"]

_LOOKS = re.compile(
    rb"(?:\b|(?<=[\d\[;]m))"  # or behind a color
    rb"(?:error|fatal|panic(?:ked)?|traceback|exception|failed|failure|segmentation fault)\b|error:"
)
_HARMLESS = re.compile(rb"\b(?:0|no|without) (?:errors?|failures?|failed)\b|\b(?:errors?|failures?|failed)[:=] ?0\b")


def first_error(data: bytes) -> int | None:
    """Return the number of the first line that looks like an error, from 0; None if none does."""
    lower = data.lower()
    for found in _LOOKS.finditer(lower):
        start = lower.rfind(b"\n", 0, found.start()) + 1
        end = lower.find(b"\n", found.end())
        line = lower[start : len(lower) if end < 0 else end]
        if _LOOKS.search(_HARMLESS.sub(b"", line)):
            return data.count(b"\n", 0, start)
    return None
