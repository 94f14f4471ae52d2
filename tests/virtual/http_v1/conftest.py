"""API v1 over the real runner, on a clock that jumps, with a client that sees every message of an answer."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote

import attrs
import jwt
import pytest
import trio
import trio.testing
from quart_trio import QuartTrio
from tests.virtual.web import SECRET, play_app

from prunner_trio.definition.pipeline import PipelineDef
from prunner_trio.http.v1.incoming import SecretOf
from prunner_trio.storage.memory import MemoryJournal
from prunner_trio.testing import Acts, Rig

TOKEN = jwt.encode({"sub": "jane"}, SECRET, algorithm="HS256")


@attrs.frozen
class Got:
    """An answer, as a client sees it."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        assert self.headers["content-type"] in ("application/json", "application/problem+json")
        assert self.body.endswith(b"\n")
        return json.loads(self.body)

    @property
    def problem(self) -> tuple[int, str]:
        """The status and the end of the URN, after a check of the rest."""
        found = self.json
        assert self.headers["content-type"] == "application/problem+json"
        assert found["status"] == self.status
        assert list(found) == ["type", "title", "status", "detail", "errors"]
        return self.status, found["type"].removeprefix("urn:prunner-trio:problem:")

    @property
    def errors(self) -> set[str]:
        """Where the problems are."""
        return {error["pointer"] or error["parameter"] for error in self.json["errors"]}


@attrs.frozen
class SseEvent:
    id: str
    name: str
    data: Any


@attrs.define(eq=False)
class Stream:
    """An answer under way.

    Attributes:
        pieces: what was sent and not yet read; a piece is sent only when there is room for it.
        over: set when the answer is complete.
    """

    pieces: trio.MemoryReceiveChannel[bytes]
    gone: trio.Event
    over: trio.Event
    status: int = 0
    headers: dict[str, str] = attrs.field(factory=dict)
    _text: str = ""

    async def piece(self) -> bytes:
        """Return the next piece that is not empty."""
        while not (data := await self.pieces.receive()):
            pass
        return data

    async def event(self) -> SseEvent:
        """Return the next event; comments are passed over."""
        while True:
            while "\n\n" not in self._text:
                self._text += (await self.piece()).decode()
            block, self._text = self._text.split("\n\n", 1)
            fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
            if fields:
                return SseEvent(fields["id"], fields["event"], json.loads(fields["data"]))

    async def events(self, *until: str) -> list[SseEvent]:
        """Return the events up to and including the first with one of these names."""
        found = [await self.event()]
        while found[-1].name not in until:
            found.append(await self.event())
        return found

    async def rest(self) -> bytes:
        """Return all that is still to come."""
        return b"".join([data async for data in self.pieces])


@attrs.define(eq=False)
class Api:
    """A client."""

    app: Any
    rig: Rig
    closing: trio.Event

    def _scope(self, method: str, target: str, headers: dict[str, str], auth: str | None) -> dict[str, Any]:
        path, _, query = target.partition("?")
        given = {"host": "localhost", **headers}
        if auth is None:
            auth = TOKEN
        if auth:
            given["authorization"] = f"Bearer {auth}"
        return {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.replace("_", "-").lower().encode(), value.encode()) for name, value in given.items()],
        }

    async def __call__(
        self, method: str, target: str, body: object = None, *, auth: str | None = None, **headers: str
    ) -> Got:
        if isinstance(body, dict | list):
            headers.setdefault("content_type", "application/json")
            body = json.dumps(body).encode()
        async with self.stream(target, method=method, body=body or b"", auth=auth, **headers) as stream:
            return Got(stream.status, stream.headers, await stream.rest())

    async def get(self, target: str, **headers: str) -> Any:
        got = await self("GET", target, **headers)
        assert got.status == 200, (target, got)
        return got.json

    async def schedule(self, pipeline: str, **body: object) -> str:
        got = await self("POST", "/v1/jobs", {"pipeline": pipeline, **body})
        assert got.status == 202, got
        return str(got.json["id"])

    @asynccontextmanager
    async def stream(
        self,
        target: str,
        *,
        method: str = "GET",
        body: bytes = b"",
        auth: str | None = None,
        room: float = float("inf"),
        **headers: str,
    ) -> AsyncIterator[Stream]:
        """Ask; on leaving, the client is gone. `room`: pieces that are taken before somebody reads them."""
        send_piece, pieces = trio.open_memory_channel[bytes](room)
        stream, begun = Stream(pieces, trio.Event(), trio.Event()), trio.Event()
        asked = False

        async def receive() -> dict[str, Any]:
            nonlocal asked
            if not asked:
                asked = True
                return {"type": "http.request", "body": body, "more_body": False}
            await stream.gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                stream.status = message["status"]
                stream.headers = {name.decode(): value.decode() for name, value in message["headers"]}
                assert len(stream.headers) == len(message["headers"])
                assert stream.headers["x-content-type-options"] == "nosniff"
                begun.set()
                return
            await send_piece.send(message["body"])
            if not message.get("more_body"):
                stream.over.set()
                send_piece.close()

        finished = trio.Event()

        async def ask() -> None:
            await self.app(self._scope(method, target, headers, auth), receive, send)
            send_piece.close()
            finished.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await begun.wait()
            yield stream
            stream.gone.set()
            await finished.wait()  # whatever it was at: it hears that nobody listens any more


Scenario = Callable[[Api], Awaitable[object]]


@pytest.fixture
def play() -> Callable[..., None]:
    """Run a scenario against the whole application over a runner with these definitions."""

    def play(
        scenario: Scenario,
        *pipelines: PipelineDef,
        acts: Acts | None = None,
        journal: MemoryJournal | None = None,
        max_body: int = 1 << 20,
        hook_secrets: SecretOf = lambda _: None,
    ) -> None:
        async def on(app: QuartTrio, rig: Rig, closing: trio.Event) -> None:
            await scenario(Api(app, rig, closing))

        play_app(on, *pipelines, acts=acts, journal=journal, max_body=max_body, hook_secrets=hook_secrets)

    return play
