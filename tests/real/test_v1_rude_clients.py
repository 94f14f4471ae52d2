"""Clients that do not read, go away, or take their time: each loses its connection, and nobody else notices."""

import logging
import socket
import struct
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from tests.real.v1_site import TOKEN, WAIT, Client, play_site, tasks_alive

pytestmark = pytest.mark.real

BIG = 3_000_000
SCRIPTS = (f"echo begun\n{WAIT}\nhead -c {BIG} /dev/zero", f"head -c {BIG} /dev/zero", "true")
SSE = "Accept: text/event-stream"
ANSWERS = {
    "events": ("/v1/events", ""),
    "log followed as text": ("{running}?follow=1", ""),
    "log followed as events": ("{running}?follow=1", SSE),
    "log": ("{done}", ""),
    "log of prunner": ("{old}", ""),
    "listing": ("/pipelines/jobs", ""),
    "page": ("/?live=x", SSE),
}
POSTS = {
    "/v1/jobs": "application/json",
    "/pipelines/schedule": "application/json",
    "/sign-in": "application/x-www-form-urlencoded",
}
WRITE_S = 0.5


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., None]:
    """Run a scenario against a daemon without its process, whose kernel keeps little for who does not read."""

    def play(scenario: Callable, **limits: float) -> None:
        async def with_jobs(site) -> None:
            running = await site.start("p0")
            job = await site.runner.schedule("p1")
            await job.wait()
            for _ in range(20):
                await site.runner.schedule("p2", variables={"x": "y" * 2000})
            while len(list(site.runner.live())) > 1:
                await trio.sleep(0.01)
            addresses = {
                "running": running,
                "done": f"/v1/jobs/{job.id}/tasks/t/logs/stdout",
                "old": f"/job/logs?id={job.id}&task=t",
            }
            async with site.client() as first:  # the web application is made for the first who asks for it
                assert await status(first, "/sign-in") == 200
            while site.visitors.count:
                await trio.sleep(0.01)
            await scenario(site, addresses)

        play_site(tmp_path, with_jobs, *SCRIPTS, send_buffer=4096, **limits)

    return play


def head(target: str, *lines: str, method: str = "GET") -> bytes:
    every = (f"{method} {target} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {TOKEN}", *filter(None, lines))
    return "\r\n".join([*every, "", ""]).encode()


async def status(client: Client, target: str) -> int:
    """Ask, and read an answer that has its length."""
    await client.stream.send_all(head(target))
    first = await client.until(b"\r\n\r\n")
    (length,) = (int(line[15:]) for line in first.decode().lower().split("\r\n") if line.startswith("content-length:"))
    await client.exactly(length)
    return int(first.split()[1])


@asynccontextmanager
async def lazy_client(site, target: str, line: str):
    """Ask for something, and read nothing of it."""
    with trio.socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await sock.connect(("127.0.0.1", site.port))
        stream = trio.SocketStream(sock)
        await stream.send_all(head(target, line))
        yield stream


async def be_served(site, *, task_status=trio.TASK_STATUS_IGNORED) -> None:
    """Ask one thing after the other, for ever, on one connection."""
    async with site.client() as client:
        assert await status(client, "/healthz") == 200
        task_status.started()
        while True:
            for target in ("/healthz", "/v1/pipelines", "/pipelines/", "/v1/jobs?limit=1"):
                assert await status(client, target) == 200
            await trio.sleep(0.01)


async def make_news(site) -> None:
    """Let things happen that all streams tell of."""
    site.go()
    for _ in range(30):
        job = await site.runner.schedule("p2", variables={"x": "y" * 2000})
        await job.wait()


@pytest.mark.parametrize("name", ANSWERS)
def test_a_client_that_does_not_read_is_cut_off_while_others_are_served(play, name, caplog):
    async def scenario(site, addresses):
        target, line = ANSWERS[name]
        quiet = tasks_alive()
        async with trio.open_nursery() as nursery:
            await nursery.start(be_served, site)
            async with lazy_client(site, target.format(**addresses), line):
                while site.visitors.count < 2:
                    await trio.sleep(0.01)
                nursery.start_soon(make_news, site)
                while site.visitors.count > 1:
                    await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
        while tasks_alive() > quiet:
            await trio.sleep(0.01)

    play(scenario, write=WRITE_S)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("polite", [True, False])
@pytest.mark.parametrize("name", ANSWERS)
def test_a_client_that_goes_away_in_the_middle_of_an_answer_leaves_nothing_behind(play, name, polite, caplog):
    async def scenario(site, addresses):
        target, line = ANSWERS[name]
        quiet = tasks_alive()
        async with lazy_client(site, target.format(**addresses), line) as stream:
            assert (await stream.receive_some(500)).startswith(b"HTTP/1.1 200")
            assert site.visitors.count == 1
            if not polite:
                stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        while site.visitors.count or tasks_alive() > quiet:
            await trio.sleep(0.01)
        async with site.client() as client:
            assert await status(client, "/v1/pipelines") == 200

    play(scenario, write=1000.0)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("trickles", [True, False])
@pytest.mark.parametrize("target", POSTS)
def test_a_body_that_does_not_come_is_not_waited_for(play, target, trickles):
    async def scenario(site, addresses):
        jobs = len(await site.runner.jobs())
        kind = f"Content-Type: {POSTS[target]}"
        async with trio.open_nursery() as nursery, site.client() as slow:
            await nursery.start(be_served, site)
            await slow.stream.send_all(head(target, kind, "Content-Length: 9999", method="POST") + b'{"pipe')

            async def trickle() -> None:
                while True:
                    await slow.stream.send_all(b"x")
                    await trio.sleep(0.05)

            if trickles:
                nursery.start_soon(trickle)
            assert (await slow.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 408 ")
            nursery.cancel_scope.cancel()
        assert len(await site.runner.jobs()) == jobs

    play(scenario, body=WRITE_S)


def test_everybody_is_served_while_rude_clients_of_every_kind_hold_on(play):
    """The limits are so long here that nobody is cut off: it is not they that let the others be served."""

    async def scenario(site, addresses):
        async with trio.open_nursery() as nursery:

            async def be_rude(data: bytes, task_status) -> None:
                async with site.client() as client:
                    await client.stream.send_all(data)
                    task_status.started()
                    await trio.sleep_forever()

            async def be_lazy(target: str, line: str, task_status) -> None:
                async with lazy_client(site, target, line):
                    task_status.started()
                    await trio.sleep_forever()

            for data in (b"", b"GET", head("/v1/jobs")[:-2]):
                for _ in range(3):
                    await nursery.start(be_rude, data)
            for target, kind in POSTS.items():
                half = head(target, f"Content-Type: {kind}", "Content-Length: 99", method="POST")
                for _ in range(3):
                    await nursery.start(be_rude, half + b"{")
            for target, line in ANSWERS.values():
                for _ in range(3):
                    await nursery.start(be_lazy, target.format(**addresses), line)
            while site.visitors.count < 3 * (3 + len(POSTS) + len(ANSWERS)):
                await trio.sleep(0.01)
            await make_news(site)
            async with site.client() as listener, site.client() as follower, site.client() as asking:
                await listener.ask("/v1/events")
                assert (await listener.event())[0] == "ready"
                job = await site.runner.schedule("p1")
                while (told := (await listener.event())[1])["task"] is not None or told["state"] != "done":
                    pass
                assert told["job"] == job.id
                await follower.ask(f"/v1/jobs/{job.id}/tasks/t/logs/stdout?follow=1")
                assert len(await follower.rest()) == BIG
                for _ in range(10):
                    for target in ("/healthz", "/v1/pipelines", "/pipelines/jobs", "/v1/jobs", "/sign-in"):
                        assert await status(asking, target) == 200
                listed = await asking.ask("/job/detail?id=" + job.id)
                assert listed.startswith("HTTP/1.1 200")
            assert site.visitors.count >= 3 * (3 + len(POSTS) + len(ANSWERS))
            nursery.cancel_scope.cancel()

    play(scenario, header=1000.0, body=1000.0, write=1000.0, idle=1000.0, drain=0.1)
