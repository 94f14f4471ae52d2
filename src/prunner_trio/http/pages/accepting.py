"""What all forms that make jobs share: one job per form, and refusals in words."""

import hashlib
import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prunner_trio.errors import InvalidVariable, JobNotFound, PipelineNotFound, QueueDisabled, QueueFull, ShuttingDown
from prunner_trio.http.pages.start_form import BadForm
from prunner_trio.http.pages.visit import Refusal, Visit
from prunner_trio.http.port import JobPort
from prunner_trio.model import JobId, JobView

__all__ = ["accept_once", "id_for", "known_job"]


async def accept_once(visit: Visit, job_id: JobId, submit: Callable[[], JobPort]) -> None:
    """Accept the job of a form, unless the form has been sent before, and return when it is on disk.

    Args:
        job_id: see `id_for`.
        submit: accepts a job with this id, in one synchronous step.

    Raises:
        Refusal: it was not accepted.
        BadForm: it has variables that cannot be used.
        StoreError: it could not be saved.
    """
    if await known_job(visit, job_id) is not None:
        return
    job = visit.runner.job(job_id)  # while the store was asked, the same form may have made it
    if job is None:
        with _told_in_words():
            job = submit()
    await job.saved()


@contextmanager
def _told_in_words() -> Iterator[None]:
    """Turn what a runner says to a new job into what a page says."""
    try:
        yield
    except PipelineNotFound as exc:
        raise Refusal(404, f"There is no pipeline {exc.name!r}.") from exc
    except InvalidVariable as exc:
        raise BadForm({"": str(exc)}) from exc
    except QueueFull as exc:
        raise Refusal(409, f"It was not started, since the wait list is full: {exc}.") from exc
    except QueueDisabled as exc:
        raise Refusal(409, f"It was not started, since no slot is free and there is no wait list: {exc}.") from exc
    except ShuttingDown as exc:
        raise Refusal(503, "It was not started: the daemon is about to end.") from exc


async def known_job(visit: Visit, job_id: JobId) -> JobView | None:
    """Return a job if there is one."""
    try:
        return await visit.runner.find(job_id)
    except JobNotFound:
        return None


def id_for(user: str, key: str, what: object) -> JobId:
    """Return the id of the job that a form makes: the same for the same form with the same content.

    Args:
        key: of the form; empty: it has none, and each time is another one.
        what: the content; a JSON value.
    """
    if not key:
        return JobId(str(uuid.uuid4()))
    text = json.dumps([user, key, what], sort_keys=True)
    return JobId(str(uuid.UUID(bytes=hashlib.blake2b(text.encode(), digest_size=16).digest(), version=4)))
