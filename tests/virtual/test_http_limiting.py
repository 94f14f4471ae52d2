"""Limits on requests and on refused tokens, in front of the whole application."""

import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import jwt
import pytest
import trio
import trio.testing

from prunner_trio.definition.pipeline import Definitions, PipelineDef, TaskDef
from prunner_trio.http.app import create_app
from prunner_trio.http.limiting import BURST_S, FAILURES, FAILURES_S
from prunner_trio.testing import open_rig

SECRET = "a-secret-of-more-than-32-bytes-for-tests"
FAR, OTHER, HERE = ("192.0.2.7", 4711), ("2001:db8::1", 4711), ("127.0.0.1", 4711)


def token(secret: str = SECRET, **claims: object) -> str:
    return jwt.encode(claims, secret, algorithm="HS256")


GOOD, BAD = token(sub="jane"), token("another-secret-of-32-bytes-or-more")


class Client:
    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(
        self,
        path: str,
        auth: str = "",
        client: tuple[str, int] | None = FAR,
        method: str = "GET",
        body: bytes = b"",
        **headers: str,
    ) -> tuple[int, dict[str, str], bytes]:
        given = {"host": "localhost", **({"authorization": f"Bearer {auth}"} if auth else {}), **headers}
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in given.items()],
            "client": client,
            "extensions": {},
        }
        sent: list[dict[str, Any]] = []
        asked = False

        async def receive() -> dict[str, Any]:
            nonlocal asked
            if asked:
                await trio.sleep_forever()
            asked = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            await trio.lowlevel.checkpoint()
            sent.append(message)

        await self.app(scope, receive, send)
        start, *parts = sent
        assert [part["type"] for part in parts] == ["http.response.body"] * len(parts)
        assert [part.get("more_body", False) for part in parts] == [True] * (len(parts) - 1) + [False]
        found = {name.decode(): value.decode() for name, value in start["headers"]}
        return start["status"], found, b"".join(part["body"] for part in parts)

    async def status(self, *args: Any, **named: Any) -> int:
        return (await self(*args, **named))[0]


Scenario = Callable[[Client], Awaitable[None]]


@pytest.fixture
def play() -> Callable[..., None]:
    def play(scenario: Scenario, **options: Any) -> None:
        async def main() -> None:
            async with open_rig(Definitions.of(PipelineDef("p", (TaskDef("t", ("run",)),)))) as rig:
                app = create_app(rig.runner, secret=SECRET, now=lambda: 1.8e9, **options)
                async with app.test_app():
                    await scenario(Client(app))

        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0), strict_exception_groups=True)

    return play


Play = Callable[..., None]


def test_without_a_rate_there_is_no_limit(play: Play) -> None:
    async def scenario(ask: Client) -> None:
        for _ in range(300):
            assert await ask.status("/v1/pipelines", GOOD) == 200

    play(scenario)


def test_beyond_the_rate_of_a_user_requests_are_refused_until_it_is_time(play: Play) -> None:
    async def scenario(ask: Client) -> None:
        for number in range(int(4 * BURST_S)):
            assert await ask.status("/v1/pipelines", GOOD, (f"192.0.2.{number}", 1)) == 200
        status, headers, body = await ask("/v1/pipelines", GOOD, HERE)
        assert (status, headers["retry-after"]) == (429, "1")
        assert headers["content-type"] == "application/problem+json"
        assert json.loads(body)["type"] == "urn:prunner-trio:problem:too-many-requests"
        status, headers, body = await ask("/pipelines/jobs", GOOD)
        assert (status, headers["retry-after"], list(json.loads(body))) == (429, "1", ["error"])
        status, headers, body = await ask("/", GOOD)
        assert (status, headers["content-type"]) == (429, "text/plain; charset=utf-8")
        assert await ask.status("/v1/pipelines", token(sub="bob")) == 200
        assert await ask.status("/healthz") == 200
        await trio.sleep(0.25)
        assert await ask.status("/v1/pipelines", GOOD) == 200
        assert await ask.status("/v1/pipelines", GOOD) == 429

    play(scenario, rate=4.0)


def test_requests_without_a_user_are_counted_by_address(play: Play) -> None:
    async def scenario(ask: Client) -> None:
        nameless = token()
        for _ in range(2):
            assert await ask.status("/v1/pipelines", nameless) == 200
            assert await ask.status("/sign-in") == 200
        assert await ask.status("/v1/pipelines", nameless) == 200
        assert await ask.status("/sign-in") == 429
        assert await ask.status("/v1/pipelines") == 429
        assert await ask.status("/v1/pipelines", nameless, OTHER) == 200
        assert await ask.status("/v1/pipelines", nameless, HERE, x_forwarded_for=FAR[0]) == 429
        assert await ask.status("/v1/pipelines", GOOD) == 200

    play(scenario, rate=1.0)


@pytest.mark.parametrize(
    ("path", "method"),
    [("/v1/pipelines", "GET"), ("/pipelines/", "GET"), ("/job/cancel", "POST"), ("/sign-in", "POST")],
)
def test_too_many_refused_tokens_of_an_address_are_told_as_such(
    play: Play, caplog: pytest.LogCaptureFixture, path: str, method: str
) -> None:
    async def scenario(ask: Client) -> None:
        form = {"content_type": "application/x-www-form-urlencoded", "body": b"token=x"} if path == "/sign-in" else {}

        async def try_it(client: tuple[str, int]) -> tuple[int, dict[str, str], bytes]:
            return await ask(path, BAD, client, method, **form)

        for _ in range(FAILURES):
            assert (await try_it(FAR))[0] == 401
        for _ in range(5):
            status, headers, body = await try_it(FAR)
            assert (status, headers["connection"]) == (429, "close")
            assert 0 < int(headers["retry-after"]) <= FAILURES_S
            assert b"refused" in body
        assert (await try_it(OTHER))[0] == 401
        assert await ask.status("/v1/pipelines", GOOD) == 200
        assert await ask.status("/v1/pipelines") == 401
        await trio.sleep(float(headers["retry-after"]))
        assert (await try_it(FAR))[0] == 401
        assert (await try_it(FAR))[0] == 429
        await trio.sleep(FAILURES_S)
        for _ in range(FAILURES):
            assert (await try_it(FAR))[0] == 401

    with caplog.at_level(logging.WARNING):
        play(scenario)
    told = [record.getMessage() for record in caplog.records if "tokens were refused" in record.getMessage()]
    assert told == ["too many tokens were refused address=192.0.2.7"]


def test_secrets_of_webhooks_are_guessed_no_faster(play: Play) -> None:
    async def scenario(ask: Client) -> None:
        async def guess() -> int:
            return await ask.status("/v1/hooks/deploy", "", method="POST", body=b"{}", content_type="application/json")

        for _ in range(FAILURES):
            assert await guess() == 403
        assert await guess() == 429
        for _ in range(2 * FAILURES):
            assert await ask.status("/v1/jobs", token(sub="jane", scope="read"), method="POST", body=b"{}") == 403

    play(scenario)


def test_who_sends_no_token_has_not_guessed(play: Play) -> None:
    async def scenario(ask: Client) -> None:
        for _ in range(3 * FAILURES):
            assert await ask.status("/v1/pipelines") == 401
            assert await ask.status("/pipelines/") == 401

    play(scenario)


def test_clients_on_the_machine_itself_are_not_counted_unless_a_proxy_names_others(play: Play) -> None:
    async def scenario(ask: Client) -> None:
        for client in (HERE, ("::1", 1), None):
            for _ in range(2 * FAILURES):
                assert await ask.status("/v1/pipelines", BAD, client) == 401
        for number in range(2 * FAILURES):
            expected = 401 if number < FAILURES else 429
            assert await ask.status("/v1/pipelines", BAD, HERE, x_forwarded_for="198.51.100.1") == expected
        assert await ask.status("/v1/pipelines", BAD, HERE, x_forwarded_for="198.51.100.1, 198.51.100.2") == 401

    play(scenario)


def test_an_answer_that_is_refused_has_no_rest_of_the_other_one(play: Play) -> None:
    async def scenario(ask: Client) -> None:
        for _ in range(FAILURES):
            await ask("/v1/jobs", BAD)
        for method in ("GET", "HEAD", "POST", "DELETE"):
            status, headers, body = await ask("/v1/jobs", BAD, method=method)
            assert (status, int(headers["content-length"])) == (429, len(body))
            assert json.loads(body)["type"] == "urn:prunner-trio:problem:too-many-failures"

    play(scenario)
