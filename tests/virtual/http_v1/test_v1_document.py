"""The OpenAPI document: it is valid, and what the daemon answers is what it says."""

import hashlib
import hmac
import re

import pytest
from openapi_spec_validator import validate
from tests.openapi import Document

from prunner_trio.definition import HookKind, IncomingHook
from prunner_trio.definition.pipeline import PipelineDef, QueueStrategy, TaskDef
from prunner_trio.http.v1.problems import KINDS
from prunner_trio.storage.memory import MemoryJournal
from prunner_trio.testing import Act

PIPELINES = (
    PipelineDef(
        "build",
        (TaskDef("a", ("make {{ .x }}",)), TaskDef("b", ("make b",), depends_on=("a",), timeout=60.0)),
        on_error=TaskDef("on_error", ("tell",)),
        env={"A": "b"},
    ),
    PipelineDef(
        "wait",
        (TaskDef("t", ("run",)),),
        start_delay=3600.0,
        queue_strategy=QueueStrategy.REPLACE,
        hooks=(IncomingHook("h", HookKind.GITHUB, events=("push",)),),
    ),
)
SECRET_OF_HOOK = b"a secret of a hook for tests"
ACTS = {"a": [Act(exit_code=1, stdout="hello\n"), Act(1000, stdout="hello\n")]}


async def document_of(api):
    return Document(await api.get("/v1/openapi.json"))


def test_the_document_is_valid_and_describes_everything(play):
    async def scenario(api):
        document = await document_of(api)
        validate(document.content)
        assert document.content["openapi"].startswith("3.1")
        names = [o["operationId"] for methods in document.content["paths"].values() for o in methods.values()]
        assert len(names) == len(set(names)) == 28
        for name, schema in document.content["components"]["schemas"].items():
            assert schema["description"], name
            for member, held in schema["properties"].items():
                assert held["description"], (name, member)

    play(scenario, *PIPELINES)


def test_every_route_answers_what_the_document_says(play):
    journal = MemoryJournal()

    async def scenario(api):
        document = await document_of(api)
        failed = await api.schedule("build", variables={"x": {"y": [1]}}, partition="p")
        await api.rig.at(5)
        running, waiting = await api.schedule("build", variables={"x": 2}), await api.schedule("wait")
        await api.schedule("wait")
        targets = {
            "/v1/pipelines": [""],
            "/v1/pipelines/{name}": ["/v1/pipelines/build", "/v1/pipelines/wait", "/v1/pipelines/nope"],
            "/v1/jobs": ["", "?limit=1", "?text=x&state=done", "?limit=0"],
            "/v1/jobs/{id}": [f"/v1/jobs/{each}" for each in (failed, running, waiting, "nope")],
            "/v1/jobs/{id}/tasks": [f"/v1/jobs/{each}/tasks" for each in (failed, running, waiting, "nope")],
            "/v1/jobs/{id}/tasks/{task}": [f"/v1/jobs/{failed}/tasks/{name}" for name in ("a", "on_error", "nope")],
            "/v1/jobs/{id}/tasks/{task}/logs/{stream}": [
                f"/v1/jobs/{failed}/tasks/a/logs/{rest}"
                for rest in ("stdout", "stderr", "stdout?tail=1", "stdout?follow=1", "stdout?x=1")
            ],
            "/v1/jobs/{id}/tasks/{task}/logs/{stream}/lines": [
                f"/v1/jobs/{failed}/tasks/{rest}"
                for rest in ("a/logs/stdout/lines", "a/logs/x/lines", "b/logs/stdout/lines")
            ],
            "/v1/jobs/{id}/tasks/{task}/logs/{stream}/matches": [
                f"/v1/jobs/{failed}/tasks/a/logs/stderr/matches{rest}" for rest in ("?text=a", "", "?text=a&line=x")
            ],
            "/v1/job/logs": [f"?id={failed}&task=a", f"?id={running}&task=a", "?id=x"],
            "/v1/jobs/{id}/events": [f"/v1/jobs/{failed}/events", "/v1/jobs/nope/events"],
            "/v1/queue": [""],
            "/v1/jobs/{id}/audit": [f"/v1/jobs/{each}/audit" for each in (failed, "nope")],
            "/v1/pipelines/{name}/audit": ["/v1/pipelines/build/audit", "/v1/pipelines/nope/audit"],
            "/healthz": [""],
            "/readyz": [""],
            "/v1/openapi.json": [""],
            "/v1/docs": [""],
        }
        seen = set()
        for path, rest in targets.items():
            for each in rest:
                target = each if each.startswith("/") else path + each
                document.check("GET", path, got := await api("GET", target))
                seen.add(("GET", path))
                if tag := got.headers.get("etag"):
                    again = await api("GET", target, if_none_match=tag)
                    assert again.status == 304, target
                    document.check("GET", path, again)
        log = f"/v1/jobs/{failed}/tasks/a/logs/stdout"
        for headers in ({"range": "bytes=0-1"}, {"range": "bytes=99-"}):
            document.check("GET", "/v1/jobs/{id}/tasks/{task}/logs/{stream}", await api("GET", log, **headers))
        for body in ({"pipeline": "wait"}, {"pipeline": 1}, {"nope": 1}, b"{"):
            got = await api("POST", "/v1/jobs", body, content_type="application/json", idempotency_key="k")
            document.check("POST", "/v1/jobs", got)
        document.check("POST", "/v1/jobs", await api("POST", "/v1/jobs", b"x"))
        secret, signed = SECRET_OF_HOOK, {"content_type": "application/json"}
        for body, event in ((b"{}", "push"), (b"{}", "ping"), (b"{}", "fork"), (b"[]", "push"), (b"{", "push")):
            proof = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
            got = await api("POST", "/v1/hooks/h", body, x_github_event=event, x_hub_signature_256=proof, **signed)
            document.check("POST", "/v1/hooks/{hook}", got)
        document.check("POST", "/v1/hooks/{hook}", await api("POST", "/v1/hooks/h", b"{}"))
        steered = [
            ("/v1/jobs/{id}/retry", failed, b""),
            ("/v1/jobs/{id}/retry", failed, {"only_failed": True, "variables": {"x": 3}}),
            ("/v1/jobs/{id}/retry", failed, {"nope": 1}),
            ("/v1/jobs/{id}/retry", waiting, {}),
            ("/v1/jobs/{id}/move", waiting, {"to": 1}),
            ("/v1/jobs/{id}/move", failed, {"to": 1}),
            ("/v1/jobs/{id}/move", waiting, {"to": 0}),
            ("/v1/jobs/{id}/tasks/a/cancel", failed, b""),
            ("/v1/jobs/{id}/tasks/a/cancel", running, b""),
            ("/v1/jobs/{id}/tasks/nope/cancel", running, b""),
            *((f"/v1/pipelines/{name}/{verb}", "", b"") for name in ("wait", "no") for verb in ("pause", "resume")),
        ]
        for path, job_id, body in steered:
            got = await api("POST", path.replace("{id}", job_id), body, content_type="application/json")
            path = re.sub("/tasks/.*/", "/tasks/{task}/", re.sub("pipelines/.*/", "pipelines/{name}/", path))
            document.check("POST", path, got)
            seen.add(("POST", path))
        for job_id, query in ((running, ""), (running, "?wait=60"), (failed, ""), ("nope", ""), (waiting, "?w=1")):
            got = await api("POST", f"/v1/jobs/{job_id}/cancel{query}")
            document.check("POST", "/v1/jobs/{id}/cancel", got)
        async with api.stream("/v1/events") as stream:
            assert stream.headers["content-type"] in document.response("GET", "/v1/events", 200)["content"]
        document.check("POST", "/v1/sign-in-links", await api("POST", "/v1/sign-in-links"))
        seen |= {
            ("POST", "/v1/sign-in-links"),
            ("POST", "/v1/jobs"),
            ("POST", "/v1/jobs/{id}/cancel"),
            ("GET", "/v1/events"),
        }
        seen.add(("POST", "/v1/hooks/{hook}"))
        assert seen == set(document.routes())
        journal.fail_adds = True
        document.check("GET", "/readyz", await api("GET", "/readyz"))

    play(scenario, *PIPELINES, acts=ACTS, journal=journal, hook_secrets=lambda _: SECRET_OF_HOOK)


def test_the_data_of_events_is_what_the_document_says(play):
    async def scenario(api):
        document = await document_of(api)
        kinds = {"ready": "StreamStart", "job": "Occurrence", "task": "Occurrence", "end": "Closing"}
        job_id = await api.schedule("build", variables={"x": 1})
        async with api.stream(f"/v1/jobs/{job_id}/events") as stream:
            events = await stream.events("end")
        sse = {"accept": "text/event-stream"}
        async with api.stream(f"/v1/jobs/{job_id}/tasks/a/logs/stdout?follow=1", **sse) as stream:
            logs = await stream.events("end")
        for event in events:
            document.check_value({"$ref": f"#/components/schemas/{kinds[event.name]}"}, event.data)
        for event in logs:
            schema = {"log": "LogPiece", "end": "LogEnd"}[event.name]
            document.check_value({"$ref": f"#/components/schemas/{schema}"}, event.data)
        assert {event.name for event in (*events, *logs)} == {"ready", "job", "task", "end", "log"}

    play(scenario, *PIPELINES, acts={"a": Act(1, exit_code=1, stdout="x")})


def test_nothing_but_health_is_answered_without_a_valid_token(play, token):
    async def scenario(api):
        document = await document_of(api)
        job_id = await api.schedule("build", variables={"x": 1})
        unknown = [("GET", "/v1"), ("GET", "/v1/"), ("GET", "/v1/nope"), ("DELETE", "/v1/jobs"), ("HEAD", "/v1/jobs")]
        refused = 0
        for method, path in [*document.routes(), *unknown]:
            target = re.sub(
                r"\{(\w+)\}", lambda m: {"id": job_id, "task": "a", "stream": "stdout"}.get(m[1], "build"), path
            )
            for auth in ("", "x.y.z", token("another-secret-of-32-bytes-or-more", sub="jane"), token(exp=1)):
                got = await api(method, target, auth=auth)
                if path in ("/healthz", "/readyz"):
                    assert got.status == 200
                    continue
                if path == "/v1/hooks/{hook}":  # it has its own proof
                    assert got.problem == (403, "hook-refused")
                    continue
                assert got.problem == (401, "unauthorized"), (method, path)
                assert got.headers["www-authenticate"] == "Bearer"
                refused += 1
        assert refused == 4 * (len(list(document.routes())) - 3 + len(unknown))
        assert [job.id for job in api.rig.runner.live()] == [job_id]

    play(scenario, *PIPELINES, acts={"a": Act(100)})


def test_the_page_needs_nothing_from_elsewhere_and_no_script(play):
    async def scenario(api):
        page = await api("GET", "/v1/docs")
        text = page.body.decode()
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert page.headers["content-security-policy"].startswith("default-src 'none'; base-uri 'none';")
        assert not re.search(r"<script|<link|<img|src=|https?:|@import|url\(|style=|\son\w+=", text)
        for path in (await document_of(api)).content["paths"]:
            assert f"<code>{path}</code>" in text
        ids = re.findall(r' id="([^"]+)"', text)
        assert len(ids) == len(set(ids))
        assert set(re.findall(r'href="#([^"]+)"', text)) <= set(ids)

    play(scenario, *PIPELINES)


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_problem_is_named_in_the_document(play, name):
    async def scenario(api):
        text = (await api("GET", "/v1/openapi.json")).body.decode()
        assert f"`{name}`" in text or name in ("not-found", "method-not-allowed")

    play(scenario, *PIPELINES)


def test_a_defect_is_an_internal_error_and_nothing_more(play, monkeypatch, caplog):
    async def scenario(api):
        def broken(self):
            raise ZeroDivisionError("secret details")

        monkeypatch.setattr(type(api.rig.runner), "pipelines", broken)
        got = await api("GET", "/v1/pipelines")
        assert got.problem == (500, "internal-error")
        assert b"secret" not in got.body
        assert "secret details" in caplog.text

    play(scenario, *PIPELINES)
