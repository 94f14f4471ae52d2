"""Logs for systemd's journal, when that is where stderr leads: each message with its priority, each fact a field.

``journalctl PRUNNER_JOB=…`` then shows one job, ``-p warning`` what went wrong. The protocol is that of
https://systemd.io/JOURNAL_NATIVE_PROTOCOL; where its socket cannot be reached, lines on stderr get the prefix of their
priority instead.
"""

import contextlib
import logging
import os
import select
import socket
import struct
import sys
from collections.abc import Mapping

from prunner_trio.daemon.logs import PlainFormatter, facts, level_of

__all__ = ["JournalHandler", "PrefixFormatter", "encode_fields", "journal_handler"]

_SOCKET = "/run/systemd/journal/socket"
_PRIORITIES = {"fatal": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}
_LONGEST = 48 * 1024
"""Bytes of one value; what goes beyond that is cut, so that a message always fits into a datagram."""
_PATIENCE = 1.0
"""Seconds."""


def journal_handler(environ: Mapping[str, str], fd: int = 2, path: str = _SOCKET) -> logging.Handler | None:
    """Return what sends logs to the journal if the descriptor `fd` leads there, as ``JOURNAL_STREAM`` says; else None.

    Args:
        path: where the journal takes messages.
    """
    if not _leads_to_journal(environ.get("JOURNAL_STREAM", ""), fd):
        return None
    with contextlib.suppress(OSError):
        return JournalHandler(path)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PrefixFormatter())
    return handler


def encode_fields(fields: Mapping[str, str]) -> bytes:
    """Return a message in the journal's protocol; values may hold anything."""
    parts = []
    for name, text in fields.items():
        value = text.encode(errors="backslashreplace")[:_LONGEST]
        if b"\n" in value:
            parts.append(b"%s\n%s%s\n" % (name.encode(), struct.pack("<Q", len(value)), value))
        else:
            parts.append(b"%s=%s\n" % (name.encode(), value))
    return b"".join(parts)


class JournalHandler(logging.Handler):
    """Sends each message with its facts as fields: a fact ``job`` becomes ``PRUNNER_JOB``.

    A journal that does not answer holds up the daemon once, for a second; then messages are dropped until it does, and
    their number is said.

    Attributes:
        dropped: how many messages were dropped since the last one that was sent.

    Raises:
        OSError: there is no journal.
    """

    def __init__(self, path: str = _SOCKET) -> None:
        """Connect."""
        super().__init__()
        self.setFormatter(PlainFormatter())
        self.dropped = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._socket.connect(path)
        except OSError:
            self._socket.close()
            raise
        self._path = path
        self._socket.setblocking(False)
        self._room = select.poll()
        self._room.register(self._socket, select.POLLOUT)

    def emit(self, record: logging.LogRecord) -> None:
        """Send one message; never raises."""
        fields = {
            "MESSAGE": self.format(record),
            "PRIORITY": str(_PRIORITIES[level_of(record)]),
            "SYSLOG_IDENTIFIER": "prunner-trio",
            **{f"PRUNNER_{key.upper()}": value for key, value in facts(record)},
        }
        if self.dropped:
            fields["PRUNNER_DROPPED_BEFORE"] = str(self.dropped)
        try:
            self._send(encode_fields(fields))
        except OSError:
            self.dropped += 1
        else:
            self.dropped = 0

    def _send(self, message: bytes) -> None:
        try:
            self._socket.send(message)
        except BlockingIOError:
            if self.dropped:
                raise
            self._room.poll(_PATIENCE * 1000)
            self._socket.send(message)
        except OSError:  # the journal was started anew
            self._socket.connect(self._path)
            self._socket.send(message)

    def close(self) -> None:
        """Disconnect."""
        self._socket.close()
        super().close()


class PrefixFormatter(PlainFormatter):
    """Each line behind ``<N>``, its priority, as the journal reads it from a stream."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line, or several with a traceback."""
        prefix = f"<{_PRIORITIES[level_of(record)]}>"
        return "\n".join(prefix + line for line in super().format(record).split("\n"))


def _leads_to_journal(stream: str, fd: int) -> bool:
    try:
        there = os.fstat(fd)
    except OSError:
        return False
    return stream == f"{there.st_dev}:{there.st_ino}"
