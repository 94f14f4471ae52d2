"""Server-sent events from bytes: HTML standard, section 9.2. Pure."""

import codecs
from typing import NamedTuple

__all__ = ["Event", "EventParser"]

_LONGEST = 16 * 1024 * 1024
"""Characters of a single event; more is not what a daemon sends."""


class Event(NamedTuple):
    """An event; `id` is the last one that was sent, with this event or before."""

    name: str
    data: str
    id: str


class EventParser:
    """Takes bytes as they come."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._name = ""
        self._data: list[str] = []
        self._id = ""

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that are whole by now.

        Raises:
            ValueError: an event has no end.
        """
        # Lines may also end with a carriage return alone, which no daemon of ours sends.
        *lines, self._rest = (self._rest + self._decoder.decode(data)).split("\n")
        if len(self._rest) > _LONGEST:
            raise ValueError("an event has no end")
        found = []
        for line in lines:
            line = line.removesuffix("\r")
            if line:
                self._field(line)
                continue
            if self._data:
                found.append(Event(self._name or "message", "\n".join(self._data), self._id))
            self._name, self._data = "", []
        return found

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._name = value
        elif name == "data":
            self._data.append(value)
        elif name == "id" and "\0" not in value:
            self._id = value
