"""Reading definition files: from YAML to pipelines, with every problem named by file, line and column."""

from prunner_trio.definition.check import parse_definitions
from prunner_trio.definition.duration import format_duration, parse_duration
from prunner_trio.definition.graph import cycles, order, to_dot, to_svg, to_text
from prunner_trio.definition.incoming import HOOK_SECRET_VARIABLE, HookKind, HookVariable, IncomingHook, VariableType
from prunner_trio.definition.load import load_definitions
from prunner_trio.definition.pipeline import (
    DEFAULT_KILL_TIMEOUT,
    ON_ERROR,
    Definitions,
    Hook,
    Limits,
    Notify,
    OnDaemonCrash,
    Orphans,
    PipelineDef,
    QueueStrategy,
    TaskDef,
)
from prunner_trio.definition.problems import problems_json, startup_text
from prunner_trio.definition.schema import json_schema
from prunner_trio.definition.warnings import find_warnings

__all__ = [
    "DEFAULT_KILL_TIMEOUT",
    "HOOK_SECRET_VARIABLE",
    "ON_ERROR",
    "Definitions",
    "Hook",
    "HookKind",
    "HookVariable",
    "IncomingHook",
    "Limits",
    "Notify",
    "OnDaemonCrash",
    "Orphans",
    "PipelineDef",
    "QueueStrategy",
    "TaskDef",
    "VariableType",
    "cycles",
    "find_warnings",
    "format_duration",
    "json_schema",
    "load_definitions",
    "order",
    "parse_definitions",
    "parse_duration",
    "problems_json",
    "startup_text",
    "to_dot",
    "to_svg",
    "to_text",
]
