"""The query parameters of API v1: types from which both the reader and the document are made.

A field is a parameter. Its metadata may hold `minimum` and `maximum`, for a text those of its length; what stands
under ``Attributes`` is the description.
"""

import re
from collections.abc import Callable
from types import UnionType
from typing import Any, NewType, TypeVar, Union, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl

import attrs

from prunner_trio.http.v1.encode import parse_time
from prunner_trio.http.v1.models import ProblemItem
from prunner_trio.http.v1.problems import Refused
from prunner_trio.model import State

__all__ = [
    "CancelQuestion",
    "JobsQuestion",
    "LinesQuestion",
    "LogQuestion",
    "LogsQuestion",
    "MatchesQuestion",
    "Moment",
    "NoQuestion",
    "fields_of",
    "parse_query",
    "required",
]

Moment = NewType("Moment", float)
"""A point in time, in RFC 3339; in seconds since the epoch once it is read."""

T = TypeVar("T")

_NUMBER = re.compile(r"[0-9]{1,18}([.][0-9]{0,400})?([eE][-+]?[0-9]{1,3})?", re.ASCII)


@attrs.frozen
class NoQuestion:
    """No parameters."""


@attrs.frozen
class JobsQuestion:
    """Which jobs.

    Attributes:
        pipeline: of this pipeline.
        state: in one of these states; separated by commas, or given more than once.
        user: scheduled by this user; empty: by nobody in particular.
        retry_of: retries of the job with this id.
        text: with this text in id, pipeline, user, partition, first error, or variables as JSON; ASCII letters count as
            equal in either case.
        since: created then or later.
        until: created before.
        limit: jobs on a page at most.
        cursor: `older` or `newer` of another page.
    """

    pipeline: str | None = None
    state: tuple[State, ...] = ()
    user: str | None = None
    retry_of: str | None = None
    text: str = attrs.field(default="", metadata={"maximum": 200})
    since: Moment | None = None
    until: Moment | None = None
    limit: int = attrs.field(default=50, metadata={"minimum": 1, "maximum": 200})
    cursor: str | None = None


@attrs.frozen
class CancelQuestion:
    """How to cancel.

    Attributes:
        wait: seconds for which the answer waits for the end of the job.
    """

    wait: float = attrs.field(default=0.0, metadata={"minimum": 0, "maximum": 300})


@attrs.frozen
class LogQuestion:
    """Which part of a log.

    Attributes:
        offset: leave out so many bytes at the beginning.
        limit: so many bytes at most.
        tail: so many lines from the end, within the last 16 MiB.
        follow: go on until the task is over.
    """

    offset: int | None = attrs.field(default=None, metadata={"minimum": 0})
    limit: int | None = attrs.field(default=None, metadata={"minimum": 1})
    tail: int | None = attrs.field(default=None, metadata={"minimum": 0, "maximum": 1_000_000})
    follow: bool = False


@attrs.frozen
class LinesQuestion:
    """From where on lines are counted.

    Attributes:
        offset: from the block on that holds this byte; an offset behind the end counts as the end.
    """

    offset: int = attrs.field(default=0, metadata={"minimum": 0})


@attrs.frozen
class MatchesQuestion:
    """What is looked for in a log.

    Attributes:
        text: ASCII letters count as equal in either case.
        offset: from there on; the beginning of a line.
        line: the number of that line, from 0.
    """

    text: str = attrs.field(metadata={"minimum": 1, "maximum": 200})
    offset: int = attrs.field(default=0, metadata={"minimum": 0})
    line: int = attrs.field(default=0, metadata={"minimum": 0})


@attrs.frozen
class LogsQuestion:
    """What of both logs of a task is new.

    Attributes:
        id: of the job.
        task: its name.
        since: that of the answer before; left out: from the beginning.
        wait: seconds for which the answer waits for something new.
    """

    id: str
    task: str
    since: str = ""
    wait: float = attrs.field(default=0.0, metadata={"minimum": 0, "maximum": 30})


def fields_of(kind: type) -> dict[str, tuple[Any, Any]]:
    """Return the fields of an attrs class by name: each with its resolved type and attrs' own description."""
    hints = get_type_hints(kind)
    return {field.name: (hints[field.name], field) for field in attrs.fields(kind)}


def required(annotation: object) -> object:
    """Return the type without its ``None``."""
    if get_origin(annotation) in (Union, UnionType):
        (rest,) = (part for part in get_args(annotation) if part is not type(None))
        return rest
    return annotation


def parse_query(kind: type[T], query: bytes) -> T:
    """Read the query of a request.

    Raises:
        Refused: something in it is wrong; all of that is told.
    """
    given: dict[str, list[str]] = {}
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        given.setdefault(name, []).append(value)
    known = fields_of(kind)
    problems = [ProblemItem(_unknown(name, known), parameter=name) for name in given if name not in known]
    values: dict[str, object] = {}
    for name, (annotation, field) in known.items():
        if name in given:
            try:
                values[name] = _read(required(annotation), field.metadata, given[name])
            except ValueError as exc:
                problems.append(ProblemItem(str(exc), parameter=name))
        elif field.default is attrs.NOTHING:
            problems.append(ProblemItem("is required", parameter=name))
    if problems:
        raise Refused("invalid-query", _all_of(problems), errors=problems)
    return kind(**values)


def _unknown(name: str, known: dict[str, tuple[Any, Any]]) -> str:
    return f"is not a parameter of this route; {', '.join(known) if known else 'it has none'}"


def _all_of(problems: list[ProblemItem]) -> str:
    return "; ".join(f"{problem.parameter}: {problem.detail}" for problem in problems)[:1000]


def _read(kind: object, metadata: Any, texts: list[str]) -> object:
    if get_origin(kind) is tuple:
        return tuple(_state(text) for given in texts for text in given.split(","))
    if len(texts) > 1:
        raise ValueError("is given more than once")
    value = _READERS[kind](texts[0])
    measured = len(value) if isinstance(value, str) else value
    low, high = metadata.get("minimum"), metadata.get("maximum")
    if low is not None and measured < low:
        raise ValueError(f"must be at least {low}" + (" characters long" if isinstance(value, str) else ""))
    if high is not None and measured > high:
        raise ValueError(f"must be at most {high}" + (" characters long" if isinstance(value, str) else ""))
    return value


def _state(text: str) -> State:
    try:
        return State(text)
    except ValueError:
        raise ValueError(f"{text[:40]!r} is no state; {', '.join(State)}") from None


def _text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("is not UTF-8") from None
    if "\0" in text:
        raise ValueError("contains a NUL character")
    return text


def _integer(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ValueError(f"must be a whole number, not {text[:40]!r}")
    return int(text)


def _seconds(text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"must be a number of seconds, not {text[:40]!r}")
    return float(text)


def _boolean(text: str) -> bool:
    if text not in ("1", "0", "true", "false"):
        raise ValueError(f"must be 1, 0, true or false, not {text[:40]!r}")
    return text in ("1", "true")


def _moment(text: str) -> Moment:
    try:
        return Moment(parse_time(text))
    except (ValueError, OverflowError):
        raise ValueError(f"must be a time such as 2026-01-02T03:04:05Z, not {text[:40]!r}") from None


_READERS: dict[object, Callable[[str], Any]] = {
    str: _text,
    int: _integer,
    float: _seconds,
    bool: _boolean,
    Moment: _moment,
}
