"""What is counted by pipeline. Labels are names of defined pipelines, so their number is bounded by the definitions."""

from collections import Counter
from collections.abc import Collection, Iterator

import attrs

from prunner_trio.metrics.catalog import CATALOG
from prunner_trio.metrics.histogram import Histogram

__all__ = ["ENDS", "UNDEFINED", "ByPipeline", "PipelineFigures"]

ENDS = ("done", "error", "canceled")
"""How jobs end. Each is counted from 0, so that the first failure is an increase and not a new series."""

UNDEFINED = ""
"""The label for all pipelines that are not defined any more; to Prometheus, an empty one is none."""


def _histogram(name: str) -> Histogram:
    return Histogram(CATALOG[name].bounds)


@attrs.define(eq=False)
class PipelineFigures:
    """What was counted for one pipeline.

    Attributes:
        jobs: that ended, by outcome.
        tasks: likewise.
    """

    submitted: int = 0
    jobs: Counter[str] = attrs.field(factory=lambda: Counter(dict.fromkeys(ENDS, 0)))
    tasks: Counter[str] = attrs.field(factory=Counter)
    queue_wait: Histogram = attrs.field(factory=lambda: _histogram("prunner_queue_wait_seconds"))
    job_duration: Histogram = attrs.field(factory=lambda: _histogram("prunner_job_duration_seconds"))
    task_duration: Histogram = attrs.field(factory=lambda: _histogram("prunner_task_duration_seconds"))


class ByPipeline:
    """The figures of all pipelines; those of one that was removed go when somebody looks, or a new one comes."""

    def __init__(self) -> None:
        self._figures: dict[str, PipelineFigures] = {}

    def of(self, pipeline: str, defined: Collection[str]) -> PipelineFigures:
        """Return the figures of a pipeline, those of `UNDEFINED` if it is none of the `defined`."""
        name = pipeline if pipeline in defined else UNDEFINED
        figures = self._figures.get(name)
        if figures is None:
            self._drop(defined)
            figures = self._figures[name] = PipelineFigures()
        return figures

    def all(self, defined: Collection[str]) -> Iterator[tuple[str, PipelineFigures]]:
        """Yield the figures of all pipelines that are `defined`, and of the others together if there were any."""
        self._drop(defined)
        for name in defined:
            self.of(name, defined)
        yield from self._figures.items()

    def _drop(self, defined: Collection[str]) -> None:
        for name in [name for name in self._figures if name != UNDEFINED and name not in defined]:
            del self._figures[name]
