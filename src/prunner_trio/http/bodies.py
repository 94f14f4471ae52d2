"""Reading what clients send: JSON, checked field by field, as lenient as prunner is and no more."""

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import NoReturn

import attrs

__all__ = ["MAX_BODY", "MAX_DEPTH", "BadBody", "ScheduleRequest", "check_depth", "read_schedule", "refuse_constant"]

MAX_BODY = 1 << 20
"""Bytes of a request's body that are read at most."""

MAX_DEPTH = 100
"""Levels of lists and objects within each other. Whatever is accepted is written again, by encoders with limits."""

_HALF_PAIR = re.compile(r"\\u[dD][89a-fA-F]")
_SPACE = " \t\n\r"
_KINDS: Mapping[type, str] = {
    dict: "an object",
    list: "a list",
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    type(None): "null",
}


class BadBody(Exception):
    """The body is not what it should be; the message says why."""


@attrs.frozen
class ScheduleRequest:
    """What ``POST /pipelines/schedule`` asks for."""

    pipeline: str
    variables: Mapping[str, object]
    partition: str


def read_schedule(body: bytes) -> ScheduleRequest:
    """Read the body of a schedule request.

    As prunner does it: members may be left out or null, unknown ones and text behind the object do not matter, of
    equal names the last counts, and names match in any case where none matches exactly.

    Raises:
        BadBody: with the reason.
    """
    fields = _read_object(body)
    return ScheduleRequest(
        pipeline=_text(fields, "pipeline"),
        variables=_variables(fields),
        partition=_text(fields, "queuePartition"),
    )


def _read_object(body: bytes) -> dict[str, object]:
    try:
        text = body.decode()
    except UnicodeDecodeError as exc:
        raise BadBody(f"the body is not UTF-8 (byte {exc.start + 1})") from exc
    start = len(text) - len(text.lstrip(_SPACE))
    if start == len(text):
        raise BadBody("EOF")
    try:
        value, end = _DECODER.raw_decode(text, start)
    except json.JSONDecodeError as exc:
        raise BadBody(f"{exc.msg} (line {exc.lineno}, column {exc.colno})") from exc
    except RecursionError as exc:
        raise BadBody(_too_deep()) from exc
    except ValueError as exc:  # Python's limit for reading integers: 4300 digits
        raise BadBody("a number has too many digits") from exc
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadBody(f"expected an object, got {_KINDS[type(value)]}")
    check_depth(value, text)
    if _HALF_PAIR.search(text, start, end):
        _check_encodable(value)
    return value


def _text(fields: dict[str, object], name: str) -> str:
    value = _member(fields, name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadBody(f"{name}: expected a string, got {_KINDS[type(value)]}")
    return value


def _variables(fields: dict[str, object]) -> Mapping[str, object]:
    value = _member(fields, "variables")
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadBody(f"variables: expected an object, got {_KINDS[type(value)]}")
    return value


def _member(fields: dict[str, object], name: str) -> object:
    if name in fields:
        return fields[name]
    folded = name.lower()
    return next((value for key, value in fields.items() if key.lower() == folded), None)


def check_depth(value: object, text: str) -> None:
    """Raise `BadBody` if a value, read from `text`, is nested too deeply."""
    # The count of opening brackets is an upper bound that nearly every body stays below.
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _children(outer) if isinstance(inner, dict | list)]
        if not level:
            return
    raise BadBody(_too_deep())


def _children(container: object) -> Iterable[object]:
    if isinstance(container, dict):
        return container.values()
    return container if isinstance(container, list) else ()


def _check_encodable(value: object) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as exc:
        raise BadBody("half of a surrogate pair is not a character") from exc


def _too_deep() -> str:
    return f"nested too deeply (more than {MAX_DEPTH} levels)"


def refuse_constant(name: str) -> NoReturn:
    """Raise `BadBody` for ``NaN`` and its like."""
    raise BadBody(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise BadBody(f"the number {text[:40]} is too large")
    return number


_DECODER = json.JSONDecoder(parse_constant=refuse_constant, parse_float=_finite)
