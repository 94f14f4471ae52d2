"""Server-sent events as bytes: see the HTML standard, section 9.2."""

from prunner_trio.http.facts import Header
from prunner_trio.http.v1.encode import encode

__all__ = ["EVENT_STREAM", "SILENCE", "STREAM_HEADERS", "sse"]

EVENT_STREAM = "text/event-stream"
STREAM_HEADERS: tuple[Header, ...] = (
    (b"content-type", EVENT_STREAM.encode()),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would gather the events otherwise
    (b"x-content-type-options", b"nosniff"),
)

SILENCE = b":\n\n"
"""A comment, which clients pass over: it shows that somebody is there, and finds out whether the client is."""


def sse(name: str, event_id: str, data: object) -> bytes:
    """Return an event whose data is a value of `models`: JSON has no line ends inside."""
    return f"id: {event_id}\nevent: {name}\ndata: ".encode() + encode(data) + b"\n"
