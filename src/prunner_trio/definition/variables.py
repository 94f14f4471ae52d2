"""The variables of a job: what is allowed, and their form in the environment of a task."""

import json
import math
import re
from collections.abc import Mapping

import attrs

from prunner_trio.errors import InvalidVariable

__all__ = ["ENV_PREFIX", "RESERVED", "VariableEnv", "checked_variables", "env_name", "variable_env"]

ENV_PREFIX = "PRUNNER_VAR_"
"""Every variable is given to each task as an environment variable with this prefix."""

RESERVED = "__jobID"
"""A name that prunner keeps for itself: templates find the job's id under it."""

_LONGEST = 120 * 1024  # Linux refuses environment strings of 128 KiB and more
_MOST = 512 * 1024  # for all of them: Linux gives arguments and environment 2 MiB together, and there is more in it
_DEEPEST = 100
_MOST_DIGITS = 4300  # Python writes and reads no longer ones, unless it is told to
_TOO_LARGE = 10**_MOST_DIGITS
_NOT_IN_NAMES = re.compile(r"[^A-Z0-9_]")


def checked_variables(variables: Mapping[str, object]) -> dict[str, object]:
    """Return a copy made of plain JSON values.

    Raises:
        InvalidVariable: a value is no JSON value, or holds what no task could be given: a NUL character, a lone
            surrogate, NaN or infinity, more than 4300 digits, more than 100 levels.
    """
    return {_text(name, name): _checked(name, value, 0) for name, value in variables.items()}


def _checked(name: str, value: object, depth: int) -> object:
    if depth > _DEEPEST:
        raise InvalidVariable(name, f"is nested deeper than {_DEEPEST} levels")
    match value:
        case None | bool():
            return value
        case int():
            if abs(value) >= _TOO_LARGE:
                raise InvalidVariable(name, f"is a number of more than {_MOST_DIGITS} digits")
            return value
        case float():
            if not math.isfinite(value):
                raise InvalidVariable(name, "is not a finite number")
            return value
        case str():
            return _text(name, value)
        case list() | tuple():
            return [_checked(name, item, depth + 1) for item in value]
        case Mapping():
            return {_text(name, key): _checked(name, item, depth + 1) for key, item in value.items()}
        case _:
            raise InvalidVariable(name, f"is a {type(value).__name__}, which is no JSON value")


def _text(name: str, text: object) -> str:
    if not isinstance(text, str):
        raise InvalidVariable(name, f"has a key that is no text but a {type(text).__name__}")
    if "\0" in text:
        raise InvalidVariable(name, "contains a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidVariable(name, "contains half a surrogate pair") from None
    return text


@attrs.frozen
class VariableEnv:
    """The variables of a job as environment variables.

    Attributes:
        env: `my-key` becomes `PRUNNER_VAR_MY_KEY`.
        left_out: what is not there, and why, as one sentence each.
    """

    env: Mapping[str, str] = attrs.field(repr=False)
    left_out: tuple[str, ...] = ()


def variable_env(variables: Mapping[str, object]) -> VariableEnv:
    """Return the variables as environment variables.

    A name is written in capitals, and everything in it but ASCII letters and digits becomes `_`. Texts are given as
    they are, numbers with all their digits, booleans as `true` and `false`, null as the empty text, lists and objects
    as JSON. When two names become the same, the one that sorts first wins. A value too long for the environment
    (120 KiB, or 512 KiB together with those that sort before it) is left out; templates still have it.
    """
    env: dict[str, str] = {}
    owner: dict[str, str] = {}
    left_out: list[str] = []
    room = _MOST
    for name in sorted(variables):
        key = env_name(name)
        text = _env_text(variables[name])
        size = len(key) + len(text.encode()) + 10  # an equals sign, a zero byte, and the kernel's pointer to it
        if key in env:
            left_out.append(f"{key} is the variable {owner[key]!r}: {name!r} would have the same name")
        elif size >= min(_LONGEST, room):
            left_out.append(f"{key} is not set: {len(text.encode())} bytes are too long for the environment")
        else:
            env[key], owner[key] = text, name
            room -= size
    return VariableEnv(env, tuple(left_out))


def env_name(name: str) -> str:
    """Return the name of the environment variable that holds a variable."""
    return ENV_PREFIX + _NOT_IN_NAMES.sub("_", name.upper())


def _env_text(value: object) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)
