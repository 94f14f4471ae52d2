"""Roles and hidden pipelines, over all routes of both APIs: who may do what, and nothing tells of what is hidden."""

import json
import re

import pytest
import trio

from prunner_trio.definition.pipeline import PipelineDef, TaskDef
from prunner_trio.execution.runner import StopLevel
from prunner_trio.http.rights import EVERYTHING, Rights, Role
from prunner_trio.http.seen import seen_by
from prunner_trio.model import JobQuery
from prunner_trio.testing import Act

SHOWN = PipelineDef(
    "web-shop", (TaskDef("a", ("make a",)), TaskDef("b", ("make b",), depends_on=("a",))), concurrency=9
)
HIDDEN = PipelineDef("zebrapipe", (TaskDef("zebratask", ("make zebrascript",)),), concurrency=2, env={"ZEBRA": "x"})
ACTS = {
    "a": Act(1, stdout="shown\n"),
    "b": Act(2),
    "zebratask": Act(1000, stdout="zebraout\n", stderr="zebraerr\n"),
}
UNKNOWN = "00000000-0000-4000-8000-ffffffffffff"
ROLES = {None: 3, "admin": 3, "run": 2, "read": 1, "read other": 1, "other": 0, "": 0}
RANKS = {"read": 1, "run": 2, "admin": 3}
PRUNNER = {
    ("GET", "/pipelines"): "read",
    ("GET", "/pipelines/"): "read",
    ("GET", "/pipelines/jobs"): "read",
    ("POST", "/pipelines/schedule"): "run",
    ("GET", "/job/detail?id={id}"): "read",
    ("GET", "/job/logs?id={id}&task={task}"): "read",
    ("POST", "/job/cancel?id={id}"): "run",
}
HOOK = "/v1/hooks/{hook}"


def filled(path, job_id, pipeline="web-shop", task="a"):
    values = {"id": job_id, "task": task, "stream": "stdout"}
    return re.sub(r"\{(\w+)\}", lambda match: values.get(match[1], pipeline), path)


async def status_of(api, method, target, token):
    async with api.stream(target, method=method, auth=token, body=b"{}", content_type="application/json") as stream:
        if stream.status != 403:
            return stream.status, "", {}
        return stream.status, stream.headers["www-authenticate"], json.loads(await stream.rest())


async def documented(api):
    """Return method, path and role (empty: no token) of all routes of API v1."""
    found = await api.get("/v1/openapi.json")
    for path, methods in found["paths"].items():
        for method, operation in methods.items():
            roles = {role for way in operation["security"] for words in way.values() for role in words}
            assert len(roles) <= 1
            yield method.upper(), path, next(iter(roles), ""), operation["responses"]


@pytest.mark.parametrize("scope", ROLES)
def test_every_route_is_answered_to_the_roles_that_the_document_names(play, token, scope):
    async def scenario(api):
        bearer = token(sub="jane", **({} if scope is None else {"scope": scope}))
        routes = [(method, path, role) async for method, path, role, _ in documented(api)]
        changing = {path: role for method, path, role in routes if method != "GET"}
        assert changing.pop("/v1/jobs") == changing.pop("/v1/jobs/{id}/cancel") == "run"
        assert changing.pop("/v1/sign-in-links") == "read"  # it gives what the token itself gives
        assert changing.pop(HOOK) == ""  # a request to it has its own proof: see test_v1_hooks.py
        assert all(RANKS[role] >= RANKS["run"] for role in changing.values())
        assert {path for _, path, role in routes if not role} == {"/healthz", "/readyz", HOOK}
        routes = [each for each in routes if each[1] != HOOK]
        for method, path, role in [*routes, *((*each, role) for each, role in PRUNNER.items())]:
            job_id = await api.schedule("web-shop")
            status, header, said = await status_of(api, method, filled(path, job_id), bearer)
            assert (status == 403) == (ROLES[scope] < RANKS.get(role, 0)), (method, path, status)
            if status == 403:
                assert header == f'Bearer error="insufficient_scope", scope="{role}"'
                if path.startswith("/v1"):
                    assert said["type"] == "urn:prunner-trio:problem:insufficient-scope"
                    assert f"{role!r} or more" in said["detail"]
                else:
                    assert list(said) == ["error"]
                live = api.rig.runner.job(job_id)
                assert live is None or live.view().stop is None

    play(scenario, SHOWN, acts=ACTS)


def test_a_role_that_is_too_low_is_refused_as_the_document_says(play, token):
    async def scenario(api):
        async for method, path, role, responses in documented(api):
            assert ("`insufficient-scope`" in responses.get("403", {"description": ""})["description"]) == bool(role)
            if role:
                got = await api(method, filled(path, UNKNOWN), b"{}", auth=token(scope=""))
                assert got.problem == (403, "insufficient-scope"), path
        page = (await api("GET", "/v1/docs")).body.decode()
        assert "Role: <code>run</code>" in page

    play(scenario, SHOWN)


def test_without_a_valid_token_the_role_is_not_even_looked_at(play, token):
    async def scenario(api):
        got = await api("POST", "/v1/jobs", {}, auth=token("another-secret-of-32-bytes-or-more", scope="admin"))
        assert got.problem == (401, "unauthorized")

    play(scenario, SHOWN)


async def hidden_jobs(api):
    """Schedule jobs that nobody restricted may see: one that is over, one that runs, one that waits or runs."""
    asked = {"variables": {"zebraname": "zebravalue"}, "partition": "zebrapart"}
    ids = [await api.schedule("zebrapipe", **asked) for _ in range(3)]
    await api.rig.at(5)
    got = await api("POST", f"/v1/jobs/{ids[0]}/cancel?wait=60")
    assert got.json["outcome"] == "canceled"
    await trio.testing.wait_all_tasks_blocked()
    return ids


def targets(job_id, pipeline, task):
    """Yield questions about a job and a pipeline."""
    for path in (
        "/v1/pipelines/{name}",
        "/v1/jobs/{id}",
        "/v1/jobs/{id}/tasks",
        "/v1/jobs/{id}/tasks/{task}",
        "/v1/jobs/{id}/tasks/{task}/logs/{stream}",
        "/v1/jobs/{id}/tasks/{task}/logs/{stream}?follow=1",
        "/v1/jobs/{id}/tasks/{task}/logs/{stream}?tail=5",
        "/v1/jobs/{id}/tasks/{task}/logs/{stream}/lines",
        "/v1/jobs/{id}/tasks/{task}/logs/{stream}/matches?text=zebra",
        "/v1/jobs/{id}/events",
        "/v1/job/logs?id={id}&task={task}",
        "/v1/jobs?pipeline={name}",
        "/job/detail?id={id}",
        "/job/logs?id={id}&task={task}",
    ):
        yield "GET", filled(path, job_id, pipeline, task), None
    yield "POST", f"/v1/jobs/{job_id}/cancel", None
    yield "POST", f"/v1/jobs/{job_id}/cancel?wait=5", None
    yield "POST", f"/job/cancel?id={job_id}", None
    yield "POST", "/v1/jobs", {"pipeline": pipeline}
    yield "POST", "/v1/jobs", {"pipeline": pipeline, "variables": {"x": 1}, "partition": "p"}
    yield "POST", "/pipelines/schedule", {"pipeline": pipeline}


@pytest.mark.parametrize("draining", [False, True])
def test_what_is_hidden_is_answered_as_what_does_not_exist(play, token, draining):
    async def scenario(api):
        bearer = token(sub="bob", scope="admin", pipelines=["web-*"])
        ids = await hidden_jobs(api)
        if draining:
            api.rig.runner.request_shutdown(StopLevel.DRAIN)
        for job_id in ids:
            hidden = targets(job_id, "zebrapipe", "zebratask")
            for (method, target, body), (_, other, unknown) in zip(
                hidden, targets(UNKNOWN, "unknownxyz", "unknowntask"), strict=True
            ):
                got = await api(method, target, body, auth=bearer)
                expected = await api(method, other, unknown, auth=bearer)
                names = {UNKNOWN: job_id, "unknownxyz": "zebrapipe", "unknowntask": "zebratask"}
                text = expected.body.decode()
                for name, instead in names.items():
                    text = text.replace(name, instead)
                assert (got.status, got.body.decode()) == (expected.status, text), (method, target)
                assert got.headers.keys() == expected.headers.keys()
                assert got.status in (400, 404, 422) or target.startswith("/v1/jobs?")
        live = {job.id for job in api.rig.runner.live() if job.stop is None}
        assert live == set(ids[1:])
        assert len(await api.rig.runner.jobs()) == 3

    play(scenario, SHOWN, HIDDEN, acts=ACTS)


def test_no_answer_about_everything_tells_of_what_is_hidden(play, token):
    async def scenario(api):
        bearer = token(sub="jane", scope="admin", pipelines=["web-*"])
        shown = [await api.schedule("web-shop") for _ in range(3)]
        await hidden_jobs(api)
        shown += [await api.schedule("web-shop", variables={"x": "y"}) for _ in range(3)]
        await hidden_jobs(api)
        asked = {}
        for target in (
            *(
                "/v1/pipelines",
                "/v1/jobs",
                "/v1/jobs?limit=2",
                "/v1/jobs?text=zebra",
                "/v1/jobs?user=jane&state=running",
            ),
            *("/v1/openapi.json", "/v1/docs", "/healthz", "/readyz", "/pipelines", "/pipelines/", "/pipelines/jobs"),
        ):
            got = asked[target] = await api("GET", target, auth=bearer)
            assert got.status == 200
            assert b"zebra" not in got.body.lower()
        assert [job["id"] for job in asked["/v1/jobs"].json["jobs"]] == shown[::-1]
        assert [job["id"] for job in asked["/pipelines/jobs"].json["jobs"]] == shown[::-1]
        assert [pipeline["name"] for pipeline in asked["/v1/pipelines"].json["pipelines"]] == ["web-shop"]
        assert [pipeline["pipeline"] for pipeline in asked["/pipelines"].json["pipelines"]] == ["web-shop"]
        assert asked["/v1/jobs?text=zebra"].json == {"jobs": [], "older": None, "newer": None}
        pages, cursor = [], ""
        while cursor is not None:
            page = (await api("GET", f"/v1/jobs?limit=2{cursor and '&cursor=' + cursor}", auth=bearer)).json
            pages.append([job["id"] for job in page["jobs"]])
            cursor = page["older"]
        assert [page for page in pages if page] == [shown[:3:-1], shown[3:1:-1], shown[1::-1]]

    play(scenario, SHOWN, HIDDEN, acts=ACTS)


def test_tags_do_not_change_when_only_hidden_things_do(play, token):
    async def scenario(api):
        bearer = token(sub="jane", pipelines=["web-shop"])
        await api.schedule("web-shop")
        await hidden_jobs(api)
        paths = ("/v1/jobs", "/v1/pipelines", "/pipelines/jobs")
        tags = {path: (await api("GET", path, auth=bearer)).headers["etag"] for path in paths}
        await hidden_jobs(api)
        for path, tag in tags.items():
            assert (await api("GET", path, auth=bearer, if_none_match=tag)).status == 304, path
            assert (await api("GET", path, if_none_match=tag)).status == 200, path
        await api.schedule("web-shop")
        for path, tag in tags.items():
            assert (await api("GET", path, auth=bearer, if_none_match=tag)).status == 200, path

    play(scenario, SHOWN, HIDDEN, acts=ACTS)


def test_a_stream_of_all_events_has_those_that_are_seen_alone(play, token):
    async def scenario(api):
        bearer = token(sub="jane", scope="read", pipelines=["web-*"])
        async with api.stream("/v1/events", auth=bearer) as some, api.stream("/v1/events") as all_of_them:
            await some.event()
            await all_of_them.event()
            await hidden_jobs(api)
            job_id = await api.schedule("web-shop")
            await hidden_jobs(api)
            await api.rig.at(50)
            heard = [await some.event() for _ in range(7)]
            whole = [await all_of_them.event()]
            while len([event for event in whole if event.data["pipeline"] == "web-shop"]) < 7:
                whole.append(await all_of_them.event())
        assert {event.data["job"] for event in heard} == {job_id}
        assert heard == [event for event in whole if event.data["pipeline"] == "web-shop"]
        assert {event.data["pipeline"] for event in whole} == {"web-shop", "zebrapipe"}
        async with api.stream("/v1/events", auth=bearer, last_event_id=heard[2].id) as again:
            assert [await again.event() for _ in range(4)] == heard[3:]

    play(scenario, SHOWN, HIDDEN, acts=ACTS)


def test_hidden_events_do_not_show_in_the_rhythm_of_a_stream(play, token):
    async def scenario(api):
        async with api.stream("/v1/events", auth=token(pipelines=["web-*"])) as stream:
            await stream.piece()
            began = trio.current_time()
            async with trio.open_nursery() as nursery:

                async def be_busy():
                    while True:
                        await api.schedule("zebrapipe")
                        await trio.sleep(1)

                nursery.start_soon(be_busy)
                at = []
                for _ in range(3):
                    assert await stream.piece() == b":\n\n"
                    at.append(round(trio.current_time() - began, 3))
                nursery.cancel_scope.cancel()
        assert at == [15.0, 30.0, 45.0]

    play(scenario, SHOWN, HIDDEN, acts=ACTS)


def test_an_idempotency_key_leads_nobody_to_a_hidden_job(play, token):
    async def scenario(api):
        some, none = token(sub="jane", pipelines=["web-*"]), token(sub="jane", pipelines=[])
        await api("POST", "/v1/jobs", {"pipeline": "zebrapipe"}, idempotency_key="k")
        first = await api("POST", "/v1/jobs", {"pipeline": "web-shop"}, auth=some, idempotency_key="k")
        again = await api("POST", "/v1/jobs", {"pipeline": "web-shop"}, auth=some, idempotency_key="k")
        assert (first.status, again.status) == (202, 202)
        assert first.json["id"] == again.json["id"]
        assert again.headers["idempotency-replayed"] == "true"
        for body in ({"pipeline": "zebrapipe"}, {"pipeline": "web-shop"}):
            got = await api("POST", "/v1/jobs", body, auth=none, idempotency_key="k")
            assert got.problem == (422, "invalid-content")
        assert len(await api.rig.runner.jobs()) == 2

    play(scenario, SHOWN, HIDDEN, acts=ACTS)


def test_within_its_pipelines_a_restricted_token_does_what_its_role_allows(play, token):
    async def scenario(api):
        bearer = token(sub="bob", scope="run", pipelines=["zebra*"])
        job_id = (await api("POST", "/v1/jobs", {"pipeline": "zebrapipe"}, auth=bearer)).json["id"]
        await api.rig.at(3)
        log = await api("GET", f"/v1/jobs/{job_id}/tasks/zebratask/logs/stdout", auth=bearer)
        assert log.body == b"zebraout\n"
        async with api.stream(f"/v1/jobs/{job_id}/events", auth=bearer) as stream:
            await stream.event()
            assert (await api("POST", f"/job/cancel?id={job_id}", auth=bearer)).status == 200
            assert (await stream.events("end"))[-2].data["state"] == "canceled"
        assert (await api.rig.runner.find(job_id)).stop.by == "bob"
        old = await api("POST", "/pipelines/schedule", {"pipeline": "zebrapipe"}, auth=bearer)
        assert (await api("GET", f"/job/detail?id={old.json['jobId']}", auth=bearer)).json["user"] == "bob"

    play(scenario, SHOWN, HIDDEN, acts=ACTS)


def test_jobs_of_a_pipeline_that_is_no_more_defined_stay_hidden_or_seen(play, token):
    async def scenario(api):
        job_id = await api.schedule("web-shop")
        hidden = (await hidden_jobs(api))[0]
        await api.rig.at(20)
        api.rig.runner.replace_definitions(type(api.rig.runner.definitions).of())
        got = await api("GET", "/v1/jobs", auth=token(pipelines=["web-*"]))
        assert [job["id"] for job in got.json["jobs"]] == [job_id]
        assert (await api("GET", f"/v1/jobs/{hidden}", auth=token(pipelines=["web-*"]))).status == 404
        assert (await api("GET", f"/v1/jobs/{hidden}", auth=token(pipelines=["zebra*"]))).status == 200

    play(scenario, SHOWN, HIDDEN, acts=ACTS)


def test_pages_of_a_seen_runner_are_full(play):
    async def scenario(api):
        for name in ("web-shop", "zebrapipe", "zebrapipe", "web-shop", "zebrapipe", "web-shop"):
            await api.schedule(name)
        seen = seen_by(api.rig.runner, Rights(Role.READ, ("web-*",)))
        numbers = [job.number for job in await seen.jobs(limit=2)]
        assert numbers == [6, 4]
        assert [job.number for job in await seen.jobs(limit=2, before=4)] == [1]
        assert await seen.jobs(limit=2, before=1) == []
        assert [job.number for job in await seen.search(JobQuery(limit=2))] == [6, 4]
        assert await seen.search(JobQuery(among=("zebrapipe",))) == []
        assert sorted(job.pipeline for job in seen.live()) == ["web-shop"] * 3
        assert seen_by(api.rig.runner, EVERYTHING) is api.rig.runner

    play(scenario, SHOWN, HIDDEN, acts={"a": Act(10)})
