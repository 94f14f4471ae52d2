"""One job: where it stands, its tasks, why it failed, and what can be done with it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from markupsafe import Markup
from quart import Response

from prunner_trio.definition.pipeline import DEFAULT_KILL_TIMEOUT
from prunner_trio.execution.seams import Stream
from prunner_trio.http.pages.ansi import PLAIN, paint
from prunner_trio.http.pages.board import Board, Boards
from prunner_trio.http.pages.jobs_filter import told
from prunner_trio.http.pages.pictures import graph_of_job, timeline_of
from prunner_trio.http.pages.visit import Refusal, Visit
from prunner_trio.http.service import Parts
from prunner_trio.http.v1.logs import Log
from prunner_trio.http.wire import parse_job_id
from prunner_trio.model import Action, JobId, JobView, State, TaskView

__all__ = ["JobPage", "job_id_of"]

_PARTS = ("head", "failures", "graph", "tasks", "timeline", "facts", "audit")
_LINES = 12
_LONGEST = 4096


@attrs.frozen
class Failure:
    """A task that failed its job, and the last that it wrote.

    Attributes:
        stream: where; empty: it wrote nothing.
    """

    task: TaskView
    stream: str
    text: Markup


@attrs.frozen
class Phase:
    """A step of a stop: what is sent, and when."""

    what: str
    at: float


class JobPage:
    """Answers for jobs."""

    def __init__(self, boards: Boards, parts: Parts) -> None:
        self._boards, self._parts = boards, parts
        self._board = Board("job", _PARTS, self._values, over=lambda values: values["job"].state.final)

    async def answer(self, visit: Visit, job_id: str) -> Response:
        """Answer with the page, or its stream."""
        known = job_id_of(job_id)
        return await self._boards.answer(self._board, visit, known, job=known)

    async def _values(self, visit: Visit, job: str) -> Mapping[str, Any]:
        runner, job_id = visit.runner, JobId(job)
        live = runner.job(job_id)
        view = live.view() if live is not None else await runner.find(job_id)
        ((_, account),) = told(runner, [view])
        definition = runner.definitions.get(view.pipeline)
        audit = await runner.job_audit(job_id)
        retries = [entry.detail for entry in audit if entry.action is Action.RETRIED]
        return {
            "title": f"{view.pipeline} #{view.number}",
            "job": view,
            "account": account,
            "definition": definition,
            "audit": audit,
            # The next retry is another one than those before.
            "retry_key": retries[-1] if retries else "first",
            "can_keep": view.state is not State.DONE and any(task.state is State.DONE for task in view.tasks),
            "graph": graph_of_job(visit.root, view, self._parts.now()),
            "timeline": timeline_of(visit.root, view, self._parts.now()),
            "failures": await self._failures(visit, view),
            "phases": _phases(view, definition.kill_timeout if definition is not None else None),
            "variables": [(name, _shown(value)) for name, value in view.variables.items()],
        }

    async def _failures(self, visit: Visit, job: JobView) -> Sequence[Failure]:
        """Return the first tasks that failed, with what they wrote last: to stderr, or else to stdout."""
        failed = sorted((task for task in job.tasks if task.failed), key=lambda task: task.ended or 0.0)
        found = []
        for task in failed[:3]:
            stream, text = "", Markup("")
            for where in (Stream.STDERR, Stream.STDOUT):
                log = Log(visit.runner, job.id, task, job.attempt, where)
                size = await log.size()
                if size:
                    start = max(await log.start_of_lines(_LINES, size), size - _LONGEST)
                    stream, text = where.value, _painted(await log.read(start, size - start))
                    break
            found.append(Failure(task, stream, text))
        return found


def job_id_of(text: str) -> JobId:
    """Return the id that a path holds. Raises `Refusal`."""
    job_id = parse_job_id(text)
    if job_id is None:
        raise Refusal(404, f"{text[:80]!r} is no id of a job, which would be a UUID.")
    return job_id


def _phases(job: JobView, kill_timeout: float | None) -> Sequence[Phase]:
    """Return the steps of a stop that is under way; see `execution.stop`."""
    if job.stop is None or job.state is not State.RUNNING:
        return ()
    grace = DEFAULT_KILL_TIMEOUT if kill_timeout is None else kill_timeout
    at = job.stop.at
    if not grace:
        return (Phase("SIGKILL", at),)
    return (Phase("SIGINT", at), Phase("SIGTERM", at + grace / 2), Phase("SIGKILL", at + grace))


def _painted(data: bytes) -> Markup:
    pen, lines = PLAIN, []
    for line in data.decode(errors="replace").rstrip("\n").split("\n"):
        painted, pen = paint(line, pen)
        lines.append(painted)
    return Markup("\n").join(lines)


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
