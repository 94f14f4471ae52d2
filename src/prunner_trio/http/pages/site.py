"""The site: which page is where, and what stands in front of all of them."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.routing import BaseConverter

from prunner_trio.errors import JobNotFound, StoreError, Unauthorized
from prunner_trio.http.facts import Request
from prunner_trio.http.origin import is_foreign
from prunner_trio.http.pages.board import Boards
from prunner_trio.http.pages.front import Front, guarded
from prunner_trio.http.pages.job_actions import JobActions
from prunner_trio.http.pages.job_page import JobPage
from prunner_trio.http.pages.jobs_page import AllJobs
from prunner_trio.http.pages.log_page import LogPage
from prunner_trio.http.pages.overview import Overview
from prunner_trio.http.pages.pipeline_page import PipelinePage
from prunner_trio.http.pages.session import Sessions
from prunner_trio.http.pages.start_form import Asked
from prunner_trio.http.pages.system_page import SystemPage
from prunner_trio.http.pages.visit import Refusal, Visit, root_of, url
from prunner_trio.http.rights import Role
from prunner_trio.http.service import Parts
from prunner_trio.http.wire import parse_job_id

__all__ = ["Refuse", "add_pages"]

log = logging.getLogger(__name__)

Page = Callable[..., Awaitable[Response]]
"""Takes a `Visit` and what the path holds."""


Refuse = Callable[[int], Response | None]
"""Takes a status, and returns a page for a browser; None: no browser asks."""


class _NameConverter(BaseConverter):
    """A name with any characters in it, at the end of a path."""

    regex = "(?s:.+)"
    part_isolating = False


def add_pages(app: QuartTrio, parts: Parts) -> Refuse:
    """Let an application answer with the pages of one runner; return how it refuses what is not there."""
    app.url_map.converters["name"] = _NameConverter
    site = _Site(app, parts)
    front = site.front
    boards = Boards(front, parts)
    site.add_open("/sign-in", site.sign_in_page, "GET")
    site.add_open("/sign-in", site.sign_in, "POST")
    site.add_open("/static/<path:path>", site.static, "GET")
    site.add("/sign-out", site.sign_out, "POST", need=None)
    system = SystemPage(boards, parts.about)
    site.add("/system", system.system, need=Role.READ)
    site.add("/problems", system.problems, need=Role.READ)
    asked = Asked()
    site.add("/", Overview(boards, parts, asked).answer, need=Role.READ)
    site.add("/jobs", AllJobs(boards).answer, need=Role.READ)
    site.add("/jobs/<job_id>", JobPage(boards, parts).answer, need=Role.READ)
    job = JobActions(front)
    site.add("/jobs/<job_id>/cancel", job.cancel, "POST", need=Role.RUN)
    site.add("/jobs/<job_id>/cancel-task", job.cancel_task, "POST", need=Role.RUN)
    site.add("/jobs/<job_id>/retry", job.retry, "POST", need=Role.RUN)
    site.add("/jobs/<job_id>/move", job.move, "POST", need=Role.ADMIN)
    pipeline = PipelinePage(front, boards, parts, asked)
    for rule in ("/pipeline/<name:name>", "/pipeline/"):
        site.add(rule, pipeline.answer, need=Role.READ)
        site.add(rule, pipeline.start, "POST", need=Role.RUN)
    site.add("/pause", pipeline.pause, "POST", need=Role.ADMIN)
    site.add("/resume", pipeline.resume, "POST", need=Role.ADMIN)
    log_page = LogPage(front, boards, parts)
    for rule in ("/jobs/<job_id>/log/<name:task>", "/jobs/<job_id>/log/"):
        site.add(rule, log_page.answer, need=Role.READ)
    return site.refuse


class _Site:
    def __init__(self, app: QuartTrio, parts: Parts) -> None:
        self.front = Front(parts.about)
        self._app, self._parts = app, parts
        self._sessions = Sessions(self.front, parts.gate, lambda: parts.v1.links)
        self._files = {asset.path: asset for asset in self.front.assets.values()}

    # ------------------------------------------------------------------------------------------------------- routes

    def add(self, rule: str, page: Page, *methods: str, need: Role | None) -> None:
        """Let a page answer those who are signed in and have the role `need`; None: all of them.

        `methods` are GET if none is given.
        """

        async def view(**values: Any) -> Response:
            facts = _facts()
            if not facts.header(b"accept"):  # a client of prunner, whose API has nothing here; all browsers say it
                return _nothing_here()
            root = root_of(_raw_path())
            try:
                visitor = self._parts.gate.visitor(facts)
            except Unauthorized:
                return self._send_to_sign_in(facts, root)
            runner = self._parts.seen_by(visitor)
            visit = Visit(facts, visitor, runner, root, _here(facts), dict(request.args.items()), _form)
            try:
                if need is not None and not visitor.rights.allows(need):
                    raise Refusal(403, f"Your token does not allow this: {visitor.rights.refusal(need)}.")
                if facts.method not in ("GET", "HEAD") and is_foreign(facts):
                    raise Refusal(403, "The request comes from a page of another origin.")
                self._parts.start()
                return await page(visit, **values)
            except Refusal as refusal:
                return self._refused(visit, refusal.status, refusal.text, _back(visit, refusal, **values))
            except RequestEntityTooLarge:
                text = f"A form may have {self._parts.max_body} bytes, and this one has more."
                return self._refused(visit, 413, text, _back(visit, None, **values))
            except JobNotFound as exc:
                return self._refused(visit, 404, f"There is no such job: {exc}.")
            except StoreError as exc:
                return self._refused(visit, 503, f"The store cannot be used now: {exc}.")
            except Exception:  # the boundary of a request: a defect of ours ends as a page and a traceback in the log
                log.exception("internal error in %s %s", facts.method, facts.path)
                return self._refused(visit, 500, "Internal error: the log of the daemon has the details.")

        self._add_rule(rule, view, methods or ("GET",))

    def add_open(self, rule: str, page: Page, *methods: str) -> None:
        """Let a page answer anybody."""
        self._add_rule(rule, page, methods)

    def _add_rule(self, rule: str, view: Page, methods: tuple[str, ...]) -> None:
        endpoint = f"{' '.join(methods)} {rule}".replace(".", " ")
        self._app.add_url_rule(
            rule, endpoint, view, methods=list(methods), provide_automatic_options=False, strict_slashes=False
        )

    def _refused(self, visit: Visit, status: int, text: str, back: tuple[str, str] | None = None) -> Response:
        return self.front.page(visit, "refused.html", status=status, title=_TITLES[status], text=text, back=back)

    def _send_to_sign_in(self, facts: Request, root: str) -> Response:
        if facts.method not in ("GET", "HEAD") or b"live" in facts.query:
            return self._sessions.page(root, "", problem="Sign in first: the session is over.", status=401)
        here = _here(facts)
        return self.front.go(root, "sign-in" + (f"?{urlencode({'next': here})}" if here else ""))

    # ------------------------------------------------------------------------------------------------------ session

    async def sign_in_page(self) -> Response:
        """Answer with the form."""
        root, code = root_of(_raw_path()), request.args.get("once", "")
        if code:
            return self._sessions.by_link(_facts(), root, code)
        return self._sessions.page(root, request.args.get("next", ""))

    async def sign_in(self) -> Response:
        """Take a token."""
        facts = _facts()
        root = root_of(_raw_path())
        form = await _form()
        if is_foreign(facts):
            return self._sessions.page(root, "", problem="The form came from a page of another origin.", status=403)
        if code := form.get("once", ""):
            return self._sessions.by_link(facts, root, code)
        return self._sessions.sign_in(facts, root, form.get("token", ""), form.get("next", ""))

    async def sign_out(self, visit: Visit) -> Response:
        """End the session."""
        return self._sessions.sign_out(visit.facts, visit.root)

    # ---------------------------------------------------------------------------------------------- static, and nothing

    def refuse(self, status: int) -> Response | None:
        """Answer a browser that asks for what is not there, whoever it is; None if it is no browser."""
        if "text/html" not in request.headers.get("Accept", ""):
            return None
        return self.front.bare("lost.html", root_of(_raw_path()), status=status, title=_TITLES.get(status, "No"))

    async def static(self, path: str) -> Response:
        """Answer with a static file; that of an older version is the present one, and not to be kept."""
        asset = self._files.get(path)
        if asset is None:
            return _nothing_here()
        response = guarded(Response(asset.content, content_type=asset.content_type))
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


_TITLES = {
    400: "That cannot be used",
    403: "That is not allowed",
    404: "Nothing is here",
    405: "That cannot be done here",
    409: "That is not possible now",
    413: "That is too much",
    500: "Internal error",
    503: "Not now",
}


def _back(visit: Visit, refusal: Refusal | None, job_id: str = "", name: str = "", **_: str) -> tuple[str, str] | None:
    """Return where to go on from a refusal, as an address and a text: what it was about, if that is there."""
    if known := parse_job_id(job_id):
        return f"jobs/{known}", "Back to the job"
    name = name or visit.query.get("name", "")
    if name and visit.runner.definitions.get(name) is not None and (refusal is None or refusal.status != 404):
        return url("pipeline", name), "Back to the pipeline"
    return None


def _nothing_here() -> Response:
    return guarded(Response("404 page not found\n", status=404, content_type="text/plain; charset=utf-8"))


def _raw_path() -> bytes:
    scope = request.scope
    raw: bytes | None = scope.get("raw_path")
    return raw or scope["path"].encode()


def _facts() -> Request:
    scope = request.scope

    async def body() -> bytes:
        data = await request.get_data(cache=False)
        return data if isinstance(data, bytes) else data.encode()

    return Request(request.method, scope["path"], scope["query_string"], list(scope["headers"]), body)


async def _form() -> dict[str, str]:
    return dict((await request.form).items())


def _here(facts: Request) -> str:
    path = _raw_path().decode("latin-1").partition("?")[0].lstrip("/")
    return path + (f"?{facts.query.decode('latin-1')}" if facts.query else "")
