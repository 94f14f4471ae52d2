"""Faults of one connection stay in that connection: each of these ends, or hangs, a plain Hypercorn 0.18."""

from __future__ import annotations

import socket
import struct
from typing import Any

import pytest
import trio
import trio.testing

from prunner_trio.http.server import HttpLimits, bind, serve_http

pytestmark = pytest.mark.real

FOREVER_S = 3600.0
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"

HOSTILE = {
    "websocket upgrade with trailing bytes": (
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\xff\xff\xff\xff\xff\xff"
    ),
    "h2c upgrade with malformed settings": (
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: not-base64!!\r\n\r\n"
    ),
    "h2c upgrade without settings": (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"),
    "http/2 preface and garbage": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    "null bytes": b"\0" * 100,
    "tls handshake": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xaa" * 200,
    "target that is no path": b"GET foo HTTP/1.1\r\nHost: x\r\n\r\n",
    "bytes beyond ascii in a header": b"GET / HTTP/1.1\r\nHost: \xff\xfe\r\nX-\xff: 1\r\n\r\n",
}


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_bytes_do_not_disturb_a_neighbor(kit: Any, hostile: bytes) -> None:
    """Plain Hypercorn: the first two end the server, with an exception of h11 and one of h2 out of its nursery."""

    async def main() -> None:
        async with kit.open_site(kit.make_app()) as site, site.client() as neighbor, site.client() as rude:
            assert (await neighbor.ask(GET)).body == b"hello"
            await rude.send(hostile)
            await rude.stream.send_eof()
            await rude.rest()
            assert (await neighbor.ask(GET)).body == b"hello"
            assert not site.ended.is_set()

    kit.run(main)


@pytest.mark.parametrize("upgrade", ["websocket", "h2c", "TLS/1.0, something/9"])
def test_an_upgrade_is_ignored_and_the_request_is_answered_in_http_1_1(kit: Any, upgrade: str) -> None:
    """Plain Hypercorn: 101 for h2c, and the WebSocket handshake for websocket."""

    async def main() -> None:
        async with kit.open_site(kit.make_app()) as site, site.client() as client:
            head = f"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: {upgrade}\r\n\r\n".encode()
            for _ in range(2):
                answer = await client.ask(head)
                assert (answer.status, answer.body) == (200, b"hello")

    kit.run(main)


def test_the_http_2_preface_is_refused_with_505(kit: Any) -> None:
    """Plain Hypercorn: goes over to HTTP/2, a second protocol with limits of its own."""

    async def main() -> None:
        async with kit.open_site(kit.make_app()) as site, site.client() as client:
            answer = await client.ask(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            assert (answer.status, answer.headers["connection"]) == (505, "close")
            assert await client.rest() == b""

    kit.run(main)


@pytest.mark.parametrize(
    "head",
    [b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n"],
    ids=["connection: close", "http/1.0"],
)
def test_connection_close_is_honored(kit: Any, head: bytes) -> None:
    """Plain Hypercorn: says it will close, and does not.

    It runs the close in the app's task, after it has told the app of a disconnect, whereupon Quart-Trio cancels that
    very task. The connection stays until the client closes it, and a shutdown waits for it in vain.
    """

    async def main() -> None:
        async with kit.open_site(kit.make_app()) as site, site.client() as client:
            answer = await client.ask(head)
            assert (answer.body, answer.headers["connection"]) == (b"hello", "close")
            assert await client.rest() == b""
            await site.stop()

    kit.run(main)


def test_an_idle_connection_is_closed(kit: Any) -> None:
    """Plain Hypercorn: the timer is not started again after an answer, for the same reason as above."""

    async def main() -> None:
        async with kit.open_site(kit.make_app(), HttpLimits(idle=0.1, drain=0.2)) as site, site.client() as client:
            assert (await client.ask(GET)).body == b"hello"
            assert await client.rest() == b""

    kit.run(main)


def test_idle_connections_do_not_delay_a_shutdown(kit: Any) -> None:
    """Plain Hypercorn: the server waits for clients that keep their connection, for ever."""

    async def main() -> None:
        async with kit.open_site(kit.make_app(), HttpLimits(drain=FOREVER_S)) as site:
            async with site.client() as fresh, site.client() as used:
                assert (await used.ask(GET)).body == b"hello"
                await site.stop()
                assert await used.rest() == b""
                assert await fresh.rest() == b""

    kit.run(main)


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTT",
        b"POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345",
        b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=["half a head", "half a body", "a request that takes for ever", "a client that does not read"],
)
def test_no_client_delays_a_shutdown_beyond_the_drain_time(kit: Any, request_: bytes) -> None:
    """Plain Hypercorn: the client that does not read hangs the shutdown (its sends are shielded, without an end)."""

    async def main() -> None:
        app = kit.make_app()
        arrived = count_requests(app)
        async with kit.open_site(app, HttpLimits(drain=0.1)) as site, site.client() as client, site.client() as other:
            await client.send(request_)
            if b"\r\n\r\n" in request_:
                with trio.fail_after(5):
                    await arrived.wait()
            assert (await other.ask(GET)).body == b"hello"
            await site.stop()

    kit.run(main)


def count_requests(app: Any) -> trio.Event:
    arrived = trio.Event()

    @app.before_request
    async def note() -> None:
        arrived.set()

    return arrived


def test_a_request_under_way_at_shutdown_is_answered_and_its_connection_closed(kit: Any) -> None:
    """Plain Hypercorn: answers, but leaves the client in the belief that it may ask again."""

    async def main() -> None:
        app = kit.make_app()
        arrived, go_on = trio.Event(), trio.Event()

        @app.route("/slow")
        async def slow() -> str:
            arrived.set()
            await go_on.wait()
            return "slow"

        async with kit.open_site(app, HttpLimits(drain=5)) as site, site.client() as client:
            await client.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n" + GET)
            with trio.fail_after(5):
                await arrived.wait()
            site.shutdown.set()
            await trio.testing.wait_all_tasks_blocked()
            go_on.set()
            answer = await client.answer()
            assert (answer.body, answer.headers["connection"]) == (b"slow", "close")
            assert await client.rest() == b""  # the pipelined request is not begun
            await client.stream.aclose()
            await site.stop()

    kit.run(main)


def test_no_request_is_begun_after_an_answer_that_the_shutdown_has_found_under_way(kit: Any) -> None:
    """Its head had said nothing of a close."""

    async def main() -> None:
        head_sent, go_on = trio.Event(), trio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            assert scope["type"] == "http"
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"a", "more_body": True})
            head_sent.set()
            await go_on.wait()
            await send({"type": "http.response.body", "body": b"b"})

        async with kit.open_site(app, HttpLimits(drain=FOREVER_S)) as site, site.client() as client:
            await client.send(GET + GET)
            with trio.fail_after(5):
                await head_sent.wait()
            site.shutdown.set()
            await trio.testing.wait_all_tasks_blocked()
            go_on.set()
            assert (await client.answer()).body == b"ab"
            assert await client.rest() == b""

    kit.run(main)


def test_a_connection_accepted_in_the_last_moment_does_not_delay_the_shutdown(
    kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shutdown may come between the accept and the first step of the connection's task: Trio draws lots."""
    accept = trio.SocketListener.accept
    shutdowns: list[trio.Event] = []

    async def shut_down_on_accept(self: trio.SocketListener) -> trio.SocketStream:
        stream = await accept(self)
        shutdowns[-1].set()
        return stream

    async def main() -> None:
        for _ in range(12):
            async with kit.open_site(kit.make_app(), HttpLimits(header=FOREVER_S, drain=FOREVER_S)) as site:
                shutdowns.append(site.shutdown)
                async with site.client():
                    with trio.fail_after(5):
                        await site.ended.wait()

    monkeypatch.setattr(trio.SocketListener, "accept", shut_down_on_accept)
    kit.run(main)


def test_a_client_that_has_gone_before_it_is_accepted_is_no_error(kit: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Its socket has no peer any more."""

    async def main() -> None:
        (sock,) = bind("127.0.0.1:0")
        with sock:
            hasty = socket.create_connection(sock.getsockname())
            hasty.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            hasty.close()
            async with await trio.open_tcp_stream(*sock.getsockname()) as stream, trio.open_nursery() as nursery:
                shutdown = trio.Event()
                nursery.start_soon(run_without_end, kit.make_app(), sock, shutdown)
                await stream.send_all(GET)
                assert (await stream.receive_some()).startswith(b"HTTP/1.1 200 OK\r\n")
                shutdown.set()

    kit.run(main)
    assert "request failed" not in caplog.text


def test_an_app_that_raises_gives_500_and_harms_nobody_else(kit: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Plain Hypercorn: answers 500 as well, with an empty body."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/" and scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
            await send({"type": "http.response.body", "body": b"ok"})
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            raise LookupError("a bug")

    async def main() -> None:
        async with kit.open_site(app) as site, site.client() as neighbor, site.client() as client:
            assert (await neighbor.ask(GET)).body == b"ok"
            answer = await client.ask(b"GET /bug?token=secret HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (answer.status, answer.body) == (500, b"internal server error\n")
            assert await client.rest() == b""
            async with site.client() as client:
                await client.send(b"HEAD /bug HTTP/1.1\r\nHost: x\r\n\r\n")
                head, _, body = (await client.rest()).partition(b"\r\n\r\n")
                assert (head.split()[1], body) == (b"500", b"")
            assert (await neighbor.ask(GET)).body == b"ok"

    kit.run(main)
    assert "request failed" in caplog.text
    assert "LookupError: a bug" in caplog.text
    assert "secret" not in caplog.text


FALSE_ANSWERS: dict[str, list[dict[str, Any]]] = {
    "none": [],
    "head without body": [{"type": "http.response.start", "status": 200, "headers": []}],
    "forbidden header": [
        {"type": "http.response.start", "status": 200, "headers": [(b"a b", b"\r\n")]},
        {"type": "http.response.body", "body": b""},
    ],
    "header with another one in it": [
        {"type": "http.response.start", "status": 200, "headers": [(b"a", b"b\r\nc: d")]},
        {"type": "http.response.body", "body": b""},
    ],
    "body shorter than announced": [
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"3")]},
        {"type": "http.response.body", "body": b"ab"},
    ],
    "body without head": [{"type": "http.response.body", "body": b"x"}],
    "status out of range": [
        {"type": "http.response.start", "status": 42, "headers": []},
        {"type": "http.response.body", "body": b""},
    ],
    "unknown message": [{"type": "websocket.accept"}],
}


@pytest.mark.parametrize("messages", FALSE_ANSWERS.values(), ids=FALSE_ANSWERS.keys())
def test_an_app_that_speaks_false_asgi_gives_500(kit: Any, messages: list[dict[str, Any]]) -> None:
    """Plain Hypercorn: closes without an answer after a head without body."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        for message in messages:
            await send(message)

    async def main() -> None:
        async with kit.open_site(app) as site, site.client() as client:
            assert (await client.ask(GET)).status == 500
            assert await client.rest() == b""

    kit.run(main)


def test_an_answer_that_breaks_off_does_not_look_complete(kit: Any) -> None:
    """Plain Hypercorn: an HTTP/1.0 client takes the half for the whole."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise LookupError("a bug")

    async def main() -> None:
        async with kit.open_site(app) as site, site.client() as client:
            await client.send(b"GET / HTTP/1.0\r\n\r\n")
            with trio.fail_after(5), pytest.raises(trio.BrokenResourceError):
                await read_to_end(client.stream)

    kit.run(main)


async def read_to_end(stream: trio.SocketStream) -> None:
    while await stream.receive_some():
        pass


def test_the_server_is_started_again_on_the_same_socket(
    kit: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Plain Hypercorn: the first failure is its last, and takes with it whatever shares its nursery."""
    failures = iter(range(3))
    accept = trio.SocketListener.accept

    async def failing_accept(self: trio.SocketListener) -> trio.SocketStream:
        stream = await accept(self)
        for _ in failures:
            await stream.aclose()
            raise RuntimeError("the server is broken")
        return stream

    async def main() -> None:
        async with kit.open_site(kit.make_app()) as site:
            monkeypatch.setattr(trio.SocketListener, "accept", failing_accept)
            for _ in range(3):
                async with site.client() as client:
                    assert await client.rest() == b""
            async with site.client() as client:
                assert (await client.ask(GET)).body == b"hello"
            await site.stop()

    kit.run(main)
    assert caplog.text.count("http server failed, will start again") == 3


def test_a_failure_before_the_server_is_ready_is_the_callers(kit: Any) -> None:
    """A wrong set-up must not be retried in silence."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    async def main() -> None:
        with pytest.raises(ExceptionGroup) as caught:
            async with kit.open_site(app):
                pass
        assert "no database" in repr(caught.value.exceptions)

    kit.run(main)


def test_a_shutdown_during_the_back_off_ends_the_server(kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait for the next incarnation listens for the shutdown."""

    async def main() -> None:
        failed, shutdown = trio.Event(), trio.Event()

        async def failing_accept(self: trio.SocketListener) -> trio.SocketStream:
            failed.set()
            raise RuntimeError("the server is broken")

        monkeypatch.setattr(trio.SocketListener, "accept", failing_accept)
        (sock,) = bind("127.0.0.1:0")
        with sock, trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(run_without_end, kit.make_app(), sock, shutdown)
                await failed.wait()
                shutdown.set()

    kit.run(main)


async def run_without_end(app: Any, sock: socket.socket, shutdown: trio.Event) -> None:
    await serve_http(app, [sock], shutdown=shutdown, backoff=(3600, 3600))


def test_the_listening_socket_outlives_the_server(kit: Any) -> None:
    """A later server finds in the backlog whoever came in between."""

    async def main() -> None:
        (sock,) = bind("127.0.0.1:0")
        with sock:
            for _ in range(2):
                async with await trio.open_tcp_stream(*sock.getsockname()) as stream, trio.open_nursery() as nursery:
                    shutdown = trio.Event()
                    nursery.start_soon(run_without_end, kit.make_app(), sock, shutdown)
                    await stream.send_all(GET)
                    assert (await stream.receive_some()).startswith(b"HTTP/1.1 200 OK\r\n")
                    shutdown.set()

    kit.run(main)
