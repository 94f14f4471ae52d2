"""HTTP/1.1 as clients expect it, and ASGI as apps do."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from prunner_trio.http.server import HttpLimits, _connection

pytestmark = pytest.mark.real

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def raw_app(*parts: bytes, headers: list[tuple[bytes, bytes]] | None = None) -> Any:
    """Return an ASGI app whose answer is `parts`, and which reads nothing."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": headers or []})
        for part in parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body"})

    return app


def test_a_connection_serves_many_requests(kit: Any) -> None:
    async def main() -> None:
        async with kit.open_site(kit.make_app()) as site, site.client() as client:
            for size in (0, 1, 70_000, 1_000_000):
                body = b"x" * size
                head = b"POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size
                answer = await client.ask(head + body)
                assert (answer.status, answer.body) == (200, b"%d" % size)
                assert "date" in answer.headers
                assert "server" not in answer.headers

    kit.run(main)


def test_pipelined_requests_are_answered_in_order(kit: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        body = (await receive())["body"]
        await trio.sleep(0.01 if scope["path"] == "/0" else 0)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode() + body})

    async def main() -> None:
        async with kit.open_site(app) as site, site.client() as client:
            requests = [b"POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n%d" % (n, n) for n in range(5)]
            await client.send(b"".join(requests))
            assert [(await client.answer()).body for _ in requests] == [b"/%d%d" % (n, n) for n in range(5)]

    kit.run(main)


def test_requests_that_arrive_during_another_are_not_lost(kit: Any) -> None:
    """They are read while the server listens for the client's going away."""

    async def main() -> None:
        app = kit.make_app()
        arrived, go_on = trio.Event(), trio.Event()

        @app.route("/slow")
        async def slow() -> str:
            arrived.set()
            await go_on.wait()
            return "slow"

        async with kit.open_site(app, HttpLimits(head_bytes=1000, drain=0.2)) as site, site.client() as client:
            await client.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
            with trio.fail_after(5):
                await arrived.wait()
            for _ in range(100):
                await client.send(GET)
            go_on.set()
            assert [(await client.answer()).body for _ in range(101)] == [b"slow"] + [b"hello"] * 100

    kit.run(main)


def test_head_is_answered_with_the_head_of_get_and_no_body(kit: Any) -> None:
    async def main() -> None:
        async with kit.open_site(kit.make_app()) as site, site.client() as client:
            answer = await client.ask(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", head_only=True)
            assert (answer.status, answer.headers["content-length"]) == (200, "5")
            assert (await client.ask(GET)).body == b"hello"

    kit.run(main)


def test_100_continue_is_sent_when_the_app_reads_the_body(kit: Any) -> None:
    async def main() -> None:
        async with kit.open_site(kit.make_app()) as site, site.client() as client:
            head = b"POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
            assert (await client.ask(head)).status == 100
            assert (await client.ask(b"abc")).body == b"3"
            assert (await client.ask(GET)).body == b"hello"

    kit.run(main)


def test_a_client_that_was_not_told_to_continue_is_disconnected_after_the_answer(kit: Any) -> None:
    """It may send its body now or not: the next bytes could be a body or a request, and must not be taken for one."""

    async def main() -> None:
        async with kit.open_site(raw_app(b"no")) as site, site.client() as client:
            head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n"
            answer = await client.ask(head)
            assert (answer.status, answer.headers["connection"]) == (200, "close")
            await client.send(GET)
            assert await client.rest() == b""

    kit.run(main)


def test_an_http_1_0_client_gets_no_100_and_no_chunks(kit: Any) -> None:
    async def main() -> None:
        async with kit.open_site(kit.make_app()) as site, site.client() as client:
            head = b"POST /length HTTP/1.0\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
            assert (await client.ask(head + b"abc")).body == b"3"
        async with kit.open_site(raw_app(b"a", b"b")) as site, site.client() as client:
            answer = await client.ask(b"GET / HTTP/1.0\r\n\r\n")
            assert answer.body == b"ab"
            assert "transfer-encoding" not in answer.headers

    kit.run(main)


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("http://example.org/a/b?c=d", "/a/b", b"c=d"),
        ("http://example.org", "/", b""),
        ("http://example.org?c=/d", "/", b"c=/d"),
        ("/a%20b/%C3%A4%ff?c", "/a b/ä\ufffd", b"c"),
        ("*", "*", b""),
        ("//a", "//a", b""),
    ],
)
def test_the_scope_has_path_and_query(kit: Any, target: str, path: str, query: bytes) -> None:
    """Plain Hypercorn: gives an absolute target to the app as its path."""
    scopes = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await raw_app(b"ok")(scope, receive, send)

    async def main() -> None:
        async with kit.open_site(app) as site, site.client() as client:
            head = f"OPTIONS {target} HTTP/1.1\r\nHost: x\r\nX-Case: Kept\r\n\r\n"
            assert (await client.ask(head.encode())).body == b"ok"

    kit.run(main)
    scope = scopes[-1]
    assert (scope["method"], scope["path"], scope["query_string"]) == ("OPTIONS", path, query)
    assert (scope["http_version"], scope["scheme"], scope["root_path"]) == ("1.1", "http", "")
    assert scope["headers"] == [(b"host", b"x"), (b"x-case", b"Kept")]
    assert scope["client"][0] == scope["server"][0] == "127.0.0.1"


def test_the_body_an_app_does_not_read_is_not_taken_for_a_request(kit: Any) -> None:
    async def main() -> None:
        async with kit.open_site(raw_app(b"ok", headers=[(b"content-length", b"2")])) as site, site.client() as client:
            for _ in range(2):
                head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(GET)
                assert (await client.ask(head + GET)).body == b"ok"
            await client.stream.send_eof()
            assert await client.rest() == b""

    kit.run(main)


def test_a_small_answer_leaves_in_one_send(kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain Hypercorn: head and body travel in packets of their own."""
    sends: list[bytes] = []
    send = _connection.Connection.send

    async def noted(self: Any, data: bytes) -> None:
        if data:
            sends.append(data)
        await send(self, data)

    monkeypatch.setattr(_connection.Connection, "send", noted)

    async def main() -> None:
        async with kit.open_site(kit.make_app()) as site, site.client() as client:
            assert (await client.ask(GET)).body == b"hello"

    kit.run(main)
    assert len(sends) == 1


def test_a_streamed_answer_is_paced_by_its_reader(kit: Any) -> None:
    """Whatever the app produces is in the kernel's buffers before it may produce more."""
    produced = 0
    total = 40

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal produced
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(total):
            produced += 1
            await send({"type": "http.response.body", "body": bytes(2**20), "more_body": True})
        await send({"type": "http.response.body"})

    async def main() -> None:
        async with kit.open_site(app) as site, site.client() as client:
            await client.send(GET)
            await trio.testing.wait_all_tasks_blocked(0.2)
            assert 0 < produced < total
            answer = await client.answer()
            assert len(answer.body) == total * 2**20

    kit.run(main)


@pytest.mark.parametrize("polite", [True, False], ids=["close", "reset"])
def test_a_client_that_goes_away_cancels_its_handler(kit: Any, polite: bool) -> None:
    """And leaves nothing in the log."""

    async def main() -> None:
        app = kit.make_app()
        arrived, canceled = trio.Event(), trio.Event()

        @app.route("/wait")
        async def wait() -> str:
            arrived.set()
            try:
                await trio.sleep_forever()
            finally:
                canceled.set()
            raise AssertionError

        async with kit.open_site(app) as site:
            async with site.client() as client:
                await client.send(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
                with trio.fail_after(5):
                    await arrived.wait()
                if not polite:
                    client.stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            with trio.fail_after(5):
                await canceled.wait()

    kit.run(main)


def test_a_stream_nobody_reads_any_more_ends_with_an_os_error_in_the_app(
    kit: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """So an app that never calls ``receive`` learns of it as well; nothing is logged as an error."""

    async def main() -> None:
        ended = trio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            assert scope["type"] == "http"
            await send({"type": "http.response.start", "status": 200, "headers": []})
            try:
                while True:
                    await send({"type": "http.response.body", "body": bytes(2**20), "more_body": True})
            except OSError:
                ended.set()
                raise

        async with kit.open_site(app) as site:
            async with site.client() as client:
                await client.send(GET)
                await client.stream.receive_some(1)
            with trio.fail_after(5):
                await ended.wait()

    kit.run(main)
    assert "request failed" not in caplog.text


def test_a_client_that_has_closed_its_side_still_gets_an_answer(kit: Any) -> None:
    """As with ``nc -N``. Plain Hypercorn: cancels the handler at once, and answers or not as chance has it."""

    async def main() -> None:
        app = kit.make_app()

        @app.route("/soon")
        async def soon() -> str:
            await trio.sleep(0.05)
            return "soon"

        async with kit.open_site(app) as site, site.client() as client:
            await client.send(b"GET /soon HTTP/1.1\r\nHost: x\r\n\r\n")
            await client.stream.send_eof()
            assert (await client.answer()).body == b"soon"
            assert await client.rest() == b""

    kit.run(main)


def test_startup_and_shutdown_of_the_app_surround_its_requests(kit: Any) -> None:
    async def main() -> None:
        app = kit.make_app()
        steps: list[str] = []

        @app.before_serving
        async def begin() -> None:
            steps.append("startup")

        @app.before_request
        async def step() -> None:
            steps.append("request")

        @app.after_serving
        async def end() -> None:
            steps.append("shutdown")

        async with kit.open_site(app) as site:
            async with site.client() as client:
                await client.ask(GET)
            await site.stop()
        assert steps == ["startup", "request", "shutdown"]

    kit.run(main)
