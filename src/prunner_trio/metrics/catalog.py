"""Every metric of ours: name, kind, labels, help. What is not here is not exported."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

import attrs

from prunner_trio.metrics.histogram import Distribution

__all__ = ["CATALOG", "Family", "Kind", "Metric"]


class Kind(StrEnum):
    """What a metric is for Prometheus."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@attrs.frozen
class Metric:
    """One metric.

    Attributes:
        name: as it appears in queries; that of a counter ends in ``_total``.
        bounds: the buckets of a histogram.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


@attrs.frozen
class Family:
    """A metric with its values at one moment, by the values of its labels."""

    metric: Metric
    samples: Sequence[tuple[tuple[str, ...], float | Distribution]]


_LONG = (0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14400)
"""Seconds; of work that people wait for: from a shell line to an afternoon."""

_SHORT = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)
"""Seconds; of what should not be felt."""

_BATCH = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)

_PIPELINE = ("pipeline",)
_OUTCOME = ("pipeline", "outcome")

_ALL = (
    Metric("prunner_jobs_submitted_total", Kind.COUNTER, "Jobs that were given a slot or a place to wait.", _PIPELINE),
    Metric("prunner_jobs_finished_total", Kind.COUNTER, "Jobs that ended: done, error or canceled.", _OUTCOME),
    Metric(
        "prunner_tasks_finished_total",
        Kind.COUNTER,
        "Tasks that ended, those included that never began: done, error, canceled or skipped.",
        _OUTCOME,
    ),
    Metric("prunner_jobs_running", Kind.GAUGE, "Jobs that hold a slot.", _PIPELINE),
    Metric("prunner_jobs_waiting", Kind.GAUGE, "Jobs on the wait list.", _PIPELINE),
    Metric(
        "prunner_queue_wait_seconds",
        Kind.HISTOGRAM,
        "From the moment when a job could have started to its start; a start delay does not count.",
        _PIPELINE,
        _LONG,
    ),
    Metric("prunner_job_duration_seconds", Kind.HISTOGRAM, "From a job's start to its end on disk.", _PIPELINE, _LONG),
    Metric(
        "prunner_task_duration_seconds",
        Kind.HISTOGRAM,
        "From a task's start until no process of it is alive.",
        _PIPELINE,
        _LONG,
    ),
    Metric(
        "prunner_spawn_seconds",
        Kind.HISTOGRAM,
        "From a task that is ready to its running process, waiting for other starts included.",
        bounds=_SHORT,
    ),
    Metric("prunner_spawn_failures_total", Kind.COUNTER, "Processes that could not be started."),
    Metric(
        "prunner_store_commit_seconds",
        Kind.HISTOGRAM,
        "One transaction of the store, its sync included.",
        bounds=_SHORT,
    ),
    Metric("prunner_store_batch_changes", Kind.HISTOGRAM, "Changes in one transaction of the store.", bounds=_BATCH),
    Metric("prunner_store_failures_total", Kind.COUNTER, "Attempts of the store to write that failed."),
    Metric("prunner_store_ok", Kind.GAUGE, "1 if the store's last attempt to write succeeded, else 0."),
    Metric(
        "prunner_loop_lag_seconds",
        Kind.HISTOGRAM,
        "How long one turn of the loop kept everything else waiting, a late wake-up included.",
        bounds=_SHORT,
    ),
    Metric("prunner_http_connections", Kind.GAUGE, "Open HTTP connections."),
    Metric("prunner_event_subscribers", Kind.GAUGE, "Open streams of events."),
    Metric("prunner_build_info", Kind.GAUGE, "Always 1.", ("version", "python", "trio", "containment")),
)

CATALOG: Mapping[str, Metric] = {metric.name: metric for metric in _ALL}
"""By name, in the order in which they are exported."""
