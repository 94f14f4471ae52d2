"""What all forms that make jobs share: one job per form, and refusals in words."""

import hashlib
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from prunner_trio.errors import InvalidVariable, JobNotFound, PipelineNotFound, QueueDisabled, QueueFull, ShuttingDown
from prunner_trio.http.pages.start_form import BadForm
from prunner_trio.http.pages.visit import Refusal, Visit
from prunner_trio.model import JobId, JobView

__all__ = ["accepted", "id_for", "known_job"]


@contextmanager
def accepted() -> Iterator[None]:
    """Turn what a runner says to a new job into what a page says.

    Raises:
        Refusal: it was not accepted.
        BadForm: it has variables that cannot be used.
    """
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
