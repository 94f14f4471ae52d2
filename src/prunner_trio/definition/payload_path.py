"""Paths into a payload: `ref`, `head_commit.id`, `commits[0].author.name`, `["a.b"].c`, `commits[-1].id`. Pure."""

import json
import re
from collections.abc import Mapping, Sequence

__all__ = ["FACTS", "Absent", "Steps", "find", "parse_path"]

FACTS = ("@branch", "@delivery", "@event", "@hook")
"""What is known of a request beside its payload; each can stand for a path."""

Steps = tuple[str | int, ...]

_NAME = re.compile(r'[^.\[\]"\s@$][^.\[\]"\s]*')
_INDEX = re.compile(r"\[(-?[0-9]{1,6})\]", re.ASCII)
_MOST_STEPS = 32


class Absent(Exception):
    """There is nothing at a path.

    Attributes:
        steps: those up to where it ends, the first that leads nowhere included.
        reason: why, behind the name of that place.
    """

    def __init__(self, steps: Steps, reason: str) -> None:
        super().__init__(reason)
        self.steps = steps
        self.reason = reason


def parse_path(text: str) -> Steps:
    """Return the steps of a path: a text for a member of an object, a number for a place in a list.

    One of `FACTS` is a single step.

    Raises:
        ValueError: it is no path; the message says why, behind the path.
    """
    if text.startswith("@"):
        if text not in FACTS:
            raise ValueError(f"is not known; beside fields of the payload there are {', '.join(FACTS)}")
        return (text,)
    steps: list[str | int] = []
    step: str | int
    at = 0
    while at < len(text):
        if text.startswith('["', at):
            step, at = _quoted(text, at + 1)
        elif match := _INDEX.match(text, at):
            if not steps:
                raise ValueError("begins with a place in a list, but a payload is an object")
            step, at = int(match[1]), match.end()
        else:
            if steps and text[at] == ".":
                at += 1
            elif steps:
                raise ValueError(f"has {text[at]!r} at character {at + 1}, where a dot or a bracket must be")
            match = _NAME.match(text, at)
            if match is None:
                raise ValueError(f"lacks a name at character {at + 1}; put unusual ones in brackets and quotes")
            step, at = match[0], match.end()
        steps.append(step)
    if not steps:
        raise ValueError("is empty")
    if len(steps) > _MOST_STEPS:
        raise ValueError(f"has more than {_MOST_STEPS} steps")
    return tuple(steps)


def _quoted(text: str, at: int) -> tuple[str, int]:
    try:
        step, end = json.JSONDecoder().raw_decode(text, at)
    except ValueError:
        raise ValueError(f"has a name in quotes at character {at + 1} that does not end") from None
    if text[end : end + 1] != "]":
        raise ValueError(f"lacks a ] at character {end + 1}")
    return str(step), end + 1


def find(steps: Steps, payload: object) -> object:
    """Return what is at a path.

    Raises:
        Absent: nothing, or null.
    """
    value = payload
    for number, step in enumerate(steps, 1):
        here = steps[:number]
        if isinstance(step, str):
            if not isinstance(value, Mapping):
                raise Absent(here, f"is missing, since {_kind(value)} has no members")
            if step not in value:
                raise Absent(here, "is missing")
            value = value[step]
        else:
            if not isinstance(value, Sequence) or isinstance(value, str):
                raise Absent(here, f"is missing, since {_kind(value)} is no list")
            if not -len(value) <= step < len(value):
                raise Absent(here, f"is missing, since the list has {len(value)} entries")
            value = value[step]
        if value is None:
            raise Absent(here, "is null")
    return value


def _kind(value: object) -> str:
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, Sequence):
        return "a list"
    return "a boolean" if isinstance(value, bool) else "a number"
