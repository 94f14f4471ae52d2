"""API v1 as an ASGI application in front of another one."""

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable
from contextlib import ExitStack
from functools import cached_property
from urllib.parse import unquote

import attrs
import trio

from prunner_trio.errors import JobNotFound, StoreError, Unauthorized
from prunner_trio.http.auth import Gate
from prunner_trio.http.facts import Answer, ClientGone, Header, Request, to_json
from prunner_trio.http.fast import ASGIApp, Message, Receive, Send, read_body, send_answer
from prunner_trio.http.line import Streamed, run_line
from prunner_trio.http.origin import is_foreign
from prunner_trio.http.port import RunnerPort
from prunner_trio.http.rights import EVERYTHING, Rights, Visitor, challenge
from prunner_trio.http.seen import seen_by
from prunner_trio.http.sign_in_links import SignInLinks
from prunner_trio.http.v1.handlers import Call
from prunner_trio.http.v1.history import History
from prunner_trio.http.v1.incoming import Incoming, SecretOf
from prunner_trio.http.v1.keys import Keys
from prunner_trio.http.v1.lines import LineCounts
from prunner_trio.http.v1.openapi import document
from prunner_trio.http.v1.page import CONTENT_SECURITY_POLICY, render_page
from prunner_trio.http.v1.paths import MOST_STREAMS, owns
from prunner_trio.http.v1.problems import Refused, problem_answer
from prunner_trio.http.v1.questions import parse_query
from prunner_trio.http.v1.ring import Ring
from prunner_trio.http.v1.steering import Steering
from prunner_trio.http.v1.steering_table import steering_routes
from prunner_trio.http.v1.table import Handler, Route, own_routes, routes
from prunner_trio.model import Event

__all__ = ["ApiV1"]

log = logging.getLogger(__name__)

_REMEMBERED_RIGHTS = 64


class ApiV1:
    """Answers what is below ``/v1`` and the two questions for its health, and passes on everything else.

    Attributes:
        ring: the latest events, while the runner is watched.
        history: how the latest jobs ended, likewise.
        counts: where the lines of the latest logs are.
        links: those that sign in to the web page.
    """

    def __init__(
        self,
        runner: RunnerPort,
        *,
        gate: Gate,
        otherwise: ASGIApp,
        max_body: int,
        now: Callable[[], float],
        closing: trio.Event,
        hook_secrets: SecretOf,
        most_streams: int = MOST_STREAMS,
    ) -> None:
        """Put the API in front of the application `otherwise`; nothing is read yet.

        Args:
            max_body: bytes of a request's body.
            now: wall time in seconds.
            closing: set when the server is about to end, so that answers without an end come to one.
            hook_secrets: finds the secret of a hook.
            most_streams: answers that stay open, or are long, at a time.
        """
        self._gate = gate
        self._otherwise = otherwise
        self._max_body = max_body
        self._closing = closing
        self._most_streams = most_streams
        self._streams = 0
        self._restricted: OrderedDict[Rights, dict[str, Handler]] = OrderedDict()
        self._runner = runner
        self._watch: ExitStack | None = None
        self.ring = Ring()
        self.history = History(runner)
        self.counts = LineCounts()
        self.links = SignInLinks(now)
        incoming = Incoming(lambda: runner.definitions, hook_secrets, now)
        keys = Keys(runner, now)
        self._handlers = Steering(runner, self.ring, self.history, keys, incoming, self.counts, self.links, gate)
        self._routes: tuple[Route, ...] = self._routes_for(EVERYTHING)

    def start(self) -> None:
        """Watch the runner; does nothing while it is watched already."""
        if self._watch is None:
            self.ring.begin()
            self.history.forget()
            with ExitStack() as stack:
                stack.enter_context(self._runner.observe(self._note))
                self._watch = stack.pop_all()

    def stop(self) -> None:
        """Watch no more. What is missed meanwhile makes all ids of events that were given out unknown."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def _note(self, event: Event) -> None:
        self.ring.note(event)
        self.history.note(event)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or not owns(scope["path"]):
            await self._otherwise(scope, receive, send)
            return
        headers = scope["headers"]

        async def body() -> bytes:
            return await read_body(receive, headers, self._max_body)

        request = Request(scope["method"], scope["path"], scope["query_string"], headers, body)
        try:
            answer = await self._answer(request, scope.get("raw_path") or scope["path"].encode())
        except ClientGone:
            return
        if isinstance(answer, Streamed) and request.method != "HEAD":
            await self._stream(answer, receive, send)
        elif isinstance(answer, Streamed):
            await send({"type": "http.response.start", "status": answer.status, "headers": list(answer.headers)})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await send_answer(send, answer)

    async def _stream(self, streamed: Streamed, receive: Receive, send: Send) -> None:
        if self._streams >= self._most_streams:
            text = f"there are {self._most_streams} streams, and each holds a connection"
            await send_answer(
                send, problem_answer(Refused("too-many-streams", text, headers=((b"retry-after", b"5"),)))
            )
            return
        self._streams += 1
        try:
            await run_line(streamed, receive, send, self._closing)
        finally:
            self._streams -= 1

    async def _answer(self, request: Request, raw_path: bytes) -> Answer | Streamed:
        """Answer a request. This is its boundary: a defect of ours ends as a 500 and a traceback in the log."""
        try:
            return await self._handle(request, raw_path)
        except Refused as refused:
            return problem_answer(refused)
        except JobNotFound as exc:
            return problem_answer(Refused("job-not-found", str(exc)))
        except StoreError as exc:
            return problem_answer(Refused("store-unavailable", str(exc), headers=((b"retry-after", b"5"),)))
        except ClientGone:
            raise
        except Exception:
            log.exception("internal error in %s %s", request.method, request.path)
            return problem_answer(Refused("internal-error", "the log of the daemon has the details"))

    async def _handle(self, request: Request, raw_path: bytes) -> Answer | Streamed:
        method = "GET" if request.method == "HEAD" else request.method
        found = {route.method: (route, values) for route, values in self._match(raw_path)}
        is_open = any(route.need is None for route, _ in found.values())
        visitor = Visitor() if is_open else self._visitor(request)
        if not found:
            raise Refused("not-found", f"no route leads to {request.path[:200]!r}")
        if method not in found:
            allowed = ", ".join(sorted({*found, *(("HEAD",) if "GET" in found else ())}))
            raise Refused("method-not-allowed", f"allowed: {allowed}", headers=((b"allow", allowed.encode()),))
        route, values = found[method]
        if route.need is not None and not visitor.rights.allows(route.need):
            text = visitor.rights.refusal(route.need)
            raise Refused("insufficient-scope", text, headers=(challenge(route.need),))
        if method != "GET":
            _check_origin(request)
        self.start()
        call = Call(request, visitor, values, parse_query(route.query, request.query))
        answer = await self._handler(route, visitor.rights)(call)
        return _tagged(answer, request) if isinstance(answer, Answer) and method == "GET" else answer

    def _handler(self, route: Route, rights: Rights) -> Handler:
        """Return what answers a route for somebody with these rights: it has no way to what is hidden."""
        if not rights.restricted:
            return route.handler
        known = self._restricted.get(rights)
        if known is None:
            known = {each.name: each.handler for each in self._routes_for(rights)}
            self._restricted[rights] = known
            if len(self._restricted) > _REMEMBERED_RIGHTS:
                self._restricted.popitem(last=False)
        return known[route.name]

    def _routes_for(self, rights: Rights) -> tuple[Route, ...]:
        handlers = attrs.evolve(self._handlers, runner=seen_by(self._runner, rights))
        return (*routes(handlers), *steering_routes(handlers), *own_routes(self._document, self._page))

    def _visitor(self, request: Request) -> Visitor:
        try:
            return self._gate.visitor(request)
        except Unauthorized as exc:
            raise Refused("unauthorized", str(exc), headers=((b"www-authenticate", b"Bearer"),)) from exc

    def _match(self, raw_path: bytes) -> list[tuple[Route, dict[str, str]]]:
        # Split before it is decoded: the name of a task may have a slash in it.
        given = [unquote(part) for part in raw_path.decode("latin-1").partition("?")[0].split("/")]
        found = []
        for route in self._routes:
            segments = route.segments
            if len(segments) == len(given) and all(
                wanted.startswith("{") or wanted == part for wanted, part in zip(segments, given, strict=True)
            ):
                values = {w[1:-1]: part for w, part in zip(segments, given, strict=True) if w.startswith("{")}
                found.append((route, values))
        return found

    @cached_property
    def _document_text(self) -> bytes:
        return to_json(document(self._routes)) + b"\n"

    @cached_property
    def _page_text(self) -> bytes:
        return render_page(document(self._routes))

    async def _document(self, call: Call) -> Answer:
        headers: tuple[Header, ...] = ((b"content-type", b"application/json"), (b"cache-control", b"private, no-cache"))
        return Answer(200, (self._document_text,), headers)

    async def _page(self, call: Call) -> Answer:
        headers: tuple[Header, ...] = (
            (b"content-type", b"text/html; charset=utf-8"),
            (b"cache-control", b"private, no-cache"),
            (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
            (b"referrer-policy", b"no-referrer"),
        )
        return Answer(200, (self._page_text,), headers)


def _check_origin(request: Request) -> None:
    """Refuse what a page of another origin makes a browser send, possibly with its user's cookie."""
    if is_foreign(request):
        raise Refused("cross-origin", "the request comes from a page of another origin")


def _tagged(answer: Answer, request: Request) -> Answer:
    """Give an answer its tag, or leave its body out if the client has it."""
    if answer.status != 200 or not isinstance(answer.body, tuple):
        return answer
    if any(name == b"etag" for name, _ in answer.headers) or (b"cache-control", b"no-store") in answer.headers:
        return answer
    tag = b'"' + hashlib.blake2b(b"".join(answer.body), digest_size=12).hexdigest().encode() + b'"'
    headers = (*answer.headers, (b"etag", tag))
    if tag.decode() in request.header(b"if-none-match"):
        return Answer(304, headers=tuple(header for header in headers if header[0] in (b"cache-control", b"etag")))
    return attrs.evolve(answer, headers=headers)
