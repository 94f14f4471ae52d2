"""What can be asked, as values: nothing is sent here."""

import json
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote, urlencode

__all__ = [
    "STREAMS",
    "Request",
    "cancel",
    "cancel_task",
    "events",
    "get_audit",
    "get_job",
    "get_log",
    "get_queue",
    "list_jobs",
    "list_pipelines",
    "move",
    "retry",
    "schedule",
    "set_pause",
    "sign_in_link",
    "since_event",
]

STREAMS = ("stdout", "stderr")
"""The logs of a task."""


class Request(NamedTuple):
    """One request.

    Attributes:
        target: path and query, below the address of the daemon.
        repeatable: sending it twice does what sending it once does.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    repeatable: bool = True


def list_pipelines() -> Request:
    """Ask for all pipelines."""
    return Request("GET", "/v1/pipelines")


def list_jobs(limit: int = 50, **filters: str) -> Request:
    """Ask for jobs, the newest first. Empty filters are left out; see the API for what there is."""
    given = {name: value for name, value in filters.items() if value}
    return Request("GET", f"/v1/jobs?{urlencode({**given, 'limit': limit})}")


def get_job(job_id: str) -> Request:
    """Ask for one job."""
    return Request("GET", _job(job_id))


def schedule(pipeline: str, variables: Mapping[str, object], partition: str, key: str) -> Request:
    """Ask for a new job; the same key makes no second one."""
    asked = {"pipeline": pipeline, "variables": variables, "partition": partition}
    headers = (("content-type", "application/json"), ("idempotency-key", key))
    return Request("POST", "/v1/jobs", headers, json.dumps(asked).encode())


def cancel(job_id: str, wait: float) -> Request:
    """Ask a job to stop; the answer waits so many seconds for its end."""
    return Request("POST", f"{_job(job_id)}/cancel?wait={wait:g}")


def retry(job_id: str, only_failed: bool, variables: Mapping[str, object], key: str) -> Request:
    """Ask for a job that does another one again; the same key makes no second one."""
    asked = {"only_failed": only_failed, "variables": variables}
    headers = (("content-type", "application/json"), ("idempotency-key", key))
    return Request("POST", f"{_job(job_id)}/retry", headers, json.dumps(asked).encode())


def cancel_task(job_id: str, task: str) -> Request:
    """Ask one task of a job to stop."""
    return Request("POST", f"{_job(job_id)}/tasks/{quote(task, safe='')}/cancel")


def get_queue() -> Request:
    """Ask for all jobs that wait."""
    return Request("GET", "/v1/queue")


def move(job_id: str, place: Mapping[str, object]) -> Request:
    """Ask for another place of a job in its wait list: `before`, `after` or `to`."""
    headers = (("content-type", "application/json"),)
    return Request("POST", f"{_job(job_id)}/move", headers, json.dumps(place).encode())


def set_pause(pipeline: str, verb: str) -> Request:
    """Ask to `pause` or to `resume` a pipeline."""
    return Request("POST", f"/v1/pipelines/{quote(pipeline, safe='')}/{verb}")


def get_audit(job_id: str) -> Request:
    """Ask who did what to a job."""
    return Request("GET", f"{_job(job_id)}/audit")


def get_log(job_id: str, task: str, stream: str, *, tail: int | None = None, follow: bool = False) -> Request:
    """Ask for a log, or its last lines; to follow it, as events."""
    query = {**({} if tail is None else {"tail": tail}), **({"follow": "1"} if follow else {})}
    path = f"{_job(job_id)}/tasks/{quote(task, safe='')}/logs/{stream}"
    headers = (("accept", "text/event-stream"),) if follow else ()
    return Request("GET", f"{path}?{urlencode(query)}" if query else path, headers)


def sign_in_link() -> Request:
    """Ask for a link to the web page; asked twice, there are two."""
    return Request("POST", "/v1/sign-in-links")


def events(job_id: str = "") -> Request:
    """Ask for the changes of all jobs, or of one until its end."""
    path = f"{_job(job_id)}/events" if job_id else "/v1/events"
    return Request("GET", path, (("accept", "text/event-stream"),))


def since_event(request: Request, event_id: str) -> Request:
    """Return a request for a stream that goes on after an event; without an id, the same request."""
    return request._replace(headers=(*request.headers, ("last-event-id", event_id))) if event_id else request


def _job(job_id: str) -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}"
