"""Makes spans of the changes of jobs and tasks."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import attrs
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from prunner_trio.execution.seams import task_key
from prunner_trio.model import Event, EventKind, JobId, JobView, State
from prunner_trio.tracing.asking import asked_by

__all__ = ["JobSpans", "Traced"]

_PARENT = "traceparent"
_RESULTS: Mapping[State, str] = {
    State.DONE: "success",
    State.ERROR: "failure",
    State.CANCELED: "cancellation",
    State.SKIPPED: "skip",
}
"""The words of the conventions for CI/CD."""


class _Job(Protocol):
    def view(self) -> JobView: ...


class Traced(Protocol):
    """What is asked of a runner; the real one fits."""

    def job(self, job_id: JobId) -> _Job | None:
        """Return a live job."""
        ...

    def observe(self, listener: Callable[[Event], None]) -> AbstractContextManager[None]:
        """Call `listener` with each event as long as the block lasts."""
        ...


@attrs.define(eq=False)
class _JobSpan:
    """The spans of a job that is not over.

    Attributes:
        tasks: those that run, by name.
    """

    span: Span
    tasks: dict[str, Span] = attrs.field(factory=dict)


@attrs.define(eq=False)
class JobSpans:
    """The spans of a runner's live jobs: from acceptance to end, and of tasks from start to end."""

    tracer: Tracer
    _runner: Traced | None = attrs.field(default=None, init=False)
    _jobs: dict[JobId, _JobSpan] = attrs.field(factory=dict, init=False)
    _parents: dict[str, str] = attrs.field(factory=dict, init=False)
    _propagator: TraceContextTextMapPropagator = attrs.field(factory=TraceContextTextMapPropagator, init=False)

    @contextmanager
    def watching(self, runner: Traced) -> Iterator[None]:
        """Follow a runner as long as the block lasts."""
        self._runner = runner
        with runner.observe(self.observed):
            yield

    def leave(self) -> None:
        """End the spans of jobs that are left to the next daemon: those that wait, and those that are handed over."""
        for job_id in list(self._jobs):
            self._end_job(job_id, None)

    def parent_of(self, key: str) -> str:
        """Return the span of a running task, by the key of its command, for what it starts; empty if there is none."""
        return self._parents.get(key, "")

    def observed(self, event: Event) -> None:
        """Take note of a change."""
        if event.kind is EventKind.PIPELINE:
            return
        if event.kind is EventKind.TASK:
            self._task_changed(event)
        elif event.kind is EventKind.REMOVED or event.state.final:
            self._end_job(event.job_id, event)
        elif event.state is State.RUNNING:
            self._of(event).span.add_event("started", timestamp=_nanoseconds(event.at))
        else:
            self._of(event)

    def _of(self, event: Event) -> _JobSpan:
        """Return the span of a job; one that was there before us gets one now."""
        known = self._jobs.get(event.job_id)
        if known is None:
            job = self._runner.job(event.job_id) if self._runner is not None else None
            view = job.view() if job is not None else None
            # Later changes of a job that was there before us may come while a request is answered that is about others.
            asked = asked_by() if event.kind is EventKind.JOB and event.state is State.WAITING else ""
            parent = self._propagator.extract({_PARENT: asked}, Context()) if asked else Context()
            span = self.tracer.start_span(
                f"RUN {_text(event.pipeline)}",
                parent,
                SpanKind.SERVER if asked else SpanKind.INTERNAL,
                {"cicd.pipeline.name": _text(event.pipeline), "cicd.pipeline.run.id": event.job_id},
                start_time=_nanoseconds(view.created if view is not None else event.at),
            )
            if view is not None:
                span.set_attribute("prunner.job.number", view.number)
                span.set_attribute("prunner.user", _text(view.user))
            known = self._jobs[event.job_id] = _JobSpan(span)
        return known

    def _task_changed(self, event: Event) -> None:
        if event.state is State.RUNNING:
            job = self._of(event)
            span = self.tracer.start_span(
                _text(event.task),
                set_span_in_context(job.span, Context()),
                attributes={
                    "cicd.pipeline.name": _text(event.pipeline),
                    "cicd.pipeline.run.id": event.job_id,
                    "cicd.pipeline.task.name": _text(event.task),
                },
                start_time=_nanoseconds(event.at),
            )
            job.tasks[event.task] = span
            carrier: dict[str, str] = {}
            self._propagator.inject(carrier, set_span_in_context(span, Context()))
            self._parents[task_key(event.job_id, event.task)] = carrier.get(_PARENT, "")
        elif event.state.final:
            self._end_task(event.job_id, event.task, event)

    def _end_task(self, job_id: JobId, name: str, event: Event | None) -> None:
        self._parents.pop(task_key(job_id, name), None)
        span = self._jobs[job_id].tasks.pop(name, None) if job_id in self._jobs else None
        if span is None:  # it has never run
            return
        if event is not None:
            job = self._runner.job(job_id) if self._runner is not None else None
            task = job.view().task(name) if job is not None else None
            if task is not None and task.exit_code >= 0:
                span.set_attribute("process.exit.code", task.exit_code)
            span.set_attribute("cicd.pipeline.task.run.result", _RESULTS[event.state])
        _finish(span, event)

    def _end_job(self, job_id: JobId, event: Event | None) -> None:
        known = self._jobs.get(job_id)
        if known is None:
            return
        for name in list(known.tasks):
            self._end_task(job_id, name, None)
        del self._jobs[job_id]
        job = self._runner.job(job_id) if self._runner is not None else None
        if job is not None:
            known.span.set_attribute("prunner.attempt", job.view().attempt)
        if event is not None and event.state.final:
            known.span.set_attribute("cicd.pipeline.result", _RESULTS[event.state])
        _finish(known.span, event)


def _finish(span: Span, event: Event | None) -> None:
    """End a span; None: nobody knows how it goes on."""
    if event is None:
        span.set_attribute("prunner.state", "left")
        span.end()
        return
    span.set_attribute("prunner.state", event.state.value)
    if event.reason:
        span.set_attribute("prunner.reason", _text(event.reason))
    if event.state is State.ERROR:
        span.set_status(Status(StatusCode.ERROR, _text(event.reason)))
    span.end(_nanoseconds(event.at))


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)


def _text(text: str) -> str:
    """Return a text that has an encoding: YAML can write halves of surrogate pairs, which have none."""
    return text.encode(errors="backslashreplace").decode()
