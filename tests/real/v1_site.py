"""A daemon without its process, for clients over sockets: real tasks, files, connections."""

import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import attrs
import jwt
import trio
from tests.real.reading import Reading

from prunner_trio import Definitions, PipelineDef, Runner, TaskDef, open_runner
from prunner_trio.http.app import create_app
from prunner_trio.http.server import HttpLimits, Visitors, bind, serve_http
from prunner_trio.storage import MemoryJournal

SECRET = "a-secret-of-more-than-32-bytes-for-tests"
TOKEN = jwt.encode({"sub": "jane"}, SECRET, algorithm="HS256")
WAIT = "while [ ! -e go ]; do sleep 0.02; done"
PATIENCE_S = 60


@attrs.define(eq=False)
class Client(Reading):
    """One connection, with one answer in chunks."""

    text: str = ""

    async def ask(self, target: str, *headers: str) -> str:
        """Ask, and return the head of the answer."""
        lines = [f"GET {target} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {TOKEN}", *headers]
        await self.stream.send_all("\r\n".join([*lines, "", ""]).encode())
        return (await self.until(b"\r\n\r\n")).decode()

    async def chunk(self) -> bytes:
        """Return the next chunk; empty at the end. EOFError or BrokenResourceError: the answer was cut off."""
        size = int(await self.until(b"\r\n"), 16)
        data = await self.exactly(size)
        await self.exactly(2)
        return data

    async def text_until(self, end: str) -> str:
        """Return all chunks up to the one that ends with this."""
        text = ""
        while not text.endswith(end):
            text += (await self.chunk()).decode()
        return text

    async def rest(self) -> bytes:
        """Return all chunks that are still to come."""
        data = b""
        while piece := await self.chunk():
            data += piece
        return data

    async def event(self) -> tuple[str, dict]:
        """Return name and data of the next event."""
        while True:
            while "\n\n" not in self.text:
                self.text += (await self.chunk()).decode()
            block, self.text = self.text.split("\n\n", 1)
            fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
            if fields:
                return fields["event"], json.loads(fields["data"])


@attrs.define(eq=False)
class Site:
    runner: Runner
    port: int
    folder: Path
    closing: trio.Event
    visitors: Visitors

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        async with await trio.open_tcp_stream("127.0.0.1", self.port) as stream:
            yield Client(stream)

    async def start(self, pipeline: str) -> str:
        """Schedule a job and return the address of the log of its task `t`."""
        job = await self.runner.schedule(pipeline)
        while (task := job.view().task("t")) is None or task.state.value == "waiting":
            await trio.sleep(0.01)
        return f"/v1/jobs/{job.id}/tasks/t/logs/stdout"

    def go(self) -> None:
        """Let tasks that wait for it go on."""
        (self.folder / "go").touch()


def play_site(
    folder: Path,
    scenario: Callable[[Site], Awaitable[None]],
    *scripts: str,
    send_buffer: int | None = None,
    **limits: float,
) -> None:
    """Run a scenario; its pipelines p0, p1, … have one task `t` each.

    Args:
        send_buffer: bytes that the kernel keeps for a client that does not read, about.
        limits: see `HttpLimits`.
    """
    tasks = {f"p{index}": TaskDef("t", (script,)) for index, script in enumerate(scripts)}
    pipelines = [PipelineDef(name, (task,), concurrency=100) for name, task in tasks.items()]

    async def main() -> None:
        with trio.fail_after(PATIENCE_S):
            runner_of = open_runner(Definitions.of(*pipelines), data=folder, cwd=folder, journal=MemoryJournal())
            async with runner_of as runner:
                closing, sockets, visitors = trio.Event(), bind("127.0.0.1:0"), Visitors()
                if send_buffer is not None:
                    sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
                app = create_app(runner, secret=SECRET, closing=closing)
                site = Site(runner, sockets[0].getsockname()[1], folder, closing, visitors)
                serve = partial(
                    serve_http, app, sockets, limits=HttpLimits(**limits), shutdown=closing, visitors=visitors
                )
                with sockets[0]:
                    async with trio.open_nursery() as nursery:
                        await nursery.start(serve)
                        await scenario(site)
                        site.go()
                        closing.set()

    trio.run(main, strict_exception_groups=True)


def tasks_alive() -> int:
    """Return how many Trio tasks there are."""
    return trio.lowlevel.current_statistics().tasks_living
