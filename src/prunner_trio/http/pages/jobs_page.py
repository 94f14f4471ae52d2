"""All jobs, with filters."""

from collections.abc import Mapping
from typing import Any

from quart import Response

from prunner_trio.http.pages.board import Board, Boards
from prunner_trio.http.pages.jobs_filter import Filter, check_names, filter_values, find_jobs
from prunner_trio.http.pages.visit import Visit

__all__ = ["AllJobs"]


class AllJobs:
    """Answers for the list of all jobs."""

    def __init__(self, boards: Boards) -> None:
        self._boards = boards
        # A form stands on it, which a reload would empty.
        self._board = Board("jobs", ("list",), self._values, refresh=None)

    async def answer(self, visit: Visit) -> Response:
        """Answer with the page, or its stream."""
        return await self._boards.answer(self._board, visit)

    async def _values(self, visit: Visit) -> Mapping[str, Any]:
        runner = visit.runner
        check_names(visit.query)
        wanted = Filter.read(visit.query)
        found = await find_jobs(runner, wanted, visit.query)
        names = sorted({*(view.name for view in runner.pipelines()), *filter(None, (wanted.pipeline,))})
        return {"title": "Jobs", "found": found, "names": names, **filter_values(wanted)}
