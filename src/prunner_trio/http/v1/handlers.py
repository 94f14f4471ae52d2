"""What the routes of API v1 do."""

import base64
import binascii
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import attrs
import trio

from prunner_trio.errors import (
    JobNotFound,
    PipelineNotFound,
    QueueDisabled,
    QueueFull,
    ShuttingDown,
)
from prunner_trio.execution.seams import Stream
from prunner_trio.http.auth import Gate
from prunner_trio.http.facts import Answer, BodyTooLarge, Header, Request
from prunner_trio.http.line import Streamed
from prunner_trio.http.port import RunnerPort
from prunner_trio.http.rights import Visitor
from prunner_trio.http.saving import until_saved
from prunner_trio.http.sign_in_links import SignInLinks
from prunner_trio.http.v1.encode import encode, time_text
from prunner_trio.http.v1.events import all_events, job_events
from prunner_trio.http.v1.follow import follow_events, follow_text
from prunner_trio.http.v1.history import History
from prunner_trio.http.v1.incoming import Incoming, log_wanted
from prunner_trio.http.v1.keys import LONGEST, Keys
from prunner_trio.http.v1.lines import LineCounts, find_lines
from prunner_trio.http.v1.logs import Log, log_answer
from prunner_trio.http.v1.models import (
    Health,
    HookReceipt,
    HookResult,
    Job,
    JobPage,
    JobTasks,
    PipelineList,
    ProblemItem,
    ScheduleRequest,
    SignInLink,
    Uuid,
)
from prunner_trio.http.v1.news import log_news
from prunner_trio.http.v1.problems import Refused
from prunner_trio.http.v1.questions import (
    CancelQuestion,
    JobsQuestion,
    LinesQuestion,
    LogQuestion,
    LogsQuestion,
    MatchesQuestion,
)
from prunner_trio.http.v1.ring import Ring
from prunner_trio.http.v1.schedule_body import parse_schedule
from prunner_trio.http.v1.sse import EVENT_STREAM
from prunner_trio.http.v1.views import job_of, pipeline_detail, pipeline_of, task_of
from prunner_trio.http.wire import parse_job_id
from prunner_trio.model import JobId, JobQuery, JobView, State, TaskView

__all__ = ["Call", "Handlers", "body_of", "expect_json", "idempotency_key", "job_id_of", "json_answer"]

log = logging.getLogger(__name__)

_AT_ONCE = 25
"""Jobs that are brought into their JSON form in one turn of the loop."""

_JSON: Header = (b"content-type", b"application/json")
_RETRY: Header = (b"retry-after", b"5")
_NOT_KEPT: tuple[Header, ...] = (_JSON, (b"cache-control", b"no-store"))


@attrs.frozen
class Call:
    """A request whose route is known.

    Attributes:
        visitor: who asks; of a route without a token, nobody.
        path: the parameters within the path, decoded.
        query: of the route's type, checked.
    """

    request: Request
    visitor: Visitor
    path: Mapping[str, str]
    query: Any

    @property
    def user(self) -> str:
        """The name of who asks; empty if the token has none, or the route wants none."""
        return self.visitor.user


@attrs.frozen
class Handlers:
    """One method per route.

    Attributes:
        runner: as those see it who are answered; the others are of the whole runner.
    """

    runner: RunnerPort
    ring: Ring
    history: History
    keys: Keys
    incoming: Incoming
    counts: LineCounts
    links: SignInLinks
    gate: Gate

    # --------------------------------------------------------------------------------------------------- pipelines

    async def pipelines(self, call: Call) -> Answer:
        """Answer with all pipelines."""
        definitions = self.runner.definitions
        ends = {definition.name: await self.history.ends(definition.name) for definition in definitions}
        found = []
        for view in self.runner.pipelines():  # after the reading, which takes a moment: so the counts are of now
            definition = self.runner.definitions.get(view.name)
            if definition is not None:
                found.append(pipeline_of(view, definition, ends.get(view.name, ())))
        return json_answer(PipelineList(tuple(found)))

    async def pipeline(self, call: Call) -> Answer:
        """Answer with one pipeline and its definition."""
        name = call.path["name"]
        ends = await self.history.ends(name) if self.runner.definitions.get(name) is not None else ()
        definition = self.runner.definitions.get(name)
        view = next((view for view in self.runner.pipelines() if view.name == name), None)
        if definition is None or view is None:
            raise Refused("pipeline-not-found", f"pipeline {name!r} is not defined")
        return json_answer(pipeline_detail(view, definition, ends))

    # -------------------------------------------------------------------------------------------------------- jobs

    async def jobs(self, call: Call) -> Answer:
        """Answer with a page of jobs."""
        asked: JobsQuestion = call.query
        before, after = _place(asked.cursor)
        query = JobQuery(
            pipeline=asked.pipeline,
            states=asked.state,
            user=asked.user,
            retry_of=_retried(asked.retry_of),
            text=asked.text,
            since=asked.since,
            until=asked.until,
            before=before,
            after=after,
            limit=asked.limit,
        )
        jobs = await self.runner.search(query)
        full = len(jobs) == asked.limit
        older = _cursor("b", jobs[-1].number) if jobs and (full or after is not None) else None
        newer = _cursor("a", jobs[0].number) if jobs else asked.cursor if after is not None else None
        found: list[Job] = []
        for first in range(0, len(jobs), _AT_ONCE):  # a long page takes a while, and others get their turns of the loop
            found += self._jobs(jobs[first : first + _AT_ONCE])
            await trio.lowlevel.checkpoint()
        return json_answer(JobPage(tuple(found), older, newer))

    async def job(self, call: Call) -> Answer:
        """Answer with one job."""
        return json_answer(self._job(await self._find(call)))

    async def tasks(self, call: Call) -> Answer:
        """Answer with the tasks of a job."""
        job = await self._find(call)
        return json_answer(JobTasks(tuple(task_of(task) for task in job.tasks)))

    async def task(self, call: Call) -> Answer:
        """Answer with one task of a job."""
        job = await self._find(call)
        return json_answer(task_of(_task(job, call.path["task"])))

    async def schedule(self, call: Call) -> Answer:
        """Accept a job, and answer when it is on disk."""
        request = call.request
        expect_json(request)
        key = idempotency_key(request)
        asked = parse_schedule(await body_of(request))
        job, known = await self._start(asked, call.visitor, key)
        return await self._accepted(job, *([(b"idempotency-replayed", b"true")] if known else []))

    async def hook(self, call: Call) -> Answer:
        """Start the job that an event means, if it means one."""
        judged = self.incoming.judge(call.path["hook"], call.request, await body_of(call.request))
        if isinstance(judged, HookReceipt):
            return Answer(200, (encode(judged),), _NOT_KEPT)
        job, known = await self._start(judged.request, Visitor(judged.user), judged.key)
        live = self.runner.job(job)
        if live is not None:
            await live.saved()
        log_wanted(judged, job, known=known)
        return Answer(202, (encode(HookReceipt(HookResult.SCHEDULED, "", Uuid(job))),), _NOT_KEPT)

    async def _start(self, asked: ScheduleRequest, visitor: Visitor, key: str | None) -> tuple[JobId, bool]:
        """Return a new job or, if an earlier request had this key, that one's, and whether it is."""
        if key is None:
            return self._submit(asked, visitor.user, None), False
        async with self.keys.claim(visitor, key):
            known = await self.keys.look_up(visitor, key, asked)
            if isinstance(known, JobView):
                return known.id, True
            job = self._submit(asked, visitor.user, known)
            self.keys.note(known)
            return job, False

    def _submit(self, asked: ScheduleRequest, user: str, job_id: JobId | None) -> JobId:
        with self._acceptance():
            try:
                job = self.runner.submit(
                    asked.pipeline, variables=asked.variables, user=user, partition=asked.partition, job_id=job_id
                )
            except PipelineNotFound as exc:
                item = ProblemItem("is not defined", pointer="/pipeline")
                raise Refused("invalid-content", str(exc), errors=[item]) from exc
        return job.id

    @contextmanager
    def _acceptance(self) -> Iterator[None]:
        """Tell why a job was not accepted."""
        try:
            yield
        except QueueFull as exc:
            raise Refused("queue-full", str(exc)) from exc
        except QueueDisabled as exc:
            raise Refused("queue-disabled", str(exc)) from exc
        except ShuttingDown as exc:
            raise Refused("shutting-down", str(exc), headers=(_RETRY,)) from exc

    async def _accepted(self, job_id: JobId, *headers: Header) -> Answer:
        live = self.runner.job(job_id)
        if live is not None:
            await live.saved()
        view = live.view() if live is not None else await self.runner.find(job_id)
        where: Header = (b"location", b"/v1/jobs/" + job_id.encode())
        return Answer(202, (encode(self._job(view)),), (_JSON, (b"cache-control", b"no-store"), where, *headers))

    async def cancel(self, call: Call) -> Answer:
        """Ask a job to stop, and answer when it has, or when the client has waited enough."""
        asked: CancelQuestion = call.query
        job_id = job_id_of(call)
        live = self.runner.job(job_id)
        try:
            self.runner.cancel(job_id, by=call.user)
        except JobNotFound as exc:
            job = await self.runner.find(job_id)
            # One that is neither live nor final on disk was canceled while waiting, and is just being saved.
            if job.state.final and job.state is not State.CANCELED:
                raise Refused("job-finished", f"the job has ended before: it is {job.state.value}") from exc
        if live is not None and asked.wait:
            with trio.move_on_after(asked.wait):
                try:
                    await live.wait()
                except ShuttingDown:
                    log.debug("nobody waits any more job=%s", job_id)
        if self.runner.job(job_id) is None:
            # Of a job that waited nothing is left that would cancel it after a crash.
            await until_saved(self.runner)
        view = live.view() if live is not None else await self.runner.find(job_id)
        return Answer(
            200 if view.state.final else 202, (encode(self._job(view)),), (_JSON, (b"cache-control", b"no-store"))
        )

    # -------------------------------------------------------------------------------------------------------- logs

    async def log(self, call: Call) -> Answer | Streamed:
        """Answer with a log, or a part of it, or follow it."""
        asked: LogQuestion = call.query
        both = [name for name in ("offset", "limit") if getattr(asked, name) is not None and asked.tail is not None]
        if both:
            _conflict(both[0], "does not go with tail")
        if asked.follow and asked.limit is not None:
            _conflict("limit", "does not go with follow")
        found = await self._log(call)
        if not asked.follow:
            return await log_answer(found, asked, call.request)
        if EVENT_STREAM in call.request.header(b"accept"):
            return await follow_events(found, self.ring, asked, call.request.header(b"last-event-id"))
        return await follow_text(found, self.ring, asked)

    async def lines(self, call: Call) -> Answer:
        """Answer with where the lines of a log are."""
        asked: LinesQuestion = call.query
        return json_answer(await self.counts.answer(await self._log(call), asked.offset))

    async def matches(self, call: Call) -> Answer:
        """Answer with which lines of a log hold a text."""
        asked: MatchesQuestion = call.query
        if "\n" in asked.text:
            _conflict("text", "has a line feed, which is in no line")
        return json_answer(await find_lines(await self._log(call), asked.text, asked.offset, asked.line))

    async def _log(self, call: Call) -> Log:
        stream = next((stream for stream in Stream if stream.value == call.path["stream"]), None)
        if stream is None:
            raise Refused("not-found", f"a task has no {call.path['stream'][:40]!r}, but stdout and stderr")
        job = await self._find(call)
        return Log(self.runner, job.id, _task(job, call.path["task"]), job.attempt, stream)

    async def logs(self, call: Call) -> Answer:
        """Answer with what both logs of a task have gained."""
        asked: LogsQuestion = call.query
        job = await self._find(call)
        task = _task(job, asked.task)
        out, err = (Log(self.runner, job.id, task, job.attempt, stream) for stream in Stream)
        return json_answer(await log_news(out, err, self.ring, asked.since, asked.wait))

    # ------------------------------------------------------------------------------------------------------ events

    async def events(self, call: Call) -> Streamed:
        """Answer with the events of all jobs."""
        return all_events(self.ring, call.request.header(b"last-event-id"), call.visitor.rights)

    async def job_events(self, call: Call) -> Answer | Streamed:
        """Answer with the events of one job."""
        job = await self._find(call)

        def over() -> bool:
            live = self.runner.job(job.id)
            return live is None or live.view().state.final

        return job_events(self.ring, call.request.header(b"last-event-id"), job.id, over)

    # ----------------------------------------------------------------------------------------------------- web page

    async def sign_in_link(self, call: Call) -> Answer:
        """Answer with a link to the web page for the bearer of the token."""
        code, ends = self.links.make(self.gate.token(call.request))
        link = SignInLink(f"sign-in?once={code}", time_text(ends))
        return Answer(201, (encode(link),), (_JSON, (b"cache-control", b"no-store")))

    # ------------------------------------------------------------------------------------------------------ health

    async def alive(self, call: Call) -> Answer:
        """Answer that the loop turns."""
        return json_answer(Health("ok", ""))

    async def ready(self, call: Call) -> Answer:
        """Answer whether new jobs would be accepted."""
        reason = self.runner.unready
        health = Health("unready", _plain_reason(reason)) if reason else Health("ok", "")
        headers = (_JSON, (b"cache-control", b"no-store"), *((_RETRY,) if reason else ()))
        return Answer(503 if reason else 200, (encode(health),), headers)

    # --------------------------------------------------------------------------------------------------- all of them

    async def _find(self, call: Call) -> JobView:
        job_id = job_id_of(call)
        live = self.runner.job(job_id)
        return live.view() if live is not None else await self.runner.find(job_id)

    def _job(self, view: JobView) -> Job:
        (job,) = self._jobs([view])
        return job

    def _jobs(self, views: Sequence[JobView]) -> list[Job]:
        waiting = {view.pipeline for view in views if view.state is State.WAITING}
        places = {job_id: place for name in waiting for job_id, place in self.runner.places(name).items()}
        return [job_of(view, places.get(view.id)) for view in views]


def json_answer(value: object, status: int = 200) -> Answer:
    """Return an answer with a value that may be asked for again."""
    return Answer(status, (encode(value),), (_JSON, (b"cache-control", b"private, no-cache")))


def expect_json(request: Request) -> None:
    """Refuse other bodies: a page of another origin can make a browser send them with its cookies, but not this one."""
    kind = request.media_type
    if kind != "application/json":
        raise Refused("unsupported-media-type", f"expected Content-Type: application/json, got {kind[:80]!r}")


async def body_of(request: Request) -> bytes:
    """Return the body of a request. Raises `Refused` if it is too large."""
    try:
        return await request.body()
    except BodyTooLarge as exc:
        raise Refused("body-too-large", str(exc)) from exc


def job_id_of(call: Call) -> JobId:
    """Return the id of the job that is asked about. Raises `Refused` if it is none."""
    in_path = call.path.get("id")
    text = call.query.id if in_path is None else in_path
    job_id = parse_job_id(text)
    if job_id is None:
        raise Refused("job-not-found", f"{text[:80]!r} is no job id, which would be a UUID")
    return job_id


def _task(job: JobView, name: str) -> TaskView:
    task = job.task(name)
    if task is None:
        raise Refused("task-not-found", f"the job has no task {name[:200]!r}")
    return task


def _conflict(name: str, text: str) -> None:
    raise Refused("invalid-query", f"{name}: {text}", errors=[ProblemItem(text, parameter=name)])


def _retried(text: str | None) -> JobId | None:
    """Return the id of the job whose retries are asked for; what is no id is that of no job."""
    return None if text is None else parse_job_id(text) or JobId(text)


def _cursor(side: str, number: int) -> str:
    return base64.urlsafe_b64encode(f"{side}{number}".encode()).decode().rstrip("=")


def _place(cursor: str | None) -> tuple[int | None, int | None]:
    """Return the numbers between which a page lies, as far as the cursor says."""
    if cursor is None:
        return None, None
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except (ValueError, binascii.Error):
        text = ""
    side, number = text[:1], text[1:]
    if side not in ("a", "b") or not number.isdigit() or len(number) > 18:
        item = ProblemItem("must be `older` or `newer` of another page", parameter="cursor")
        raise Refused("invalid-query", "cursor: must be `older` or `newer` of another page", errors=[item])
    return (int(number), None) if side == "b" else (None, int(number))


def idempotency_key(request: Request) -> str | None:
    """Return the key that came with a request. Raises `Refused` if it cannot be one."""
    values = [value for name, value in request.headers if name == b"idempotency-key"]
    if not values:
        return None
    text = values[0].decode("latin-1")
    if len(values) > 1 or not text or len(text) > LONGEST or not text.isprintable():
        item = ProblemItem(f"must be one text of 1 to {LONGEST} printable characters", parameter="Idempotency-Key")
        raise Refused("invalid-query", f"Idempotency-Key: {item.detail}", errors=[item])
    return text


def _plain_reason(reason: str) -> str:
    """Return a reason that may be told to everybody: without paths."""
    return reason if "/" not in reason else "the store cannot be written"
