"""The API over the real runner: what clients see of a job from its acceptance to its removal."""

import json
import math
from collections.abc import Awaitable, Callable
from typing import Any

import jwt
import trio
import trio.testing
from quart_trio import QuartTrio

from prunner_trio.definition.pipeline import Definitions, PipelineDef, QueueStrategy, TaskDef
from prunner_trio.http.app import create_app
from prunner_trio.storage.memory import MemoryJournal
from prunner_trio.testing import EPOCH, Act, Acts, Rig, open_rig

SECRET = "a-secret-of-more-than-32-bytes-for-tests"
HEADERS = {"Authorization": "Bearer " + jwt.encode({"sub": "jane"}, SECRET, algorithm="HS256")}

DEFINITIONS = Definitions.of(
    PipelineDef(
        "build",
        tasks=(TaskDef("a", ("make a",)), TaskDef("b", ("make b",), depends_on=("a",))),
        on_error=TaskDef("on_error", ("tell",)),
    ),
    PipelineDef("latest", tasks=(TaskDef("t", ("run",)),), queue_limit=1, queue_strategy=QueueStrategy.REPLACE),
    PipelineDef("short", tasks=(TaskDef("t", ("run",)),), retention_count=1),
)


class Client:
    def __init__(self, app: QuartTrio) -> None:
        self.client = app.test_client()

    async def get(self, path: str) -> Any:
        answer = await self.client.get(path, headers=HEADERS)
        assert answer.status_code == 200, path
        return json.loads(await answer.get_data())

    async def post(self, path: str, body: object = None) -> tuple[int, Any]:
        answer = await self.client.post(path, headers=HEADERS, data=json.dumps(body))
        return answer.status_code, json.loads(await answer.get_data())

    async def schedule(self, pipeline: str) -> str:
        status, answer = await self.post("/pipelines/schedule", {"pipeline": pipeline, "variables": {"n": 1}})
        assert status == 202
        return str(answer["jobId"])

    async def jobs(self) -> dict[str, Any]:
        """Return the listed jobs by id, after a check that the details say the same."""
        listed = {job["id"]: job for job in (await self.get("/pipelines/jobs"))["jobs"]}
        for job_id, job in listed.items():
            assert await self.get(f"/job/detail?id={job_id}") == job
        return listed


def play(
    scenario: Callable[[Client, Rig], Awaitable[object]], acts: Acts | None = None, journal: MemoryJournal | None = None
) -> None:
    async def main() -> None:
        async with open_rig(DEFINITIONS, acts, journal=journal) as rig:
            app = create_app(rig.runner, secret=SECRET, now=lambda: EPOCH)
            async with app.test_app():
                await scenario(Client(app), rig)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_a_job_is_listed_from_its_acceptance_to_its_end() -> None:
    async def scenario(client: Client, rig: Rig) -> None:
        job_id = await client.schedule("build")
        await rig.at(0.5)
        job = (await client.jobs())[job_id]
        assert (job["completed"], job["user"], job["variables"]) == (False, "jane", {"n": 1})
        assert [task["status"] for task in job["tasks"]] == ["running", "waiting"]
        await rig.at(1.5)
        assert [task["status"] for task in (await client.jobs())[job_id]["tasks"]] == ["done", "running"]
        await rig.at(2.5)
        job = (await client.jobs())[job_id]
        assert (job["completed"], job["errored"]) == (True, False)
        assert [task["status"] for task in job["tasks"]] == ["done", "done"]
        assert (job["created"], job["end"]) == ("2027-01-15T08:00:00Z", "2027-01-15T08:00:02Z")

    play(scenario, {"a": Act(seconds=1), "b": Act(seconds=1)})


def test_a_failed_job_shows_its_handler_and_the_logs_of_its_tasks() -> None:
    async def scenario(client: Client, rig: Rig) -> None:
        job_id = await client.schedule("build")
        await rig.at(5)
        job = (await client.jobs())[job_id]
        assert (job["completed"], job["errored"], job["lastError"]) == (True, True, "exit status 3")
        assert [(task["name"], task["status"]) for task in job["tasks"]] == [
            ("a", "error"),
            ("b", "canceled"),
            ("on_error", "done"),
        ]
        logs = await client.get(f"/job/logs?id={job_id}&task=a")
        assert logs == {"stdout": "working\n", "stderr": "broken\n"}

    play(scenario, {"a": Act(exit_code=3, stdout="working\n", stderr="broken\n")})


def test_canceled_and_replaced_jobs() -> None:
    async def scenario(client: Client, rig: Rig) -> None:
        running, replaced = await client.schedule("latest"), await client.schedule("latest")
        waiting = await client.schedule("latest")
        jobs = await client.jobs()
        assert list(jobs) == [waiting, replaced, running]
        assert [(job["canceled"], job["start"] is None) for job in jobs.values()] == [
            (False, True),
            (True, True),
            (False, False),
        ]
        for job_id in (waiting, running):
            assert await client.post(f"/job/cancel?id={job_id}") == (200, True)
        await rig.at(5)
        jobs = await client.jobs()
        assert [(job["completed"], job["canceled"]) for job in jobs.values()] == [(False, True)] * 2 + [(True, True)]
        assert jobs[running]["lastError"] == "context canceled"
        assert "lastError" not in jobs[waiting]
        for job_id in jobs:
            assert await client.post(f"/job/cancel?id={job_id}") == (200, True)

    play(scenario, {"t": Act(seconds=math.inf)})


def test_jobs_that_retention_removes_leave_the_listing() -> None:
    async def scenario(client: Client, rig: Rig) -> None:
        for second in range(3):
            await rig.at(second * 3600)
            job_id = await client.schedule("short")
        await rig.at(100_000)
        assert list(await client.jobs()) == [job_id]

    play(scenario)


def test_a_restart_changes_nothing_in_what_is_over() -> None:
    journal = MemoryJournal()
    before: dict[str, Any] = {}

    async def first(client: Client, rig: Rig) -> None:
        for _ in range(3):
            await client.schedule("build")
        await rig.at(100)
        before.update(await client.jobs())

    async def second(client: Client, rig: Rig) -> None:
        assert await client.jobs() == before
        new = await client.schedule("build")
        await rig.at(1)
        assert list(await client.jobs()) == [new, *before]

    play(first, {"b": [Act(exit_code=1), Act()]}, journal)
    play(second, journal=journal)
    assert [job["errored"] for job in before.values()] == [False, False, True]
