"""Gathers the figures of a daemon, and hands them out as they are at one moment."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import trio

from prunner_trio.metrics.catalog import CATALOG, Family
from prunner_trio.metrics.histogram import Distribution, Histogram
from prunner_trio.metrics.loop import LoopLag
from prunner_trio.metrics.pipelines import UNDEFINED, ByPipeline
from prunner_trio.model import Event, EventKind, JobId, JobView, State

__all__ = ["Metrics", "Watched"]

_Sample = tuple[tuple[str, ...], float | Distribution]
_JOB = ""
"""Stands for the job itself among the names of its tasks."""


class _Job(Protocol):
    def view(self) -> JobView: ...


class Watched(Protocol):
    """What is asked of a runner; the real one fits."""

    @property
    def subscribers(self) -> int:
        """How many streams of events are open."""
        ...

    def occupancy(self) -> Mapping[str, tuple[int, int]]:
        """Return how many jobs run and how many wait, by pipeline."""
        ...

    def defined(self) -> Mapping[str, object]:
        """Return the pipelines of the current definitions, by name."""
        ...

    def job(self, job_id: JobId) -> _Job | None:
        """Return a live job."""
        ...

    def observe(self, listener: Callable[[Event], None]) -> AbstractContextManager[None]:
        """Call `listener` with each event as long as the block lasts."""
        ...


class Metrics:
    """All figures of one daemon. Belongs to the loop thread; nothing here blocks."""

    def __init__(self, clock: Callable[[], float] = trio.current_time) -> None:
        """Begin with nothing. `clock` gives seconds from any start, and is not set back."""
        self._clock = clock
        self._runner: Watched | None = None
        self._pipelines = ByPipeline()
        self._begun: dict[JobId, dict[str, float]] = {}
        self._info: tuple[str, ...] | None = None
        self._spawn = Histogram(CATALOG["prunner_spawn_seconds"].bounds)
        self._spawn_failures = 0
        self._commit = Histogram(CATALOG["prunner_store_commit_seconds"].bounds)
        self._batch = Histogram(CATALOG["prunner_store_batch_changes"].bounds)
        self._store_failures = 0
        self._store_ok = True
        self._lag = Histogram(CATALOG["prunner_loop_lag_seconds"].bounds)
        self._connections: Callable[[], int] = lambda: 0

    # ---------------------------------------------------------------------------------------------------- gathering

    @contextmanager
    def watching(self, runner: Watched, *, connections: Callable[[], int], info: Mapping[str, str]) -> Iterator[None]:
        """Follow a runner and the loop, as long as the block lasts.

        Args:
            connections: returns how many HTTP connections are open.
            info: the labels of ``prunner_build_info``.
        """
        self._runner, self._connections = runner, connections
        self._info = tuple(info[label] for label in CATALOG["prunner_build_info"].labels)
        lag = LoopLag(self._lag)
        trio.lowlevel.add_instrument(lag)
        try:
            with runner.observe(self.observed):
                yield
        finally:
            trio.lowlevel.remove_instrument(lag)

    def launched(self, seconds: float) -> None:
        """Count a process that was started."""
        self._spawn.observe(seconds)

    def launch_failed(self) -> None:
        """Count a process that could not be started."""
        self._spawn_failures += 1

    def committed(self, changes: int, seconds: float, ok: bool) -> None:
        """Count an attempt of the store to write.

        Args:
            changes: that were new in it; 0 for a further attempt with old ones.
        """
        self._store_ok = ok
        if not ok:
            self._store_failures += 1
            return
        self._commit.observe(seconds)
        if changes:
            self._batch.observe(changes)

    def observed(self, event: Event) -> None:
        """Count a change of a job or task."""
        runner = self._runner
        assert runner is not None
        if event.kind is EventKind.REMOVED:
            self._begun.pop(event.job_id, None)
            return
        if event.kind not in (EventKind.JOB, EventKind.TASK):
            return
        figures = self._pipelines.of(event.pipeline, runner.defined())
        if event.state is State.RUNNING:
            self._begun.setdefault(event.job_id, {})[event.task] = self._clock()
            if event.kind is EventKind.JOB and (job := runner.job(event.job_id)) is not None:
                figures.queue_wait.observe(_waited(job.view()))
        elif not event.state.final:
            job = runner.job(event.job_id)
            if job is not None and job.view().attempt == 1:  # else it waits once more: its daemon died
                figures.submitted += 1
        elif event.kind is EventKind.TASK:
            figures.tasks[event.state.value] += 1
            began = self._begun.get(event.job_id, {}).get(event.task)
            if began is not None:
                figures.task_duration.observe(self._clock() - began)
        else:
            figures.jobs[event.state.value] += 1
            began = self._begun.pop(event.job_id, {}).get(_JOB)
            if began is not None:
                figures.job_duration.observe(self._clock() - began)

    # -------------------------------------------------------------------------------------------------- handing out

    def families(self) -> list[Family]:
        """Return all figures as they are now, in the order of the catalog."""
        samples = {**self._by_pipeline(), **self._of_the_whole()}
        return [Family(metric, samples.get(name, ())) for name, metric in CATALOG.items()]

    def _by_pipeline(self) -> dict[str, list[_Sample]]:
        runner = self._runner
        if runner is None:
            return {}
        found: dict[str, list[_Sample]] = {name: [] for name, metric in CATALOG.items() if "pipeline" in metric.labels}
        defined = runner.defined()
        running, waiting = dict.fromkeys(defined, 0), dict.fromkeys(defined, 0)
        for name, (runs, waits) in runner.occupancy().items():
            label = name if name in defined else UNDEFINED
            running[label] = running.get(label, 0) + runs
            waiting[label] = waiting.get(label, 0) + waits
        for name in running:
            found["prunner_jobs_running"].append(((_label(name),), running[name]))
            found["prunner_jobs_waiting"].append(((_label(name),), waiting[name]))
        for name, figures in self._pipelines.all(defined):
            label = _label(name)
            found["prunner_jobs_submitted_total"].append(((label,), figures.submitted))
            found["prunner_jobs_finished_total"] += [((label, word), n) for word, n in figures.jobs.items()]
            found["prunner_tasks_finished_total"] += [((label, word), n) for word, n in figures.tasks.items()]
            for histogram, metric in (
                (figures.queue_wait, "prunner_queue_wait_seconds"),
                (figures.job_duration, "prunner_job_duration_seconds"),
                (figures.task_duration, "prunner_task_duration_seconds"),
            ):
                if histogram:  # most pipelines of a long list do not run on most days
                    found[metric].append(((label,), histogram.now()))
        return found

    def _of_the_whole(self) -> dict[str, list[_Sample]]:
        return {
            "prunner_spawn_seconds": [((), self._spawn.now())],
            "prunner_spawn_failures_total": [((), self._spawn_failures)],
            "prunner_store_commit_seconds": [((), self._commit.now())],
            "prunner_store_batch_changes": [((), self._batch.now())],
            "prunner_store_failures_total": [((), self._store_failures)],
            "prunner_store_ok": [((), float(self._store_ok))],
            "prunner_loop_lag_seconds": [((), self._lag.now())],
            "prunner_http_connections": [((), self._connections())],
            "prunner_event_subscribers": [((), self._runner.subscribers if self._runner is not None else 0)],
            "prunner_build_info": [(self._info, 1)] if self._info is not None else [],
        }


def _waited(job: JobView) -> float:
    started = job.started if job.started is not None else job.created
    return started - max(job.created, job.not_before)


def _label(name: str) -> str:
    """Return a name as text that has an encoding: YAML can write halves of surrogate pairs, which have none."""
    return name.encode(errors="backslashreplace").decode()
