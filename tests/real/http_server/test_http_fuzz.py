"""Whatever one client sends, neither a neighbor of its nor a job beside the server notices."""

from __future__ import annotations

import contextlib
import logging
import socket
import struct
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import example, given, settings
from hypothesis import strategies as st

from prunner_trio.http.server import HttpLimits

pytestmark = pytest.mark.real

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LIMITS = HttpLimits(header=5, body=0.05, idle=5, write=0.05, head_bytes=2000, body_bytes=2000, drain=0.05)

LINES = rb"""
GET / HTTP/1.1
POST /length HTTP/1.1
HEAD / HTTP/1.0
POST /unread HTTP/1.1
GET /endless HTTP/1.1
GET /hang HTTP/1.1
PRI * HTTP/2.0
CONNECT x:1 HTTP/1.1
OPTIONS * HTTP/1.1
GET http://x/%zz HTTP/1.9
GET  / HTTP/1.1
get / HTTP/1.1
GET
"""
FIELDS = rb"""
Connection: close
Connection: Upgrade
Connection: upgrade, HTTP2-Settings
Upgrade: websocket
Upgrade: h2c
HTTP2-Settings: ???
HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA
Sec-WebSocket-Version: 13
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==
Expect: 100-continue
Content-Length: 5
Content-Length: 6
Content-Length: -1
Content-Length: 99999999999999999999
Transfer-Encoding: chunked
Transfer-Encoding: gzip
Content-Type: application/x-www-form-urlencoded
: x
X Y: z
 folded
"""
lines = st.sampled_from([*LINES.splitlines(), b"\x16\x03\x01", b"GET /\xff HTTP/1.1"])
fields = st.sampled_from([*FIELDS.strip().splitlines(), b"\xff: \xff", b"X:" + b"y" * 3000, b"Cookie: a=\x01b"])
bodies = st.one_of(
    st.binary(max_size=20),
    st.sampled_from(
        [b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"5\r\nhel", b"zz\r\n", b"ffffffffffffffffffff\r\n", b"-1\r\n"]
    ),
    st.just(b"1\r\nx\r\n" * 500),
)
requests = st.builds(
    lambda line, some, body: b"\r\n".join([line, b"Host: x", *some]) + b"\r\n\r\n" + body,
    lines,
    st.lists(fields, max_size=7),
    bodies,
)
conversations = st.lists(st.one_of(requests, requests, st.binary(max_size=100)), min_size=1, max_size=3)
ends = st.sampled_from(["wait", "half-close", "close", "reset"])


class Errors(logging.Handler):
    """Collects what the server would have an operator look into."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))


@settings(max_examples=100, deadline=None, database=None)
@example([b"POST /length HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"], "wait")
@example([b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n"], "half-close")
@given(conversations, ends)
def test_hostile_bytes_disturb_neither_a_neighbor_nor_a_job(kit: Any, conversation: list[bytes], end: str) -> None:
    """Plain Hypercorn: an upgrade is found within seconds, and ends the server, the neighbor and the job."""
    errors = Errors()

    async def main() -> None:
        tick, ticks = trio.open_memory_channel[None](0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(job, tick)
            async with kit.open_site(kit.make_app(), LIMITS) as site:
                async with site.client() as neighbor, site.client() as rude:
                    assert (await neighbor.ask(GET)).body == b"hello"
                    await be_hostile(rude.stream, conversation, end)
                    await trio.testing.wait_all_tasks_blocked(0.005)
                    assert (await neighbor.ask(GET)).body == b"hello"
                    with trio.fail_after(5):
                        await ticks.receive()
                    assert not site.ended.is_set()
                    await site.stop()
            nursery.cancel_scope.cancel()

    logger = logging.getLogger("prunner_trio.http.server")
    logger.addHandler(errors)
    try:
        kit.run(main)
    finally:
        logger.removeHandler(errors)
    assert errors.texts == []


async def job(tick: trio.MemorySendChannel[None]) -> None:
    while True:
        await tick.send(None)


async def be_hostile(stream: trio.SocketStream, conversation: list[bytes], end: str) -> None:
    """Say it all, read nothing."""
    with contextlib.suppress(trio.BrokenResourceError):
        for part in conversation:
            await stream.send_all(part)
        if end == "half-close":
            await stream.send_eof()
    if end == "reset":
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if end in ("reset", "close"):
        await stream.aclose()
