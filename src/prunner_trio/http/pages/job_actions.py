"""What can be done to a job from its page: cancel it, one of its tasks, do it again, move it."""

from collections.abc import Mapping
from functools import partial

from quart import Response

from prunner_trio.errors import (
    JobNotFinished,
    JobNotFound,
    JobNotStarted,
    JobNotWaiting,
    NothingToRetry,
    TaskAlreadyFinished,
    TaskNotFound,
    TasksChanged,
)
from prunner_trio.http.pages.accepting import accept_once, id_for
from prunner_trio.http.pages.front import Front
from prunner_trio.http.pages.job_page import job_id_of
from prunner_trio.http.pages.visit import Refusal, Visit, local_path
from prunner_trio.http.pages.words import word_of_state
from prunner_trio.http.saving import until_saved
from prunner_trio.model import JobId, State

__all__ = ["JobActions"]


class JobActions:
    """Answers the forms of the pages of jobs."""

    def __init__(self, front: Front) -> None:
        self._front = front

    async def cancel(self, visit: Visit, job_id: str) -> Response:
        """Ask the job to stop, and answer with the way back to it, where the stop can be watched."""
        known, runner, form = job_id_of(job_id), visit.runner, await visit.form()
        try:
            runner.cancel(known, by=visit.user)
        except JobNotFound as exc:
            job = await runner.find(known)
            # One that is neither live nor final on disk was canceled while waiting, and is just being saved.
            if job.state.final and job.state is not State.CANCELED:
                raise Refusal(409, f"The job has ended before: it is {word_of_state(job.state)}.") from exc
        else:
            if runner.job(known) is None:  # it waited: the page that follows is read from the store
                await until_saved(runner)
        return self._back(visit, known, form)

    async def cancel_task(self, visit: Visit, job_id: str) -> Response:
        """Ask one task to stop."""
        known, form = job_id_of(job_id), await visit.form()
        try:
            visit.runner.cancel_task(known, form.get("task", ""), by=visit.user)
        except (JobNotStarted, TaskAlreadyFinished) as exc:
            raise Refusal(409, f"It was not canceled: {exc}.") from exc
        except TaskNotFound as exc:
            raise Refusal(404, f"It was not canceled: {exc}.") from exc
        except JobNotFound as exc:
            job = await visit.runner.find(known)
            raise Refusal(409, f"The job has ended before: it is {word_of_state(job.state)}.") from exc
        return self._back(visit, known, form)

    async def retry(self, visit: Visit, job_id: str) -> Response:
        """Do a job again, and answer with the way to the new one. A form that is sent twice makes one job."""
        original, form = await visit.runner.find(job_id_of(job_id)), await visit.form()
        only_failed = form.get("tasks") == "failed"
        new = id_for(visit.user, form.get("key", ""), ["retry", original.id, only_failed])
        submit = partial(visit.runner.submit_retry, original, only_failed=only_failed, by=visit.user, job_id=new)
        try:
            await accept_once(visit, new, submit)
        except (JobNotFinished, NothingToRetry, TasksChanged) as exc:
            raise Refusal(409, f"It cannot be done again so: {exc}.") from exc
        return self._front.go(visit.root, f"jobs/{new}")

    async def move(self, visit: Visit, job_id: str) -> Response:
        """Give a job another place in its wait list."""
        known, form = job_id_of(job_id), await visit.form()
        place = form.get("to", "")
        if not (place.isascii() and place.isdigit() and 0 < len(place) < 10 and int(place)):
            raise Refusal(400, f"{place[:40]!r} is no place in a wait list, which would be a number from 1.")
        try:
            visit.runner.move(known, to=int(place), by=visit.user)
        except JobNotWaiting as exc:
            raise Refusal(409, f"It was not moved: {exc}.") from exc
        return self._back(visit, known, form)

    def _back(self, visit: Visit, job_id: JobId, form: Mapping[str, str]) -> Response:
        """Answer with the way to where the form stands, which is the page of the job if it does not say."""
        return self._front.go(visit.root, local_path(form["then"]) if "then" in form else f"jobs/{job_id}")
