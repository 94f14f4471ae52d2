"""Requests made from the document, and some that it forbids: each answer is one that it has, and none is a defect.

The strategies are made from the routes and parameters of the document, so a route that is new is asked as well.
"""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import quote, quote_plus

import attrs
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.openapi import Document

from prunner_trio.definition import HookKind, IncomingHook, PipelineDef, TaskDef
from prunner_trio.http.v1 import openapi
from prunner_trio.http.v1.steering_table import steering_routes
from prunner_trio.http.v1.table import own_routes, routes
from prunner_trio.testing import Act

PIPELINES = (
    PipelineDef("build", (TaskDef("a", ("make",)), TaskDef("b/ä", ("make b",), depends_on=("a",))), concurrency=50),
    PipelineDef("wait", (TaskDef("t", ("run",)),), hooks=(IncomingHook("h", HookKind.GENERIC),)),
)
ACTS = {"a": Act(1, stdout="hello\n"), "t": Act(10_000)}
OPEN = {"/healthz": 200, "/readyz": 200, "/v1/hooks/{hook}": 403}
AT_ONCE = 12
NOT_TOLD = {"cursor", "since", "offset", "limit", "tail", "Range", "Idempotency-Key"}
"""Parameters of which the document does not tell all: what goes with what, and which texts are those of an answer."""


class _NoHandlers:
    """Stands for the handlers of the routes, which are only described."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        async def handler(call: object) -> Any:
            raise AssertionError(name)

        return handler


def described() -> Document:
    handlers: Any = _NoHandlers()
    own = own_routes(handlers.document, handlers.page)
    return Document(openapi.document([*routes(handlers), *steering_routes(handlers), *own]))


DOCUMENT = described()
ROUTES = sorted(DOCUMENT.routes())

NASTY = st.one_of(
    st.sampled_from(
        [
            "",
            "\0",
            "..",
            "../../etc/passwd",
            "\ud800",
            "\u202e\u0000\ufeff",
            "💥" * 50,
            "a" * 5000,
            "'; DROP TABLE job; --",
            "%s%n{0}{{ .x }}${jndi:ldap://x}",
            "-1",
            "9" * 40,
            "1e309",
            "NaN",
            "٣",
            "true\r\nX-Evil: 1",
        ]
    ),
    st.text(max_size=30),
    st.text(st.characters(min_codepoint=0x80), max_size=8),
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | NASTY,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NASTY, inner, max_size=3),
    max_leaves=8,
)
BODIES = st.one_of(
    st.fixed_dictionaries(
        {"pipeline": st.sampled_from(["build", "wait", "nope"]) | VALUES},
        optional={"variables": st.dictionaries(NASTY, VALUES, max_size=3) | VALUES, "partition": NASTY | VALUES},
    ),
    VALUES,
).map(lambda value: json.dumps(value).encode()) | st.binary(max_size=40)


@attrs.frozen
class Asked:
    """A request; `{id}` in its target stands for a job's id."""

    method: str
    path: str
    target: str
    headers: dict[str, str]
    body: bytes
    sane: bool


@attrs.frozen
class Head:
    """The beginning of an answer that goes on."""

    headers: dict[str, str]
    status: int = 200
    body: bytes = b""


def percent(text: str, *, plus: bool = False) -> str:
    raw = text.encode("utf-8", "surrogatepass")
    return quote_plus(raw) if plus else quote(raw, safe="")


def fit(schema: dict[str, Any]) -> st.SearchStrategy[str]:
    """Return texts that a schema of a parameter allows."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema["type"] == "array":
        return st.lists(fit(schema["items"]), min_size=1, max_size=3).map(",".join)
    if schema.get("format") == "date-time":
        return st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2900, 1, 1)).map(
            lambda at: f"{at.isoformat()}Z"
        )
    low, high = schema.get("minimum", 0), schema.get("maximum", 10**15)
    match schema["type"]:
        case "integer":
            return st.integers(low, high).map(str)
        case "number":
            return st.floats(low, high, allow_nan=False).map(repr)
        case "boolean":
            return st.sampled_from(["true", "false"])
    return st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
        min_size=schema.get("minLength", 0),
        max_size=min(schema.get("maxLength", 20), 300),
    )


PATHS = {
    "id": st.just("{id}"),
    "name": st.sampled_from(["build", "wait", "nope"]),
    "hook": st.sampled_from(["h", "nope"]),
    "task": st.sampled_from(["a", "b/ä", "nope"]),
    "stream": st.sampled_from(["stdout", "stderr"]),
}


@st.composite
def requests(draw: st.DrawFn, method: str, path: str) -> Asked:
    parameters = DOCUMENT.content["paths"][path][method.lower()].get("parameters", [])
    sane = draw(st.booleans())
    target, query, headers = path, [], {}
    for each in parameters:
        name, wild = each["name"], not sane and draw(st.booleans())
        if each["in"] == "path":
            text = draw(NASTY if wild else PATHS[name])
            target = target.replace(f"{{{name}}}", text if text == "{id}" else percent(text))
        elif each["in"] == "query":
            if each.get("required") or draw(st.integers(0, 2)) == 0:
                text = "{id}" if name == "id" and not wild else draw(NASTY if wild else fit(each["schema"]))
                query.append(f"{name}={text if text == '{id}' else percent(text, plus=True)}")
        elif draw(st.integers(0, 3)) == 0:
            headers[name] = draw(NASTY if wild else fit(each["schema"]))
    if not sane and draw(st.booleans()):
        query.append(f"{percent(draw(NASTY))}={percent(draw(NASTY))}")
    body = b""
    if method == "POST":
        body = draw(BODIES)
        headers["content-type"] = draw(st.sampled_from(["application/json"] * 4 + ["text/plain", "", "é"]))
    return Asked(method, path, target + ("?" + "&".join(query) if query else ""), headers, body, sane)


FEW = settings(
    max_examples=3,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def as_sent(headers: dict[str, str]) -> dict[str, str]:
    """Return headers as our server lets them through: without the characters that no field may have."""
    clean = {
        name.replace("-", "_").lower(): "".join(c for c in value if c.isprintable()).encode(errors="replace").decode()
        for name, value in headers.items()
    }
    return {name: value for name, value in clean.items() if value}


async def ask(api, asked: Asked, job_id: str, **more: Any) -> Any:
    target = asked.target.replace("{id}", job_id)
    headers = as_sent(asked.headers)
    if asked.method == "GET" and ("events" in asked.path or "follow=true" in target):
        async with api.stream(target, method=asked.method, **headers, **more) as stream:
            if stream.status == 200:
                return Head(stream.headers)
    return await api(asked.method, target, asked.body, **headers, **more)


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
@given(data=st.data())
@FEW
def test_every_answer_is_one_that_the_document_has(play, route, data):
    asked = data.draw(st.lists(requests(*route), min_size=AT_ONCE, max_size=AT_ONCE))

    async def scenario(api):
        job_id = await api.schedule("build")
        await api.rig.at(5)
        for each in asked:
            got = await ask(api, each, job_id)
            assert got.status < 500, (each, got)
            if each.sane and got.status == 400 and not each.body:
                found = {error["parameter"] for error in got.json["errors"]}
                assert found <= NOT_TOLD, (each, got)
            if (
                got.status != 405 and got.status != 404
            ) or each.sane:  # with a slash or nothing in a name, another path or none
                DOCUMENT.check(each.method, each.path, got)

    play(scenario, *PIPELINES, acts=ACTS)


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
@given(data=st.data())
@FEW
def test_without_a_token_nothing_but_the_open_routes_answers(play, route, data):
    asked = data.draw(st.lists(requests(*route), min_size=AT_ONCE, max_size=AT_ONCE))
    token = data.draw(st.sampled_from(["", "x", "x.y.z", "é"]))

    async def scenario(api):
        job_id = await api.schedule("wait")
        for each in asked:
            got = await ask(api, each, job_id, auth=token)
            expected = OPEN.get(each.path, 401)
            if expected == 401:
                assert got.status == 401, (each, got)
            else:
                assert got.status in (expected, 400, 404, 405, 401), (each, got)
        assert [job.id for job in api.rig.runner.live()] == [job_id]

    play(scenario, *PIPELINES, acts=ACTS)


def test_the_document_that_is_asked_is_the_one_that_is_served(play):
    async def scenario(api):
        assert await api.get("/v1/openapi.json") == DOCUMENT.content

    play(scenario, *PIPELINES)
