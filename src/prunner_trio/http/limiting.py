"""How many requests somebody may make, and how many refused tokens may come from one address.

A token is always looked at, and a good one always counts: whoever guesses cannot lock others out. So the second limit
does not slow down who has a token, and it ends the connection of who has not. What an incoming webhook proves itself
with counts like a token.
"""

import logging
import math

import trio

from prunner_trio.errors import Unauthorized
from prunner_trio.http.addresses import LOCAL, address_text, requester_key
from prunner_trio.http.auth import Gate
from prunner_trio.http.buckets import Buckets
from prunner_trio.http.facts import Answer, Header, Request, error, plain
from prunner_trio.http.fast import ASGIApp, Message, Receive, Send, send_answer
from prunner_trio.http.v1.paths import owns
from prunner_trio.http.v1.problems import Refused, problem_answer
from prunner_trio.http.views import Api

__all__ = ["BURST_S", "FAILURES", "FAILURES_S", "Limited"]

log = logging.getLogger(__name__)

FAILURES, FAILURES_S = 20, 60.0
"""So many refused tokens may come from an address at once, and so many again within that many seconds."""

BURST_S = 5.0
"""Requests may come at once that make up for so many seconds without any."""

_FREE = ("/healthz", "/readyz")
_HOOKS = "/v1/hooks/"
_CLOSE: Header = (b"connection", b"close")


class Limited:
    """An ASGI application around another one that refuses requests beyond limits, with 429."""

    def __init__(self, app: ASGIApp, gate: Gate, rate: float) -> None:
        """Stand in front of `app`; `rate`: requests a second for each user, or address without one; 0: no limit."""
        self._app = app
        self._gate = gate
        self._requests = Buckets(rate, max(1.0, rate * BURST_S)) if rate else None
        self._failures = Buckets(FAILURES / FAILURES_S, FAILURES)
        self._told = Buckets(1 / FAILURES_S, 1)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["path"] in _FREE:
            await self._app(scope, receive, send)
            return
        client = scope.get("client")
        address = requester_key(client[0] if client else None, scope["headers"])
        if self._requests is not None:
            wait = self._requests.take(self._requester(scope, address), trio.current_time())
            if wait:
                text = f"there are more requests than are allowed; the next one is in {math.ceil(wait)} s"
                await send_answer(send, _refusal(scope, "too-many-requests", text, wait))
                return
        await self._app(scope, receive, send if address == LOCAL else self._watched(scope, address, send))

    def _requester(self, scope: Message, address: bytes) -> str | bytes:
        try:
            visitor = self._gate.visitor(_facts(scope))
        except Unauthorized:
            return address
        return visitor.user or address

    def _watched(self, scope: Message, address: bytes, send: Send) -> Send:
        """Return a `send` that counts refused tokens and, when there are too many, says so instead."""
        replaced = False

        async def watched(message: Message) -> None:
            nonlocal replaced
            if message["type"] == "http.response.start" and _refuses_token(scope, message["status"]):
                wait = self._failures.take(address, trio.current_time())
                if wait:
                    replaced = True
                    self._tell(address)
                    text = "too many tokens from this address were refused, and so is this one, which is not valid"
                    await send_answer(send, _refusal(scope, "too-many-failures", text, wait, _CLOSE))
            if not replaced:
                await send(message)

        return watched

    def _tell(self, address: bytes) -> None:
        if not self._told.take(address, trio.current_time()):
            log.warning("too many tokens were refused address=%s", address_text(address))


def _refuses_token(scope: Message, status: int) -> bool:
    if status == 403:
        return bool(scope["path"].startswith(_HOOKS))
    # The sign-in page takes its token from a form. A request without any is no guess, and costs nothing.
    given = scope["method"] == "POST" or any(name in (b"authorization", b"cookie") for name, _ in scope["headers"])
    return status == 401 and given


def _refusal(scope: Message, kind: str, text: str, wait: float, *headers: Header) -> Answer:
    """Return a refusal in the form of the part of the address space that was asked."""
    more = ((b"retry-after", b"%d" % math.ceil(wait)), *headers)
    if owns(scope["path"]):
        return problem_answer(Refused(kind, text, headers=more))
    answer = error(429, text) if Api.owns(scope["path"]) else plain(429, text)
    return Answer(answer.status, answer.body, (*answer.headers, *more))


def _facts(scope: Message) -> Request:
    return Request(scope["method"], scope["path"], scope["query_string"], scope["headers"], _no_body)


async def _no_body() -> bytes:
    return b""
