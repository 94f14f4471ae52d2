"""The whole API through its application, over a runner that only pretends."""

import hmac
import json
import logging
import math
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from quart_trio import QuartTrio

from prunner_trio.errors import (
    InvalidVariable,
    JobNotFound,
    PipelineNotFound,
    QueueDisabled,
    QueueFull,
    ShuttingDown,
    StoreError,
)
from prunner_trio.execution.seams import Stream, TaskOutput
from prunner_trio.http.app import create_app
from prunner_trio.model import Event, EventKind, JobId, JobView, PipelineView, State, TaskView

SECRET = "a-secret-of-some-length"
NOW = 1_800_000_000.0


def job_id(number: int) -> JobId:
    return JobId(f"00000000-0000-4000-8000-{number:012x}")


LIVE, DONE, CANCELED, UNKNOWN = (job_id(n) for n in (3, 2, 1, 99))


class FakeOutput:
    """Logs in memory; `reads` holds the length of each piece that was asked for."""

    def __init__(self) -> None:
        self.logs: dict[tuple[str, str, Stream], bytes] = {}
        self.reads: list[int] = []
        self.fail_after: int | None = None

    def open(self, job_id: JobId, task: str) -> TaskOutput:
        raise NotImplementedError

    async def read(self, job_id: JobId, task: str, stream: Stream, offset: int, length: int) -> bytes:
        await trio.lowlevel.checkpoint()
        self.reads.append(length)
        if self.fail_after is not None and len(self.reads) > self.fail_after:
            raise OSError(5, "Input/output error")
        return self.logs.get((job_id, task, stream), b"")[offset : offset + length]

    async def size(self, job_id: JobId, task: str, stream: Stream) -> int:
        await trio.lowlevel.checkpoint()
        return len(self.logs.get((job_id, task, stream), b""))

    async def remove(self, job_ids: Sequence[JobId]) -> None:
        raise NotImplementedError


@attrs.define(eq=False)
class FakeJob:
    now: JobView

    @property
    def id(self) -> JobId:
        return self.now.id

    def view(self) -> JobView:
        return self.now


class FakeRunner:
    """Accepts all jobs of the pipeline `plain`; `error` makes it refuse, `broken` makes its store unreadable."""

    def __init__(self) -> None:
        self.output = FakeOutput()
        self.running = {LIVE: FakeJob(view(3, State.RUNNING))}
        self.kept = {DONE: view(2, State.DONE), CANCELED: view(1, State.CANCELED)}
        self.asked: list[tuple[str, Mapping[str, object], str, str]] = []
        self.canceled: list[tuple[JobId, str]] = []
        self.error: Exception | None = None
        self.broken: Exception | None = None
        self.listeners: list[Callable[[Event], None]] = []
        self.flush_seconds = 0.0
        self.flushed = 0

    async def flush(self) -> None:
        await trio.sleep(self.flush_seconds)
        self.flushed += 1

    def pipelines(self) -> Sequence[PipelineView]:
        return [PipelineView("plain", schedulable=True, running=True, waiting=0)]

    async def schedule(
        self, pipeline: str, *, variables: Mapping[str, object], user: str = "", partition: str = ""
    ) -> FakeJob:
        await trio.lowlevel.checkpoint()
        self.asked.append((pipeline, variables, user, partition))
        if self.error is not None:
            raise self.error
        if pipeline != "plain":
            raise PipelineNotFound(pipeline)
        return self.running[LIVE]

    def cancel(self, job_id: JobId, *, by: str = "") -> None:
        if job_id not in self.running:
            raise JobNotFound(job_id)
        self.canceled.append((job_id, by))
        if self.running[job_id].now.state is State.WAITING:
            del self.running[job_id]

    def job(self, job_id: JobId) -> FakeJob | None:
        return self.running.get(job_id)

    def live(self) -> Iterator[JobView]:
        return (job.now for job in self.running.values())

    async def find(self, job_id: JobId) -> JobView:
        await trio.lowlevel.checkpoint()
        if self.broken is not None:
            raise self.broken
        if job_id not in self.kept:
            raise JobNotFound(job_id)
        return self.kept[job_id]

    async def jobs(
        self, *, pipeline: str | None = None, before: int | None = None, limit: int = 100
    ) -> Sequence[JobView]:
        await trio.lowlevel.checkpoint()
        if self.broken is not None:
            raise self.broken
        newest = sorted(self.kept.values(), key=lambda view: -view.number)
        return [view for view in newest if before is None or view.number < before][:limit]

    def observe(self, listener: Callable[[Event], None]) -> AbstractContextManager[None]:
        @contextmanager
        def observing() -> Iterator[None]:
            self.listeners.append(listener)
            yield
            self.listeners.remove(listener)

        return observing()


def view(number: int, state: State) -> JobView:
    ended = NOW + 2 if state.final else None
    task = TaskView("t", state, started=NOW, ended=ended)
    return JobView(job_id(number), number, "plain", state, (task,), created=NOW, started=NOW, ended=ended, user="jane")


def token(secret: str = SECRET, **claims: object) -> str:
    def encode(value: object) -> bytes:
        return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")

    signed = encode({"alg": "HS256"}) + b"." + encode(claims)
    mac = hmac.new(secret.encode(), signed, "sha256").digest()
    return (signed + b"." + urlsafe_b64encode(mac).rstrip(b"=")).decode()


@attrs.frozen
class Got:
    """An answer, as a client sees it."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        assert self.headers["content-type"] == "application/json"
        assert self.body.endswith(b"\n")
        return json.loads(self.body)

    @property
    def refusal(self) -> tuple[int, str]:
        assert list(self.json) == ["error"]
        return self.status, self.json["error"]


class Client:
    def __init__(self, app: QuartTrio) -> None:
        self.client = app.test_client()

    async def __call__(
        self, method: str, path: str, *, body: bytes | None = None, auth: str | None = None, **headers: str
    ) -> Got:
        if auth is None:
            auth = token(sub="jane")
        if auth:
            headers["Authorization"] = f"Bearer {auth}"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        received = b""
        async with self.client.request(path, method=method, headers=named) as connection:
            await connection.send(body or b"")
            await connection.send_complete()
            with suppress(trio.EndOfChannel):
                while True:
                    received += await connection.receive()
        assert connection.headers is not None
        assert connection.headers["X-Content-Type-Options"] == "nosniff"
        assert connection.status_code is not None
        return Got(connection.status_code, {k.lower(): v for k, v in connection.headers.items()}, received)


def scope_of(method: str, path: str, query: str = "") -> dict[str, Any]:
    return {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "query_string": query.encode(),
        "headers": [(b"authorization", b"Bearer " + token().encode())],
    }


Scenario = Callable[[Client, FakeRunner], Awaitable[None]]


@pytest.fixture(params=["short", "long"])
def play(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Run a scenario against the application: once as it is, and once with everything going through Quart."""

    def play(scenario: Scenario, **options: Any) -> None:
        async def main() -> None:
            runner = FakeRunner()
            app = create_app(runner, secret=SECRET, now=lambda: NOW, **options)
            if request.param == "long":
                del app.asgi_app
            await scenario(Client(app), runner)

        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))

    return play


Play = Callable[..., None]
PROTECTED = [
    ("GET", "/pipelines/"),
    ("GET", "/pipelines"),
    ("GET", "/pipelines/jobs"),
    ("POST", "/pipelines/schedule"),
    ("GET", "/job/detail?id=x"),
    ("GET", "/job/logs?id=x&task=t"),
    ("POST", "/job/cancel?id=x"),
]


def test_everything_below_pipelines_and_job_asks_for_a_token_first(play: Play) -> None:
    async def scenario(ask: Client, runner: FakeRunner) -> None:
        unknown = [("GET", path) for path in ("/job", "/job/", "/pipelines/nope", "/job/nope", "/pipelines/jobs/")]
        for method, path in [*PROTECTED, *unknown, ("DELETE", "/pipelines/"), ("OPTIONS", "/job/detail")]:
            for auth, text in [("", b"no token found\n"), (token("other"), b"token is unauthorized\n")]:
                got = await ask(method, path, auth=auth)
                assert (got.status, got.body) == (401, text), (method, path)
                assert got.headers["content-type"] == "text/plain; charset=utf-8"
        assert runner.asked == []

    play(scenario)


def test_metrics_are_for_those_from_whom_nothing_is_hidden(play: Play) -> None:
    async def scrape(accept: str) -> tuple[str, bytes]:
        return "text/plain", b"figures\n"

    async def scenario(ask: Client, runner: FakeRunner) -> None:
        for claims in ({}, {"scope": "read"}, {"scope": "admin"}):
            assert (await ask("GET", "/metrics", auth=token(**claims))).body == b"figures\n"
        for claims in ({"scope": "admin", "pipelines": ["*"]}, {"pipelines": ["plain"]}, {"scope": "nothing"}):
            got = await ask("GET", "/metrics", auth=token(**claims))
            assert got.status == 403
            assert got.headers["www-authenticate"] == 'Bearer error="insufficient_scope", scope="read"'
            assert list(got.json) == ["error"]

    play(scenario, metrics=scrape)


def test_unknown_paths_and_methods_are_told_before_the_role(play: Play) -> None:
    async def scenario(ask: Client, runner: FakeRunner) -> None:
        assert (await ask("GET", "/pipelines/nope", auth=token(scope=""))).status == 404
        assert (await ask("GET", "/job/cancel?id=x", auth=token(scope=""))).status == 405
        assert (await ask("POST", "/job/cancel?id=x", auth=token(scope="read"))).status == 403

    play(scenario)


def test_unknown_paths_outside_need_no_token(play: Play) -> None:
    async def scenario(ask: Client, runner: FakeRunner) -> None:
        for path in ["/", "/nope", "/pipeline", "/jobs", "/api/pipelines/", "//pipelines", "/debug/pprof/", "/job%2"]:
            for auth in ["", None]:
                got = await ask("GET", path, auth=auth)
                assert (got.status, got.body) == (404, b"404 page not found\n"), path
                assert got.headers["content-type"] == "text/plain; charset=utf-8"

    play(scenario)


def test_unknown_paths_inside_are_not_found(play: Play) -> None:
    async def scenario(ask: Client, runner: FakeRunner) -> None:
        for path in [
            "/job",
            "/job/",
            "/pipelines/nope",
            "/job/nope",
            "/pipelines/jobs/",
            "/job/detail/",
            "/pipelines//",
        ]:
            for method in ["GET", "POST"]:
                got = await ask(method, path)
                assert (got.status, got.body) == (404, b"404 page not found\n"), path

    play(scenario)


def test_wrong_methods_are_told_the_right_one(play: Play) -> None:
    async def scenario(ask: Client, runner: FakeRunner) -> None:
        for right, path in PROTECTED:
            for method in {"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "BREW"} - {right}:
                got = await ask(method, path)
                assert (got.status, got.body, got.headers["allow"]) == (405, b"", right), (method, path)

    play(scenario)


def test_pipelines(play: Play) -> None:
    async def scenario(ask: Client, runner: FakeRunner) -> None:
        for path in ["/pipelines", "/pipelines/", "/pipelines/?page=3&debug"]:
            got = await ask("GET", path)
            assert got.body == b'{"pipelines":[{"pipeline":"plain","schedulable":true,"running":true}]}\n'
            assert (got.status, got.headers["content-type"]) == (200, "application/json")
            assert got.headers["cache-control"] == "no-store"
            assert got.headers["content-length"] == str(len(got.body))

    play(scenario)


def test_listing_holds_live_and_kept_jobs_newest_first_and_agrees_with_the_details(play: Play) -> None:
    async def scenario(ask: Client, runner: FakeRunner) -> None:
        listed = (await ask("GET", "/pipelines/jobs")).json
        assert listed["pipelines"] == (await ask("GET", "/pipelines/")).json["pipelines"]
        assert [job["id"] for job in listed["jobs"]] == [LIVE, DONE, CANCELED]
        for job in listed["jobs"]:
            assert (await ask("GET", f"/job/detail?id={job['id']}")).json == job

    play(scenario)


def test_an_unchanged_listing_is_not_sent_again(play: Play) -> None:
    async def scenario(ask: Client, runner: FakeRunner) -> None:
        first = await ask("GET", "/pipelines/jobs")
        again = await ask("GET", "/pipelines/jobs", If_None_Match=first.headers["etag"])
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", first.headers["etag"])
        assert first.headers["cache-control"] == again.headers["cache-control"] == "private, no-cache"
        other = await ask("GET", "/pipelines/jobs", If_None_Match='"something else"')
        assert (other.status, other.body) == (200, first.body)

    play(scenario)


def test_schedule_answers_with_the_id_of_the_job(play: Play) -> None:
    async def scenario(ask: Client, runner: FakeRunner) -> None:
        body = json.dumps({"pipeline": "plain", "variables": {"a": [1]}, "queuePartition": "tenant"}).encode()
        got = await ask("POST", "/pipelines/schedule", body=body)
        assert (got.status, got.body) == (202, b'{"jobId":"%s"}\n' % LIVE.encode())
        assert got.headers["content-type"] == "application/json"
        assert runner.asked == [("plain", {"a": [1]}, "jane", "tenant")]

    play(scenario)


def test_the_content_type_of_a_request_does_not_matter(play: Play) -> None:
    async def scenario(ask: Client, runner: FakeRunner) -> None:
        for kind in ["application/json", "application/x-www-form-urlencoded", "multipart/form-data", "??"]:
            got = await ask("POST", "/pipelines/schedule", body=b'{"pipeline":"plain"}', Content_Type=kind)
            assert got.status == 202

    play(scenario)


REFUSED: list[tuple[Exception, int, str]] = [
    (PipelineNotFound('a"b'), 400, r'Error scheduling pipeline: pipeline "a\"b" is not defined'),
    (
        QueueFull("plain"),
        400,
        "Error scheduling pipeline: concurrency exceeded and queue limit reached for pipeline",
    ),
    (
        QueueDisabled("plain"),
        400,
        "Error scheduling pipeline: concurrency exceeded and queueing disabled for pipeline",
    ),
    (InvalidVariable("a=b", "has a bad name"), 400, "Error scheduling pipeline: variable 'a=b' has a bad name"),
    (ShuttingDown(), 503, "Server is shutting down"),
    (
        StoreError("the job could not be saved: disk full"),
        503,
        "Error scheduling pipeline: the job could not be saved: disk full",
    ),
]


def test_refusals_of_a_job_say_why(play: Play) -> None:
    async def scenario(ask: Client, runner: FakeRunner) -> None:
        for problem, status, text in REFUSED:
            runner.error = problem
            assert (await ask("POST", "/pipelines/schedule", body=b"{}")).refusal == (status, text)

    play(scenario)


def test_a_body_that_cannot_be_read_schedules_nothing(play: Play) -> None:
    async def scenario(ask: Client, runner: FakeRunner) -> None:
        got = await ask("POST", "/pipelines/schedule")
        assert got.refusal == (400, "Error decoding JSON: EOF")
        got = await ask("POST", "/pipelines/schedule", body=b'{"pipeline":"plain","variables":[]}')
        assert got.refusal == (400, "Error decoding JSON: variables: expected an object, got a list")
        assert runner.asked == []

    play(scenario)


def test_a_body_over_the_limit_is_refused(play: Play) -> None:
    async def scenario(ask: Client, runner: FakeRunner) -> None:
        fits = b'{"pipeline":"plain"}'.ljust(100)
        assert (await ask("POST", "/pipelines/schedule", body=fits)).status == 202
        got = await ask("POST", "/pipelines/schedule", body=fits + b" ")
        assert got.refusal == (413, "Request body too large: more than 100 bytes")
        assert len(runner.asked) == 1

    play(scenario, max_body=100)


def test_a_body_of_unannounced_length_is_cut_off_at_the_limit() -> None:
    async def main() -> None:
        runner = FakeRunner()
        app = create_app(runner, secret=SECRET, now=lambda: NOW, max_body=100)
        received = 0
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            nonlocal received
            received += 30
            return {"type": "http.request", "body": b" " * 30, "more_body": True}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await app(scope_of("POST", "/pipelines/schedule"), receive, send)  # type: ignore[arg-type]
        assert (sent[0]["status"], received) == (413, 120)

    trio.run(main)


def test_a_client_that_leaves_within_its_request_schedules_nothing() -> None:
    async def main() -> None:
        runner = FakeRunner()
        app = create_app(runner, secret=SECRET, now=lambda: NOW)
        messages = iter(
            [{"type": "http.request", "body": b'{"pipeline":"plain"}', "more_body": True}, {"type": "http.disconnect"}]
        )

        async def receive() -> dict[str, Any]:
            return next(messages)

        async def send(message: dict[str, Any]) -> None:
            raise AssertionError("nobody is there to get an answer")

        await app(scope_of("POST", "/pipelines/schedule"), receive, send)  # type: ignore[arg-type]
        assert runner.asked == []

    trio.run(main)


BY_ID = [("GET", "/job/detail"), ("GET", "/job/logs"), ("POST", "/job/cancel")]


def test_job_ids_are_checked_first(play: Play) -> None:
    async def scenario(ask: Client, runner: FakeRunner) -> None:
        for method, path in BY_ID:
            for query in ["", "?id=", "?id=x", "?id=..%2F..%2Fetc%2Fpasswd", "?id=%ff&task=t", f"?ID={DONE}"]:
                got = await ask(method, path + query)
                assert got.refusal == (400, "Invalid job id"), query
            assert (await ask(method, f"{path}?id={UNKNOWN}&task=t")).refusal == (404, "Job not found")

    play(scenario)


def test_job_ids_in_other_spellings(play: Play) -> None:
    async def scenario(ask: Client, runner: FakeRunner) -> None:
        for text in [
            DONE.upper(),
            DONE.replace("-", ""),
            "%7B" + DONE + "%7D",
            "urn:uuid:" + DONE,
            "urn%3Auuid%3A" + DONE,
        ]:
            assert (await ask("GET", f"/job/detail?id={text}")).json["id"] == DONE
        assert (await ask("GET", f"/job/detail?a=b&id={DONE}&id=x")).json["id"] == DONE

    play(scenario)


def test_detail_shows_a_job_as_it_is_now(play: Play) -> None:
    async def scenario(ask: Client, runner: FakeRunner) -> None:
        await ask("GET", "/pipelines/jobs")
        assert (await ask("GET", f"/job/detail?id={LIVE}")).json["errored"] is False
        failed = TaskView("t", State.ERROR, exit_code=3)
        runner.running[LIVE].now = attrs.evolve(runner.running[LIVE].now, tasks=(failed,))
        for listener in runner.listeners:
            listener(Event(1, NOW, EventKind.TASK, LIVE, "plain", "t", State.ERROR))
        assert (await ask("GET", f"/job/detail?id={LIVE}")).json["errored"] is True

    play(scenario)


def test_cancel_of_a_live_job_is_asked_for_in_the_name_of_the_user(play: Play) -> None:
    async def scenario(ask: Client, runner: FakeRunner) -> None:
        got = await ask("POST", f"/job/cancel?id={LIVE}", body=b"whatever")
        assert (got.status, got.body) == (200, b"true\n")
        assert got.headers["content-type"] == "application/json"
        assert runner.canceled == [(LIVE, "jane")]

    play(scenario)


def test_cancel_of_a_job_that_is_over(play: Play) -> None:
    async def scenario(ask: Client, runner: FakeRunner) -> None:
        assert (await ask("POST", f"/job/cancel?id={CANCELED}")).json is True
        assert (await ask("POST", f"/job/cancel?id={DONE}")).refusal == (500, "Error canceling job")

    play(scenario)


@pytest.mark.parametrize("state", [State.WAITING, State.RUNNING])
def test_cancel_is_answered_when_it_would_survive_a_crash(play: Play, state: State) -> None:
    async def scenario(ask: Client, runner: FakeRunner) -> None:
        runner.running[LIVE].now = view(3, state)
        runner.flush_seconds = 1.5
        assert (await ask("POST", f"/job/cancel?id={LIVE}")).json is True
        assert (runner.flushed, trio.current_time()) == (1, 1.5)

    play(scenario)


def test_cancel_of_a_waiting_job_does_not_hang_on_a_store_that_cannot_write(play: Play) -> None:
    async def scenario(ask: Client, runner: FakeRunner) -> None:
        runner.running[LIVE].now = view(3, State.WAITING)
        runner.flush_seconds = math.inf
        assert (await ask("POST", f"/job/cancel?id={LIVE}")).json is True
        assert trio.current_time() == 2
        runner.kept[LIVE] = view(3, State.WAITING)
        assert (await ask("POST", f"/job/cancel?id={LIVE}")).json is True

    play(scenario)


def test_an_unreadable_store_is_a_503(play: Play) -> None:
    async def scenario(ask: Client, runner: FakeRunner) -> None:
        runner.broken = StoreError("input/output error")
        expected = (503, "Error reading jobs: input/output error")
        assert (await ask("GET", "/pipelines/jobs")).refusal == expected
        assert (await ask("GET", f"/job/logs?id={DONE}&task=t")).refusal == expected
        assert (await ask("GET", "/pipelines/")).status == 200
        runner.broken = None
        assert len((await ask("GET", "/pipelines/jobs")).json["jobs"]) == 3

    play(scenario)


def test_a_defect_of_ours_is_a_500_with_a_traceback_in_the_log_only(
    play: Play, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(ask: Client, runner: FakeRunner) -> None:
        runner.error = ZeroDivisionError("the secret of the universe")
        got = await ask("POST", "/pipelines/schedule", body=b'{"pipeline":"plain"}')
        assert got.refusal == (500, "Internal server error")
        runner.error = None
        assert (await ask("POST", "/pipelines/schedule", body=b'{"pipeline":"plain"}')).status == 202

    with caplog.at_level(logging.ERROR):
        play(scenario)
    assert "ZeroDivisionError" in caplog.text
    assert SECRET not in caplog.text
    assert "eyJ" not in caplog.text


def logs_of(runner: FakeRunner, out: bytes, err: bytes = b"", job: JobId = DONE) -> None:
    runner.output.logs = {(job, "t", Stream.STDOUT): out, (job, "t", Stream.STDERR): err}


def test_logs_are_empty_where_there_are_none(play: Play) -> None:
    async def scenario(ask: Client, runner: FakeRunner) -> None:
        got = await ask("GET", f"/job/logs?id={DONE}&task=t")
        assert (got.status, got.body) == (200, b'{"stdout":"","stderr":""}\n')
        assert got.headers["content-type"] == "application/json"

    play(scenario)


def test_logs_want_a_task_of_the_job(play: Play) -> None:
    async def scenario(ask: Client, runner: FakeRunner) -> None:
        for query in [f"?id={DONE}", f"?id={DONE}&task="]:
            assert (await ask("GET", "/job/logs" + query)).refusal == (400, "Invalid task name")
        for name in ["nope", "T", "t%20", "..%2Ft", "t-stdout", "on_error"]:
            got = await ask("GET", f"/job/logs?id={DONE}&task={name}")
            assert got.refusal == (404, "Task not found")

    play(scenario)


def test_names_of_tasks_are_decoded(play: Play) -> None:
    async def scenario(ask: Client, runner: FakeRunner) -> None:
        runner.kept[DONE] = attrs.evolve(runner.kept[DONE], tasks=(TaskView("with ünï+", State.DONE),))
        runner.output.logs[DONE, "with ünï+", Stream.STDERR] = b"x"
        got = await ask("GET", f"/job/logs?id={DONE}&task=with+%C3%BCn%C3%AF%2B")
        assert got.json == {"stdout": "", "stderr": "x"}

    play(scenario)


TEXTS = {
    "plain": (b"out\nout2\n", "out\nout2\n"),
    "controls": (b"\x00\x01\x1b[31mred\x1b[0m\r\n\t\x7f", "\x00\x01\x1b[31mred\x1b[0m\r\n\t\x7f"),
    "json": (b'{"a": "<b> & \\ c"}', '{"a": "<b> & \\ c"}'),
    "unicode": ("grüße ✓ 😀\u2028".encode(), "grüße ✓ 😀\u2028"),
    "one bad byte": (b"a\xffb\n", "a\ufffdb\n"),
    "each byte of a broken character": (b"\xe2\x82a\xf0\x9f\x98", "\ufffd\ufffda\ufffd\ufffd\ufffd"),
    "surrogates in UTF-8": (b"\xed\xa0\x80", "\ufffd" * 3),
    "overlong": (b"\xc0\x80\xf8\x88", "\ufffd" * 4),
    "bad in a long log": (b"\x80" * 70_000 + b"x", "\ufffd" * 70_000 + "x"),
    "characters across pieces": (b"x" + "😀".encode() * 40_000, "x" + "😀" * 40_000),
}


@pytest.mark.parametrize("name", TEXTS)
def test_logs_are_text_with_one_replacement_for_each_byte_that_is_none(play: Play, name: str) -> None:
    data, text = TEXTS[name]

    async def scenario(ask: Client, runner: FakeRunner) -> None:
        logs_of(runner, data, data)
        assert (await ask("GET", f"/job/logs?id={DONE}&task=t")).json == {"stdout": text, "stderr": text}

    play(scenario)


def test_large_logs_are_read_and_sent_in_pieces(play: Play) -> None:
    async def scenario(ask: Client, runner: FakeRunner) -> None:
        logs_of(runner, b"x" * 1_000_000, b"y" * 300_000)
        got = await ask("GET", f"/job/logs?id={DONE}&task=t")
        assert got.json == {"stdout": "x" * 1_000_000, "stderr": "y" * 300_000}
        assert "content-length" not in got.headers
        assert max(runner.output.reads) == 65_536

    play(scenario)


def test_small_logs_tell_their_length(play: Play) -> None:
    async def scenario(ask: Client, runner: FakeRunner) -> None:
        logs_of(runner, b"hello\n")
        got = await ask("GET", f"/job/logs?id={DONE}&task=t")
        assert got.headers["content-length"] == str(len(got.body))

    play(scenario)


PARTS = [
    ("tail=3", ("def", "DEF"), (6, 6)),
    ("tail=0", ("", ""), (6, 6)),
    ("tail=99", ("abcdef", "ABCDEF"), (6, 6)),
    ("offset=0", ("abcdef", "ABCDEF"), (6, 6)),
    ("offset=4", ("ef", "EF"), (6, 6)),
    ("offset=6", ("", ""), (6, 6)),
    ("offset=99", ("", ""), (6, 6)),
    ("stdoutOffset=5&stderrOffset=2", ("f", "CDEF"), (6, 6)),
    ("offset=1&stderrOffset=5", ("bcdef", "F"), (6, 6)),
    ("offset=1&tail=2", ("ef", "EF"), (6, 6)),
    ("offset=5&tail=4", ("f", "F"), (6, 6)),
]


@pytest.mark.parametrize(("query", "texts", "sizes"), PARTS)
def test_parts_of_logs_come_with_the_offset_of_what_follows(
    play: Play, query: str, texts: tuple[str, str], sizes: tuple[int, int]
) -> None:
    async def scenario(ask: Client, runner: FakeRunner) -> None:
        logs_of(runner, b"abcdef", b"ABCDEF")
        got = await ask("GET", f"/job/logs?id={DONE}&task=t&{query}")
        assert got.json == dict(zip(("stdout", "stderr", "stdoutSize", "stderrSize"), (*texts, *sizes), strict=True))

    play(scenario)


@pytest.mark.parametrize(
    "query", ["tail=-1", "tail=", "tail=x", "offset=1.5", "offset=%2B1", "stdoutOffset=" + "9" * 30]
)
def test_parts_that_make_no_sense_are_refused(play: Play, query: str) -> None:
    async def scenario(ask: Client, runner: FakeRunner) -> None:
        status, text = (await ask("GET", f"/job/logs?id={DONE}&task=t&{query}")).refusal
        assert status == 400
        assert text.startswith(f"Invalid range: {query.split('=')[0]}: expected a whole number of bytes, got ")

    play(scenario)


def test_a_tail_begins_with_a_whole_character(play: Play) -> None:
    async def scenario(ask: Client, runner: FakeRunner) -> None:
        logs_of(runner, "aé✓😀".encode())
        texts = [(await ask("GET", f"/job/logs?id={DONE}&task=t&tail={n}")).json["stdout"] for n in range(11)]
        assert texts == ["", "", "", "", "😀", "😀", "😀", "✓😀", "✓😀", "é✓😀", "aé✓😀"]

    play(scenario)


def test_following_a_growing_log_by_offsets_loses_and_breaks_no_character(play: Play) -> None:
    text = "aé✓😀" * 3
    data = text.encode() + b"\xff"

    async def scenario(ask: Client, runner: FakeRunner) -> None:
        followed, offset = "", 0
        for written in range(len(data) + 1):
            logs_of(runner, data[:written], job=LIVE)
            part = (await ask("GET", f"/job/logs?id={LIVE}&task=t&stdoutOffset={offset}")).json
            followed, offset = followed + part["stdout"], part["stdoutSize"]
        assert followed == text + "\ufffd"

    play(scenario)


def test_a_log_that_cannot_be_read_any_further_is_not_passed_off_as_complete() -> None:
    async def main() -> None:
        runner = FakeRunner()
        logs_of(runner, b"x" * 1_000_000)
        runner.output.fail_after = 3
        app = create_app(runner, secret=SECRET, now=lambda: NOW)
        requests = iter([{"type": "http.request", "body": b"", "more_body": False}])
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return next(requests, None) or await trio.sleep_forever()

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        with pytest.RaisesGroup(OSError, flatten_subgroups=True):
            await app(scope_of("GET", "/job/logs", f"id={DONE}&task=t"), receive, send)  # type: ignore[arg-type]
        assert sent[0]["status"] == 200
        assert all(message["more_body"] for message in sent[1:])

    trio.run(main)


def test_a_client_that_leaves_ends_the_reading_of_its_log() -> None:
    async def main() -> None:
        runner = FakeRunner()
        logs_of(runner, b"x" * 10_000_000)
        app = create_app(runner, secret=SECRET, now=lambda: NOW)
        left = trio.Event()
        requests = iter([{"type": "http.request", "body": b"", "more_body": False}])
        bodies = 0

        async def receive() -> dict[str, Any]:
            if (message := next(requests, None)) is not None:
                return message
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            nonlocal bodies
            bodies += message["type"] == "http.response.body"
            if bodies == 3:
                left.set()
                await trio.sleep_forever()

        with trio.fail_after(5):
            await app(scope_of("GET", "/job/logs", f"id={DONE}&task=t"), receive, send)  # type: ignore[arg-type]
        assert len(runner.output.reads) < 10

    trio.run(main)


def test_profiling_shows_figures_without_a_token(play: Play) -> None:
    async def scenario(ask: Client, runner: FakeRunner) -> None:
        got = await ask("GET", "/debug/pprof/", auth="")
        assert got.status == 200
        assert got.headers["content-type"] == "text/plain; charset=utf-8"
        figures = dict(line.split() for line in got.body.decode().split("\n\n")[0].splitlines())
        assert float(figures["uptime_seconds"]) >= 0
        assert int(figures["resident_bytes"]) > 1_000_000
        assert int(figures["trio_tasks"]) >= 2
        got = await ask("POST", "/debug/pprof/", auth="")
        assert (got.status, got.body) == (405, b"")
        assert "GET" in got.headers["allow"]

    play(scenario, profiling=True)


def test_the_listing_is_read_at_the_start_and_watched_until_the_end_of_the_application() -> None:
    async def main() -> None:
        runner = FakeRunner()
        app = create_app(runner, secret=SECRET, now=lambda: NOW)
        async with app.test_app():
            await trio.testing.wait_all_tasks_blocked()
            assert len(runner.listeners) == 2  # the listing, and API v1
            runner.broken = StoreError("not needed any more")
            assert len((await Client(app)("GET", "/pipelines/jobs")).json["jobs"]) == 3
        assert runner.listeners == []

    trio.run(main)


def test_an_unreadable_store_does_not_keep_the_application_from_starting(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        runner = FakeRunner()
        runner.broken = StoreError("input/output error")
        app = create_app(runner, secret=SECRET, now=lambda: NOW)
        async with app.test_app():
            await trio.testing.wait_all_tasks_blocked()
            assert (await Client(app)("GET", "/pipelines/")).status == 200

    trio.run(main)
    assert "the kept jobs cannot be listed yet: input/output error" in caplog.text
