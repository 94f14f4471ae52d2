"""One pipeline: the form that starts it, its tasks, its jobs."""

import uuid
from collections.abc import Mapping
from typing import Any

from quart import Response

from prunner_trio.definition.pipeline import PipelineDef
from prunner_trio.errors import (
    InvalidVariable,
    JobNotFound,
    PipelineNotFound,
    QueueDisabled,
    QueueFull,
    ShuttingDown,
)
from prunner_trio.http.pages.board import Board, Boards
from prunner_trio.http.pages.front import Front
from prunner_trio.http.pages.jobs_filter import Filter, filter_values, find_jobs
from prunner_trio.http.pages.start_form import Asked, BadForm, FormFields, again, read_form
from prunner_trio.http.pages.visit import Refusal, Visit
from prunner_trio.http.service import Parts
from prunner_trio.http.wire import parse_job_id
from prunner_trio.model import JobId, JobQuery, JobView

__all__ = ["PipelinePage"]


class PipelinePage:
    """Answers for pipelines."""

    def __init__(self, front: Front, boards: Boards, parts: Parts, asked: Asked) -> None:
        self._front, self._boards, self._parts, self._asked = front, boards, parts, asked
        # A form stands on it, which a reload would empty.
        self._board = Board("pipeline", ("now", "list"), self._values, refresh=None)

    async def answer(self, visit: Visit, name: str = "") -> Response:
        """Answer with the page, or its stream."""
        return await self._boards.answer(self._board, visit, name=name or visit.query.get("name", ""))

    async def start(self, visit: Visit, name: str = "") -> Response:
        """Start a job, and answer with the way to it, or with the form again.

        A form that is sent twice makes one job: it holds the id of the job that it will make.
        """
        name = name or visit.query.get("name", "")
        definition, form = self._definition(name), await visit.form()
        try:
            variables = read_form(form)
            job_id = parse_job_id(form.get("job", ""))
            known = await self._known(job_id) if job_id is not None else None
            if known is not None:
                same = known.pipeline == name and known.variables == variables and known.user == visit.user
                job_id = known.id if same else None
            if known is None or job_id is None:
                partition = form.get("partition", "")
                job_id = await self._submit(visit, definition, variables, partition, job_id)
        except BadForm as exc:
            return await self._once_more(visit, definition, form, exc.problems)
        return self._front.go(visit.root, f"jobs/{job_id}")

    async def _submit(
        self,
        visit: Visit,
        definition: PipelineDef,
        variables: Mapping[str, object],
        partition: str,
        job_id: JobId | None,
    ) -> JobId:
        try:
            job = self._parts.runner.submit(
                definition.name, variables=variables, user=visit.user, partition=partition, job_id=job_id
            )
        except PipelineNotFound as exc:
            raise Refusal(404, f"There is no pipeline {exc.name!r}.") from exc
        except InvalidVariable as exc:
            raise BadForm({"": str(exc)}) from exc
        except QueueFull as exc:
            raise Refusal(409, f"It was not started, since the wait list is full: {exc}.") from exc
        except QueueDisabled as exc:
            raise Refusal(409, f"It was not started, since no slot is free and it has no wait list: {exc}.") from exc
        except ShuttingDown as exc:
            raise Refusal(503, "It was not started: the daemon is about to end.") from exc
        await job.saved()
        return job.id

    async def _known(self, job_id: JobId) -> JobView | None:
        try:
            return await self._parts.runner.find(job_id)
        except JobNotFound:
            return None

    async def _once_more(
        self, visit: Visit, definition: PipelineDef, form: Mapping[str, str], problems: Mapping[str, str]
    ) -> Response:
        fields = again(self._asked.fields(definition, {}), form, problems)
        return await self._boards.again(self._board, visit, {"form": fields}, status=400, name=definition.name)

    def _definition(self, name: str) -> PipelineDef:
        definition = self._parts.runner.definitions.get(name)
        if definition is None:
            raise Refusal(404, f"There is no pipeline {name!r}.")
        return definition

    async def _values(self, visit: Visit, name: str) -> Mapping[str, Any]:
        runner, definition = self._parts.runner, self._definition(name)
        view = next(view for view in runner.pipelines() if view.name == name)
        wanted = Filter.read(visit.query, pipeline=name)
        return {
            "title": name,
            "definition": definition,
            "view": view,
            "ends": await self._parts.v1.history.ends(name),
            "found": await find_jobs(runner, wanted, visit.query),
            "form": await self._form(visit, definition),
            "job_id": str(uuid.uuid4()),
            **filter_values(wanted),
        }

    async def _form(self, visit: Visit, definition: PipelineDef) -> FormFields:
        """Return the form with the variables of the job that the query names, else of the latest one."""
        given = visit.query.get("from")
        if given is not None:
            job_id = parse_job_id(given)
            job = None if job_id is None else await self._known(job_id)
        else:
            job = next(iter(await self._parts.runner.search(JobQuery(pipeline=definition.name, limit=1))), None)
        if job is None or job.pipeline != definition.name:
            return self._asked.fields(definition, {})
        return self._asked.fields(definition, job.variables, job.partition)
