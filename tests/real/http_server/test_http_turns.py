"""However fast a client sends or reads, the loop gets its turn: timers, the other clients, and the jobs."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from prunner_trio.http.server import HttpLimits, _connection, _requests

pytestmark = pytest.mark.real

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
TINY = b"1\r\nx\r\n"
OFFER = 300  # reads for which there are bytes at once


@attrs.define(eq=False)
class Count(trio.abc.Instrument):
    """How often something is done in a turn of the loop."""

    now: int = 0
    most: int = 0
    total: int = 0

    def one_more(self) -> None:
        self.now += 1
        self.total += 1
        self.most = max(self.most, self.now)

    def before_io_wait(self, timeout: float) -> None:
        self.now = 0


@pytest.fixture(autouse=True)
def ours_only(kit: Any) -> None:
    if kit.plain_hypercorn:
        pytest.skip("looks inside")


async def answer(send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


async def ignore_the_body(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    await answer(send)


async def read_the_body(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    while (await receive()).get("more_body"):
        pass
    await answer(send)


async def wait_for_the_end(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    while (await receive())["type"] != "http.disconnect":
        pass


@pytest.mark.parametrize("app", [ignore_the_body, read_the_body])
def test_only_so_many_pieces_of_a_body_are_taken_in_one_turn(
    kit: Any, app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = Count()
    piece = _requests.OddRequest.piece

    def counted(self: Any) -> bytes | None:
        count.one_more()
        return piece(self)

    monkeypatch.setattr(_requests.OddRequest, "piece", counted)
    monkeypatch.setattr(_connection, "LINGER_S", 1000.0)

    async def main() -> None:
        trio.lowlevel.add_instrument(count)
        async with kit.open_site(app) as site, site.client() as client:
            assert (await client.ask(CHUNKED + TINY * 9000 + b"0\r\n\r\n" + GET)).body == b"ok"
            assert (await client.answer()).body == b"ok"

    kit.run(main)
    assert count.total > 9000
    assert count.most <= 2 * _connection.PIECES_PER_STEP


@pytest.mark.parametrize(
    ("app", "head", "flood"),
    [
        (ignore_the_body, CHUNKED, TINY),
        (read_the_body, CHUNKED, TINY),
        (read_the_body, CHUNKED, b"1;" + b"x" * 1000 + b"\r\nx\r\n"),
        (read_the_body, CHUNKED + b"1;", b"x"),
        (ignore_the_body, b"GET / HTTP/1.1\r\nX: ", b"x"),
        (wait_for_the_end, GET, b"x"),
    ],
    ids=["ignored body", "body", "much between the chunks", "name of a chunk", "head", "next request"],
)
def test_a_client_that_sends_as_fast_as_we_read_has_two_reads_in_one_turn(
    kit: Any, app: Any, head: bytes, flood: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deadlines also depend on it: who never waits is never canceled."""
    count = Count()
    read = _connection.Connection.receive_at_once

    def flooded(self: Any, size: int) -> bytes | None:
        count.one_more()
        if count.total == 1:
            return read(self, len(head))  # the rest stays, so the kernel always says that there is more
        if count.total > OFFER:
            raise _connection.ClientGone
        return flood

    monkeypatch.setattr(_connection.Connection, "receive_at_once", flooded)

    async def main() -> None:
        trio.lowlevel.add_instrument(count)
        async with kit.open_site(app, HttpLimits(body_bytes=2**30)) as site, site.client() as client:
            await client.send(head + b"more")
            await client.rest()

    kit.run(main)
    assert count.total > OFFER
    assert count.most <= 2


@pytest.mark.parametrize("parts", [1, 8])
def test_a_client_that_reads_as_fast_as_we_send_has_two_writes_in_one_turn(
    kit: Any, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = Count()
    sizes: list[int] = []

    def write(fd: int, data: memoryview) -> int:
        count.one_more()
        sizes.append(len(data))
        return os.write(fd, data[:10_000])  # so much room is there whenever we ask

    monkeypatch.setattr(_connection, "os", SimpleNamespace(read=os.read, write=write))
    body = bytes(2**20)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(parts):
            await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def main() -> None:
        trio.lowlevel.add_instrument(count)
        async with kit.open_site(app) as site, site.client() as client:
            assert (await client.ask(GET)).body == body * parts

    kit.run(main)
    assert count.total > 100 * parts
    assert count.most <= 2
    assert max(sizes) <= _connection.SEND_BYTES


def nothing_after_the_first_request(monkeypatch: pytest.MonkeyPatch) -> trio.Event:
    """Let a socket be called readable and have nothing to read, as after a wrong checksum; tell when that was met."""
    met = trio.Event()
    read = _connection.Connection.receive_at_once

    def nothing_there(self: Any, size: int) -> bytes | None:
        if not self.had_request:
            return read(self, size)
        met.set()
        return None

    monkeypatch.setattr(_connection.Connection, "receive_at_once", nothing_there)
    return met


def test_bytes_that_were_announced_and_are_not_there_are_waited_for_with_the_idle_limit(
    kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing_after_the_first_request(monkeypatch)

    async def main() -> None:
        limits = HttpLimits(idle=0.1, header=3600, drain=3600)
        async with kit.open_site(ignore_the_body, limits) as site, site.client() as client:
            assert (await client.ask(GET)).body == b"ok"
            await client.send(GET)
            assert await client.rest() == b""

    kit.run(main)


def test_bytes_that_were_announced_and_are_not_there_do_not_delay_a_shutdown(
    kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = nothing_after_the_first_request(monkeypatch)

    async def main() -> None:
        limits = HttpLimits(idle=3600, header=3600, drain=3600)
        async with kit.open_site(ignore_the_body, limits) as site, site.client() as client:
            assert (await client.ask(GET)).body == b"ok"
            await client.send(GET)
            with trio.fail_after(5):
                await asked.wait()
            await site.stop()

    kit.run(main)
