"""The output of one task, to be read without JavaScript too: some hundred lines at a time, the last ones first.

With JavaScript, `static/log.js` takes over and loads by API v1 what is looked at.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import attrs
import trio
from markupsafe import Markup
from quart import Response

from prunner_trio.execution.seams import Stream
from prunner_trio.http.pages.ansi import PLAIN, paint
from prunner_trio.http.pages.board import Board, Boards
from prunner_trio.http.pages.errors import first_error
from prunner_trio.http.pages.front import Front
from prunner_trio.http.pages.visit import Refusal, Visit, url
from prunner_trio.http.service import Parts
from prunner_trio.http.v1.logs import Log
from prunner_trio.http.wire import parse_job_id
from prunner_trio.model import JobId, JobView, TaskView

__all__ = ["LogPage"]

_LINES = 400
_BYTES = 262_144
_LONGEST_LINE = 4096
_SEARCHED = 8 * 1024 * 1024
_AT_ONCE = 65_536
_ABOVE = 10
"""Lines that are shown above the one that a link leads to."""

_BOTH = "both"


@attrs.frozen
class Pane:
    """A part of one output.

    Attributes:
        stream: `stdout` or `stderr`.
        first: the number of the first line, from 1.
        total: how many lines there are.
        rows: the lines.
    """

    stream: str
    size: int
    first: int
    total: int
    rows: Sequence[Markup]

    @property
    def last(self) -> int:
        """The number of the last line that is shown."""
        return self.first + len(self.rows) - 1

    @property
    def previous(self) -> int:
        """Where the part before this one begins."""
        return max(1, self.first - _LINES)


class LogPage:
    """Answers for the outputs of tasks."""

    def __init__(self, front: Front, boards: Boards, parts: Parts) -> None:
        self._front, self._boards, self._parts = front, boards, parts
        self._board = Board(
            "log", ("head",), self._values, over=lambda values: values["task"].state.final or values["job"].state.final
        )

    async def answer(self, visit: Visit, job_id: str, task: str = "") -> Response:
        """Answer with the page, its stream, or the way to the first line that looks like an error."""
        known = parse_job_id(job_id)
        if known is None:
            raise Refusal(404, f"{job_id[:80]!r} is no id of a job, which would be a UUID.")
        name = task or visit.query.get("name", "")
        if visit.query.get("at") == "error":
            return self._front.go(visit.root, await self._way_to_error(visit, known, name))
        return await self._boards.answer(self._board, visit, known, job=known, task=name)

    async def _values(self, visit: Visit, job: str, task: str) -> Mapping[str, Any]:
        view, found = await _find(visit, JobId(job), task)
        logs = {stream.value: Log(visit.runner, view.id, found, view.attempt, stream) for stream in Stream}
        sizes = {name: await log.size() for name, log in logs.items()}
        chosen = _chosen(visit.query.get("stream", ""), sizes, found)
        shown = () if "live" in visit.query else list(logs) if chosen == _BOTH else [chosen]
        begin = _number(visit.query.get("from", ""))
        return {
            "title": f"{found.name} · {view.pipeline} #{view.number}",
            "job": view,
            "task": found,
            "sizes": sizes,
            "chosen": chosen,
            "panes": [await self._pane(logs[name], sizes[name], begin) for name in shown],
            "api": _api(visit, view.id, found.name),
            "way": urlencode({"name": visit.query["name"]}) + "&" if "name" in visit.query else "",
        }

    async def _pane(self, log: Log, size: int, begin: int | None) -> Pane:
        counts = self._parts.v1.counts
        feeds = await counts.feeds(log, size)
        ended = not size or await log.read(size - 1, 1) == b"\n"
        total = sum(feeds) + (0 if ended else 1)
        first = max(0, total - _LINES) if begin is None else min(max(0, begin - 1), max(0, total - 1))
        start = await counts.start_of_line(log, first, feeds)
        if begin is None and size - start > _BYTES:
            data = await log.read(size - _BYTES, _BYTES)
            _, _, data = data.partition(b"\n")
            lines = _lines(data)
            first = total - len(lines)
        else:
            lines = _lines(await log.read(start, min(_BYTES, size - start)))[:_LINES]
        return Pane(log.stream.value, size, first + 1, total, _painted(lines))

    async def _way_to_error(self, visit: Visit, job_id: JobId, name: str) -> str:
        view, task = await _find(visit, job_id, name)
        here = url("jobs", job_id, "log", task.name)
        here += "&" if "?" in here else "?"
        for stream in (Stream.STDERR, Stream.STDOUT):
            log = Log(visit.runner, job_id, task, view.attempt, stream)
            line = await _first_error(log)
            if line is not None:
                return f"{here}stream={stream.value}&from={max(1, line + 1 - _ABOVE)}#L{line + 1}"
        return here.rstrip("?&")


async def _find(visit: Visit, job_id: JobId, name: str) -> tuple[JobView, TaskView]:
    live = visit.runner.job(job_id)
    view = live.view() if live is not None else await visit.runner.find(job_id)
    task = view.task(name)
    if task is None:
        raise Refusal(404, f"The job has no task {name[:200]!r}.")
    return view, task


def _chosen(asked: str, sizes: Mapping[str, int], task: TaskView) -> str:
    if asked in (*sizes, _BOTH):
        return asked
    out, err = Stream.STDOUT.value, Stream.STDERR.value
    return err if sizes[err] and (task.failed or not sizes[out]) else out


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def _api(visit: Visit, job_id: JobId, task: str) -> str:
    """Return the address of the logs in API v1; empty for the two names that browsers take for a way up."""
    path = url("v1", "jobs", job_id, "tasks", task)
    return "" if "?" in path else f"{visit.root}{path}/logs/"


def _lines(data: bytes) -> list[bytes]:
    lines = data.split(b"\n")
    return lines[:-1] if not lines[-1] else lines


def _painted(lines: Sequence[bytes]) -> list[Markup]:
    rows, pen = [], PLAIN
    for line in lines:
        row, pen = paint(line[:_LONGEST_LINE].decode(errors="replace"), pen)
        rows.append(row + "…" if len(line) > _LONGEST_LINE else row)
    return rows


async def _first_error(log: Log) -> int | None:
    """Return the first line that looks like an error within the first 8 MiB."""
    size = min(await log.size(), _SEARCHED)
    position, line, rest = 0, 0, b""
    while position < size:
        data = await log.read(position, min(_AT_ONCE, size - position))
        if not data:
            return None
        position += len(data)
        data = rest + data
        cut = len(data) if position >= size else data.rfind(b"\n") + 1 or len(data)
        found = first_error(data[:cut])
        if found is not None:
            return line + found
        line += data.count(b"\n", 0, cut)
        rest = data[cut:]
        await trio.lowlevel.checkpoint()
    return None
