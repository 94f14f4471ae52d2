"""Jobs in API v1: what they look like, how they are found, scheduled and canceled."""

import math

import pytest
import trio

from prunner_trio.definition.pipeline import PipelineDef, QueueStrategy, TaskDef
from prunner_trio.execution import StopLevel
from prunner_trio.execution.seams import Usage
from prunner_trio.storage.memory import MemoryJournal
from prunner_trio.testing import Act

BUILD = PipelineDef(
    "build",
    (TaskDef("a", ("make a",)), TaskDef("b", ("make b",), depends_on=("a",))),
    on_error=TaskDef("on_error", ("tell",)),
)
SLOW = PipelineDef("slow", (TaskDef("t", ("run",)),), concurrency=1)


def test_a_job_shows_all_of_its_life(play):
    async def scenario(api):
        job_id = await api.schedule("build", variables={"n": 1}, partition="x")
        await api.rig.at(1.5)
        job = await api.get(f"/v1/jobs/{job_id}")
        assert job["tasks"][0] == {
            "name": "a",
            "state": "done",
            "reason": "",
            "needs": [],
            "allow_failure": False,
            "started": "2027-01-15T08:00:00.000Z",
            "ended": "2027-01-15T08:00:01.000Z",
            "duration": 1.0,
            "exit_code": 0,
            "cpu_seconds": 0.25,
            "peak_memory": 4096,
            "stop": None,
            "from_job": None,
        }
        second = job["tasks"][1]
        assert (second["state"], second["needs"], second["exit_code"]) == ("running", ["a"], None)
        assert (job["state"], job["outcome"], job["duration"], job["waiting"]) == ("running", None, None, None)
        await api.rig.at(3)
        job = await api.get(f"/v1/jobs/{job_id}")
        del job["tasks"]
        assert job == {
            "id": job_id,
            "number": 1,
            "pipeline": "build",
            "state": "done",
            "outcome": "succeeded",
            "reason": "",
            "user": "jane",
            "partition": "x",
            "variables": {"n": 1},
            "retry_of": None,
            "attempt": 1,
            "created": "2027-01-15T08:00:00.000Z",
            "not_before": None,
            "started": "2027-01-15T08:00:00.000Z",
            "ended": "2027-01-15T08:00:02.000Z",
            "waited": 0.0,
            "duration": 2.0,
            "waiting": None,
            "stop": None,
            "error": "",
        }

    play(scenario, BUILD, acts={"a": Act(1, usage=Usage(0.25, 4096)), "b": Act(1)})


def test_a_failed_job_says_which_task_failed_and_how(play):
    async def scenario(api):
        job_id = await api.schedule("build")
        await api.rig.at(1)
        job = await api.get(f"/v1/jobs/{job_id}")
        assert (job["outcome"], job["reason"], job["error"]) == ("failed", "a: exit status 3", "exit status 3")
        assert job["stop"] == {"reason": "fail_fast", "at": "2027-01-15T08:00:00.000Z", "by": "a"}
        assert await api.get(f"/v1/jobs/{job_id}/tasks") == {"tasks": job["tasks"]}
        for task in job["tasks"]:
            assert await api.get(f"/v1/jobs/{job_id}/tasks/{task['name']}") == task
        assert [(task["name"], task["exit_code"]) for task in job["tasks"]] == [("a", 3), ("b", None), ("on_error", 0)]

    play(scenario, BUILD, acts={"a": Act(exit_code=3)})


def test_a_job_that_was_timed_out_or_canceled_says_so(play):
    async def scenario(api):
        late, canceled = await api.schedule("late"), await api.schedule("slow")
        got = await api("POST", f"/v1/jobs/{canceled}/cancel?wait=10")
        assert (got.status, got.json["outcome"], got.json["reason"]) == (200, "canceled", "canceled by jane")
        await api.rig.at(20)
        job = await api.get(f"/v1/jobs/{late}")
        assert (job["outcome"], job["reason"]) == ("timed_out", "timed out after 5s")

    play(scenario, attrs_late(), SLOW, acts={"t": Act(math.inf)})


def attrs_late():
    return PipelineDef("late", (TaskDef("t", ("run",)),), timeout=5.0)


def test_a_job_that_was_interrupted_is_so_here_and_canceled_for_prunners_clients(play):
    journal = MemoryJournal()
    ids = []

    async def first(api):
        ids.append(await api.schedule("slow"))
        await api.rig.at(1)
        ids.append(MemoryJournal(journal.snapshot()))

    async def second(api):
        job = await api.get(f"/v1/jobs/{ids[0]}")
        assert (job["state"], job["outcome"], job["reason"]) == ("canceled", "interrupted", "the daemon died")
        old = await api("GET", f"/job/detail?id={ids[0]}")
        assert (old.json["canceled"], old.json["lastError"]) == (True, "the daemon died")

    play(first, SLOW, acts={"t": Act(60)}, journal=journal)
    play(second, SLOW, journal=ids[1])


def test_a_waiting_job_says_why_and_where_it_waits(play):
    delayed = PipelineDef("later", (TaskDef("t", ("run",)),), start_delay=60.0)

    async def scenario(api):
        running = await api.schedule("slow")
        second, third = await api.schedule("slow"), await api.schedule("slow")
        later = await api.schedule("later")
        assert (await api.get(f"/v1/jobs/{running}"))["waiting"] is None
        assert (await api.get(f"/v1/jobs/{third}"))["waiting"] == {
            "reason": "slots",
            "position": 2,
            "length": 2,
            "slots_taken": 1,
            "slots": 1,
            "holders": [running],
            "paused": None,
            "until": None,
            "text": "position 2 of 2: 1 of 1 slots are taken",
        }
        waiting = (await api.get(f"/v1/jobs/{later}"))["waiting"]
        assert (waiting["reason"], waiting["until"]) == ("delayed", "2027-01-15T08:01:00.000Z")
        listed = (await api.get("/v1/jobs?state=waiting"))["jobs"]
        assert [(job["id"], job["waiting"]["position"]) for job in listed] == [(later, 1), (third, 2), (second, 1)]
        api.rig.runner.request_shutdown(StopLevel.DRAIN)
        assert (await api.get(f"/v1/jobs/{third}"))["waiting"]["reason"] == "draining"

    play(scenario, SLOW, delayed, acts={"slow/t": Act(100)})


def test_a_job_that_is_being_saved_says_so(play):
    journal = MemoryJournal()

    async def scenario(api):
        journal.hold = True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(api.schedule, "slow")
            await trio.testing.wait_all_tasks_blocked()
            (job,) = (await api.get("/v1/jobs"))["jobs"]
            assert (job["waiting"]["reason"], job["waiting"]["position"]) == ("saving", None)
            journal.hold = False

    play(scenario, SLOW, journal=journal)


# ----------------------------------------------------------------------------------------------------------- listing


def test_pages_hold_every_job_once_in_both_directions_while_new_ones_come(play):
    async def scenario(api):
        ids = [await api.schedule("build") for _ in range(7)]
        await api.rig.at(10)
        page = await api.get("/v1/jobs?limit=3")
        seen = [job["id"] for job in page["jobs"]]
        ids += [await api.schedule("build"), await api.schedule("slow")]
        while page["older"]:
            page = await api.get(f"/v1/jobs?limit=3&cursor={page['older']}")
            seen += [job["id"] for job in page["jobs"]]
        assert seen == ids[6::-1]
        back = []
        while (page := await api.get(f"/v1/jobs?limit=3&cursor={page['newer']}"))["jobs"]:
            back = [job["id"] for job in page["jobs"]] + back
        assert back == ids[:0:-1]  # the last page had the first job
        newest = page["newer"]
        ids.append(await api.schedule("build"))
        assert [job["id"] for job in (await api.get(f"/v1/jobs?cursor={newest}"))["jobs"]] == ids[-1:]

    play(scenario, BUILD, SLOW, acts={"slow/t": Act(100)})


def test_filters_find_live_and_kept_jobs_alike(play):
    async def scenario(api):
        done = await api.schedule("build", variables={"branch": "Main/ü"}, partition="p1")
        await api.rig.at(100)
        running, waiting = await api.schedule("slow"), await api.schedule("slow", variables={"branch": "dev"})

        async def found(query):
            return [job["id"] for job in (await api.get(f"/v1/jobs?{query}"))["jobs"]]

        assert await found("pipeline=build") == [done]
        assert await found("state=running") == [running]
        assert await found("state=running,waiting") == [waiting, running]
        assert await found("state=running&state=done") == [running, done]
        assert await found("user=jane") == [waiting, running, done]
        assert await found("user=joe") == []
        assert await found("text=main") == [done]
        assert await found("text=main/%C3%BC") == [done]
        assert await found("text=BRANCH") == [waiting, done]
        assert await found(f"text={running[-4:]}") == [running]
        assert await found("text=%25") == []
        assert await found("since=2027-01-15T08:01:40Z") == [waiting, running]
        assert await found("since=2027-01-15T09:01:40%2B01:00") == [waiting, running]
        assert await found("until=2027-01-15T08:01:40.000Z") == [done]
        assert await found("pipeline=slow&text=dev&limit=1") == [waiting]

    play(scenario, BUILD, SLOW, acts={"slow/t": Act(100)})


def test_everything_that_is_wrong_with_a_question_is_told_at_once(play):
    async def scenario(api):
        got = await api("GET", "/v1/jobs?state=ready&limit=0&since=now&colour=red&cursor=x&user=a&user=b&text=%00")
        assert got.problem == (400, "invalid-query")
        assert got.errors == {"state", "limit", "since", "colour", "user", "text"}
        for query in ("limit=201", "cursor=x", "cursor=YjEyeA", f"text={'x' * 201}", "until=2026-01-01", "limit=%2B1"):
            assert (await api("GET", f"/v1/jobs?{query}")).problem == (400, "invalid-query"), query

    play(scenario, BUILD)


def test_a_list_that_has_not_changed_is_not_sent_again(play):
    async def scenario(api):
        await api.schedule("slow")
        first = await api("GET", "/v1/jobs")
        tag = first.headers["etag"]
        again = await api("GET", "/v1/jobs", if_none_match=tag)
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)
        await api.schedule("slow")
        assert (await api("GET", "/v1/jobs", if_none_match=tag)).status == 200

    play(scenario, SLOW, acts={"t": Act(10)})


def test_what_is_not_there_is_not_found(play):
    async def scenario(api):
        job_id = await api.schedule("build")
        unknown = "00000000-0000-4000-8000-00000000ffff"
        for target, kind in {
            f"/v1/jobs/{unknown}": "job-not-found",
            "/v1/jobs/17": "job-not-found",
            f"/v1/jobs/{job_id}/tasks/c": "task-not-found",
            f"/v1/jobs/{job_id}/tasks/a/logs/stdin": "not-found",
            f"/v1/jobs/{job_id}/": "not-found",
            "/v1/pipelines/nope": "pipeline-not-found",
            "/v1": "not-found",
            "/v1/": "not-found",
        }.items():
            assert (await api("GET", target)).problem == (404, kind), target
        got = await api("DELETE", f"/v1/jobs/{job_id}")
        assert (got.problem, got.headers["allow"]) == ((405, "method-not-allowed"), "GET, HEAD")
        assert (await api("PUT", "/v1/jobs")).headers["allow"] == "GET, HEAD, POST"

    play(scenario, BUILD)


def test_a_task_is_found_whatever_its_name(play):
    name = "do it/ü?"

    async def scenario(api):
        job_id = await api.schedule("odd")
        task = await api.get(f"/v1/jobs/{job_id}/tasks/do%20it%2F%C3%BC%3F")
        assert task["name"] == name

    play(scenario, PipelineDef("odd", (TaskDef(name, ("run",)),)))


def test_head_is_get_without_a_body(play):
    async def scenario(api):
        job_id = await api.schedule("build")
        for target in ("/v1/jobs", f"/v1/jobs/{job_id}", "/healthz"):
            get, head = await api("GET", target), await api("HEAD", target)
            assert (head.status, head.headers) == (get.status, get.headers)
        head = await api("HEAD", "/v1/events")
        assert (head.status, head.headers["content-type"]) == (200, "text/event-stream")

    play(scenario, BUILD, acts={"a": Act(10)})


# -------------------------------------------------------------------------------------------------------- scheduling


def test_an_accepted_job_is_answered_with_its_address_once_it_is_on_disk(play):
    journal = MemoryJournal()

    async def scenario(api):
        journal.hold = True

        async def release():
            await trio.sleep(3)
            journal.hold = False

        async with trio.open_nursery() as nursery:
            nursery.start_soon(release)
            got = await api("POST", "/v1/jobs", {"pipeline": "slow", "variables": {"x": [1, None]}})
        assert trio.current_time() == 3
        assert got.status == 202
        assert got.headers["location"] == f"/v1/jobs/{got.json['id']}"
        assert (await api.get(got.headers["location"]))["variables"] == {"x": [1, None]}

    play(scenario, SLOW, journal=journal)


def test_everything_that_is_wrong_with_a_request_is_told_at_once(play):
    async def scenario(api):
        got = await api("POST", "/v1/jobs", {"variables": {"a/b": "\0", "ok": 1}, "partition": 3, "queue": {}})
        assert got.problem == (422, "invalid-content")
        assert got.errors == {"/pipeline", "/partition", "/queue", "/variables/a~1b"}
        got = await api("POST", "/v1/jobs", {"pipeline": "nope"})
        assert (got.problem, got.errors) == ((422, "invalid-content"), {"/pipeline"})
        assert (await api("POST", "/v1/jobs", [])).problem == (422, "invalid-content")
        assert list(api.rig.runner.live()) == []

    play(scenario, SLOW)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"a": NaN}', b"[" * 5000, b'{"a": 1} x', b"1" * 5000])
def test_a_body_that_is_not_json_is_refused(play, body):
    async def scenario(api):
        got = await api("POST", "/v1/jobs", body, content_type="application/json; charset=utf-8")
        assert got.problem == (400, "invalid-body")

    play(scenario, SLOW)


def test_a_body_of_another_type_or_size_is_refused(play):
    async def scenario(api):
        for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
            got = await api("POST", "/v1/jobs", b'{"pipeline": "slow"}', content_type=kind)
            assert got.problem == (415, "unsupported-media-type")
        got = await api("POST", "/v1/jobs", {"pipeline": "slow", "variables": {"x": "y" * 100}})
        assert got.problem == (413, "body-too-large")

    play(scenario, SLOW, max_body=100)


def test_a_page_of_another_origin_can_start_and_cancel_nothing(play):
    async def scenario(api):
        job = {"pipeline": "slow"}
        for headers in ({"origin": "https://evil.example"}, {"sec_fetch_site": "cross-site"}, {"origin": "null"}):
            assert (await api("POST", "/v1/jobs", job, **headers)).problem == (403, "cross-origin")
        for headers in ({"origin": "http://localhost"}, {"origin": "https://proxied", "sec_fetch_site": "same-origin"}):
            assert (await api("POST", "/v1/jobs", job, **headers)).status == 202

    play(scenario, SLOW)


def test_a_job_that_finds_no_place_is_a_conflict(play):
    full = PipelineDef("full", (TaskDef("t", ("run",)),), queue_limit=1)
    none = PipelineDef("none", (TaskDef("t", ("run",)),), queue_limit=0)

    async def scenario(api):
        for pipeline, kind in (("full", "queue-full"), ("none", "queue-disabled")):
            while (got := await api("POST", "/v1/jobs", {"pipeline": pipeline})).status == 202:
                pass
            assert got.problem == (409, kind)

    play(scenario, full, none, acts={"t": Act(10)})


def test_a_store_that_cannot_write_and_a_runner_that_ends_take_no_jobs(play):
    journal = MemoryJournal()

    async def scenario(api):
        assert (await api("GET", "/readyz", auth="")).json == {"status": "ok", "reason": ""}
        journal.fail_adds = True
        got = await api("POST", "/v1/jobs", {"pipeline": "slow"})
        assert (got.problem, got.headers["retry-after"]) == ((503, "store-unavailable"), "5")
        ready = await api("GET", "/readyz", auth="")
        assert (ready.status, ready.json["status"]) == (503, "unready")
        journal.fail_adds, journal.fail_reads = False, True
        assert (await api("GET", "/v1/jobs")).problem == (503, "store-unavailable")
        journal.fail_reads = False
        api.rig.runner.request_shutdown(StopLevel.DRAIN)
        got = await api("POST", "/v1/jobs", {"pipeline": "slow"})
        assert (got.problem, got.headers["retry-after"]) == ((503, "shutting-down"), "5")
        ready = await api("GET", "/readyz", auth="")
        assert (ready.status, ready.json["reason"]) == (503, "the daemon is about to end")
        assert (await api("GET", "/healthz", auth="")).status == 200

    play(scenario, SLOW, journal=journal)


# --------------------------------------------------------------------------------------------------- idempotency keys


def test_the_same_request_with_the_same_key_makes_one_job_even_after_a_restart(play):
    journal = MemoryJournal()
    request = {"pipeline": "slow", "variables": {"x": 1}}
    ids = set()

    async def scenario(api):
        got = await api("POST", "/v1/jobs", request, idempotency_key="k")
        again = await api("POST", "/v1/jobs", request, idempotency_key="k")
        assert (got.status, again.status, again.headers["idempotency-replayed"]) == (202, 202, "true")
        assert again.headers["location"] == got.headers["location"]
        ids.update((got.json["id"], again.json["id"]))
        await api.rig.at(10)

    play(scenario, SLOW, journal=journal)
    play(scenario, SLOW, journal=journal)
    assert len(ids) == 1


def test_requests_with_one_key_at_the_same_time_make_one_job(play):
    journal = MemoryJournal()

    async def scenario(api):
        answers = []
        journal.hold = True

        async def ask():
            answers.append((await api("POST", "/v1/jobs", {"pipeline": "slow"}, idempotency_key="k")).json["id"])

        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            assert answers == []
            journal.hold = False
        assert len(answers) == 10
        assert len(set(answers)) == 1
        assert len((await api.get("/v1/jobs"))["jobs"]) == 1

    play(scenario, SLOW, journal=journal)


def test_a_key_stands_for_one_request_of_one_user_for_a_day(play, token):
    async def scenario(api):
        async def ask(x, **more):
            return await api("POST", "/v1/jobs", {"pipeline": "slow", "variables": {"x": x}}, **more)

        first = await ask(1, idempotency_key="k")
        for other in (True, "1", 1.0, 2):
            assert (await ask(other, idempotency_key="k")).problem == (422, "idempotency-key-reused")
        assert (await ask(1, idempotency_key="k", auth=token(sub="joe"))).json["id"] != first.json["id"]
        await api.rig.at(24 * 3600 - 1)
        assert (await ask(1, idempotency_key="k")).json["id"] == first.json["id"]
        await api.rig.at(24 * 3600)
        later = await ask(2, idempotency_key="k")
        assert (later.status, later.json["id"] != first.json["id"]) == (202, True)
        assert (await ask(2, idempotency_key="k")).json["id"] == later.json["id"]
        for bad in ("", "x" * 256, "a\x07b"):
            assert (await ask(1, idempotency_key=bad)).problem == (400, "invalid-query")

    play(scenario, SLOW)


def test_a_refused_request_does_not_use_its_key_up(play):
    journal = MemoryJournal()

    async def scenario(api):
        journal.fail_next = 1
        got = await api("POST", "/v1/jobs", {"pipeline": "slow"}, idempotency_key="k")
        assert got.problem == (503, "store-unavailable")
        got = await api("POST", "/v1/jobs", {"pipeline": "nope"}, idempotency_key="k")
        assert got.status == 422
        got = await api("POST", "/v1/jobs", {"pipeline": "slow"}, idempotency_key="k")
        assert (got.status, "idempotency-replayed" in got.headers) == (202, False)

    play(scenario, SLOW, journal=journal)


def test_the_key_of_a_job_that_retention_has_removed_makes_another_one(play):
    short = PipelineDef("short", (TaskDef("t", ("run",)),), retention_period=60.0)

    async def scenario(api):
        first = (await api("POST", "/v1/jobs", {"pipeline": "short"}, idempotency_key="k")).json["id"]
        await api.rig.at(3 * 3600)
        assert (await api("GET", f"/v1/jobs/{first}")).status == 404
        assert (await api("POST", "/v1/jobs", {"pipeline": "short"}, idempotency_key="k")).json["id"] != first

    play(scenario, short)


# ----------------------------------------------------------------------------------------------------------- cancel


def test_a_cancel_answers_at_once_or_waits_for_the_end(play):
    async def scenario(api):
        one, two, three = [await api.schedule("slow") for _ in range(3)]
        got = await api("POST", f"/v1/jobs/{three}/cancel")
        assert (got.status, got.json["state"], got.json["stop"]["by"]) == (200, "canceled", "jane")
        got = await api("POST", f"/v1/jobs/{one}/cancel")
        assert (got.status, got.json["state"], got.json["stop"]["reason"]) == (202, "running", "user")
        got = await api("POST", f"/v1/jobs/{one}/cancel?wait=0.5")
        assert (got.status, trio.current_time()) == (202, 0.5)
        got = await api("POST", f"/v1/jobs/{one}/cancel?wait=60")
        assert (got.status, got.json["outcome"], trio.current_time()) == (200, "canceled", 2.0)
        assert (await api("POST", f"/v1/jobs/{one}/cancel")).status == 200
        assert (await api("POST", f"/v1/jobs/{two}/cancel?wait=301")).problem == (400, "invalid-query")

    play(scenario, SLOW, acts={"t": Act(100, on_sigint=math.inf, on_sigterm=math.inf)})


def test_a_job_that_has_ended_by_itself_cannot_be_canceled(play):
    async def scenario(api):
        job_id = await api.schedule("slow")
        await api.rig.at(1)
        assert (await api("POST", f"/v1/jobs/{job_id}/cancel")).problem == (409, "job-finished")

    play(scenario, SLOW)


def test_a_new_job_can_take_the_place_of_another(play):
    latest = PipelineDef("latest", (TaskDef("t", ("run",)),), queue_limit=1, queue_strategy=QueueStrategy.REPLACE)

    async def scenario(api):
        _, replaced, _ = [await api.schedule("latest") for _ in range(3)]
        job = await api.get(f"/v1/jobs/{replaced}")
        assert (job["outcome"], job["reason"]) == ("replaced", "a newer job took its place in the wait list")

    play(scenario, latest, acts={"t": Act(10)})


@pytest.mark.parametrize("target", ["/v1/jobs/", "/v1/jobs//tasks", "/v1/jobs//events", "/v1/job/logs?id=&task=a"])
def test_an_id_that_is_empty_is_that_of_no_job(play, target):
    async def scenario(api):
        assert (await api("GET", target)).problem == (404, "job-not-found")

    play(scenario, PipelineDef("p"))
