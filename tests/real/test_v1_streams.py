"""API v1 over sockets: real tasks are followed, and clients come and go as they like."""

import socket
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import trio
from tests.real.v1_site import WAIT, play_site, tasks_alive

pytestmark = pytest.mark.real


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., None]:
    """Run a scenario against a daemon without its process."""
    return partial(play_site, tmp_path)


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
