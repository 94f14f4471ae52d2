"""The OpenAPI document, made from the table of routes and the types of their questions and answers."""

import inspect
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import UnionType
from typing import Any, Union, get_args, get_origin

import attrs

from prunner_trio._version import __version__
from prunner_trio.http.v1.keys import LONGEST
from prunner_trio.http.v1.models import Closing, LogEnd, LogPiece, Occurrence, Problem, StreamStart, Time, Uuid
from prunner_trio.http.v1.problems import KINDS, PROBLEM_TYPE
from prunner_trio.http.v1.questions import Moment, fields_of, required
from prunner_trio.http.v1.sse import EVENT_STREAM
from prunner_trio.http.v1.table import Reply, Route

__all__ = ["document", "summary_of"]

_ATTRIBUTE = re.compile(r"^(\w+): (.*)$")
_IN_PATH = re.compile(r"\{(\w+)\}")
_ABOUT = """Pipelines, jobs, logs and events of a prunner-trio daemon. Unknown query parameters are refused, and a \
refusal names all that is wrong with a request. GET answers have an `ETag`; sent back in `If-None-Match`, it saves the \
body when nothing has changed."""
_OF_TOKENS = ("unauthorized", "insufficient-scope", "too-many-requests", "too-many-failures")
_ROLES = """The token's `scope` must have the role that an operation names, or a higher one; a token without `scope` \
may do everything. For a token with `pipelines`, no others exist."""
_WAYS: dict[str, dict[str, Any]] = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": _ROLES},
    "cookie": {"type": "apiKey", "in": "cookie", "name": "jwt", "description": _ROLES},
}
_STREAM_DATA = (Occurrence, StreamStart, Closing, LogPiece, LogEnd)
_IN_EVERY_PATH = {
    "id": "of the job",
    "name": "of the pipeline",
    "hook": "name of the hook",
    "task": "name of the task",
    "stream": "`stdout` or `stderr`",
}


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """Return the document."""
    schemas: dict[str, Any] = {}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    for kind in (*_STREAM_DATA, Problem):
        _schema(kind, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "prunner-trio", "version": __version__, "description": _ABOUT, "license": {"name": "MIT"}},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": _WAYS,
        },
    }


def summary_of(kind: type) -> tuple[str, dict[str, str]]:
    """Return what the docstring of a type says of it, and of its attributes by name, those of its parents included."""
    described: dict[str, str] = {}
    for parent in reversed(kind.__mro__[:-1]):
        described.update(_attributes(inspect.cleandoc(parent.__doc__ or "")))
    return inspect.cleandoc(kind.__doc__ or "").partition("\n")[0], described


def _attributes(docstring: str) -> dict[str, str]:
    found: dict[str, str] = {}
    name = ""
    for line in docstring.partition("Attributes:\n")[2].splitlines():
        if match := _ATTRIBUTE.match(line.removeprefix("    ")):
            name = match[1]
            found[name] = match[2]
        elif name:
            found[name] += " " + line.strip()
    return {key: text.strip() for key, text in found.items()}


def _operation(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"operationId": route.name, "summary": route.summary, "tags": [route.tag]}
    if parameters := [*_path_parameters(route), *_query_parameters(route), *_header_parameters(route)]:
        found["parameters"] = parameters
    if route.body is not None:
        content = {"application/json": {"schema": _schema(route.body, schemas)}}
        found["requestBody"] = {"required": route.body_required, "content": content}
    found["responses"] = {str(status): _reply(reply, schemas) for status, reply in sorted(route.replies.items())}
    if route.method == "GET" and any(reply.media != (EVENT_STREAM,) for reply in route.replies.values()):
        found["responses"]["304"] = {"description": "nothing has changed since the answer with that `ETag`"}
    for status, titles in _problems(route).items():
        schema = _schema(Problem, schemas)
        found["responses"].setdefault(
            str(status), {"description": "; ".join(titles), "content": {PROBLEM_TYPE: {"schema": schema}}}
        )
    found["responses"] = dict(sorted(found["responses"].items()))
    found["security"] = [] if route.need is None else [{way: [route.need.word]} for way in _WAYS]
    return found


def _problems(route: Route) -> dict[int, list[str]]:
    of_token = () if route.need is None else _OF_TOKENS
    names = ["invalid-query", *of_token, *route.problems, "internal-error"]
    if route.method != "GET":
        names.append("cross-origin")
    found: dict[int, list[str]] = {}
    for name in names:
        found.setdefault(KINDS[name].status, []).append(f"`{name}`: {KINDS[name].title.lower()}")
    return found


def _path_parameters(route: Route) -> Iterable[dict[str, Any]]:
    for name in _IN_PATH.findall(route.path):
        schema: dict[str, Any] = {"type": "string"}
        if name == "stream":
            schema["enum"] = ["stdout", "stderr"]
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "description": _IN_EVERY_PATH[name],
            "schema": schema,
        }


def _query_parameters(route: Route) -> Iterable[dict[str, Any]]:
    described = summary_of(route.query)[1]
    for name, (annotation, field) in fields_of(route.query).items():
        kind = required(annotation)
        schema = _schema(kind, {})
        lengths = {"minimum": "minLength", "maximum": "maxLength"} if kind is str else {}
        schema |= {lengths.get(key, key): value for key, value in field.metadata.items()}
        if field.default not in (None, attrs.NOTHING, "", ()):
            schema["default"] = field.default
        found: dict[str, Any] = {"name": name, "in": "query", "description": described[name], "schema": schema}
        if field.default is attrs.NOTHING:
            found["required"] = True
        if get_origin(kind) is tuple:
            found |= {"style": "form", "explode": False}
        yield found


def _header_parameters(route: Route) -> Iterable[dict[str, Any]]:
    for name, text in route.headers.items():
        lengths = {"minLength": 1, "maxLength": LONGEST} if name == "Idempotency-Key" else {}
        yield {"name": name, "in": "header", "description": text, "schema": {"type": "string", **lengths}}


def _reply(reply: Reply, schemas: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"description": reply.description}
    if reply.headers:
        found["headers"] = {
            name: {"description": text, "schema": {"type": "string"}} for name, text in reply.headers.items()
        }
    content: dict[str, Any] = {}
    if reply.schema is not None:
        content["application/json"] = {"schema": _schema(reply.schema, schemas)}
    for media in reply.media:
        content[media] = {"schema": {"type": "string", **(_stream_note() if media == EVENT_STREAM else {})}}
    if content:
        found["content"] = content
    return found


def _stream_note() -> dict[str, str]:
    names = ", ".join(kind.__name__ for kind in _STREAM_DATA)
    return {"description": f"server-sent events; the data of each is JSON, one of these schemas: {names}"}


def _schema(kind: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a type; those of attrs classes and enumerations are put into `schemas`."""
    if kind in _PLAIN:
        return dict(_PLAIN[kind])
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _or_null(_schema(required(kind), schemas))
    if origin is tuple:
        return {"type": "array", "items": _schema(arguments[0], schemas)}
    if inspect.isclass(kind) and issubclass(kind, StrEnum):
        return {"type": "string", "enum": [member.value for member in kind]}
    if attrs.has(kind):
        if kind.__name__ not in schemas:
            schemas[kind.__name__] = {}  # stands for it within itself
            schemas[kind.__name__] = _object(kind, schemas)
        return {"$ref": f"#/components/schemas/{kind.__name__}"}
    raise TypeError(f"no schema for {kind!r}")


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    if isinstance(schema.get("type"), str) and "enum" not in schema:
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def _object(kind: type, schemas: dict[str, Any]) -> dict[str, Any]:
    summary, described = summary_of(kind)
    properties: dict[str, Any] = {}
    must: list[str] = []
    request = kind.__name__.endswith("Request")
    for name, (annotation, field) in fields_of(kind).items():
        schema = _schema(annotation, schemas)
        properties[name] = {**schema, "description": described[name]}
        if not request or field.default is attrs.NOTHING:
            must.append(name)
    return {
        "type": "object",
        "description": summary,
        "properties": properties,
        "required": must,
        "additionalProperties": False,
    }


_PLAIN: Mapping[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    dict: {"type": "object"},
    Time: {"type": "string", "format": "date-time"},
    Uuid: {"type": "string", "format": "uuid"},
    Moment: {"type": "string", "format": "date-time"},
    Mapping[str, object]: {"type": "object"},
}
