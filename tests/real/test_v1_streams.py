"""API v1 over sockets: real tasks are followed, and clients come and go as they like."""

import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import attrs
import jwt
import pytest
import trio

from prunner_trio import Definitions, PipelineDef, Runner, TaskDef, open_runner
from prunner_trio.http.app import create_app
from prunner_trio.http.server import HttpLimits, bind, serve_http
from prunner_trio.storage import MemoryJournal

pytestmark = pytest.mark.real

SECRET = "a-secret-of-more-than-32-bytes-for-tests"
TOKEN = jwt.encode({"sub": "jane"}, SECRET, algorithm="HS256")
WAIT = "while [ ! -e go ]; do sleep 0.02; done"
PATIENCE_S = 60


@attrs.define(eq=False)
class Client:
    """One connection, with one answer in chunks."""

    stream: trio.SocketStream
    unread: bytes = b""
    text: str = ""

    async def ask(self, target: str, *headers: str) -> str:
        """Ask, and return the head of the answer."""
        lines = [f"GET {target} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {TOKEN}", *headers]
        await self.stream.send_all("\r\n".join([*lines, "", ""]).encode())
        return (await self._until(b"\r\n\r\n")).decode()

    async def chunk(self) -> bytes:
        """Return the next chunk; empty at the end. EOFError or BrokenResourceError: the answer was cut off."""
        size = int(await self._until(b"\r\n"), 16)
        data = await self._exactly(size)
        await self._exactly(2)
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

    async def _until(self, mark: bytes) -> bytes:
        while mark not in self.unread:
            await self._more()
        return await self._exactly(self.unread.index(mark) + len(mark))

    async def _exactly(self, size: int) -> bytes:
        while len(self.unread) < size:
            await self._more()
        data, self.unread = self.unread[:size], self.unread[size:]
        return data

    async def _more(self) -> None:
        data = await self.stream.receive_some()
        if not data:
            raise EOFError
        self.unread += data


@attrs.define(eq=False)
class Site:
    runner: Runner
    port: int
    folder: Path
    closing: trio.Event

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


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., None]:
    """Run a scenario against a daemon without its process: real tasks, files, sockets."""

    def play(scenario: Callable[[Site], Awaitable[None]], *scripts: str, **limits: float) -> None:
        tasks = {f"p{index}": TaskDef("t", (script,)) for index, script in enumerate(scripts)}
        pipelines = [PipelineDef(name, (task,), concurrency=100) for name, task in tasks.items()]

        async def main() -> None:
            with trio.fail_after(PATIENCE_S):
                runner_of = open_runner(
                    Definitions.of(*pipelines), data=tmp_path, cwd=tmp_path, journal=MemoryJournal()
                )
                async with runner_of as runner:
                    closing, sockets = trio.Event(), bind("127.0.0.1:0")
                    app = create_app(runner, secret=SECRET, closing=closing)
                    site = Site(runner, sockets[0].getsockname()[1], tmp_path, closing)
                    async with trio.open_nursery() as nursery:
                        await nursery.start(
                            partial(serve_http, app, sockets, limits=HttpLimits(**limits), shutdown=closing)
                        )
                        await scenario(site)
                        site.go()
                        closing.set()
                    sockets[0].close()

        trio.run(main, strict_exception_groups=True)

    return play


def test_what_a_task_writes_is_seen_while_it_runs_each_byte_once(play):
    async def scenario(site):
        log = await site.start("p0")
        async with site.client() as text, site.client() as events:
            head = await text.ask(log + "?follow=1")
            assert "transfer-encoding: chunked" in head.lower()
            assert await text.text_until("first\n") == "first\n"
            await events.ask(log + "?follow=1", "Accept: text/event-stream", "Last-Event-ID: 3")
            site.go()
            assert await text.rest() == b"second\n"
            found = [await events.event()]
            while found[-1][0] != "end":
                found.append(await events.event())
        assert "".join(data.get("text", "") for _, data in found) == "st\nsecond\n"
        assert found[-1] == ("end", {"size": 13, "state": "error", "exit_code": 4})

    play(scenario, f"echo first\n{WAIT}\necho second\nexit 4")


def test_a_client_that_stops_reading_is_cut_off_and_nobody_else_notices(play):
    async def scenario(site):
        log = await site.start("p0")
        async with site.client() as lazy, site.client() as eager:
            lazy.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            for client in (lazy, eager):
                await client.ask(log + "?follow=1")
            site.go()
            assert len(await eager.rest()) == 30_000_000
            with pytest.raises((EOFError, trio.BrokenResourceError)):
                await lazy.rest()

    play(scenario, f"{WAIT}\nhead -c 30000000 /dev/zero", write=0.5)


def test_hundreds_of_listeners_and_followers_see_everything_and_leave_nothing_behind(play):
    async def scenario(site):
        log = await site.start("p0")
        quiet = tasks_alive()
        told, lines = [], []

        async def listen(task_status):
            async with site.client() as client:
                await client.ask("/v1/events")
                assert (await client.event())[0] == "ready"
                task_status.started()
                seqs, last = [], False
                while not last:
                    _, data = await client.event()
                    seqs.append(data["seq"])
                    last = data["task"] is None and data["state"] == "done" and data["pipeline"] == "p0"
                told.append(seqs)

        async def follow(task_status):
            async with site.client() as client:
                await client.ask(log + "?follow=1")
                task_status.started()
                lines.append((await client.rest()).decode().split())

        async with trio.open_nursery() as nursery:
            for _ in range(200):
                await nursery.start(lambda task_status: listen(task_status))
            for _ in range(20):
                await nursery.start(lambda task_status: follow(task_status))
            jobs = [await site.runner.schedule("p1") for _ in range(20)]
            for job in jobs:
                await job.wait()
            site.go()
        assert len(told) == 200
        assert all(seqs == told[0] for seqs in told)
        assert told[0] == list(range(told[0][0], told[0][0] + len(told[0])))
        assert len(told[0]) == 20 * 5 + 2
        assert lines == [[str(number) for number in range(1, 2001)]] * 20
        while tasks_alive() > quiet:
            await trio.sleep(0.01)

    play(scenario, f"{WAIT}\nseq 2000", "true")


def tasks_alive() -> int:
    return trio.lowlevel.current_statistics().tasks_living


def test_a_client_that_goes_away_takes_its_task_along(play):
    async def scenario(site):
        log = await site.start("p0")
        quiet = tasks_alive()
        for target in ("/v1/events", log + "?follow=1", log.partition("/tasks")[0] + "/events"):
            async with site.client() as client:
                await client.ask(target)
                assert tasks_alive() > quiet
                reset = struct.pack("ii", 1, 0)
                client.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
            while tasks_alive() > quiet:
                await trio.sleep(0.01)

    play(scenario, WAIT)


def test_streams_do_not_hold_up_the_end_of_the_server(play):
    async def scenario(site):
        log = await site.start("p0")
        async with site.client() as events, site.client() as text:
            await events.ask("/v1/events")
            await text.ask(log + "?follow=1")
            site.closing.set()
            assert (await events.rest()).endswith(b'{"reason":"the daemon is about to end"}\n\n')
            assert await text.rest() == b""

    play(scenario, WAIT, drain=1000.0)
