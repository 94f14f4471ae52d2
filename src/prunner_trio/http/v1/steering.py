"""What the routes of API v1 do that steer jobs and pipelines, and tell who did so."""

import attrs

from prunner_trio.errors import (
    JobNotFinished,
    JobNotStarted,
    JobNotWaiting,
    NothingToRetry,
    PipelineNotFound,
    TaskAlreadyFinished,
    TaskNotFound,
    TasksChanged,
)
from prunner_trio.http.facts import Answer
from prunner_trio.http.saving import until_saved
from prunner_trio.http.v1.handlers import Call, Handlers, body_of, expect_json, idempotency_key, job_id_of, json_answer
from prunner_trio.http.v1.models import Audit, PipelinePause, RetryRequest, WaitLists
from prunner_trio.http.v1.problems import Refused
from prunner_trio.http.v1.steering_bodies import parse_move, parse_retry
from prunner_trio.http.v1.views import deed_of, pause_of, queued_job
from prunner_trio.model import JobId, JobView

__all__ = ["Steering"]


@attrs.frozen
class Steering(Handlers):
    """One method per route; those of `Handlers` as well."""

    async def retry(self, call: Call) -> Answer:
        """Accept a job that does another one again, and answer when it is on disk."""
        body = await body_of(call.request)
        if body:
            expect_json(call.request)
        key, asked = idempotency_key(call.request), parse_retry(body)
        original = await self.runner.find(job_id_of(call))
        if key is None:
            return await self._accepted(self._retry(original, asked, call.user, None))
        async with self.keys.claim(call.visitor, key):
            known = await self.keys.look_up_retry(call.visitor, key, original, asked)
            if isinstance(known, JobView):
                return await self._accepted(known.id, (b"idempotency-replayed", b"true"))
            job_id = self._retry(original, asked, call.user, known)
            self.keys.note(known)
        return await self._accepted(job_id)

    def _retry(self, original: JobView, asked: RetryRequest, user: str, job_id: JobId | None) -> JobId:
        with self._acceptance():
            try:
                job = self.runner.submit_retry(
                    original, only_failed=asked.only_failed, variables=asked.variables, by=user, job_id=job_id
                )
            except PipelineNotFound as exc:
                raise Refused("cannot-retry", f"{exc} any more") from exc
            except JobNotFinished as exc:
                raise Refused("job-not-finished", str(exc)) from exc
            except (TasksChanged, NothingToRetry) as exc:
                raise Refused("cannot-retry", str(exc)) from exc
        return job.id

    async def cancel_task(self, call: Call) -> Answer:
        """Ask one task of a job to stop, and answer with the job."""
        job_id, task = job_id_of(call), call.path["task"]
        if self.runner.job(job_id) is None:
            job = await self.runner.find(job_id)
            if job.task(task) is None:
                raise Refused("task-not-found", f"the job has no task {task[:200]!r}")
            raise Refused("task-finished", "the job has ended, and all its tasks with it")
        try:
            self.runner.cancel_task(job_id, task, by=call.user)
        except TaskNotFound as exc:
            raise Refused("task-not-found", f"the job has no task {task[:200]!r}") from exc
        except TaskAlreadyFinished as exc:
            raise Refused("task-finished", "the task has ended before") from exc
        except JobNotStarted as exc:
            raise Refused("job-not-started", str(exc)) from exc
        await until_saved(self.runner)
        return json_answer(self._job(await self._find(call)), 202)

    async def move(self, call: Call) -> Answer:
        """Give a job another place in its wait list, and answer with the job."""
        expect_json(call.request)
        asked = parse_move(await body_of(call.request))
        job_id = job_id_of(call)
        if self.runner.job(job_id) is None:
            job = await self.runner.find(job_id)
            raise Refused("job-not-waiting", f"the job does not wait: it is {job.state.value}")
        before, after = (JobId(each) if each is not None else None for each in (asked.before, asked.after))
        try:
            self.runner.move(job_id, before=before, after=after, to=asked.to, by=call.user)
        except JobNotWaiting as exc:
            raise Refused("job-not-waiting", str(exc)) from exc
        await until_saved(self.runner)
        return json_answer(self._job(await self._find(call)))

    async def queue(self, call: Call) -> Answer:
        """Answer with all jobs that wait."""
        paused = tuple(
            PipelinePause(view.name, pause_of(view.pause)) for view in self.runner.pipelines() if view.pause is not None
        )
        return json_answer(WaitLists(tuple(map(queued_job, self.runner.queue())), paused))

    async def pause(self, call: Call) -> Answer:
        """Let a pipeline start no jobs."""
        return await self._set_pause(call, paused=True)

    async def resume(self, call: Call) -> Answer:
        """Let a paused pipeline start jobs again."""
        return await self._set_pause(call, paused=False)

    async def _set_pause(self, call: Call, *, paused: bool) -> Answer:
        name = call.path["name"]
        try:
            if paused:
                self.runner.pause(name, by=call.user)
            else:
                self.runner.resume(name, by=call.user)
        except PipelineNotFound as exc:
            raise Refused("pipeline-not-found", str(exc)) from exc
        await until_saved(self.runner)
        return json_answer(PipelinePause(name, pause_of(self.runner.pause_of(name))))

    async def job_audit(self, call: Call) -> Answer:
        """Answer with who did what to a job."""
        return json_answer(Audit(tuple(map(deed_of, await self.runner.job_audit(job_id_of(call))))))

    async def pipeline_audit(self, call: Call) -> Answer:
        """Answer with who paused and resumed a pipeline."""
        try:
            entries = self.runner.pipeline_audit(call.path["name"])
        except PipelineNotFound as exc:
            raise Refused("pipeline-not-found", str(exc)) from exc
        return json_answer(Audit(tuple(map(deed_of, entries))))
