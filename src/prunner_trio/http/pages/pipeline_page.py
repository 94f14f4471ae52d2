"""One pipeline: the form that starts it, its tasks, its jobs."""

import secrets
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from quart import Response

from prunner_trio.definition.pipeline import PipelineDef
from prunner_trio.http.pages.accepting import accept_once, id_for, known_job
from prunner_trio.http.pages.board import Board, Boards
from prunner_trio.http.pages.front import Front
from prunner_trio.http.pages.jobs_filter import Filter, filter_values, find_jobs
from prunner_trio.http.pages.pictures import graph_of_pipeline, runs_of
from prunner_trio.http.pages.start_form import Asked, BadForm, FormFields, again, read_form
from prunner_trio.http.pages.visit import Refusal, Visit, url
from prunner_trio.http.saving import until_saved
from prunner_trio.http.service import Parts
from prunner_trio.http.wire import parse_job_id
from prunner_trio.model import JobQuery

__all__ = ["PipelinePage"]


class PipelinePage:
    """Answers for pipelines."""

    def __init__(self, front: Front, boards: Boards, parts: Parts, asked: Asked) -> None:
        self._front, self._boards, self._parts, self._asked = front, boards, parts, asked
        # A form stands on it, which a reload would empty.
        self._board = Board("pipeline", ("now", "list", "audit"), self._values, refresh=None)

    async def answer(self, visit: Visit, name: str = "") -> Response:
        """Answer with the page, or its stream."""
        return await self._boards.answer(self._board, visit, name=name or visit.query.get("name", ""))

    async def start(self, visit: Visit, name: str = "") -> Response:
        """Start a job, and answer with the way to it, or with the form again.

        A form that is sent twice makes one job.
        """
        name = name or visit.query.get("name", "")
        definition, form = self._definition(visit, name), await visit.form()
        try:
            variables, partition = read_form(form), form.get("partition", "")
            job_id = id_for(visit.user, form.get("key", ""), [name, variables, partition])
            submit = partial(visit.runner.submit, name, variables=variables, user=visit.user, partition=partition)
            await accept_once(visit, job_id, partial(submit, job_id=job_id))
        except BadForm as exc:
            return await self._once_more(visit, definition, form, exc.problems)
        return self._front.go(visit.root, f"jobs/{job_id}")

    async def pause(self, visit: Visit) -> Response:
        """Let a pipeline start no jobs."""
        return await self._steer(visit, visit.runner.pause)

    async def resume(self, visit: Visit) -> Response:
        """Let a pipeline start jobs again."""
        return await self._steer(visit, visit.runner.resume)

    async def _steer(self, visit: Visit, verb: Callable[..., None]) -> Response:
        name = (await visit.form()).get("pipeline", "")
        self._definition(visit, name)
        verb(name, by=visit.user)
        await until_saved(visit.runner)
        return self._front.go(visit.root, url("pipeline", name))

    async def _once_more(
        self, visit: Visit, definition: PipelineDef, form: Mapping[str, str], problems: Mapping[str, str]
    ) -> Response:
        fields = again(self._asked.fields(definition, {}), form, problems)
        return await self._boards.again(self._board, visit, {"form": fields}, status=400, name=definition.name)

    def _definition(self, visit: Visit, name: str) -> PipelineDef:
        definition = visit.runner.definitions.get(name)
        if definition is None:
            raise Refusal(404, f"There is no pipeline {name!r}.")
        return definition

    async def _values(self, visit: Visit, name: str) -> Mapping[str, Any]:
        runner, definition = visit.runner, self._definition(visit, name)
        view = next(view for view in runner.pipelines() if view.name == name)
        wanted = Filter.read(visit.query, pipeline=name)
        ends = await self._parts.v1.history.ends(name)
        return {
            "title": name,
            "definition": definition,
            "view": view,
            "ends": ends,
            "audit": runner.pipeline_audit(name),
            "found": await find_jobs(runner, wanted, visit.query),
            "graph": graph_of_pipeline(definition),
            "spark": runs_of(ends),
            "form": await self._form(visit, definition),
            "key": secrets.token_urlsafe(16),
            **filter_values(wanted),
        }

    async def _form(self, visit: Visit, definition: PipelineDef) -> FormFields:
        """Return the form with the variables of the job that the query names, else of the latest one."""
        given = visit.query.get("from")
        if given is not None:
            job_id = parse_job_id(given)
            job = None if job_id is None else await known_job(visit, job_id)
        else:
            job = next(iter(await visit.runner.search(JobQuery(pipeline=definition.name, limit=1))), None)
        if job is None or job.pipeline != definition.name:
            return self._asked.fields(definition, {})
        return self._asked.fields(definition, job.variables, job.partition)
