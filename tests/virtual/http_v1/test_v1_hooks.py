"""Incoming webhooks: who is let in, which events start a job, with which variables, and how often."""

import hashlib
import hmac
import json
import logging
from typing import Any

import pytest

from prunner_trio.definition import HookKind, HookVariable, IncomingHook, PipelineDef, TaskDef, VariableType
from prunner_trio.definition.pipeline import Definitions, QueueStrategy
from prunner_trio.http.v1.incoming import judge
from prunner_trio.storage.memory import MemoryJournal
from prunner_trio.testing import EPOCH, Act

SECRETS = {name: f"the secret of {name} for tests".encode() for name in ("hub", "lab", "any", "part", "full", "no")}
TASKS = (TaskDef("t", ("run",)),)
SITE = PipelineDef(
    "site",
    TASKS,
    queue_limit=100,
    hooks=(
        IncomingHook(
            "hub",
            HookKind.GITHUB,
            events=("push", "release.published"),
            branches=("main", "release/*"),
            variables=(
                HookVariable("commit", "head_commit.id", "none"),
                HookVariable("author", "commits[0].author.name", "nobody"),
                HookVariable("size", "size", type=VariableType.INTEGER),
                HookVariable("branch", "@branch"),
            ),
        ),
        IncomingHook("lab", HookKind.GITLAB, events=("push", "merge_request.open"), branches=("main",)),
        IncomingHook("any", HookKind.GENERIC, variables=(HookVariable("all", "data", "none"),)),
        IncomingHook("lost", HookKind.GITHUB),
    ),
)
PART = PipelineDef(
    "part",
    TASKS,
    queue_strategy=QueueStrategy.PARTITIONED_REPLACE,
    queue_partition_limit=1,
    hooks=(IncomingHook("part", HookKind.GENERIC, partition="number"),),
)
FULL = PipelineDef("full", TASKS, queue_limit=0, hooks=(IncomingHook("full", HookKind.GENERIC),))
PIPELINES = (SITE, PART, FULL)
ACTS = {"t": Act(1000)}
PUSH: dict[str, Any] = {
    "ref": "refs/heads/main",
    "size": "2",
    "head_commit": {"id": "abc"},
    "commits": [{"author": {"name": "Jane"}}],
}


def secret_of(hook: IncomingHook) -> bytes | None:
    return SECRETS.get(hook.name)


def signature(secret: bytes, *parts: bytes) -> str:
    return "sha256=" + hmac.new(secret, b"".join(parts), hashlib.sha256).hexdigest()


def as_bytes(payload: object) -> bytes:
    return payload if isinstance(payload, bytes) else json.dumps(payload).encode()


async def hub(api, payload=PUSH, *, name="hub", event="push", delivery="d1", secret=SECRETS["hub"], **headers):
    body = as_bytes(payload)
    given = {
        "content_type": "application/json",
        "x_github_event": event,
        "x_github_delivery": delivery,
        "x_hub_signature_256": signature(secret, body),
        **headers,
    }
    given = {key: value for key, value in given.items() if value is not None}
    return await api("POST", f"/v1/hooks/{name}", body, auth="", **given)


async def lab(api, payload, *, event="Push Hook", token="the secret of lab for tests", **headers):
    given = {"content_type": "application/json", "x_gitlab_event": event, "x_gitlab_token": token, **headers}
    return await api("POST", "/v1/hooks/lab", as_bytes(payload), auth="", **given)


async def generic(api, payload, *, name="any", at=EPOCH, key="", signed_key=None, **headers):
    body, stamp = as_bytes(payload), str(int(at))
    signed = key if signed_key is None else signed_key
    start = f"{stamp}.{signed}." if signed else f"{stamp}."
    given = {
        "content_type": "application/json",
        "x_timestamp": stamp,
        "x_signature_256": signature(SECRETS[name], start.encode(), body),
        **({"idempotency_key": key} if key else {}),
        **headers,
    }
    return await api("POST", f"/v1/hooks/{name}", body, auth="", **given)


def ids(api):
    return [job.id for job in api.rig.runner.live()]


@pytest.fixture
def play(play):
    def with_hooks(scenario, *pipelines, **more):
        play(scenario, *(pipelines or PIPELINES), acts=more.pop("acts", ACTS), hook_secrets=secret_of, **more)

    return with_hooks


# ---------------------------------------------------------------------------------------------------------- what starts


def test_a_push_starts_a_job_with_the_fields_that_are_mapped(play):
    async def scenario(api):
        got = await hub(api)
        assert (got.status, got.headers["cache-control"]) == (202, "no-store")
        assert got.json == {"result": "scheduled", "reason": "", "job": ids(api)[0]}
        job = await api.get(f"/v1/jobs/{got.json['job']}")
        assert (job["pipeline"], job["user"]) == ("site", "hook:hub")
        assert job["variables"] == {"commit": "abc", "author": "Jane", "size": 2, "branch": "main"}

    play(scenario)


def test_a_field_that_is_missing_or_null_gets_its_default(play):
    async def scenario(api):
        got = await hub(api, {"ref": "refs/heads/release/1", "size": 3, "head_commit": None, "commits": []})
        job = await api.get(f"/v1/jobs/{got.json['job']}")
        assert job["variables"] == {"commit": "none", "author": "nobody", "size": 3, "branch": "release/1"}

    play(scenario)


def test_every_field_that_cannot_be_used_is_named_and_nothing_starts(play):
    async def scenario(api):
        got = await hub(api, {"size": 1.5, "commits": [{"author": {"name": "a\0b"}}]}, event="release")
        assert got.json["result"] == "filtered"
        got = await hub(api, {"ref": "refs/heads/main", "size": 1.5, "commits": [{"author": {"name": "a\0b"}}]})
        assert got.problem == (422, "invalid-content")
        assert got.errors == {"/size", "/commits/0/author/name"}
        assert "must be of type integer, but is 1.5; variable 'size' is made of it" in got.json["detail"]
        got = await hub(api, {"ref": "refs/heads/main"})
        assert got.errors == {"/size"}
        assert "is missing; variable 'size'" in got.json["detail"]
        got = await generic(api, {"n": 1}, name="part")
        assert got.errors == {"/number"}
        assert not ids(api)

    play(scenario)


def test_a_fact_that_is_not_known_is_named(play):
    pipeline = PipelineDef(
        "p", TASKS, hooks=(IncomingHook("any", HookKind.GENERIC, variables=(HookVariable("b", "@branch"),)),)
    )

    async def scenario(api):
        got = await generic(api, {})
        assert got.errors == {"@branch"}
        assert "is not known of this event" in got.json["detail"]
        assert (await generic(api, {"branch": "x"})).status == 202

    play(scenario, pipeline)


def test_the_partition_is_a_field(play):
    async def scenario(api):
        jobs = [
            (await generic(api, {"number": n, "at": at}, name="part")).json["job"] for at, n in enumerate((7, 7, 8, 7))
        ]
        assert [(await api.get(f"/v1/jobs/{job}"))["partition"] for job in jobs] == ["7", "7", "8", "7"]
        assert set(ids(api)) == {jobs[0], jobs[2], jobs[3]}

    play(scenario)


@pytest.mark.parametrize(
    ("event", "payload", "reason"),
    [
        ("issues", {"action": "opened"}, "the event is 'issues.opened', and those that start a job are push, release"),
        ("release", {"action": "created"}, "the event is 'release.created'"),
        ("push", {"ref": "refs/heads/dev"}, "the branch is 'dev', and those that start a job are main, release/*"),
        ("push", {"ref": "refs/tags/v1"}, "the event is of no branch"),
        ("push", {"ref": 5}, "the event is of no branch"),
        ("push", {"ref": "refs/heads/main", "deleted": True}, "the branch was deleted"),
    ],
)
def test_an_event_that_is_not_meant_is_answered_with_the_reason(play, event, payload, reason):
    async def scenario(api):
        got = await hub(api, payload, event=event)
        assert (got.status, got.json["result"], got.json["job"]) == (200, "filtered", None)
        assert reason in got.json["reason"]
        assert not ids(api)

    play(scenario)


def test_a_ping_is_answered(play):
    async def scenario(api):
        got = await hub(api, {"zen": "Design for failure.", "hook_id": 1}, event="ping")
        assert (got.status, got.json) == (200, {"result": "pong", "reason": "", "job": None})
        assert not ids(api)

    play(scenario)


@pytest.mark.parametrize(
    ("event", "payload", "result"),
    [
        ("Push Hook", {"object_kind": "push", "ref": "refs/heads/main", "after": "a" * 40}, "scheduled"),
        ("Push Hook", {"ref": "refs/heads/main", "after": "0" * 40}, "filtered"),
        ("Push Hook", {"ref": "refs/heads/x"}, "filtered"),
        ("Tag Push Hook", {"ref": "refs/tags/v1"}, "filtered"),
        ("Merge Request Hook", {"object_attributes": {"action": "open", "target_branch": "main"}}, "scheduled"),
        ("Merge Request Hook", {"object_attributes": {"action": "open", "target_branch": "dev"}}, "filtered"),
        ("Merge Request Hook", {"object_attributes": {"action": "close", "target_branch": "main"}}, "filtered"),
    ],
)
def test_events_of_gitlab(play, event, payload, result):
    async def scenario(api):
        assert (await lab(api, payload, event=event)).json["result"] == result
        assert len(ids(api)) == (result == "scheduled")

    play(scenario)


def test_a_pull_request_is_of_the_branch_that_it_wants_to_change(play):
    pipeline = PipelineDef(
        "p", TASKS, hooks=(IncomingHook("hub", HookKind.GITHUB, events=("pull_request",), branches=("main",)),)
    )

    async def scenario(api):
        for base, result in (("main", "scheduled"), ("dev", "filtered")):
            payload = {"action": "opened", "pull_request": {"base": {"ref": base}}}
            assert (await hub(api, payload, event="pull_request")).json["result"] == result

    play(scenario, pipeline)


# ------------------------------------------------------------------------------------------------------------ who may


def test_unknown_names_wrong_proofs_and_lost_secrets_are_one_answer(play, caplog):
    async def scenario(api):
        answers = [
            await hub(api, name="nope"),
            await hub(api, name="lost"),
            await hub(api, secret=SECRETS["lab"]),
            await hub(api, x_hub_signature_256=None),
            await hub(api, x_hub_signature_256=""),
            await hub(api, x_hub_signature_256="sha256=é"),
            await hub(api, b"{", secret=b"wrong", content_type="text/plain"),
            await lab(api, PUSH, token="wrong"),
            await lab(api, PUSH, token=""),
            await lab(api, PUSH, token=SECRETS["lab"].decode() + "x"),
            await generic(api, PUSH, at=EPOCH - 301),
            await generic(api, PUSH, at=EPOCH + 301),
            await generic(api, PUSH, x_timestamp=str(int(EPOCH) + 1)),
            await generic(api, PUSH, x_timestamp=""),
            await generic(api, PUSH, x_timestamp="-1"),
            await generic(api, PUSH, key="k", signed_key="other"),
            await generic(api, PUSH, signed_key="k"),
            await generic(api, PUSH, key="a.b"),
        ]
        assert {got.problem for got in answers} == {(403, "hook-refused")}
        assert len({got.body for got in answers}) == 1
        assert len({tuple(sorted(got.headers)) for got in answers}) == 1
        assert not ids(api)

    with caplog.at_level(logging.WARNING):
        play(scenario)
    refusals = [record for record in caplog.records if record.message == "hook: refused"]
    assert len(refusals) == 1, "those that come thick are not all logged"
    assert not any(secret.decode() in caplog.text for secret in SECRETS.values())


def test_later_refusals_are_logged_with_how_many_were_not(play, caplog):
    async def scenario(api):
        for at in (0, 1, 2, 20):
            await api.rig.at(at)
            await hub(api, name="nope" * 40)

    with caplog.at_level(logging.WARNING):
        play(scenario)
    first, second = [record for record in caplog.records if record.message == "hook: refused"]
    assert (first.unsaid, second.unsaid) == (0, 2)
    assert first.hook == "nope" * 20


def test_each_request_costs_one_hmac_over_its_body_whoever_asks_for_what(play, monkeypatch):
    made: list[int] = []
    real = hmac.new

    class Counted:
        def __init__(self, secret: bytes) -> None:
            self.inner, self.size = real(secret, digestmod=hashlib.sha256), 0

        def update(self, data: bytes) -> None:
            self.size += len(data)
            self.inner.update(data)

        def hexdigest(self) -> str:
            made.append(self.size)
            return self.inner.hexdigest()

    async def scenario(api):
        body = as_bytes({**PUSH, "filler": "x" * 10_000})
        bodies = [
            await hub(api, body),
            await hub(api, body, name="nope"),
            await hub(api, body, name="lost"),
            await lab(api, body),
        ]
        assert [got.status for got in bodies] == [202, 403, 403, 202]
        assert len(made) == 4
        assert all(len(body) <= size <= len(body) + 30 for size in made)

    def count(*args: Any, **more: Any) -> Any:
        return real(*args, **more) if "msg" in more or len(args) > 1 else Counted(args[0])

    monkeypatch.setattr("prunner_trio.http.v1.incoming.proof.hmac.new", count)
    play(scenario)


def test_a_token_is_neither_wanted_nor_enough(play):
    async def scenario(api):
        got = await api("POST", "/v1/hooks/hub", PUSH)
        assert got.problem == (403, "hook-refused")
        for method in ("GET", "HEAD", "DELETE"):
            for name in ("hub", "nope"):
                got = await api(method, f"/v1/hooks/{name}", auth="")
                assert (got.status, got.headers["allow"]) == (405, "POST")

    play(scenario)


def test_a_new_secret_counts_from_the_next_request_on(play, monkeypatch):
    async def scenario(api):
        assert (await hub(api)).status == 202
        monkeypatch.setitem(SECRETS, "hub", b"another secret of the hook")
        assert (await hub(api)).status == 403
        assert (await hub(api, secret=SECRETS["hub"])).status == 202

    play(scenario)


def test_the_definitions_of_now_count(play):
    async def scenario(api):
        api.rig.runner.replace_definitions(Definitions.of(PART))
        assert (await hub(api)).status == 403
        api.rig.runner.replace_definitions(Definitions.of(SITE))
        assert (await hub(api)).status == 202

    play(scenario)


# ---------------------------------------------------------------------------------------------------------- how often


def test_a_delivery_makes_one_job_however_often_it_comes(play):
    async def scenario(api):
        first = await hub(api)
        again = await hub(api)
        assert first.json == again.json
        assert (await hub(api, delivery="d2")).json["job"] != first.json["job"]
        assert (await hub(api, {**PUSH, "size": 3})).problem == (422, "idempotency-key-reused")
        none = [(await hub(api, delivery=None)).json["job"] for _ in range(2)]
        assert len(set(none)) == 2

    play(scenario)


def test_a_delivery_is_of_one_hook(play):
    async def scenario(api):
        jobs = {
            (await hub(api, delivery="k")).json["job"],
            (await lab(api, PUSH, idempotency_key="k")).json["job"],
            (await generic(api, PUSH, key="k")).json["job"],
        }
        assert len(jobs) == 3

    play(scenario)


def test_gitlab_names_a_delivery_in_one_of_two_headers(play):
    async def scenario(api):
        event = [(await lab(api, PUSH, x_gitlab_event_uuid="e")).json["job"] for _ in range(2)]
        key = [
            (await lab(api, PUSH, x_gitlab_event_uuid="e", idempotency_key=key)).json["job"] for key in ("a", "a", "b")
        ]
        assert event[0] == event[1]
        assert key[0] == key[1]
        assert len({event[0], key[0], key[2]}) == 3

    play(scenario)


def test_a_generic_request_that_is_sent_again_makes_no_second_job(play):
    async def scenario(api):
        first = await generic(api, {"data": [1]})
        assert (await generic(api, {"data": [1]})).json == first.json
        assert (await generic(api, {"data": [1]}, at=EPOCH + 1)).json != first.json
        keyed = [(await generic(api, {"data": 1}, at=EPOCH + n, key="k")).json["job"] for n in range(2)]
        assert keyed[0] == keyed[1]

    play(scenario)


# -------------------------------------------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize(
    ("body", "headers", "problem"),
    [
        (b"{", {}, (400, "invalid-body")),
        (b"[1]", {}, (422, "invalid-content")),
        (b"[" * 5000, {}, (400, "invalid-body")),
        (b"\xff", {}, (400, "invalid-body")),
        (b"payload=%7B%7D", {"content_type": "application/x-www-form-urlencoded"}, (415, "unsupported-media-type")),
        (b"{}", {"x_github_event": None}, (400, "invalid-query")),
        (b"{}", {"x_github_event": "x" * 300}, (400, "invalid-query")),
        (b"{}", {"x_github_delivery": "x" * 300}, (400, "invalid-query")),
        (b"{" + b" " * (1 << 20) + b"}", {}, (413, "body-too-large")),
    ],
)
def test_what_cannot_be_understood_is_refused(play, body, headers, problem):
    async def scenario(api):
        assert (await hub(api, body, **headers)).problem == problem

    play(scenario)


def test_a_job_that_has_no_place_is_refused(play):
    async def scenario(api):
        assert (await generic(api, {}, name="full")).status == 202
        assert (await generic(api, {"a": 1}, name="full")).problem == (409, "queue-disabled")

    play(scenario)


def test_a_job_that_cannot_be_saved_is_not_told_of(play):
    journal = MemoryJournal()

    async def scenario(api):
        journal.fail_adds = True
        assert (await hub(api)).problem == (503, "store-unavailable")

    play(scenario, journal=journal)


def test_what_a_hook_has_led_to_is_in_the_log(play, caplog):
    async def scenario(api):
        await hub(api)
        await hub(api)
        await hub(api, event="fork")

    with caplog.at_level(logging.INFO, logger=judge.__name__):
        play(scenario)
    records = [record for record in caplog.records if record.name == judge.__name__]
    assert [record.message for record in records] == ["hook: job", "hook: known before", "hook: passed over"]
    assert {(record.hook, record.delivery) for record in records} == {("hub", "d1")}
