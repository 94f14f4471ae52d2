"""What a client can drag out or blow up has a limit, and an answer that says which."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
import trio.testing

from prunner_trio.http.server import HttpLimits, _connection

pytestmark = pytest.mark.real

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /length HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "beginning", [b"G", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ", GET + b"GET /"], ids=["line", "fields", "second head"]
)
def test_a_slow_head_is_cut_off_with_408(kit: Any, beginning: bytes) -> None:
    """Plain Hypercorn: a head may take for ever; with read_timeout, any pause at all ends the connection mutely."""

    async def main() -> None:
        async with kit.open_site(kit.make_app(), HttpLimits(header=0.2)) as site, site.client() as client:
            await client.send(beginning)
            if beginning.startswith(GET):
                assert (await client.answer()).status == 200
            answer = await client.answer()
            assert (answer.status, answer.headers["connection"]) == (408, "close")
            assert await client.rest() == b""

    kit.run(main)


@pytest.mark.parametrize(("idle", "header"), [(3600, 0.2), (0.05, 0.4)], ids=["shorter", "longer"])
def test_the_head_limit_takes_over_from_the_idle_limit_at_the_first_byte(kit: Any, idle: float, header: float) -> None:
    """Plain Hypercorn: knows one limit for both."""

    async def main() -> None:
        async with kit.open_site(kit.make_app(), HttpLimits(header=header, idle=idle)) as site:
            async with site.client() as client:
                assert (await client.ask(GET)).status == 200
                assert (await client.ask(b"GET /")).status == 408

    kit.run(main)


def test_a_head_that_trickles_is_cut_off_too(kit: Any) -> None:
    """Plain Hypercorn: each byte starts its read_timeout anew."""

    async def main() -> None:
        async with kit.open_site(kit.make_app(), HttpLimits(header=0.3)) as site, site.client() as client:
            await client.send(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trickle, client)
                answer = await client.answer()
                nursery.cancel_scope.cancel()
            assert answer.status == 408

    kit.run(main)


async def trickle(client: Any) -> None:
    while True:
        await client.send(b"x")
        await trio.sleep(0.02)


def test_a_client_that_never_speaks_is_disconnected(kit: Any) -> None:
    """Plain Hypercorn: closes after its keep-alive timeout: the one case in which that works."""

    async def main() -> None:
        async with kit.open_site(kit.make_app(), HttpLimits(header=0.1)) as site, site.client() as client:
            assert await client.rest() == b""

    kit.run(main)


@pytest.mark.parametrize(
    "beginning", [POST + b"Content-Length: 10\r\n\r\n12345", CHUNKED + b"5\r\n123"], ids=["length", "chunked"]
)
def test_a_slow_body_is_cut_off_with_408(kit: Any, beginning: bytes) -> None:
    """Plain Hypercorn: waits for ever."""

    async def main() -> None:
        async with kit.open_site(kit.make_app(), HttpLimits(body=0.2)) as site, site.client() as client:
            answer = await client.ask(beginning)
            assert (answer.status, answer.headers["connection"]) == (408, "close")
            assert await client.rest() == b""

    kit.run(main)


def test_a_client_that_takes_nothing_is_disconnected(kit: Any) -> None:
    """Plain Hypercorn: its shielded send waits for ever, and keeps the handler."""

    async def main() -> None:
        handler_ended = trio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            assert scope["type"] == "http"
            await send({"type": "http.response.start", "status": 200, "headers": []})
            try:
                while True:
                    await send({"type": "http.response.body", "body": bytes(2**20), "more_body": True})
            finally:
                handler_ended.set()

        async with kit.open_site(app, HttpLimits(write=0.2)) as site, site.client() as client:
            await client.send(GET)
            with trio.fail_after(10):
                await handler_ended.wait()

    kit.run(main)


def test_a_client_that_reads_slowly_gets_an_answer_that_takes_longer_than_the_write_limit(kit: Any) -> None:
    """The limit is on standstill, not on duration."""
    size, limit = 12 * 2**20, 0.4

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": bytes(size)})

    async def main() -> None:
        async with kit.open_site(app, HttpLimits(write=limit)) as site, site.client() as client:
            begin = trio.current_time()
            await client.send(b"GET / HTTP/1.0\r\n\r\n")
            received = 0
            while data := await client.stream.receive_some(2**20):
                received += len(data)
                if trio.current_time() - begin < 3 * limit:
                    await trio.sleep(limit / 8)
            assert received > size
            assert trio.current_time() - begin > limit

    kit.run(main)


def head_of(size: int) -> bytes:
    frame = b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: %s\r\n\r\n"
    return frame % (b"x" * (size - len(frame) + 2))


@pytest.mark.parametrize("limit", [1000, 65_536])
def test_a_head_may_be_as_long_as_the_limit_and_no_byte_longer(kit: Any, limit: int) -> None:
    """Plain Hypercorn: 16 KiB, give or take a read."""

    async def main() -> None:
        async with kit.open_site(kit.make_app(), HttpLimits(head_bytes=limit)) as site:
            async with site.client() as client:
                assert len(head_of(limit)) == limit
                for _ in range(2):
                    assert (await client.ask(head_of(limit))).status == 200
            for size in (limit + 1, 3 * limit):
                async with site.client() as client:
                    answer = await client.ask(head_of(size))
                    assert (answer.status, answer.headers["connection"]) == (431, "close")
                    assert await client.rest() == b""

    kit.run(main)


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_body_may_be_as_long_as_the_limit_and_no_byte_longer(kit: Any, chunked: bool) -> None:
    """Plain Hypercorn: has no such limit. The answer is JSON, as those of the app are."""
    limit = 200_000

    def request(size: int) -> bytes:
        if not chunked:
            return POST + b"Content-Length: %d\r\n\r\n" % size + b"x" * size
        half = size // 2
        return CHUNKED + b"%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (half, b"x" * half, size - half, b"x" * (size - half))

    async def main() -> None:
        async with kit.open_site(kit.make_app(), HttpLimits(body_bytes=limit)) as site, site.client() as client:
            assert (await client.ask(request(limit))).body == b"%d" % limit
            answer = await client.ask(request(limit + 1))
            assert (answer.status, answer.headers["connection"]) == (413, "close")
            assert json.loads(answer.body) == {"error": "Request body too large: more than 200000 bytes"}
            assert await client.rest() == b""

    kit.run(main)


def test_a_body_that_announces_too_much_is_refused_before_it_is_sent(kit: Any) -> None:
    """So a client that asks first (Expect) need not send it."""

    async def main() -> None:
        async with kit.open_site(kit.make_app()) as site, site.client() as client:
            answer = await client.ask(POST + b"Expect: 100-continue\r\nContent-Length: 1048577\r\n\r\n")
            assert answer.status == 413
            assert await client.rest() == b""

    kit.run(main)


@pytest.mark.parametrize("announced", [True, False])
def test_a_browser_that_sends_too_much_gets_a_page(kit: Any, announced: bool) -> None:
    async def main() -> None:
        async with kit.open_site(kit.make_app(), HttpLimits(body_bytes=10)) as site, site.client() as client:
            body = b"Content-Length: 11\r\n\r\n" + b"x" * 11 if announced else b"\r\nb\r\n" + b"x" * 11
            start = POST if announced else CHUNKED.removesuffix(b"\r\n")
            answer = await client.ask(start + b"Accept: text/html,*/*\r\n" + body)
            assert (answer.status, answer.headers["connection"]) == (413, "close")
            assert answer.headers["content-type"] == "text/html; charset=utf-8"
            assert answer.headers["content-security-policy"] == "default-src 'none'"
            assert b"more than 10 bytes" in answer.body

    kit.run(main)


def test_a_client_that_sends_on_regardless_still_gets_the_413(kit: Any) -> None:
    """An early close would destroy the answer with a reset (RFC 9112, 9.6)."""

    async def main() -> None:
        async with kit.open_site(kit.make_app(), HttpLimits(body_bytes=10)) as site, site.client() as client:
            await client.send(POST + b"Content-Length: 4000000\r\n\r\n" + b"x" * 4_000_000)
            assert (await client.answer()).status == 413

    kit.run(main)


@pytest.mark.parametrize("reaction", ["raises", "answers", "returns"])
def test_the_refusal_of_a_body_does_not_depend_on_how_the_app_takes_it(kit: Any, reaction: str) -> None:
    """The app sees a client that has gone."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        while (await receive())["type"] != "http.disconnect":
            pass
        assert (await receive())["type"] == "http.disconnect"
        if reaction == "raises":
            raise LookupError("nobody there")
        if reaction == "answers":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"ok"})

    async def main() -> None:
        async with kit.open_site(app, HttpLimits(body_bytes=10)) as site, site.client() as client:
            assert (await client.ask(CHUNKED + b"b\r\n" + b"x" * 11)).status == 413
            assert await client.rest() == b""

    kit.run(main)


def test_a_body_in_tiny_chunks_does_not_keep_the_loop_to_itself(kit: Any) -> None:
    """Parsing them is slow; timers, and the jobs whose they are, must have their turn in between."""
    turns = 0
    seen: set[int] = set()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        while (await receive())["more_body"]:
            seen.add(turns)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async def main() -> None:
        async with kit.open_site(app) as site, site.client() as client, trio.open_nursery() as nursery:
            nursery.start_soon(count_turns)
            assert (await client.ask(CHUNKED + b"1\r\nx\r\n" * 9000 + b"0\r\n\r\n")).body == b"ok"
            nursery.cancel_scope.cancel()

    kit.run(main)
    assert len(seen) > 10


def test_only_so_many_bytes_are_read_ahead_of_the_request_under_way(kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pipelined requests are kept, but not without end."""
    ahead = 0
    receive = _connection.Connection.receive

    async def noted(self: Any, size: int) -> bytes:
        nonlocal ahead
        received: bytes = await receive(self, size)
        ahead += len(received)
        return received

    monkeypatch.setattr(_connection.Connection, "receive", noted)

    async def main() -> None:
        async with kit.open_site(kit.make_app()) as site, site.client() as client, trio.open_nursery() as nursery:
            nursery.start_soon(client.send, b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n" + bytes(4 * 2**20))
            await trio.testing.wait_all_tasks_blocked(0.2)
            nursery.cancel_scope.cancel()

    kit.run(main)
    assert 0 < ahead < 2**18


MALFORMED = {
    "content-length and transfer-encoding": (
        POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    ),
    "two content-lengths": POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "a list of content-lengths": POST + b"Content-Length: 3, 4\r\n\r\nabcd",
    "a content-length that is no number": POST + b"Content-Length: +3\r\n\r\nabc",
    "a negative content-length": POST + b"Content-Length: -1\r\n\r\n",
    "chunked in http/1.0": b"POST /length HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a chunk size that is no number": CHUNKED + b"xyz\r\nabc\r\n0\r\n\r\n",
    "a negative chunk size": CHUNKED + b"-1\r\nabc\r\n0\r\n\r\n",
    "a chunk longer than it said": CHUNKED + b"3\r\nabcdef\r\n0\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "a header without colon": b"GET / HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n",
    "a long header without colon": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"nonsense" * 1000 + b"\r\n\r\n",
    "a space before the colon": b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "a target that is no path": b"GET foo HTTP/1.1\r\nHost: x\r\n\r\n",
    "connect": b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n",
}


@pytest.mark.parametrize("request_", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_request_is_refused_with_400_and_the_connection_closed(kit: Any, request_: bytes) -> None:
    """Plain Hypercorn: lets both lengths pass (request smuggling) and the strange targets; the rest gets a bare 400."""

    async def main() -> None:
        async with kit.open_site(kit.make_app()) as site, site.client() as client:
            answer = await client.ask(request_ + GET)
            assert (answer.status, answer.headers["connection"]) == (400, "close")
            assert answer.headers["content-type"].startswith("text/plain")
            assert answer.body.endswith(b"\n")
            assert len(answer.body) < 300
            assert await client.rest() == b""

    kit.run(main)


@pytest.mark.parametrize("version", [b"2.0", b"3.1", b"0.9"])
def test_other_major_versions_are_refused_with_505(kit: Any, version: bytes) -> None:
    """Plain Hypercorn: answers them as if they were HTTP/1.1."""

    async def main() -> None:
        async with kit.open_site(kit.make_app()) as site, site.client() as client:
            assert (await client.ask(b"GET / HTTP/" + version + b"\r\nHost: x\r\n\r\n")).status == 505
            assert await client.rest() == b""

    kit.run(main)


def test_an_unknown_transfer_coding_is_refused_with_501(kit: Any) -> None:
    """As RFC 9112, section 6.1 wants it."""

    async def main() -> None:
        async with kit.open_site(kit.make_app()) as site, site.client() as client:
            assert (await client.ask(POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n")).status == 501
            assert await client.rest() == b""

    kit.run(main)


def test_when_all_places_are_taken_the_longest_idle_connection_makes_room(kit: Any) -> None:
    """Plain Hypercorn: no limit but that of open files, at which the whole program suffers."""

    async def main() -> None:
        async with kit.open_site(kit.make_app(), HttpLimits(connections=3, drain=0.2)) as site:
            async with site.client() as oldest, site.client() as older, site.client() as newcomer:
                assert (await oldest.ask(GET)).status == 200
                assert (await older.ask(GET)).status == 200
                assert (await newcomer.ask(GET)).body == b"hello"
                async with site.client() as latecomer:
                    assert (await latecomer.ask(GET)).body == b"hello"
                    assert await oldest.rest() == b""
                    assert (await older.ask(GET)).body == b"hello"

    kit.run(main)


def test_when_all_places_are_busy_a_newcomer_waits_for_one(kit: Any) -> None:
    """Nobody is turned away, and a finished request gives its place up."""

    async def main() -> None:
        app = kit.make_app()
        busy, go_on = trio.Event(), trio.Event()

        @app.route("/slow")
        async def slow() -> str:
            busy.set()
            await go_on.wait()
            return "slow"

        async with kit.open_site(app, HttpLimits(connections=1, drain=0.2)) as site:
            async with site.client() as first, site.client() as newcomer:
                await first.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
                with trio.fail_after(5):
                    await busy.wait()
                await newcomer.send(GET)
                await trio.testing.wait_all_tasks_blocked(0.05)
                go_on.set()
                answer = await first.answer()
                assert (answer.body, answer.headers["connection"]) == (b"slow", "close")
                assert await first.rest() == b""
                await first.stream.aclose()
                assert (await newcomer.answer()).body == b"hello"

    kit.run(main)
