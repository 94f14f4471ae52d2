"""The start page: all pipelines, what runs, what waits."""

from collections.abc import Mapping
from typing import Any

import attrs
import trio
from markupsafe import Markup
from quart import Response

from prunner_trio.http.pages.board import Board, Boards
from prunner_trio.http.pages.pictures import runs_of
from prunner_trio.http.pages.start_form import Asked
from prunner_trio.http.pages.visit import Visit
from prunner_trio.http.service import Parts
from prunner_trio.http.v1.models import End
from prunner_trio.http.v1.views import job_of
from prunner_trio.model import JobView, PipelineView, State

__all__ = ["Overview"]

_AT_ONCE = 50


@attrs.frozen
class Row:
    """A pipeline.

    Attributes:
        at_once: it asks for no variables, so a button starts it.
    """

    view: PipelineView
    at_once: bool
    ends: tuple[End, ...]

    @property
    def last(self) -> End | None:
        """How the latest job ended."""
        return self.ends[-1] if self.ends else None

    @property
    def spark(self) -> Markup:
        """The latest jobs as bars."""
        return runs_of(self.ends)


class Overview:
    """Answers for the start page."""

    def __init__(self, boards: Boards, parts: Parts, asked: Asked) -> None:
        self._boards, self._parts, self._asked = boards, parts, asked
        self._board = Board("overview", ("notices", "pipelines", "running", "waiting"), self._values)

    async def answer(self, visit: Visit) -> Response:
        """Answer with the page, or its stream."""
        return await self._boards.answer(self._board, visit)

    async def _values(self, visit: Visit) -> Mapping[str, Any]:
        runner, history = visit.runner, self._parts.v1.history
        ends = {}
        for number, pipeline in enumerate(runner.definitions):
            ends[pipeline.name] = await history.ends(pipeline.name)
            if number % _AT_ONCE == 0:
                await trio.lowlevel.checkpoint()
        rows = [Row(view, self._at_once(visit, view.name), ends.get(view.name, ())) for view in runner.pipelines()]
        live = list(runner.live())
        waiting = [job for job in live if job.state is State.WAITING]
        places = {k: place for name in {job.pipeline for job in waiting} for k, place in runner.places(name).items()}
        told = [(job, job_of(job, places.get(job.id))) for job in waiting]
        about = self._parts.about()
        return {
            "title": "Overview",
            "problems": len(about.problems),
            "missing": about.missing,
            "unready": runner.unready,
            "rows": rows,
            "running": [job for job in live if job.state is State.RUNNING],
            "waiting": sorted(told, key=lambda pair: _place(pair[0], pair[1].waiting and pair[1].waiting.position)),
        }

    def _at_once(self, visit: Visit, name: str) -> bool:
        definition = visit.runner.definitions.get(name)
        return definition is not None and not self._asked.of(definition) and definition.queue_partition_limit is None


def _place(job: JobView, position: int | None) -> tuple[str, int, int]:
    return job.pipeline, position or 0, job.number
