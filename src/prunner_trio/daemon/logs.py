"""The daemon's own log, on stderr: logfmt or JSON for machines, a colored form for people.

Facts travel as ``extra`` of a log call (``job``, ``task``, ``pipeline``, ...) and appear as ``key=value`` behind the
message. A message from within a job or a task has these facts even if the call says nothing of them. What a client or a
file may have chosen is escaped, so that one event is one line and a terminal stays sane.
"""

import json
import logging
import math
import re
import sys
import time
from collections.abc import Iterator
from functools import lru_cache
from typing import TextIO

from prunner_trio.execution.context import about

__all__ = [
    "FATAL",
    "HumanFormatter",
    "JsonFormatter",
    "LogfmtFormatter",
    "PlainFormatter",
    "add_context",
    "facts",
    "level_of",
    "set_up_logs",
]

FATAL = logging.CRITICAL
"""The level of the last message of a daemon that cannot start or go on."""

_LEVELS = {logging.DEBUG: "debug", logging.INFO: "info", logging.WARNING: "warning", logging.ERROR: "error"}
_COLORS = {"debug": "2", "info": "36", "warning": "33", "error": "31", "fatal": "1;31"}
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_BARE = re.compile(r"[^\s\"=\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_QUIET = ("hypercorn", "quart", "quart_trio", "asyncio", "trio")


class LogfmtFormatter(logging.Formatter):
    """``timestamp=... level=info message="..." key=value``, as prunner writes it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        line = f"timestamp={_timestamp(record)} level={level_of(record)} message={_value(record.getMessage())}"
        for key, value in _raw_facts(record):
            line += f" {key}={_value(str(value))}"
        return f"{line} exception={_value(self.formatException(record.exc_info))}" if record.exc_info else line


class HumanFormatter(logging.Formatter):
    """``12:03:04 info  message  key=value``, with colors; tracebacks on lines of their own."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line, or several with a traceback."""
        level = level_of(record)
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        shown = "".join(f" \x1b[2m{key}=\x1b[0m{_value(value)}" for key, value in facts(record))
        message = "\n".join(_escaped(line) for line in record.getMessage().split("\n"))
        line = f"\x1b[2m{clock}\x1b[0m \x1b[{_COLORS[level]}m{level.ljust(7)}\x1b[0m {message}{shown}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class PlainFormatter(logging.Formatter):
    """``message key=value``, for logs that keep time and level themselves; tracebacks on lines of their own."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line, or several with a traceback."""
        line = _escaped(record.getMessage()) + "".join(f" {key}={_value(value)}" for key, value in facts(record))
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One JSON object a line, in ASCII: `timestamp`, `level`, `message`, the facts, and `exception` with a traceback.

    Facts that are numbers or truth values stay what they are, all others are texts.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        line: dict[str, object] = {name: _json_value(value) for name, value in _raw_facts(record)}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        head = {"timestamp": _timestamp(record), "level": level_of(record), "message": record.getMessage()}
        return json.dumps(head | line | head)  # a fact cannot take the place of these


def add_context(record: logging.LogRecord) -> bool:
    """Add the job and task for which the present code works to a message that names none. A filter; returns True."""
    if not hasattr(record, "job"):
        for name, value in about().items():
            if not hasattr(record, name):
                setattr(record, name, value)
    return True


def set_up_logs(
    *,
    verbose: bool,
    plain: bool,
    as_json: bool = False,
    stream: TextIO | None = None,
    handler: logging.Handler | None = None,
) -> None:
    """Send all logs to `stream` (stderr): for people if it is a terminal, unless `plain`.

    Args:
        verbose: adds messages of level debug, our own ones only.
        as_json: one JSON object a line, wherever the stream leads.
        handler: takes the logs instead.
    """
    if handler is None:
        stream = stream or sys.stderr
        handler = logging.StreamHandler(stream)
        if as_json:
            handler.setFormatter(JsonFormatter())
        else:
            handler.setFormatter(LogfmtFormatter() if plain or not stream.isatty() else HumanFormatter())
    handler.addFilter(add_context)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    logging.getLogger("prunner_trio").setLevel(logging.DEBUG if verbose else logging.INFO)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    logging.raiseExceptions = False  # a log that nobody can read any more is no reason to write to it
    # No line of ours says who wrote it: what finds that out is a fifth of all that a line costs.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None


def _timestamp(record: logging.LogRecord) -> str:
    return f"{_second(int(record.created))}.{int(record.msecs):03d}Z"


@lru_cache(maxsize=4)  # a busy daemon writes many lines in one second
def _second(at: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))


def level_of(record: logging.LogRecord) -> str:
    """Return the word for the level of a message: debug, info, warning, error or fatal."""
    if record.levelno >= FATAL:
        return "fatal"
    return _LEVELS.get(record.levelno // 10 * 10, "debug")


def facts(record: logging.LogRecord) -> Iterator[tuple[str, str]]:
    """Yield what was given as ``extra`` of the log call, as text, without what is empty."""
    for key, value in _raw_facts(record):
        yield key, str(value)


def _raw_facts(record: logging.LogRecord) -> Iterator[tuple[str, object]]:
    for key, value in vars(record).items():
        if key not in _STANDARD and value is not None and value != "":
            yield key, value


def _json_value(value: object) -> object:
    if isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return str(value)


def _value(text: str) -> str:
    if _BARE.fullmatch(text):
        return text
    quoted = _escaped(text.replace("\\", "\\\\").replace('"', '\\"'))
    return f'"{quoted}"'


def _escaped(text: str) -> str:
    return _UNSAFE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    letter = match.group()
    short = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(letter)
    return short or (f"\\x{ord(letter):02x}" if ord(letter) < 0x100 else f"\\u{ord(letter):04x}")
