"""What a key of a definition file is."""

from collections.abc import Mapping
from enum import StrEnum

import attrs

__all__ = ["Key", "Kind", "Table", "table"]


class Kind(StrEnum):
    """What a key takes."""

    COUNT = "whole number"
    FLAG = "true or false"
    DURATION = "duration"
    TEXT = "text"
    STRATEGY = "queue strategy"
    ORPHANS = "kill, wait or keep"
    SIZE = "size"
    LOG_LIMIT = "size or none"
    NUMBER = "number"
    LIMITS = "map of limits"
    CRASH = "cancel or requeue"
    NOTIFY = "map of hooks"
    HOOKS = "list of hooks"
    ADDRESS = "http or https address"
    SECRET = "name of a variable"
    ENV = "map of texts"
    SCRIPT = "list of texts"
    NAMES = "list of task names"
    PIPELINES = "map of pipelines"
    TASKS = "map of tasks"
    HANDLER = "map"
    INCOMING = "map of incoming webhooks"
    HOOK_KIND = "github, gitlab or generic"
    HOOK_SECRET = "variable name"
    EVENTS = "list of events"
    BRANCHES = "list of patterns"
    SOURCES = "map of fields"
    PATH = "field of the payload"
    TYPE = "type of a variable"
    SCALAR = "text, number or boolean"
    SECRETS = "list of variable names"


@attrs.frozen
class Key:
    """One key.

    Attributes:
        default: in the words of the documentation.
        example: as YAML, what stands behind the colon.
        positive: 0 is refused too.
        below: what is said of a number or duration that is too small; empty: whoever knows the other keys judges it.
        also: what people write who mean this key.
    """

    name: str
    kind: Kind
    default: str
    doc: str
    example: str
    positive: bool = False
    below: str = "must not be negative"
    also: tuple[str, ...] = ()


Table = Mapping[str, Key]


def table(*keys: Key) -> Table:
    """Return keys by their names."""
    return {key.name: key for key in keys}
