"""The client over real sockets: what it repeats, what it never repeats, and how a stream goes on after a break.

The daemon is played here, answer by answer; the real one is in tests/whole/remote.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio

from prunner_trio.client import Address, ClientError, Daemon, Kind, call
from prunner_trio.client import live as live_module
from prunner_trio.client.live import ask, follow_events, follow_log
from prunner_trio.client.requests import events, list_pipelines, schedule
from prunner_trio.client.shapes import LogPiece
from prunner_trio.client.sse import Event

pytestmark = pytest.mark.real

SECONDS = 30
JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def json_answer(value: object) -> bytes:
    body = json.dumps(value).encode()
    return JSON + b"Content-Length: %d\r\n\r\n" % len(body) + body


def chunk(text: str) -> bytes:
    data = text.encode()
    return b"%x\r\n" % len(data) + data + b"\r\n"


def event(name: str, number: str, data: str = "{}") -> bytes:
    return chunk(f"id: {number}\nevent: {name}\ndata: {data}\n\n")


class Played:
    """A daemon that gives these answers, one per connection, and closes it; without answers left it says no."""

    def __init__(self, answers: Sequence[bytes]) -> None:
        self.answers = list(answers)
        self.requests: list[str] = []
        self.daemon: Daemon

    async def serve(self, stream: trio.SocketStream) -> None:
        async with stream:
            received = b""
            while b"\r\n\r\n" not in received:
                if not (more := await stream.receive_some(65536)):
                    return
                received += more
            self.requests.append(received.decode())
            answer = self.answers.pop(0) if self.answers else b"HTTP/1.1 418 x\r\nContent-Length: 0\r\n\r\n"
            await stream.send_all(answer)

    def sent(self, name: str) -> list[str | None]:
        """The values of a header of all requests."""
        found = []
        for request in self.requests:
            lines = [line.partition(": ") for line in request.split("\r\n")]
            found.append(next((value for key, _, value in lines if key.lower() == name), None))
        return found


@asynccontextmanager
async def played(*answers: bytes) -> AsyncIterator[Played]:
    play = Played(answers)
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listeners[0].socket.getsockname()[1]
        nursery.start_soon(partial(trio.serve_listeners, play.serve, listeners))
        play.daemon = Daemon(Address(False, "127.0.0.1", port), lambda: f"token-{len(play.requests)}")
        yield play
        nursery.cancel_scope.cancel()


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        with trio.fail_after(SECONDS):
            await scenario()

    trio.run(bounded)


def test_a_request_whose_answer_broke_off_is_sent_again_with_the_same_key() -> None:
    async def scenario() -> None:
        async with played(b"", b"HTTP/1.1 202 Acc", json_answer({"id": "x"})) as play:
            request = schedule("site", {}, "", "the-key")
            assert await trio.to_thread.run_sync(partial(call, play.daemon, request, pauses=(0.0, 0.0))) == {"id": "x"}
            assert play.sent("idempotency-key") == ["the-key"] * 3

    run(scenario)


def test_a_request_is_not_sent_for_ever() -> None:
    async def scenario() -> None:
        async with played(b"", b"", json_answer({})) as play:
            with pytest.raises(ClientError) as caught:
                await trio.to_thread.run_sync(partial(call, play.daemon, list_pipelines(), pauses=(0.0,)))
            assert (caught.value.kind, len(play.requests)) == (Kind.UNREACHABLE, 2)

    run(scenario)


def test_an_answer_that_says_no_is_not_asked_for_again() -> None:
    async def scenario() -> None:
        async with played(b"HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n", json_answer({})) as play:
            with pytest.raises(ClientError) as caught:
                await trio.to_thread.run_sync(partial(call, play.daemon, list_pipelines(), pauses=(0.0,)))
            assert (caught.value.kind, len(play.requests)) == (Kind.UNAVAILABLE, 1)

    run(scenario)


def test_both_ways_of_asking_get_the_same_answers() -> None:
    async def scenario() -> None:
        answers = [json_answer({"a": "ü"}), JSON + b"Content-Length: 3\r\n\r\nno!", b"nonsense\r\n\r\n"]
        for answer in answers:
            found: list[object] = []
            async with played(answer, answer) as play:
                for way in (
                    partial(trio.to_thread.run_sync, partial(call, play.daemon, list_pipelines())),
                    partial(ask, play.daemon, list_pipelines()),
                ):
                    try:
                        found.append(await way())
                    except ClientError as exc:
                        found.append((exc.kind, str(exc)))
            assert found[0] == found[1]

    run(scenario)


class Heard:
    """Gathers events, until one has the name `end`."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.notes: list[str] = []

    async def events(self, events: Sequence[Event]) -> bool:
        self.ids += [event.id for event in events]
        return any(event.name == "end" for event in events)

    async def note(self, text: str) -> None:
        self.notes.append(text)


def test_a_stream_that_breaks_goes_on_after_the_last_event_with_a_new_token() -> None:
    async def scenario() -> None:
        first = STREAM + event("job", "e-1") + event("job", "e-2")
        second = STREAM + event("job", "e-3") + event("closing", "e-3") + END
        third = STREAM + event("end", "e-4") + END
        async with played(first, second, third) as play:
            heard = Heard()
            await follow_events(play.daemon, events(), heard.events, heard.note)
            assert heard.ids == ["e-1", "e-2", "e-3", "e-4"]
            assert play.sent("last-event-id") == [None, "e-2", "e-3"]
            assert play.sent("authorization") == [f"Bearer token-{n}" for n in range(3)]
            assert [note.startswith("the connection is lost") for note in heard.notes] == [True, False, True, False]

    run(scenario)


def test_half_an_event_is_not_heard_and_comes_whole_after_the_break() -> None:
    async def scenario() -> None:
        first = STREAM + event("job", "e-1") + chunk("id: e-2\nevent: job\nda")
        async with played(first, STREAM + event("end", "e-2") + END) as play:
            heard = Heard()
            await follow_events(play.daemon, events(), heard.events, heard.note)
            assert heard.ids == ["e-1", "e-2"]
            assert play.sent("last-event-id") == [None, "e-1"]

    run(scenario)


def test_a_stream_of_which_everything_was_heard_ends() -> None:
    async def scenario() -> None:
        async with played(STREAM + event("job", "e-1"), b"HTTP/1.1 204 No Content\r\n\r\n") as play:
            heard = Heard()
            await follow_events(play.daemon, events("id"), heard.events, heard.note)
            assert (heard.ids, len(play.requests)) == (["e-1"], 2)

    run(scenario)


def test_a_refusal_ends_a_stream_at_once() -> None:
    async def scenario() -> None:
        async with played(STREAM + event("job", "e-1")) as play:
            heard = Heard()
            with pytest.raises(ClientError) as caught:
                await follow_events(play.daemon, events(), heard.events, heard.note)
            assert (caught.value.kind, len(play.requests)) == (Kind.STRANGE, 2)

    run(scenario)


def test_a_daemon_that_was_never_there_is_not_waited_for() -> None:
    async def scenario() -> None:
        async with played() as play:
            gone = play.daemon
        heard = Heard()
        with pytest.raises(ClientError) as caught:
            await follow_events(gone, events(), heard.events, heard.note)
        assert (caught.value.kind, heard.notes) == (Kind.UNREACHABLE, [])

    run(scenario)


def test_a_daemon_that_stays_away_is_given_up_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "PATIENCE", 0.5)

    async def scenario() -> None:
        heard = Heard()
        async with played(STREAM + event("job", "e-1")) as play:
            leaving = play

            async def follow() -> None:
                with pytest.raises(ClientError) as caught:
                    await follow_events(leaving.daemon, events(), heard.events, heard.note)
                assert caught.value.kind is Kind.UNREACHABLE

            async with trio.open_nursery() as nursery:
                nursery.start_soon(follow)
                play.answers.extend([b""] * 1000)
        assert heard.ids == ["e-1"]

    run(scenario)


def test_a_log_goes_on_at_its_offset_and_begins_anew_with_a_new_attempt() -> None:
    def piece(offset: int, text: str) -> str:
        return json.dumps({"offset": offset, "next": offset + len(text), "text": text})

    async def scenario() -> None:
        first = STREAM + event("log", "2", piece(0, "ab"))
        second = STREAM + event("log", "4", piece(2, "cd"))
        third = STREAM + event("reset", "0@2") + event("log", "2@2", piece(0, "ab"))
        third += event("end", "2@2/end", '{"size": 2}') + END
        async with played(first, second, third) as play:
            pieces: list[LogPiece] = []

            async def heard(piece: LogPiece) -> None:
                pieces.append(piece)

            attempt = await follow_log(play.daemon, "id", "t", "stdout", heard, Heard().note, tail=5)
            assert attempt == 2
            assert [(piece["offset"], piece["text"]) for piece in pieces] == [(0, "ab"), (2, "cd"), (0, "ab")]
            assert play.sent("last-event-id") == [None, "2", "4"]
            assert "tail=5&follow=1" in play.requests[0]

    run(scenario)
