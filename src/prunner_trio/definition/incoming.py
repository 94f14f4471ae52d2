"""Incoming webhooks of a pipeline, as values; and how a field of a payload becomes a variable. Pure."""

import json
import math
import re
from enum import StrEnum

import attrs

__all__ = [
    "HOOK_SECRET_VARIABLE",
    "HookKind",
    "HookVariable",
    "IncomingHook",
    "VariableType",
    "convert",
    "event_matches",
    "pattern_matches",
    "secret_variable",
]

HOOK_SECRET_VARIABLE = "PRUNNER_HOOK_SECRET"
"""What the name of every variable with the secret of an incoming webhook begins with: tasks do not get those."""

_INTEGER = re.compile(r"[-+]?[0-9]{1,400}", re.ASCII)
_NUMBER = re.compile(r"[-+]?[0-9]{1,400}([.][0-9]{1,400})?([eE][-+]?[0-9]{1,3})?", re.ASCII)
_PLACES = re.compile(r"\*\*|\*|\?")
_TEXT_LENGTH = 60


class HookKind(StrEnum):
    """Who calls: how the request is signed, and where it says what has happened."""

    GITHUB = "github"
    GITLAB = "gitlab"
    GENERIC = "generic"


class VariableType(StrEnum):
    """What a field of a payload is made into."""

    ANY = "any"
    """Whatever it is."""
    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"


@attrs.frozen
class HookVariable:
    """A variable of a job that comes from a payload.

    Attributes:
        path: see `parse_path`.
        default: for a field that is missing or null, before it is made into `type`; None: there is none.
    """

    name: str
    path: str
    default: str | None = None
    type: VariableType = VariableType.ANY


@attrs.frozen
class IncomingHook:
    """A name under which others may start jobs of a pipeline.

    Attributes:
        name: unique over all pipelines.
        secret_file: the file with the secret; empty: it is in a variable of the daemon.
        secret_env: that variable; empty: the one named after the hook.
        events: those that start a job, each perhaps with an action behind a dot; empty: all.
        branches: patterns of which a branch must match one; empty: all branches, and what is of no branch.
        partition: the path to the partition of the job; empty: none.
    """

    name: str
    kind: HookKind
    secret_file: str = ""
    secret_env: str = ""
    events: tuple[str, ...] = ()
    branches: tuple[str, ...] = ()
    variables: tuple[HookVariable, ...] = ()
    partition: str = ""

    @property
    def variable(self) -> str:
        """The variable of the daemon that holds the secret; empty if a file does."""
        return "" if self.secret_file else self.secret_env or secret_variable(self.name)


def secret_variable(name: str) -> str:
    """Return the variable with the secret of a hook that says nothing about it."""
    return f"{HOOK_SECRET_VARIABLE}_{name.upper().replace('-', '_')}"


def convert(value: object, kind: VariableType) -> object:
    """Return a value as that type.

    Raises:
        ValueError: it cannot be; the message says why, behind its name.
    """
    if kind is VariableType.ANY:
        return value
    if kind is VariableType.STRING and not isinstance(value, list | dict):
        return value if isinstance(value, str) else json.dumps(value)
    if isinstance(value, str):
        converted = _from_text(value.strip(), kind)
    elif kind is VariableType.BOOLEAN:
        converted = value if isinstance(value, bool) else None
    elif isinstance(value, bool) or not isinstance(value, int | float):
        converted = None
    elif kind is VariableType.INTEGER:
        converted = int(value) if isinstance(value, int) or value.is_integer() else None
    else:
        converted = value
    if converted is None:
        raise ValueError(f"must be of type {kind.value}, but is {_shown(value)}")
    return converted


def _from_text(text: str, kind: VariableType) -> object:
    if kind is VariableType.BOOLEAN:
        return {"true": True, "false": False}.get(text)
    if _INTEGER.fullmatch(text):
        return int(text)
    if kind is VariableType.NUMBER and _NUMBER.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    return None


def _shown(value: object) -> str:
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _TEXT_LENGTH else text[: _TEXT_LENGTH - 1] + "…"


def event_matches(hook: IncomingHook, event: str, action: str) -> bool:
    """Whether an event is one of those that start a job."""
    return not hook.events or event in hook.events or (bool(action) and f"{event}.{action}" in hook.events)


def pattern_matches(pattern: str, branch: str) -> bool:
    """Whether a branch matches: `*` stands for any text without a slash, `**` for any text, `?` for one character."""
    parts: list[str] = []
    at = 0
    for match in _PLACES.finditer(pattern):
        parts += (re.escape(pattern[at : match.start()]), {"**": ".*", "*": "[^/]*", "?": "[^/]"}[match[0]])
        at = match.end()
    return re.fullmatch("".join((*parts, re.escape(pattern[at:]))), branch, re.DOTALL) is not None
