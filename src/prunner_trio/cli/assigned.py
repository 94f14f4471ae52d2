"""The variables of a job from the flags -v and --json-var."""

import json
from collections.abc import Mapping

from prunner_trio.cli.flags import Values

__all__ = ["assigned_variables"]


def assigned_variables(values: Values) -> Mapping[str, object]:
    """Return the variables; JSON wins over text."""
    given: dict[str, object] = dict(_pair(text) for text in values.list("variable"))
    return given | {name: json.loads(text) for name, text in map(_pair, values.list("json-var"))}


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value
