"""Streams of events in API v1: each change once, in order, whatever happens to the connection."""

import math
from contextlib import AsyncExitStack

import trio

from prunner_trio.definition.pipeline import PipelineDef, TaskDef
from prunner_trio.http.v1.paths import MOST_STREAMS
from prunner_trio.http.v1.ring import KEPT, Ring
from prunner_trio.model import Event, EventKind, JobId, State
from prunner_trio.testing import Act

PAIR = PipelineDef("pair", (TaskDef("a", ("make a",)), TaskDef("b", ("make b",), depends_on=("a",))), concurrency=1000)
ACTS = {"a": Act(1), "b": Act(1)}
ALL = [
    ("job", None, "waiting"),
    ("job", None, "running"),
    ("task", "a", "running"),
    ("task", "a", "done"),
    ("task", "b", "running"),
    ("task", "b", "done"),
    ("job", None, "done"),
]


def seen(events):
    return [(event.name, event.data["task"], event.data["state"]) for event in events]


def test_a_listener_sees_each_change_once_and_in_order(play):
    async def scenario(api):
        async with api.stream("/v1/events") as stream:
            assert stream.headers["content-type"] == "text/event-stream"
            ready = await stream.event()
            assert (ready.name, ready.data) == ("ready", {"seq": 0})
            job_id = await api.schedule("pair")
            events = [await stream.event() for _ in ALL]
        assert seen(events) == ALL
        assert [event.data["seq"] for event in events] == list(range(1, 8))
        epoch = ready.id.partition("-")[0]
        assert [event.id for event in events] == [f"{epoch}-{seq}" for seq in range(1, 8)]
        assert events[3].data == {
            "seq": 4,
            "at": "2027-01-15T08:00:01.000Z",
            "job": job_id,
            "pipeline": "pair",
            "task": "a",
            "state": "done",
            "reason": "",
        }

    play(scenario, PAIR, acts=ACTS)


def test_a_stream_goes_on_after_any_event_that_was_seen(play):
    async def scenario(api):
        async with api.stream("/v1/events") as stream:
            first = await stream.event()
            await api.schedule("pair")
            events = [first, *[await stream.event() for _ in ALL]]
        for index, event in enumerate(events):
            async with api.stream("/v1/events", last_event_id=event.id) as stream:
                await api.schedule("pair")
                following = [await stream.event() for _ in events[index + 1 :]]
                assert following == events[index + 1 :]
                assert seen([await stream.event()]) == ALL[:1]

    play(scenario, PAIR, acts=ACTS)


def test_an_id_of_another_daemon_or_from_long_ago_makes_a_client_begin_anew(play):
    old = []

    async def first(api):
        async with api.stream("/v1/events") as stream:
            old.append((await stream.event()).id)
            await api.schedule("pair")
            old.append((await stream.event()).id)

    async def second(api):
        async with api.stream("/v1/events") as stream:
            ready = await stream.event()
        await api.schedule("pair")
        await api.rig.at(10)
        for event_id in (*old, "x", "-", ready.id + "9", ready.id + "x", ready.id.replace("-0", "-8")):
            async with api.stream("/v1/events", last_event_id=event_id) as stream:
                reset = await stream.event()
                assert (reset.name, reset.data, reset.id) == ("reset", {"seq": 7}, ready.id.replace("-0", "-7"))
        for _ in range(KEPT // 7 + 1):
            await api.schedule("pair")
        await api.rig.at(20)
        async with api.stream("/v1/events", last_event_id=ready.id) as stream:
            assert (await stream.event()).name == "reset"
        last = int(reset.data["seq"]) + 7 * (KEPT // 7 + 1)
        edge = ready.id.replace("-0", f"-{last - KEPT}")
        async with api.stream("/v1/events", last_event_id=edge) as stream:
            assert (await stream.event()).data["seq"] == last - KEPT + 1

    play(first, PAIR, acts=ACTS)
    play(second, PAIR, acts=ACTS)


def test_a_listener_that_does_not_read_costs_nothing_and_is_told_when_it_has_missed_something(play):
    async def scenario(api):
        async with api.stream("/v1/events", room=0) as lazy, api.stream("/v1/events") as quick:
            first = await lazy.event()
            for _ in range(KEPT // 7 + 1):
                await api.schedule("pair")
            await api.rig.at(20)
            events = [await quick.event() for _ in range(1 + 7 * (KEPT // 7 + 1))]
            assert [event.data["seq"] for event in events] == list(range(len(events)))
            late = await lazy.event()
            seqs = [first.data["seq"]]
            while late.name != "reset":
                seqs.append(late.data["seq"])
                late = await lazy.event()
            assert seqs == list(range(len(seqs)))
            assert late.data["seq"] == len(events) - 1

    play(scenario, PAIR, acts=ACTS)


def test_silence_is_broken_now_and_then(play):
    async def scenario(api):
        async with api.stream("/v1/events") as stream:
            await stream.event()
            assert await stream.piece() == b":\n\n"
            assert trio.current_time() == 15
            assert await stream.piece() == b":\n\n"
            assert trio.current_time() == 30

    play(scenario, PAIR)


def test_events_that_come_together_are_sent_together(play):
    async def scenario(api):
        async with api.stream("/v1/events") as stream:
            await stream.piece()
            for _ in range(50):
                await api.schedule("pair")
            first, second = await stream.piece(), await stream.piece()
            assert (first + second).count(b"event: ") == 150
            assert trio.current_time() == 0.02

    play(scenario, PAIR, acts=ACTS)


def test_a_stream_of_one_job_has_only_its_events_and_ends_with_it(play):
    async def scenario(api):
        await api.schedule("pair")
        job_id = await api.schedule("pair")
        async with api.stream(f"/v1/jobs/{job_id}/events") as stream:
            events = await stream.events("end")
            await stream.over.wait()
        assert (events[0].name, seen(events[1:-1])) == ("ready", ALL[3:])
        assert {event.data["job"] for event in events[1:-1]} == {job_id}
        async with api.stream(f"/v1/jobs/{job_id}/events", last_event_id=events[1].id) as stream:
            assert await stream.events("end") == events[2:]
        got = await api("GET", f"/v1/jobs/{job_id}/events", last_event_id=events[-1].id)
        assert (got.status, got.body) == (204, b"")
        async with api.stream(f"/v1/jobs/{job_id}/events") as stream:
            assert [event.name for event in await stream.events("end")] == ["ready", "end"]

    play(scenario, PAIR, acts=ACTS)


def test_streams_end_in_good_order_when_the_server_does(play):
    async def scenario(api):
        job_id = await api.schedule("pair")
        async with api.stream("/v1/events") as everything, api.stream(f"/v1/jobs/{job_id}/events") as one:
            await trio.sleep(0.5)
            api.closing.set()
            for stream in (everything, one):
                assert (await stream.events("closing"))[-1].data == {"reason": "the daemon is about to end"}
                await stream.over.wait()
            assert trio.current_time() == 0.5
            async with api.stream("/v1/events") as late:
                await late.events("closing")

    play(scenario, PAIR, acts={"a": Act(math.inf)})


def test_many_listeners_see_the_same(play):
    async def scenario(api):
        told = []

        async def listen(task_status):
            async with api.stream("/v1/events") as stream:
                await stream.event()
                task_status.started()
                told.append([(await stream.event()).data["seq"] for _ in range(70)])

        async with trio.open_nursery() as nursery:
            for _ in range(30):
                await nursery.start(lambda task_status: listen(task_status))
            for _ in range(10):
                await api.schedule("pair")
        assert told == [list(range(1, 71))] * 30

    play(scenario, PAIR, acts=ACTS)


def test_a_stream_that_has_just_sent_something_ends_as_promptly(play):
    async def scenario(api):
        async with api.stream("/v1/events") as stream:
            await stream.event()
            await trio.sleep(1)
            await api.schedule("pair")
            assert seen([await stream.event() for _ in ALL[:3]]) == ALL[:3]
            await trio.sleep(0.001)  # it gathers now what comes next, which is nothing
            before = trio.current_time()
            api.closing.set()
            await stream.events("closing")
            assert trio.current_time() == before

    play(scenario, PAIR, acts={"a": Act(math.inf)})


def test_there_is_an_end_to_the_number_of_streams(play):
    async def scenario(api):
        async with AsyncExitStack() as stack:
            for _ in range(MOST_STREAMS):
                await stack.enter_async_context(api.stream("/v1/events"))
            got = await api("GET", "/v1/events")
            assert (got.problem, got.headers["retry-after"]) == ((429, "too-many-streams"), "5")
            assert (await api("GET", "/v1/jobs")).status == 200
        async with api.stream("/v1/events") as stream:
            assert stream.status == 200

    play(scenario, PAIR)


def event(seq, job="j"):
    return Event(seq, 0.0, EventKind.JOB, JobId(job), "p", "", State.RUNNING)


def test_who_came_before_the_first_event_has_missed_nothing_whatever_its_number_is():
    ring = Ring()
    start = ring.id_of(0)
    ring.note(event(50))
    ring.note(event(51))
    assert ring.place(start) == 0
    assert ring.after(0).count(b"event: job") == 2
    assert ring.after(0, JobId("j")).count(b"event: job") == 2
    assert ring.place(ring.id_of(49)) == 49
    assert ring.place(ring.id_of(48)) is None


def test_nothing_is_kept_for_those_who_have_stopped_waiting():
    ring = Ring()
    waited = ring.changed(JobId("a"))
    for number in range(100):
        ring.changed(JobId(str(number)))
    assert len(ring._changed) == 1
    ring.note(event(1, "a"))
    assert waited.is_set()
