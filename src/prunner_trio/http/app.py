"""The web application: prunner's API in front, then API v1, and Quart with the web page for everything else."""

import time
from collections.abc import Callable

import trio
from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException, MethodNotAllowed, RequestEntityTooLarge

from prunner_trio.http.about import Tell, nothing_known
from prunner_trio.http.bodies import MAX_BODY
from prunner_trio.http.facts import Answer, Request, error, plain
from prunner_trio.http.fast import too_large
from prunner_trio.http.pages.site import Refuse, add_pages
from prunner_trio.http.port import RunnerPort, Scrape
from prunner_trio.http.service import Parts
from prunner_trio.http.v1.api import ApiV1
from prunner_trio.http.v1.incoming import SecretOf
from prunner_trio.http.v1.paths import MOST_STREAMS
from prunner_trio.http.views import Api, profile_text

__all__ = ["create_app", "web_app"]


def create_app(
    runner: RunnerPort,
    *,
    secret: str | bytes,
    profiling: bool = False,
    metrics: Scrape | None = None,
    max_body: int = MAX_BODY,
    now: Callable[[], float] = time.time,
    closing: trio.Event | None = None,
    hook_secrets: SecretOf = lambda _: None,
    rate: float = 0.0,
    most_streams: int = MOST_STREAMS,
    about: Tell = nothing_known,
) -> QuartTrio:
    """Make the application for one runner, to be served for as long as the runner runs.

    The jobs that the runner keeps are read when the application is started, or else by the first request for the
    listing; from then on it follows the runner's events.

    Args:
        secret: the key of the tokens; its bytes are used as they are.
        profiling: show figures about the process under ``/debug/pprof/``, without a token.
        metrics: makes what ``/metrics`` answers; None: there is no such path.
        max_body: bytes of a request's body; longer ones are answered with 413.
        now: wall time in seconds, for the times of tokens.
        closing: set when the server is about to end, so that streams come to an end in good order.
        hook_secrets: finds the secret of an incoming webhook; without it nobody is let in.
        rate: requests a second for each user, or for each address from which a request without one comes; 0: no limit.
        most_streams: see `ApiV1`.
        about: tells of the daemon around the runner, for the page.
    """
    parts = Parts(
        runner,
        secret=secret,
        metrics=metrics,
        max_body=max_body,
        now=now,
        closing=closing,
        hook_secrets=hook_secrets,
        rate=rate,
        most_streams=most_streams,
        about=about,
    )
    app = web_app(parts, profiling=profiling)

    async def begin() -> None:
        parts.start()
        app.add_background_task(parts.warm_up)

    async def end() -> None:
        parts.stop()

    app.before_serving(begin)
    app.after_serving(end)
    app.asgi_app = parts.in_front_of(parts.v1_before(app.asgi_app, ApiV1))  # type: ignore[method-assign,assignment]
    return app


def web_app(parts: Parts, *, profiling: bool) -> QuartTrio:
    """Make the application alone, without what stands in front of it."""
    max_body = parts.max_body
    app = QuartTrio("prunner_trio.http", static_folder=None)
    app.url_map.merge_slashes = False  # a path with two slashes is unknown, not moved
    # The server bounds each read and each write; a limit for a whole answer would cut long logs.
    app.config.update(MAX_CONTENT_LENGTH=max_body, BODY_TIMEOUT=None, RESPONSE_TIMEOUT=None)
    _add_long_way(app, parts.api, max_body)
    _add_errors(app, add_pages(app, parts))
    if profiling:
        _add_profiling(app)
    return app


def _add_long_way(app: QuartTrio, api: Api, max_body: int) -> None:
    async def body() -> bytes:
        try:
            data = await request.get_data(cache=False)
        except RequestEntityTooLarge as exc:
            raise too_large(max_body) from exc
        return data if isinstance(data, bytes) else data.encode()

    async def answer_what_is_ours() -> Response | None:
        scope = request.scope
        if not api.owns(scope["path"]):
            return None
        facts = Request(request.method, scope["path"], scope["query_string"], list(scope["headers"]), body)
        return _response(await api.answer(facts))

    # Before Quart's own routing, whose rules differ: it would offer HEAD and OPTIONS, and 404 before the token is seen.
    app.before_request(answer_what_is_ours)


def _add_errors(app: QuartTrio, page: Refuse) -> None:
    async def refuse(problem: HTTPException) -> Response:
        if (found := page(problem.code or 500)) is not None:
            return found
        if isinstance(problem, MethodNotAllowed):
            allowed = ", ".join(sorted(problem.valid_methods or ()))
            return _response(Answer(405, headers=((b"allow", allowed.encode()),)))
        if problem.code == 404:
            return _response(plain(404, "404 page not found"))
        return _response(error(problem.code or 500, "Internal server error" if problem.code == 500 else problem.name))

    app.register_error_handler(HTTPException, refuse)


def _add_profiling(app: QuartTrio) -> None:
    began = time.monotonic()

    async def profile() -> Response:
        return _response(plain(200, profile_text(time.monotonic() - began).rstrip()))

    app.add_url_rule("/debug/pprof/", "profile", profile, methods=["GET"])


def _response(answer: Answer) -> Response:
    body = b"".join(answer.body) if isinstance(answer.body, tuple) else answer.body
    response = Response(body, status=answer.status)
    response.headers.clear()
    for name, value in answer.all_headers():
        response.headers.add(name.decode("ascii").title(), value.decode("latin-1"))
    return response
