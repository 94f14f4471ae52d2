"""Spans of jobs and tasks, taken from the real runner on a clock that jumps."""

import logging
import math
import sys

import pytest
import trio
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from prunner_trio.daemon.tracing import open_tracing
from prunner_trio.definition.pipeline import Definitions, PipelineDef, TaskDef
from prunner_trio.execution.seams import Command, task_key
from prunner_trio.testing import EPOCH, Act, MemoryJournal, simulate
from prunner_trio.tracing import JobSpans, TracedLauncher, TracedRequests

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADER = f"00-{TRACE}-{PARENT}-01"
CHAIN = PipelineDef("p", (TaskDef("a", ("a",)), TaskDef("b", ("b",), depends_on=("a",))))


class Spans:
    """What has been exported."""

    def __init__(self):
        self._memory = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._memory))
        self.made = JobSpans(provider.get_tracer("test"))

    def by_name(self):
        return {span.name: span for span in self._memory.get_finished_spans()}

    def named(self, name):
        return [span for span in self._memory.get_finished_spans() if span.name == name]


def seconds(span):
    return (span.start_time / 1e9 - EPOCH, span.end_time / 1e9 - EPOCH)


def traced(scenario, *pipelines, acts=None, **more):
    spans = Spans()

    async def with_spans(rig):
        with spans.made.watching(rig.runner):
            await scenario(rig, spans)

    simulate(Definitions.of(*pipelines), with_spans, acts or {}, **more)
    return spans


def test_a_job_is_a_span_with_one_for_each_task(one):
    async def scenario(rig, spans):
        job = await rig.schedule("p", user="jane")
        view = await job.wait()
        assert view.number == 1
        assert not spans.made.parent_of(task_key(job.id, "a"))

    spans = traced(scenario, CHAIN, acts={"a": Act(3), "b": Act(5, exit_code=4)})
    job, a, b = (spans.by_name()[name] for name in ("RUN p", "a", "b"))
    assert (seconds(job), seconds(a), seconds(b)) == ((0, 8), (0, 3), (3, 8))
    assert job.parent is None
    assert job.kind is SpanKind.INTERNAL
    assert [each.parent.span_id for each in (a, b)] == [job.context.span_id] * 2
    assert len({each.context.trace_id for each in (job, a, b)}) == 1
    (run_id,) = {each.attributes["cicd.pipeline.run.id"] for each in (job, a, b)}
    assert dict(job.attributes) == {
        "cicd.pipeline.name": "p",
        "cicd.pipeline.run.id": run_id,
        "cicd.pipeline.result": "failure",
        "prunner.job.number": 1,
        "prunner.user": "jane",
        "prunner.attempt": 1,
        "prunner.state": "error",
        "prunner.reason": "exit status 4",
    }
    assert [event.name for event in job.events] == ["started"]
    assert (job.status.status_code, b.status.status_code) == (StatusCode.ERROR, StatusCode.ERROR)
    assert b.status.description == "exit status 4"
    assert (a.status.status_code, a.attributes["process.exit.code"]) == (StatusCode.UNSET, 0)
    assert (b.attributes["process.exit.code"], b.attributes["cicd.pipeline.task.run.result"]) == (4, "failure")


def test_waiting_is_part_of_the_job_and_a_task_that_never_ran_has_no_span(one):
    async def scenario(rig, spans):
        first, second = await rig.schedule("p"), await rig.schedule("p")
        await rig.at(4)
        rig.runner.cancel(second.id)
        await first.wait()
        third = await rig.schedule("p")
        await rig.at(12)
        rig.runner.cancel(third.id, by="joe")
        await third.wait()

    spans = traced(scenario, one(), acts={"t": [Act(10), Act(math.inf)]})
    waited, done, stopped = sorted(spans.named("RUN p"), key=lambda span: span.end_time)
    assert (seconds(waited), waited.events) == ((0, 4), ())
    assert waited.attributes["cicd.pipeline.result"] == "cancellation"
    assert done.attributes["cicd.pipeline.result"] == "success"
    assert stopped.attributes["prunner.state"] == "canceled"
    assert {span.status.status_code for span in (waited, done, stopped)} == {StatusCode.UNSET}
    assert len(spans.named("t")) == 2


def test_a_job_belongs_to_the_trace_of_the_request_that_asked_for_it(one):
    seen = {}

    async def scenario(rig, spans):
        async def app(scope, receive, send):
            job = rig.runner.submit("p")
            await job.saved()
            seen["job"] = job

        await TracedRequests(app)({"type": "http", "headers": [(b"traceparent", HEADER.encode())]}, None, None)
        job = seen["job"]
        await trio.sleep(1)
        seen["task"] = spans.made.parent_of(task_key(job.id, "t"))
        await job.wait()
        for headers in ([], [(b"traceparent", b"nonsense")], [(b"traceparent", b"x" * 600)]):
            await TracedRequests(app)({"type": "http", "headers": headers}, None, None)
            await seen["job"].wait()
        await TracedRequests(app)({"type": "lifespan"}, None, None)
        await seen["job"].wait()

    spans = traced(scenario, one(), acts={"t": Act(5)})
    job, *others = spans.named("RUN p")
    task = spans.named("t")[0]
    assert (f"{job.context.trace_id:032x}", f"{job.parent.span_id:016x}") == (TRACE, PARENT)
    assert job.kind is SpanKind.SERVER
    assert seen["task"] == f"00-{TRACE}-{task.context.span_id:016x}-01"
    assert [other.parent for other in others] == [None] * 4


def test_a_task_is_told_its_span_and_other_commands_are_not():
    given = []

    class Inner:
        async def launch(self, command, env, output):
            given.append(dict(env))

        async def remains(self, keys):
            return {"keys": keys}

        def forget(self, keys):
            given.append(keys)

    launcher = TracedLauncher(Inner(), {"j/t": HEADER}.get)
    env = {"A": "b", "TRACEPARENT": "old"}

    async def main():
        await launcher.launch(Command(("a",), "/", key="j/t"), env, None)
        await launcher.launch(Command(("a",), "/"), env, None)
        assert await launcher.remains(["k"]) == {"keys": ["k"]}
        launcher.forget(["k"])

    trio.run(main)
    assert given == [{"A": "b", "TRACEPARENT": HEADER}, env, ["k"]]


def test_what_is_left_when_the_daemon_ends_has_spans_that_say_so(one):
    async def scenario(rig, spans):
        running, waiting = await rig.schedule("p"), await rig.schedule("p")
        await trio.sleep(1)
        spans.made.leave()
        assert len(spans.named("RUN p")) == 2
        rig.runner.cancel(waiting.id)
        rig.runner.cancel(running.id)
        await running.wait()

    spans = traced(scenario, one(), acts={"t": Act(math.inf)})
    assert {span.attributes["prunner.state"] for span in spans.named("RUN p")} == {"left"}
    assert spans.by_name()["t"].attributes["prunner.state"] == "left"


def test_a_job_that_was_there_before_anybody_looked_is_traced_from_its_next_change(one):
    spans = Spans()

    async def scenario(rig):
        job = await rig.schedule("p")
        await trio.sleep(2)
        with spans.made.watching(rig.runner):
            await job.wait()
            await (await rig.schedule("p")).wait()

    simulate(Definitions.of(CHAIN), scenario, {"a": Act(3), "b": Act(5)})
    assert [seconds(span) for span in spans.named("RUN p")] == [(0, 8), (8, 16)]
    assert [seconds(span) for span in spans.named("a")] == [(8, 11)]
    assert [seconds(span) for span in spans.named("b")] == [(3, 8), (11, 16)]


def test_a_pause_is_no_job(one):
    async def scenario(rig, spans):
        rig.runner.pause("p")
        rig.runner.resume("p")
        spans.made.leave()

    assert traced(scenario, CHAIN).by_name() == {}


def test_a_job_that_was_there_before_does_not_belong_to_the_trace_of_who_moved_it(one):
    spans = Spans()

    async def scenario(rig):
        _, second, third = [await rig.schedule("p") for _ in range(3)]

        async def moving(scope, receive, send):
            rig.runner.move(third.id, to=1)

        with spans.made.watching(rig.runner):
            await TracedRequests(moving)({"headers": [(b"traceparent", HEADER.encode())]}, None, None)
            await second.wait()

    simulate(Definitions.of(one()), scenario, {"t": Act(3)})
    assert [(span.parent, span.kind) for span in spans.named("RUN p")] == [(None, SpanKind.INTERNAL)] * 2


def test_a_job_that_cannot_be_saved_has_a_span_that_ends(one):
    journal = MemoryJournal()

    async def scenario(rig, spans):
        journal.fail_adds = True
        job = rig.runner.submit("p")
        with pytest.raises(Exception, match="the journal"):
            await job.saved()

    spans = traced(scenario, one(), journal=journal)
    (span,) = spans.named("RUN p")
    assert span.attributes["cicd.pipeline.result"] == "cancellation"


@pytest.mark.parametrize(
    ("environ", "warning"),
    [
        ({}, ""),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost"}, ""),
        ({"OTEL_SDK_DISABLED": "True", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost"}, ""),
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "otlp is the only exporter"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "http/protobuf is the only protocol",
        ),
    ],
)
def test_nothing_is_traced_unless_the_variables_ask_for_it(environ, warning, caplog, one):
    with caplog.at_level(logging.WARNING):
        tracing = open_tracing(environ)
    assert [warning in record.message for record in caplog.records] == ([True] if warning else [])
    inner = object()
    assert tracing.app(inner) is inner
    assert tracing.launcher(inner) is inner

    async def scenario(rig):
        with tracing.watching(rig.runner):
            await (await rig.schedule("p")).wait()
        await tracing.close()

    simulate(Definitions.of(one()), scenario, {"t": Act(1)})


def test_a_library_that_is_missing_is_a_warning(monkeypatch, caplog):
    for name in [name for name in sys.modules if name.startswith("prunner_trio.tracing")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with caplog.at_level(logging.WARNING):
        tracing = open_tracing({"OTEL_TRACES_EXPORTER": "otlp"})
    assert "jobs are not traced: " in caplog.text
    assert "see the extra otel" in caplog.text
    assert type(tracing).__name__ == "_Off"
