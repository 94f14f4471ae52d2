"""Values of API v1 as JSON, and points in time as text."""

from collections.abc import Mapping
from datetime import UTC, datetime

import cattrs

from prunner_trio.http.facts import to_json
from prunner_trio.http.v1.models import Time

__all__ = ["duration", "encode", "parse_time", "time_text"]

_converter = cattrs.Converter()
_converter.register_unstructure_hook_func(lambda kind: kind == Mapping[str, object], lambda value: dict(value))


def encode(value: object) -> bytes:
    """Return a value of `models` as JSON with a newline at its end."""
    return to_json(_converter.unstructure(value)) + b"\n"


def time_text(seconds: float) -> Time:
    """Return a point in time, given in seconds since the epoch, cut (not rounded) to milliseconds."""
    return Time(datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")[:23] + "Z")


def duration(start: float | None, end: float | None) -> float | None:
    """Return the seconds between two points in time, to the millisecond and not below 0; None if one is missing."""
    return None if start is None or end is None else max(0.0, round(end - start, 3))


def parse_time(text: str) -> float:
    """Return the seconds since the epoch of a time as RFC 3339 has it, with any offset.

    Raises:
        ValueError: it is none.
    """
    time = datetime.fromisoformat(text)
    if time.tzinfo is None or len(text) < len("2026-01-02T03:04:05Z") or text[10] not in "Tt ":
        raise ValueError(f"{text!r} has no time or no offset from UTC")
    return time.timestamp()
