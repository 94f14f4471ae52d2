"""The daemon itself: versions, uptime, store, queue; and what is wrong with its definition files."""

import os
import platform
from collections.abc import Mapping
from typing import Any

import trio
from quart import Response

from prunner_trio.http.about import Tell
from prunner_trio.http.pages.board import Board, Boards
from prunner_trio.http.pages.visit import Visit
from prunner_trio.model import State

__all__ = ["SystemPage"]


class SystemPage:
    """Answers for the pages about the daemon."""

    def __init__(self, boards: Boards, about: Tell) -> None:
        self._boards, self._about = boards, about
        self._system = Board("system", ("facts",), self._facts)
        self._problems = Board("problems", ("list",), self._found)

    async def system(self, visit: Visit) -> Response:
        """Answer with the page about the daemon, or its stream."""
        return await self._boards.answer(self._system, visit)

    async def problems(self, visit: Visit) -> Response:
        """Answer with what is wrong with the definition files, or the stream of that page."""
        return await self._boards.answer(self._problems, visit)

    async def _facts(self, visit: Visit) -> Mapping[str, Any]:
        about, runner = self._about(), visit.runner
        states = [job.state for job in runner.live()]
        return {
            "title": "System",
            "about": about,
            "sizes": await about.measure(),
            "unready": runner.unready,
            "definitions": runner.definitions,
            "running": states.count(State.RUNNING),
            "waiting": states.count(State.WAITING),
            "versions": _VERSIONS,
            "pid": os.getpid(),
        }

    async def _found(self, visit: Visit) -> Mapping[str, Any]:
        about = self._about()
        found = about.problems
        # A problem may name what is hidden from this visitor.
        hidden = visit.visitor.rights.restricted
        return {
            "title": "Problems",
            "count": len(found),
            "found": () if hidden else found,
            "hidden": hidden,
            "missing": about.missing,
        }


_VERSIONS = (
    ("Python", platform.python_version()),
    ("Trio", trio.__version__),
    ("System", f"{platform.system()} {platform.release()}"),
)
