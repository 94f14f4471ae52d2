"""Steering in API v1: retries, single tasks, wait lists, pauses, and who did it."""

import math

import pytest
import trio

from prunner_trio.definition.pipeline import PipelineDef, TaskDef
from prunner_trio.execution import StopLevel
from prunner_trio.storage.memory import MemoryJournal
from prunner_trio.testing import Act

BUILD = PipelineDef("build", (TaskDef("a", ("make a",)), TaskDef("b", ("make b",), depends_on=("a",))))
SLOW = PipelineDef("slow", (TaskDef("t", ("run",)),))
NO_LIST = PipelineDef("nolist", (TaskDef("t", ("run",)),), queue_limit=0)
FAILS_ONCE = {"a": Act(1, stdout="made a\n"), "b": [Act(1, exit_code=3, stdout="no b\n"), Act(1, stdout="made b\n")]}
NOBODY = "00000000-0000-4000-8000-ffffffffffff"


async def post(api, target, body=None, status=202, **headers):
    got = await api("POST", target, body, **headers)
    assert got.status == status, got
    return got.json


# ------------------------------------------------------------------------------------------------------------- retries


def test_a_retry_from_what_failed_shows_what_it_has_taken_over(play):
    async def scenario(api):
        old = await api.schedule("build", variables={"x": 1}, partition="p")
        await api.rig.at(5)
        got = await api("POST", f"/v1/jobs/{old}/retry", {"only_failed": True, "variables": {"y": 2}})
        new = got.json
        assert (got.status, got.headers["location"]) == (202, f"/v1/jobs/{new['id']}")
        assert (new["retry_of"], new["variables"], new["partition"]) == (old, {"x": 1, "y": 2}, "p")
        await api.rig.at(10)
        a, b = (await api.get(f"/v1/jobs/{new['id']}"))["tasks"]
        assert (a["state"], a["from_job"], a["exit_code"], a["ended"]) == ("done", old, 0, "2027-01-15T08:00:01.000Z")
        assert (b["state"], b["from_job"]) == ("done", None)
        for task, text in (("a", b"made a\n"), ("b", b"made b\n")):
            log = await api("GET", f"/v1/jobs/{new['id']}/tasks/{task}/logs/stdout")
            assert (log.body, log.headers["log-complete"]) == (text, "true")
            assert (await api.get(f"/job/logs?id={new['id']}&task={task}"))["stdout"] == text.decode()
            assert (await api.get(f"/v1/job/logs?id={new['id']}&task={task}"))["stdout"]["text"] == text.decode()
        found = (await api.get(f"/v1/jobs?retry_of={old}"))["jobs"]
        assert [job["id"] for job in found] == [new["id"]]
        assert (await api.get("/v1/jobs?retry_of=nobody"))["jobs"] == []
        audit = (await api.get(f"/v1/jobs/{old}/audit"))["entries"]
        assert [(deed["action"], deed["by"], deed["detail"]) for deed in audit] == [
            ("scheduled", "jane", ""),
            ("retried", "jane", new["id"]),
        ]

    play(scenario, BUILD, acts=FAILS_ONCE)


def test_a_retry_with_a_key_makes_one_job(play):
    async def scenario(api):
        old, other = await api.schedule("build", variables={"x": 1}), await api.schedule("slow")
        await api.rig.at(5)

        async def retry(job, body):
            return await api("POST", f"/v1/jobs/{job}/retry", body, idempotency_key="k")

        got, again = await retry(old, {"only_failed": True}), await retry(old, {"only_failed": True})
        assert again.json["id"] == got.json["id"]
        assert ("idempotency-replayed" in got.headers, again.headers["idempotency-replayed"]) == (False, "true")
        for job, body in ((old, {}), (old, {"only_failed": True, "variables": {"x": 2}}), (other, {})):
            assert (await retry(job, body)).problem == (422, "idempotency-key-reused"), body
        schedule = {"pipeline": "build", "variables": {"x": 1}}
        assert (await api("POST", "/v1/jobs", schedule, idempotency_key="k")).problem[1] == "idempotency-key-reused"

    play(scenario, BUILD, SLOW, acts=FAILS_ONCE)


def test_what_cannot_be_retried_says_why(play):
    journal = MemoryJournal()

    async def scenario(api):
        done, running = await api.schedule("nolist"), await api.schedule("slow")
        await api.rig.at(5)
        problems = [
            (NOBODY, {}, (404, "job-not-found")),
            ("x", {}, (404, "job-not-found")),
            (running, {}, (409, "job-not-finished")),
            (done, {"only_failed": True}, (409, "cannot-retry")),
            (done, {"nope": 1, "only_failed": 1, "variables": []}, (422, "invalid-content")),
            (done, {"variables": {"a": "\0"}}, (422, "invalid-content")),
            (done, b"{", (400, "invalid-body")),
        ]
        for job, body, problem in problems:
            got = await api("POST", f"/v1/jobs/{job}/retry", body, content_type="application/json")
            assert got.problem == problem, body
        got = await api("POST", f"/v1/jobs/{done}/retry", {"nope": 1, "only_failed": 1, "variables": []})
        assert got.errors == {"/nope", "/only_failed", "/variables"}
        got = await api("POST", f"/v1/jobs/{done}/retry", b"{}", content_type="text/plain")
        assert got.problem == (415, "unsupported-media-type")
        api.rig.runner.pause("nolist")
        assert (await api("POST", f"/v1/jobs/{done}/retry")).problem == (409, "queue-disabled")
        api.rig.runner.replace_definitions(type(api.rig.runner.definitions).of(SLOW))
        assert (await api("POST", f"/v1/jobs/{done}/retry")).problem == (409, "cannot-retry")
        journal.fail_adds = True
        await post(api, f"/v1/jobs/{running}/cancel?wait=10", status=200)
        assert (await api("POST", f"/v1/jobs/{running}/retry")).problem == (503, "store-unavailable")
        api.rig.runner.request_shutdown(StopLevel.DRAIN)
        assert (await api("POST", f"/v1/jobs/{running}/retry")).problem == (503, "shutting-down")

    play(scenario, NO_LIST, SLOW, acts={"slow/t": Act(100)}, journal=journal)


# --------------------------------------------------------------------------------------------------------- single tasks


def test_one_task_is_canceled_and_the_job_goes_on(play):
    async def scenario(api):
        job_id = await api.schedule("build")
        await api.rig.at(1)
        job = await post(api, f"/v1/jobs/{job_id}/tasks/a/cancel")
        assert (job["state"], job["stop"]) == ("running", None)
        await api.rig.at(2)
        job = await api.get(f"/v1/jobs/{job_id}")
        a, b = job["tasks"]
        assert (job["state"], job["outcome"], job["reason"]) == ("canceled", "canceled", "a: canceled by jane")
        assert a["stop"] == {"reason": "user", "at": "2027-01-15T08:00:01.000Z", "by": "jane"}
        assert (a["state"], b["reason"]) == ("canceled", "needs 'a', which is canceled")
        audit = (await api.get(f"/v1/jobs/{job_id}/audit"))["entries"]
        assert audit[1:] == [{"at": "2027-01-15T08:00:01.000Z", "action": "task_canceled", "by": "jane", "detail": "a"}]

    play(scenario, BUILD, acts={"a": Act(math.inf)})


def test_a_task_that_cannot_be_canceled_says_why(play):
    async def scenario(api):
        over, waiting = await api.schedule("build"), await api.schedule("build")
        problems = {
            (over, "nope"): (404, "task-not-found"),
            (waiting, "a"): (409, "job-not-started"),
            (NOBODY, "a"): (404, "job-not-found"),
        }
        for (job, task), problem in problems.items():
            assert (await api("POST", f"/v1/jobs/{job}/tasks/{task}/cancel")).problem == problem
        await api.rig.at(1.5)
        assert (await api("POST", f"/v1/jobs/{over}/tasks/a/cancel")).problem == (409, "task-finished")
        await api.rig.at(5)
        assert (await api("POST", f"/v1/jobs/{over}/tasks/b/cancel")).problem == (409, "task-finished")
        assert (await api("POST", f"/v1/jobs/{over}/tasks/nope/cancel")).problem == (404, "task-not-found")

    play(scenario, BUILD, acts={"a": Act(1), "b": Act(1)})


# ----------------------------------------------------------------------------------------------------------- the queue


def test_the_queue_shows_who_waits_and_a_move_changes_it(play):
    async def scenario(api):
        running, first, second = [await api.schedule("slow") for _ in range(3)]
        queue = await api.get("/v1/queue")
        assert [job["id"] for job in queue["jobs"]] == [first, second]
        assert queue["jobs"][0]["waiting"]["holders"] == [running]
        assert queue["paused"] == []
        moved = await post(api, f"/v1/jobs/{second}/move", {"before": first}, status=200)
        assert (moved["id"], moved["waiting"]["position"]) == (second, 1)
        got = await api("GET", "/v1/queue")
        assert [job["id"] for job in got.json["jobs"]] == [second, first]
        assert (await api("GET", "/v1/queue", if_none_match=got.headers["etag"])).status == 304
        await post(api, f"/v1/jobs/{second}/move", {"to": 2, "before": None}, status=200)
        await post(api, f"/v1/jobs/{second}/move", {"after": first}, status=200)
        assert [job["id"] for job in (await api.get("/v1/queue"))["jobs"]] == [first, second]
        audit = (await api.get(f"/v1/jobs/{second}/audit"))["entries"]
        assert [deed["detail"] for deed in audit[1:]] == ["to position 1 of 2", "to position 2 of 2"]

    play(scenario, SLOW, acts={"t": Act(100)})


def test_a_move_that_makes_no_sense_says_why(play):
    async def scenario(api):
        running, waiting = await api.schedule("slow"), await api.schedule("slow")
        over = await api.schedule("build")
        await api.rig.at(5)
        problems = [
            (running, {"to": 1}, (409, "job-not-waiting")),
            (over, {"to": 1}, (409, "job-not-waiting")),
            (NOBODY, {"to": 1}, (404, "job-not-found")),
            (waiting, {"after": running}, (409, "job-not-waiting")),
            (waiting, {}, (422, "invalid-content")),
            (waiting, {"to": 1, "after": running}, (422, "invalid-content")),
            (waiting, {"to": True}, (422, "invalid-content")),
            (waiting, {"before": "x"}, (422, "invalid-content")),
            (waiting, {"nope": 1}, (422, "invalid-content")),
        ]
        for job, body, problem in problems:
            assert (await api("POST", f"/v1/jobs/{job}/move", body)).problem == problem, body

    play(scenario, SLOW, BUILD, acts={"slow/t": Act(100)})


def test_a_pipeline_is_paused_and_resumed(play):
    async def scenario(api):
        since = {"at": "2027-01-15T08:00:00.000Z", "by": "jane"}
        assert await post(api, "/v1/pipelines/slow/pause", status=200) == {"pipeline": "slow", "paused": since}
        job_id = await api.schedule("slow")
        await api.rig.at(5)
        waiting = (await api.get(f"/v1/jobs/{job_id}"))["waiting"]
        assert (waiting["reason"], waiting["paused"]) == ("paused", since)
        assert waiting["text"] == "position 1 of 1: its pipeline is paused since 2027-01-15T08:00:00.000Z by jane"
        assert (await api.get("/v1/pipelines/slow"))["paused"] == since
        assert (await api.get("/v1/queue"))["paused"] == [{"pipeline": "slow", "paused": since}]
        assert await post(api, "/v1/pipelines/slow/resume", status=200) == {"pipeline": "slow", "paused": None}
        await trio.testing.wait_all_tasks_blocked()
        assert (await api.get(f"/v1/jobs/{job_id}"))["state"] == "running"
        audit = (await api.get("/v1/pipelines/slow/audit"))["entries"]
        assert [(deed["action"], deed["by"]) for deed in audit] == [("paused", "jane"), ("resumed", "jane")]
        for verb in ("pause", "resume"):
            assert (await api("POST", f"/v1/pipelines/nope/{verb}")).problem == (404, "pipeline-not-found")
        assert (await api("GET", "/v1/pipelines/nope/audit")).problem == (404, "pipeline-not-found")

    play(scenario, SLOW, acts={"t": Act(100)})


def test_a_store_that_cannot_write_does_not_keep_an_answer_for_ever(play):
    journal = MemoryJournal()

    async def scenario(api):
        journal.hold = True
        began = trio.current_time()
        await post(api, "/v1/pipelines/slow/pause", status=200)
        assert trio.current_time() - began == 2.0
        journal.hold = False

    play(scenario, SLOW, journal=journal)


def test_streams_tell_of_moves_and_pauses(play):
    async def scenario(api):
        _, waiting, other = [await api.schedule("slow") for _ in range(3)]
        async with api.stream("/v1/events") as stream, api.stream(f"/v1/jobs/{other}/events") as of_one:
            await stream.event()
            await post(api, f"/v1/jobs/{other}/move", {"to": 1}, status=200)
            await post(api, "/v1/pipelines/slow/pause", status=200)
            await post(api, f"/v1/jobs/{waiting}/cancel", status=200)
            found = await stream.events("pipeline")
            assert [(event.name, event.data["job"], event.data["reason"]) for event in found] == [
                ("moved", other, "to position 1 of 2"),
                ("pipeline", None, "paused by jane"),
            ]
            assert [event.name for event in await of_one.events("moved")] == ["ready", "moved"]

    play(scenario, SLOW, acts={"t": Act(100)})


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_of_a_pipeline_that_is_hidden_nothing_can_be_steered(play, token, verb):
    async def scenario(api):
        hidden, waiting = await api.schedule("slow"), await api.schedule("slow")
        auth = token(sub="joe", pipelines=["build"])
        assert (await api.get("/v1/queue", auth=auth))["jobs"] == []
        targets = {
            f"/v1/pipelines/slow/{verb}": (404, "pipeline-not-found"),
            f"/v1/jobs/{hidden}/retry": (404, "job-not-found"),
            f"/v1/jobs/{waiting}/move": (404, "job-not-found"),
            f"/v1/jobs/{hidden}/tasks/t/cancel": (404, "job-not-found"),
        }
        for target, problem in targets.items():
            assert (await api("POST", target, {"to": 1} if "move" in target else {}, auth=auth)).problem == problem
        for target in (f"/v1/jobs/{hidden}/audit", "/v1/pipelines/slow/audit"):
            assert (await api("GET", target, auth=auth)).status == 404

    play(scenario, SLOW, BUILD, acts={"t": Act(100)})
