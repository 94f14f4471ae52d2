"""The JSON Schema of definition files, made from the tables of their keys."""

from prunner_trio.definition.incoming import HOOK_SECRET_VARIABLE, HookKind, VariableType
from prunner_trio.definition.incoming_schema import INCOMING, SOURCE
from prunner_trio.definition.keys import Key, Kind, Table
from prunner_trio.definition.pipeline import OnDaemonCrash, Orphans, QueueStrategy
from prunner_trio.definition.size import MIN_LOG_LIMIT
from prunner_trio.definition.tables import (
    EXTENSION,
    FILE,
    HANDLER,
    HOOK,
    LIMITS,
    NOTIFY,
    PIPELINE,
    SECRET_VARIABLE,
    TASK,
)

__all__ = ["json_schema"]

_DURATION_PATTERN = r"^(0|[+]?([0-9]+[.]?[0-9]*|[.][0-9]+)(ns|us|µs|μs|ms|s|m|h)([0-9.]+(ns|us|µs|μs|ms|s|m|h))*)$"
_SIZE_PATTERN = r"^[0-9]+([.][0-9]+)?([KMGT]i?)?$"
_LOG_LIMIT_PATTERN = rf"{_SIZE_PATTERN}|^none$"
_SCALAR: dict[str, object] = {"type": ["string", "number", "boolean"]}


def json_schema() -> dict[str, object]:
    """Return a JSON Schema (draft 2020-12) of definition files, for editors: names, types and texts of all keys.

    What lies between keys, such as cycles and names of missing tasks, only the checker knows.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Pipelines",
        **_object(FILE),
        "$defs": {
            "pipeline": _object(PIPELINE),
            "task": _object(TASK),
            "on_error": _object(HANDLER),
            "limits": _object(LIMITS),
            "notify": _object(NOTIFY),
            "hook": _object(HOOK),
            "incoming_hook": {**_object(INCOMING), "type": "object", "required": ["kind"]},
            "source": {**_object(SOURCE), "type": "object", "required": ["from"]},
        },
    }


def _object(table: Table) -> dict[str, object]:
    return {
        "type": ["object", "null"],
        "properties": {key.name: _property(key) for key in table.values()},
        "patternProperties": {f"^{EXTENSION}": True},
        "additionalProperties": False,
    }


def _property(key: Key) -> dict[str, object]:
    description = f"{key.doc} Default: {key.default}. Example: {key.example}"
    return {"description": description, **_type(key)}


def _type(key: Key) -> dict[str, object]:
    match key.kind:
        case Kind.COUNT:
            return {"type": ["integer", "null"], "minimum": 1 if key.positive else 0}
        case Kind.FLAG:
            return {"type": ["boolean", "null"]}
        case Kind.DURATION:
            return {"type": ["string", "null"], "pattern": _DURATION_PATTERN}
        case Kind.TEXT:
            return {"type": ["string", "null"], "minLength": 1}
        case Kind.STRATEGY:
            return {"enum": [*(strategy.value for strategy in QueueStrategy), None]}
        case Kind.ORPHANS:
            return {"enum": [*(orphans.value for orphans in Orphans), None]}
        case Kind.SIZE:
            return {"type": ["string", "integer", "null"], "pattern": _SIZE_PATTERN, "minimum": 1}
        case Kind.LOG_LIMIT:
            return {"type": ["string", "integer", "null"], "pattern": _LOG_LIMIT_PATTERN, "minimum": MIN_LOG_LIMIT}
        case Kind.NUMBER:
            return {"type": ["number", "null"], "exclusiveMinimum": 0}
        case Kind.LIMITS:
            return {"$ref": "#/$defs/limits"}
        case Kind.CRASH:
            return {"enum": [*(way.value for way in OnDaemonCrash), None]}
        case Kind.NOTIFY:
            return {"$ref": "#/$defs/notify"}
        case Kind.HOOKS:
            return {"type": ["array", "null"], "items": {"$ref": "#/$defs/hook"}}
        case Kind.ADDRESS:
            return {"type": ["string", "null"], "pattern": "^https?://"}
        case Kind.SECRET:
            return {"type": ["string", "null"], "pattern": f"^{SECRET_VARIABLE}(_[A-Z0-9_]+)?$"}
        case Kind.ENV:
            return {"type": ["object", "null"], "additionalProperties": _SCALAR}
        case Kind.SCRIPT:
            return {"type": ["array", "null"], "items": _SCALAR}
        case Kind.NAMES:
            return {"type": ["array", "null"], "items": _SCALAR, "uniqueItems": True}
        case Kind.PIPELINES:
            return {"type": ["object", "null"], "additionalProperties": {"$ref": "#/$defs/pipeline"}}
        case Kind.TASKS:
            return {"type": ["object", "null"], "additionalProperties": {"$ref": "#/$defs/task"}}
        case Kind.HANDLER:
            return {"$ref": "#/$defs/on_error"}
        case Kind.INCOMING:
            names = {"pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{0,79}$"}
            more = {"$ref": "#/$defs/incoming_hook"}
            return {"type": ["object", "null"], "propertyNames": names, "additionalProperties": more}
        case Kind.HOOK_KIND:
            return {"enum": [*HookKind]}
        case Kind.HOOK_SECRET:
            return {"type": ["string", "null"], "pattern": f"^{HOOK_SECRET_VARIABLE}(_[A-Z0-9_]+)?$"}
        case Kind.EVENTS:
            event = {"type": "string", "pattern": "^[a-z0-9_-]{1,80}([.][a-z0-9_-]{1,80})?$"}
            return {"type": ["array", "null"], "items": event}
        case Kind.BRANCHES:
            return {"type": ["array", "null"], "items": {"type": "string", "minLength": 1}}
        case Kind.SOURCES:
            source = {"anyOf": [{"type": "string", "minLength": 1}, {"$ref": "#/$defs/source"}]}
            return {"type": ["object", "null"], "additionalProperties": source}
        case Kind.PATH:
            return {"type": "string", "minLength": 1}
        case Kind.SECRETS:
            name = {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}
            return {"type": ["array", "null"], "items": name, "uniqueItems": True}
        case Kind.SCALAR:
            return dict(_SCALAR)
        case Kind.TYPE:
            return {"enum": [*VariableType, None]}
