"""The short way: requests are answered without the machinery of a web framework, which costs more than the work."""

from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from contextlib import aclosing
from typing import Any

import trio

from prunner_trio.http.facts import Answer, BodyTooLarge, ClientGone, Request
from prunner_trio.http.line import Line, Streamed, run_line
from prunner_trio.http.views import Api

__all__ = [
    "ASGIApp",
    "Message",
    "Receive",
    "Send",
    "ShortWay",
    "content_length",
    "read_body",
    "send_answer",
    "too_large",
]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Any, Any, Any], Awaitable[None]]


class ShortWay:
    """An ASGI application that answers what the API owns, and passes on everything else."""

    def __init__(self, api: Api, *, otherwise: ASGIApp, max_body: int, closing: trio.Event) -> None:
        """Put `api` in front of the application `otherwise`; `max_body` is in bytes."""
        self._api = api
        self._otherwise = otherwise
        self._max_body = max_body
        self._closing = closing

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or not self._api.owns(scope["path"]):
            await self._otherwise(scope, receive, send)
            return
        headers = scope["headers"]

        async def body() -> bytes:
            return await read_body(receive, headers, self._max_body)

        request = Request(scope["method"], scope["path"], scope["query_string"], headers, body)
        try:
            answer = await self._api.answer(request)
        except ClientGone:
            return
        if isinstance(answer.body, tuple):
            await send_answer(send, answer)
        else:
            streamed = Streamed(_writer(answer.body), tuple(answer.all_headers()), answer.status)
            await run_line(streamed, receive, send, self._closing)


def _writer(body: AsyncGenerator[bytes, None]) -> Callable[[Line], Awaitable[None]]:
    async def write(line: Line) -> None:
        async with aclosing(body) as pieces:
            async for piece in pieces:
                await line.send(piece)

    return write


async def read_body(receive: Receive, headers: Any, max_body: int) -> bytes:
    """Return the whole body of a request. Raises `BodyTooLarge` or `ClientGone`."""
    if content_length(headers) > max_body:
        raise too_large(max_body)
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientGone
        piece: bytes = message.get("body", b"")
        size += len(piece)
        if size > max_body:
            raise too_large(max_body)
        pieces.append(piece)
        if not message.get("more_body", False):
            return b"".join(pieces)


async def send_answer(send: Send, answer: Answer) -> None:
    """Send an answer that is not a stream."""
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.all_headers()})
    if not isinstance(answer.body, tuple):
        raise TypeError("a stream cannot take the short way")
    for piece in answer.body[:-1]:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": answer.body[-1] if answer.body else b"", "more_body": False})


def content_length(headers: Any) -> int:
    """Return the announced length of a body; 0 if there is none or it makes no sense."""
    text = next((value for name, value in headers if name == b"content-length"), b"0")
    return int(text) if text.isdigit() and len(text) < 19 else 0


def too_large(max_body: int) -> BodyTooLarge:
    """Return the error for a body that is longer than `max_body` bytes."""
    return BodyTooLarge(f"Request body too large: more than {max_body} bytes")
