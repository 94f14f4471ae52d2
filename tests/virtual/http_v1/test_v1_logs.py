"""Logs in API v1: parts, ranges, last lines, and following one while it grows."""

import json
import math

import pytest
import trio

from prunner_trio.definition.pipeline import PipelineDef, TaskDef
from prunner_trio.execution.seams import Stream
from prunner_trio.http.v1.follow import QUIET, SLOW_TICK, TICK
from prunner_trio.output import MemoryOutputStore
from prunner_trio.testing import Act

TALK = PipelineDef("talk", (TaskDef("t", ("talk",)),), concurrency=9)
LINES = "".join(f"line {n}\n" for n in range(1, 101))


@pytest.fixture
def told(play):
    """Run a scenario with the address of a log of a task that is over."""

    def told(scenario, stdout, **acts):
        async def outer(api):
            job_id = await api.schedule("talk")
            await api.rig.at(1)
            await scenario(api, f"/v1/jobs/{job_id}/tasks/t/logs/stdout")

        play(outer, TALK, acts={"t": Act(stdout=stdout, **acts)})

    return told


async def talking(api, **body):
    """Start a job whose task runs; return the address of its log and a function that writes to it."""
    job_id = await api.schedule("talk", **body)
    await trio.testing.wait_all_tasks_blocked()
    output = api.rig.output.open(job_id, "t")
    return f"/v1/jobs/{job_id}/tasks/t/logs/stdout", lambda data: output.write(Stream.STDOUT, data)


def test_parts_of_a_log_come_with_their_places(told):
    async def scenario(api, log):
        whole = await api("GET", log)
        assert whole.body.decode() == LINES
        assert whole.headers["content-type"] == "text/plain; charset=utf-8"
        for query, start, end in (
            ("", 0, 792),
            ("?offset=700", 700, 792),
            ("?offset=9999", 792, 792),
            ("?limit=7", 0, 7),
            ("?offset=7&limit=7", 7, 14),
            ("?tail=2", 792 - 17, 792),
            ("?tail=0", 792, 792),
            ("?tail=1000", 0, 792),
        ):
            got = await api("GET", log + query)
            places = [int(got.headers[name]) for name in ("log-offset", "log-next", "log-size")]
            assert (got.body, places) == (LINES.encode()[start:end], [start, end, 792]), query
            assert got.headers["log-complete"] == "true"
        for query in ("?offset=1&tail=1", "?limit=1&follow=1", "?offset=-1", "?tail=x", "?follow=yes"):
            assert (await api("GET", log + query)).problem == (400, "invalid-query"), query

    told(scenario, LINES)


@pytest.mark.parametrize("text", ["", "\n", "\n\n\n", "no end", "a\nno end", "x" * 70_000 + "\n" + "y" * 70_000])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_last_lines_are_those_of_tail(told, text, count):
    lines = text.splitlines(keepends=True)

    async def scenario(api, log):
        assert (await api("GET", f"{log}?tail={count}")).body.decode() == "".join(lines[-count:])

    told(scenario, text)


def test_ranges_are_those_of_http(told):
    async def scenario(api, log):
        tag = (await api("GET", log)).headers["etag"]
        for asked, answered in {
            "bytes=0-6": (206, "bytes 0-6/792", b"line 1\n"),
            "bytes=785-": (206, "bytes 785-791/792", b"ne 100\n"),
            "bytes=-3": (206, "bytes 789-791/792", b"00\n"),
            "bytes=790-9999": (206, "bytes 790-791/792", b"0\n"),
            "bytes=0-0": (206, "bytes 0-0/792", b"l"),
        }.items():
            got = await api("GET", log, range=asked)
            assert (got.status, got.headers["content-range"], got.body) == answered, asked
            assert got.headers["etag"] == tag
        for ignored in ("bytes=5-1", "lines=1-2", "bytes=0-1,4-5", "bytes=-", "bytes=a-b"):
            got = await api("GET", log, range=ignored)
            assert (got.status, len(got.body)) == (200, 792), ignored
        for beyond in ("bytes=792-", "bytes=-0"):
            got = await api("GET", log, range=beyond)
            assert (got.problem, got.headers["content-range"]) == ((416, "range-not-satisfiable"), "bytes */792")
        assert (await api("GET", log, range="bytes=0-1", if_range=tag)).status == 206
        assert (await api("GET", log, range="bytes=0-1", if_range='"other"')).status == 200
        assert (await api("GET", log + "?tail=1", range="bytes=0-1")).problem == (400, "invalid-query")
        got = await api("GET", log, if_none_match=tag)
        assert (got.status, got.body) == (304, b"")

    told(scenario, LINES)


def test_a_long_log_is_sent_piece_by_piece_and_whole(told):
    text = "0123456789abcde\n" * 20_000

    async def scenario(api, log):
        got = await api("GET", log)
        assert (got.body.decode() == text, got.headers["content-length"]) == (True, str(len(text)))
        got = await api("GET", log, range="bytes=100-300000")
        assert (got.status, got.body.decode() == text[100:300_001]) == (206, True)
        assert (await api("HEAD", log)).headers["content-length"] == str(len(text))
        async with api.stream(log, room=0) as stream:  # a client that goes away after the first piece
            await stream.piece()

    told(scenario, text)


def test_the_log_of_a_task_that_runs_says_that_it_may_grow(play):
    async def scenario(api):
        log, write = await talking(api)
        write(b"one\n")
        first = await api("GET", log)
        assert (first.body, first.headers["log-complete"]) == (b"one\n", "false")
        write(b"two\n")
        again = await api("GET", log, if_none_match=first.headers["etag"])
        assert (again.status, again.body) == (200, b"one\ntwo\n")
        await api.rig.at(200)
        assert (await api("GET", log)).headers["log-complete"] == "true"

    play(scenario, TALK, acts={"t": Act(100)})


# ------------------------------------------------------------------------------------------------------- following


def test_a_follower_gets_each_byte_once_within_a_tick_and_then_the_end(play):
    async def scenario(api):
        log, write = await talking(api)
        write(b"before\n")
        async with api.stream(log + "?follow=1") as stream:
            assert stream.headers["content-type"] == "text/plain; charset=utf-8"
            assert await stream.piece() == b"before\n"
            for second in (1, 2, 3):
                await api.rig.at(second + 0.001)
                write(b"%d\n" % second)
                assert await stream.piece() == b"%d\n" % second
                assert trio.current_time() <= second + 0.001 + TICK
            await api.rig.at(99.999)
            write(b"last words\n")
            assert await stream.rest() == b"last words\n"
            assert trio.current_time() < 100 + 2 * TICK
        assert (await api("GET", log)).body == b"before\n1\n2\n3\nlast words\n"

    play(scenario, TALK, acts={"t": Act(100)})


def test_a_silent_log_is_looked_at_more_rarely_until_a_byte_comes(play, monkeypatch):
    looks = []
    size = MemoryOutputStore.size

    async def counting(*args):
        looks.append(trio.current_time())
        return await size(*args)

    async def scenario(api):
        log, write = await talking(api)
        monkeypatch.setattr(MemoryOutputStore, "size", counting)
        async with api.stream(log + "?follow=1") as stream:
            await api.rig.at(62.001)
            assert sum(moment > QUIET for moment in looks) <= 60 / SLOW_TICK + 60 / 15 + 1
            write(b"one\n")
            assert await stream.piece() == b"one\n"
            assert trio.current_time() <= 62.001 + SLOW_TICK
            again = trio.current_time() + 1.001
            await api.rig.at(again)
            write(b"two\n")
            assert await stream.piece() == b"two\n"
            assert trio.current_time() <= again + TICK

    play(scenario, TALK, acts={"t": Act(100)})


def test_the_end_of_a_silent_task_is_told_within_a_tick(play):
    async def scenario(api):
        log, _ = await talking(api)
        async with api.stream(log + "?follow=1", accept="text/event-stream") as stream:
            events = await stream.events("end")
        assert (events[-1].data["size"], trio.current_time() <= 50.001 + TICK) == (0, True)

    play(scenario, TALK, acts={"t": Act(50.001)})


def test_following_can_begin_with_the_last_lines_or_at_an_offset(play):
    async def scenario(api):
        log, write = await talking(api)
        write(b"a\nb\nc\n")
        for query, first in (("tail=1", b"c\n"), ("offset=2", b"b\nc\n")):
            async with api.stream(f"{log}?follow=1&{query}") as stream:
                assert await stream.piece() == first
        async with api.stream(log + "?follow=1&tail=0") as stream:
            write(b"d\n")
            assert await stream.piece() == b"d\n"

    play(scenario, TALK, acts={"t": Act(100)})


def test_a_task_that_waits_can_be_followed_and_nothing_is_looked_at_meanwhile(play, monkeypatch):
    slow = PipelineDef("talk", (TaskDef("t", ("talk",)),))

    async def scenario(api):
        await api.schedule("talk")
        job_id = await api.schedule("talk")
        looks = 0
        size = MemoryOutputStore.size

        async def counting(*args):
            nonlocal looks
            looks += 1
            return await size(*args)

        monkeypatch.setattr(MemoryOutputStore, "size", counting)
        async with api.stream(f"/v1/jobs/{job_id}/tasks/t/logs/stdout?follow=1") as stream:
            await api.rig.at(99)
            assert looks == 2 + 99 // 15  # for the start, at the beginning, and with each sign of life
            assert await stream.rest() == b"hello\n"
            assert looks > 100

    play(scenario, slow, acts={"t": Act(100, stdout="hello\n")})


def test_a_log_that_is_over_is_followed_to_its_end_at_once(told):
    async def scenario(api, log):
        assert (await api("GET", log + "?follow=1")).body.decode() == LINES
        async with api.stream(log + "?follow=1", accept="text/event-stream") as stream:
            events = await stream.events("end")
        assert events[-1].data == {"size": 792, "state": "error", "exit_code": 3}
        assert trio.current_time() == 1
        assert (events[-1].id, "".join(event.data.get("text", "") for event in events)) == ("792/end", LINES)
        assert (await api("GET", log + "?follow=1", accept="text/event-stream", last_event_id="792/end")).status == 204

    told(scenario, LINES, exit_code=3)


def test_events_of_a_log_hold_whole_characters_and_can_be_resumed_at_each(play):
    text = "aü€😀\n" * 3

    async def scenario(api):
        log, write = await talking(api)
        sse = {"accept": "text/event-stream"}
        events = []
        async with api.stream(log + "?follow=1", **sse) as stream:
            for byte in text.encode():
                write(bytes([byte]))
                await trio.sleep(2 * TICK)
            write(b"\xff\xe2\x82")
            await api.rig.at(60)
            events = await stream.events("end")
        got = "".join(event.data.get("text", "") for event in events)
        assert got == text + "\ufffd\ufffd"
        place = 0
        for event in events[:-1]:
            assert event.name == "log"
            assert (event.data["offset"], event.id) == (place, str(event.data["next"]))
            place = event.data["next"]
        assert place == len(text.encode()) + 3
        for index, event in enumerate(events[:-1]):
            async with api.stream(log + "?follow=1", last_event_id=event.id, **sse) as stream:
                rest = "".join(e.data.get("text", "") for e in await stream.events("end"))
                assert rest == "".join(e.data["text"] for e in events[index + 1 : -1])

    play(scenario, TALK, acts={"t": Act(30)})


def test_an_offset_that_is_not_there_begins_anew_and_says_so(play):
    async def scenario(api):
        log, write = await talking(api)
        write(b"abc")
        for wrong in ("4", "2@2", "x", "4/end@", "-1", "2@2/end"):
            async with api.stream(log + "?follow=1", accept="text/event-stream", last_event_id=wrong) as stream:
                reset, piece = await stream.event(), await stream.event()
                assert (reset.name, reset.id, piece.data["text"]) == ("reset", "0", "abc"), wrong

    play(scenario, TALK, acts={"t": Act(100)})


def test_a_quiet_follower_is_told_that_somebody_is_there(play):
    async def scenario(api):
        log, _ = await talking(api)
        async with api.stream(log + "?follow=1", accept="text/event-stream") as stream:
            assert await stream.piece() == b":\n\n"
            assert 15 <= trio.current_time() < 15 + TICK

    play(scenario, TALK, acts={"t": Act(100)})


def test_what_is_written_between_a_look_at_the_size_and_the_end_of_the_task_is_sent(play, monkeypatch):
    async def scenario(api):
        log, write = await talking(api)
        job_id = log.split("/")[3]
        size, looks = MemoryOutputStore.size, 0

        async def just_before_the_end(*args):
            nonlocal looks
            looks += 1
            seen = await size(*args)
            if looks == 2:  # the first is for the headers
                write(b"last words")
                api.rig.runner.cancel(job_id)
                await api.rig.runner.job(job_id).wait()
            return seen

        monkeypatch.setattr(MemoryOutputStore, "size", just_before_the_end)
        write(b"first words, ")
        async with api.stream(log + "?follow=1") as stream:
            assert await stream.rest() == b"first words, last words"

    play(scenario, TALK, acts={"t": Act(math.inf)})


def test_a_follower_that_does_not_read_holds_up_nobody_and_misses_nothing(play):
    async def scenario(api):
        log, write = await talking(api)
        async with api.stream(log + "?follow=1", room=0) as lazy, api.stream(log + "?follow=1") as quick:
            for n in range(100):
                write(b"%02d" % n)
                await trio.sleep(0.1)
            told = await quick.piece()
            while len(told) < 200:
                told += await quick.piece()
            assert told == await lazy.rest() == b"".join(b"%02d" % n for n in range(100))

    play(scenario, TALK, acts={"t": Act(30)})


def test_followers_end_in_good_order_when_the_server_does(play):
    async def scenario(api):
        log, write = await talking(api)
        async with (
            api.stream(log + "?follow=1", accept="text/event-stream") as events,
            api.stream(log + "?follow=1") as text,
        ):
            write(b"abc")
            await trio.sleep(1)
            api.closing.set()
            assert [(e.name, e.id) for e in await events.events("closing")] == [("log", "3"), ("closing", "3")]
            assert await text.rest() == b"abc"
            await events.over.wait()
            await text.over.wait()
            assert trio.current_time() == 1

    play(scenario, TALK, acts={"t": Act(100)})


# --------------------------------------------------------------------------------------------------------- as JSON


def test_news_of_both_logs_are_told_from_where_the_client_stands(play):
    async def scenario(api):
        job_id = await api.schedule("talk")
        await trio.testing.wait_all_tasks_blocked()
        output = api.rig.output.open(job_id, "t")
        address = f"/v1/job/logs?id={job_id}&task=t"
        output.write(Stream.STDOUT, "é".encode() + b"\xe2\x82")
        output.write(Stream.STDERR, b"oh")
        news = await api.get(address)
        assert news["stdout"] == {"text": "é", "offset": 0, "next": 2, "size": 4}
        assert news["stderr"] == {"text": "oh", "offset": 0, "next": 2, "size": 2}
        assert (news["since"], news["complete"]) == ("2.2.1", False)
        output.write(Stream.STDOUT, b"\xac")
        news = await api.get(f"{address}&since={news['since']}")
        assert (news["stdout"]["text"], news["stderr"]["text"]) == ("€", "")
        before = trio.current_time()
        news = await api.get(f"{address}&since={news['since']}&wait=5")
        assert (trio.current_time() - before, news["stdout"]["text"]) == (5, "")

        async def later():
            await trio.sleep(1)
            output.write(Stream.STDERR, b"!")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(later)
            news = await api.get(f"{address}&since={news['since']}&wait=5")
        assert (news["stderr"]["text"], trio.current_time() - before <= 6 + TICK) == ("!", True)
        output.write(Stream.STDOUT, b"\xe2")
        await api.rig.at(200)
        news = await api.get(f"{address}&since={news['since']}&wait=5")
        assert (news["stdout"]["text"], news["complete"], trio.current_time()) == ("\ufffd", True, 200)
        assert (await api("GET", f"{address}&since=2.2")).problem == (400, "invalid-query")
        assert (await api.get(f"{address}&since=1.1.7"))["stdout"]["offset"] == 0
        assert (await api("GET", "/v1/job/logs?since=0.0.1")).errors == {"id", "task"}

    play(scenario, TALK, acts={"t": Act(100)})


def test_a_long_log_comes_in_several_answers(told):
    text = "0123456789abcde\n" * 20_000

    async def scenario(api, log):
        job_id = log.split("/")[3]
        got, since, answers = "", "", 0
        while True:
            news = await api.get(f"/v1/job/logs?id={job_id}&task=t&since={since}")
            got, since, answers = got + news["stdout"]["text"], news["since"], answers + 1
            if news["complete"]:
                break
        assert (got == text, answers) == (True, 2)

    told(scenario, text)


def test_a_job_that_is_removed_while_its_log_is_followed_ends_the_answer(play):
    async def scenario(api):
        log, write = await talking(api)
        write(b"abc")
        async with api.stream(log + "?follow=1", accept="text/event-stream") as stream:
            await trio.sleep(1)
            job_id = log.split("/")[3]
            await api.rig.output.remove([job_id])
            api.rig.runner.cancel(job_id)
            assert (await stream.events("end"))[-1].data["state"] == "canceled"

    play(scenario, TALK, acts={"t": Act(math.inf)})


def test_json_in_the_data_of_events_has_no_line_ends(told):
    async def scenario(api, log):
        async with api.stream(log + "?follow=1", accept="text/event-stream") as stream:
            raw = await stream.rest()
        data = [json.loads(line[6:]) for line in raw.decode().split("\n") if line.startswith("data: ")]
        assert data[0]["text"] == "a\r\nb\rc\n\u2028"

    told(scenario, "a\r\nb\rc\n\u2028")
