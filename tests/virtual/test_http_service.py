"""The application that the daemon serves: what it answers itself, and how it comes by the rest."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
import trio.testing

from prunner_trio.definition import Definitions
from prunner_trio.http import Service
from prunner_trio.http.service import ASGIApp, Parts
from prunner_trio.http.v1.api import ApiV1
from prunner_trio.testing import open_rig


def http(path: str) -> dict[str, Any]:
    """Return the scope of a request without a token."""
    return {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
    }


async def nothing() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


class Behind:
    """Stands for the application behind, and counts how often it was made."""

    def __init__(self, failures: int = 0) -> None:
        self.made = 0
        self.failures = failures

    def make(self, parts: Parts) -> ASGIApp:
        self.made += 1
        if self.made <= self.failures:
            raise RuntimeError("no room for it")

        async def app(scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
            await send({"type": "http.response.start", "status": 299, "headers": []})
            await send({"type": "http.response.body", "body": b"behind", "more_body": False})

        return app


async def status(service: Service, path: str) -> int:
    """Return the status of the answer to a request."""
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await service(http(path), nothing, send)
    return int(sent[0]["status"])


def serve(behind: Behind, scenario: Callable[[Service], Awaitable[None]]) -> None:
    """Run a scenario against a service over a runner without pipelines."""

    async def main() -> None:
        async with open_rig(Definitions()) as rig:
            await scenario(Service(rig.runner, secret="s" * 16, v1=lambda: ApiV1, behind=behind.make))

    trio.run(main, strict_exception_groups=True)


def test_what_the_apis_own_is_answered_without_the_application_behind() -> None:
    behind = Behind()

    async def scenario(service: Service) -> None:
        assert [await status(service, path) for path in ("/pipelines/", "/v1/jobs", "/job/x", "/healthz")] == [
            401,
            401,
            401,
            200,
        ]

    serve(behind, scenario)
    assert behind.made == 0


def test_the_application_behind_is_made_once_however_many_ask_at_once() -> None:
    behind = Behind()

    async def scenario(service: Service) -> None:
        answers: list[int] = []

        async def ask() -> None:
            answers.append(await status(service, "/"))

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(ask)
        assert answers == [299] * 5

    serve(behind, scenario)
    assert behind.made == 1


def test_an_application_that_cannot_be_made_is_tried_again_by_the_next_request() -> None:
    behind = Behind(failures=1)

    async def scenario(service: Service) -> None:
        with pytest.raises(RuntimeError, match="no room"):
            await status(service, "/")
        assert await status(service, "/healthz") == 200
        assert await status(service, "/") == 299

    serve(behind, scenario)
    assert behind.made == 2


def test_a_client_that_leaves_while_it_is_made_leaves_the_way_free() -> None:
    started, go_on = trio.Event(), trio.Event()

    class Slow(Behind):
        def make(self, parts: Parts) -> ASGIApp:
            if self.made == 0:
                trio.from_thread.run_sync(started.set)
                trio.from_thread.run(go_on.wait)
            return super().make(parts)

    async def scenario(service: Service) -> None:
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(status, service, "/")
                await started.wait()
                nursery.cancel_scope.cancel()
            go_on.set()
            assert await status(service, "/") == 299

    serve(Slow(), scenario)


def test_the_service_watches_its_runner_for_as_long_as_the_server_lives() -> None:
    async def scenario(service: Service) -> None:
        end = trio.Event()
        asked = iter([{"type": "lifespan.startup"}])
        said: list[str] = []

        async def receive() -> dict[str, Any]:
            if (message := next(asked, None)) is not None:
                return message
            await end.wait()
            return {"type": "lifespan.shutdown"}

        async def send(message: Any) -> None:
            said.append(message["type"])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(service, {"type": "lifespan"}, receive, send)
            await trio.testing.wait_all_tasks_blocked()
            assert said == ["lifespan.startup.complete"]
            end.set()
        assert said == ["lifespan.startup.complete", "lifespan.shutdown.complete"]

    serve(Behind(), scenario)


def test_api_v1_is_imported_for_the_first_request_that_asks_for_it() -> None:
    imported = 0

    def v1() -> type[ApiV1]:
        nonlocal imported
        imported += 1
        return ApiV1

    async def main() -> None:
        async with open_rig(Definitions()) as rig:
            service = Service(rig.runner, secret="s" * 16, v1=v1, behind=Behind().make)
            assert [await status(service, path) for path in ("/pipelines/", "/pipelines/jobs")] == [401, 401]
            assert imported == 0
            assert [await status(service, path) for path in ("/healthz", "/v1/jobs", "/")] == [200, 401, 299]
            assert imported == 1

    trio.run(main, strict_exception_groups=True)
