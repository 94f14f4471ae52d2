"""A server under test, a client that can be as rude as need be, and an app in front of them.

With ``PRUNNER_TEST_HTTP_SERVER=hypercorn`` the same tests run against plain ``hypercorn.trio.serve``, configured as
strictly as it can be: that is how each docstring's "Plain Hypercorn" was seen. There, some of them never end.
"""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import attrs
import hypercorn.trio
import pytest
import trio
from hypercorn.config import Config
from quart import request
from quart_trio import QuartTrio
from tests.real.reading import Reading

from prunner_trio.http.server import HttpLimits, bind, serve_http

PLAIN_HYPERCORN = os.environ.get("PRUNNER_TEST_HTTP_SERVER") == "hypercorn"
PATIENCE_S = 10.0
MORE_THAN_BUFFERS_HOLD = 32 * 2**20  # sender's and receiver's together


@attrs.define(eq=False)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@attrs.define(eq=False)
class Client(Reading):
    """A client on the level of bytes."""

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def ask(self, data: bytes, *, head_only: bool = False) -> Answer:
        await self.send(data)
        return await self.answer(head_only=head_only)

    async def answer(self, *, head_only: bool = False) -> Answer:
        """Read one answer; EOFError if the connection ends before."""
        with trio.fail_after(PATIENCE_S):
            head = await self.until(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").splitlines()[:-1]
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            status = int(first.split()[1])
            if head_only or status < 200 or status in (204, 304):
                body = b""
            elif headers.get("transfer-encoding") == "chunked":
                body = b"".join([chunk async for chunk in self._chunks()])
            elif "content-length" in headers:
                body = await self.exactly(int(headers["content-length"]))
            else:
                body = await self.rest()
            return Answer(status, headers, body)

    async def rest(self) -> bytes:
        """Read until the server closes the connection, in whatever way."""
        with trio.fail_after(PATIENCE_S):
            try:
                while data := await self.stream.receive_some():
                    self.unread += data
            except trio.BrokenResourceError:
                pass
            data, self.unread = self.unread, b""
            return data

    async def _chunks(self) -> AsyncIterator[bytes]:
        while size := int(await self.until(b"\r\n"), 16):
            yield await self.exactly(size)
            await self.exactly(2)
        await self.exactly(2)


@attrs.define(eq=False)
class Site:
    """A running server."""

    port: int
    shutdown: trio.Event = attrs.Factory(trio.Event)
    ended: trio.Event = attrs.Factory(trio.Event)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        async with await trio.open_tcp_stream("127.0.0.1", self.port) as stream:
            yield Client(stream)

    async def stop(self) -> None:
        """Ask the server to stop, and wait until it has."""
        self.shutdown.set()
        with trio.fail_after(PATIENCE_S):
            await self.ended.wait()


async def run_site(site: Site, app: Any, sockets: list[socket.socket], limits: HttpLimits, task_status: Any) -> None:
    if PLAIN_HYPERCORN:
        config = Config()
        config.bind = [f"fd://{os.dup(sockets[0].fileno())}"]
        config.errorlog = None
        config.keep_alive_timeout = limits.idle  # type: ignore[assignment]
        config.read_timeout = limits.header  # type: ignore[assignment]
        config.graceful_timeout = limits.drain
        serve = partial(hypercorn.trio.serve, app, config, shutdown_trigger=site.shutdown.wait, mode="asgi")
    else:
        serve = partial(serve_http, app, sockets, limits=limits, shutdown=site.shutdown, backoff=(0.01, 0.05))
    await serve(task_status=task_status)
    site.ended.set()


@asynccontextmanager
async def open_site(app: Any, limits: HttpLimits = HttpLimits(drain=0.2)) -> AsyncIterator[Site]:  # noqa: B008
    sockets = bind("127.0.0.1:0")
    site = Site(sockets[0].getsockname()[1])
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(start_site, site, app, sockets, limits))
            yield site
            nursery.cancel_scope.cancel()
    finally:
        for sock in sockets:
            sock.close()


async def start_site(
    site: Site, app: Any, sockets: list[socket.socket], limits: HttpLimits, *, task_status: Any
) -> None:
    await run_site(site, app, sockets, limits, task_status)


def make_app() -> QuartTrio:
    """Return an app whose routes do what their names say."""
    app = QuartTrio("site")

    @app.route("/", methods=["GET", "HEAD"])
    async def hello() -> str:
        return "hello"

    @app.route("/length", methods=["POST"])
    async def length() -> str:
        return str(len(await request.get_data()))

    @app.route("/hang")
    async def hang() -> str:
        await trio.sleep_forever()
        raise AssertionError

    @app.route("/unread", methods=["POST"])
    async def unread() -> str:
        return "not interested"

    @app.route("/endless")
    async def endless() -> Any:
        async def flood() -> AsyncIterator[bytes]:
            while True:
                yield bytes(MORE_THAN_BUFFERS_HOLD)

        return flood()

    return app


@attrs.define(eq=False)
class Kit:
    """What the tests of this folder share."""

    client: type[Client] = Client
    open_site: Callable[..., Any] = open_site
    make_app: Callable[[], QuartTrio] = make_app
    plain_hypercorn: bool = PLAIN_HYPERCORN

    def run(self, test: Callable[..., Awaitable[None]], *args: Any) -> None:
        trio.run(test, *args)


@pytest.fixture(scope="session")
def kit() -> Kit:
    return Kit()
