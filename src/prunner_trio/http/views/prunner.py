"""The routes of prunner's HTTP API.

The order of the checks is prunner's too: the token, then whether the path exists, then the method; and then, which
prunner does not know, whether the token is good for that.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping

import attrs

from prunner_trio.errors import (
    InvalidVariable,
    JobAlreadyFinished,
    JobNotFound,
    PipelineNotFound,
    QueueDisabled,
    QueueFull,
    ShuttingDown,
    StoreError,
    Unauthorized,
)
from prunner_trio.http.auth import Gate
from prunner_trio.http.bodies import BadBody, read_schedule
from prunner_trio.http.facts import Answer, BodyTooLarge, ClientGone, Request, error, json_answer, plain
from prunner_trio.http.listing import Listing
from prunner_trio.http.logs import BadRange, LogRange, logs_answer
from prunner_trio.http.port import RunnerPort, Scrape
from prunner_trio.http.rights import Role, Visitor, challenge
from prunner_trio.http.saving import until_saved
from prunner_trio.http.seen import seen_by
from prunner_trio.http.wire import encode_job, encode_pipelines, parse_job_id, quote
from prunner_trio.model import JobId, JobView, State

__all__ = ["Api"]

log = logging.getLogger(__name__)


@attrs.frozen
class _Call:
    """A request with a token.

    Attributes:
        runner: as its bearer sees it.
    """

    request: Request
    visitor: Visitor
    runner: RunnerPort


_Handler = Callable[[_Call], Awaitable[Answer]]


class _Refused(Exception):
    """Ends a handler early with an answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


@attrs.frozen
class _Route:
    """The one method a path knows, who may use it, and what it does.

    Attributes:
        about_all: tells of all pipelines at once, so only those may ask from whom none is hidden.
    """

    method: str
    need: Role
    handler: _Handler
    about_all: bool = False


class Api:
    """prunner's API over one runner."""

    def __init__(self, runner: RunnerPort, *, gate: Gate, listing: Listing, metrics: Scrape | None = None) -> None:
        """Connect the routes; nothing is read yet."""
        self._runner = runner
        self._gate = gate
        self._listing = listing
        self._routes: dict[str, _Route] = {
            "/pipelines": _Route("GET", Role.READ, self._pipelines),
            "/pipelines/": _Route("GET", Role.READ, self._pipelines),
            "/pipelines/jobs": _Route("GET", Role.READ, self._jobs),
            "/pipelines/schedule": _Route("POST", Role.RUN, self._schedule),
            "/job/detail": _Route("GET", Role.READ, self._detail),
            "/job/logs": _Route("GET", Role.READ, self._logs),
            "/job/cancel": _Route("POST", Role.RUN, self._cancel),
        }
        if metrics is not None:
            self._routes["/metrics"] = _Route("GET", Role.READ, _scraped(metrics), about_all=True)

    @staticmethod
    def owns(path: str) -> bool:
        """Whether a path is in the part of the address space that asks for a token first."""
        return path.startswith(("/pipelines/", "/job/")) or path in ("/pipelines", "/job", "/metrics")

    async def answer(self, request: Request) -> Answer:
        """Answer a request to a path that is ours.

        This is the boundary of a request: a defect of ours ends as a 500 and a traceback in the log, and nowhere else.

        Raises:
            ClientGone: nobody waits for the answer any more.
        """
        try:
            visitor = self._gate.visitor(request)
        except Unauthorized as exc:
            return plain(401, str(exc))
        route = self._routes.get(request.path)
        if route is None:
            return plain(404, "404 page not found")
        if request.method != route.method:
            return Answer(405, headers=((b"allow", route.method.encode()),))
        if refused := _refusal(route, visitor):
            return refused
        return await self._handle(route.handler, _Call(request, visitor, seen_by(self._runner, visitor.rights)))

    async def _handle(self, handler: _Handler, call: _Call) -> Answer:
        try:
            return await handler(call)
        except _Refused as refusal:
            return refusal.answer
        except JobNotFound:
            return error(404, "Job not found")
        except StoreError as exc:
            return error(503, f"Error reading jobs: {exc}")
        except ClientGone:
            raise
        except Exception:
            # The request boundary. Without it, a server that knows less than we do would choose the answer.
            log.exception("internal error in %s %s", call.request.method, call.request.path)
            return error(500, "Internal server error")

    async def _pipelines(self, call: _Call) -> Answer:
        return json_answer(b'{"pipelines":' + encode_pipelines(call.runner.pipelines()) + b"}\n")

    async def _jobs(self, call: _Call) -> Answer:
        return await self._listing.answer(call.request, call.visitor.rights)

    async def _schedule(self, call: _Call) -> Answer:
        try:
            asked = read_schedule(await call.request.body())
        except BadBody as exc:
            return error(400, f"Error decoding JSON: {exc}")
        except BodyTooLarge as exc:
            return error(413, str(exc))
        try:
            job = await call.runner.schedule(
                asked.pipeline, variables=asked.variables, user=call.visitor.user, partition=asked.partition
            )
        except ShuttingDown:
            return error(503, "Server is shutting down")
        except PipelineNotFound as exc:
            return error(400, f"Error scheduling pipeline: pipeline {quote(exc.name)} is not defined")
        except (QueueFull, QueueDisabled, InvalidVariable) as exc:
            return error(400, f"Error scheduling pipeline: {exc}")
        except StoreError as exc:
            return error(503, f"Error scheduling pipeline: {exc}")
        return json_answer(b'{"jobId":"%s"}\n' % job.id.encode(), status=202)

    async def _detail(self, call: _Call) -> Answer:
        job_id = _job_id(call.request.parameters())
        text = self._listing.job(job_id, call.visitor.rights)
        if text is None:
            text = encode_job(await _find(call.runner, job_id))
        return json_answer(text + b"\n")

    async def _logs(self, call: _Call) -> Answer:
        parameters = call.request.parameters()
        job_id = _job_id(parameters)
        name = parameters.get("task", "")
        if not name:
            return error(400, "Invalid task name")
        try:
            wanted = LogRange.of(parameters)
        except BadRange as exc:
            return error(400, f"Invalid range: {exc}")
        task = (await _find(call.runner, job_id)).task(name)
        if task is None:
            return error(404, "Task not found")
        writer = task.from_job or job_id
        return await logs_answer(call.runner.output, writer, name, wanted, growing=not task.state.final)

    async def _cancel(self, call: _Call) -> Answer:
        job_id = _job_id(call.request.parameters())
        try:
            call.runner.cancel(job_id, by=call.visitor.user)
        except (JobNotFound, JobAlreadyFinished):
            job = await call.runner.find(job_id)
            # One that is neither live nor final on disk was canceled while waiting, and is just being saved.
            if job.state.final and job.state is not State.CANCELED:
                return error(500, "Error canceling job")
        await until_saved(call.runner)
        return json_answer(b"true\n")


async def _find(runner: RunnerPort, job_id: JobId) -> JobView:
    live = runner.job(job_id)
    return live.view() if live is not None else await runner.find(job_id)


def _refusal(route: _Route, visitor: Visitor) -> Answer | None:
    if not visitor.rights.allows(route.need):
        text = visitor.rights.refusal(route.need)
    elif route.about_all and visitor.rights.restricted:
        text = "this tells of all pipelines, and the token is for some of them"
    else:
        return None
    refused = error(403, text)
    return attrs.evolve(refused, headers=(*refused.headers, challenge(route.need)))


def _scraped(metrics: Scrape) -> _Handler:
    async def answer(call: _Call) -> Answer:
        content_type, body = await metrics(call.request.header(b"accept"))
        return Answer(200, (body,), ((b"content-type", content_type.encode()), (b"cache-control", b"no-store")))

    return answer


def _job_id(parameters: Mapping[str, str]) -> JobId:
    job_id = parse_job_id(parameters.get("id", ""))
    if job_id is None:
        raise _Refused(error(400, "Invalid job id"))
    return job_id
