"""The JSON of prunner's API: which members, in which order, and when they are left out.

prunner's clients are strict in places one would not expect. A member `error` in a job means "not found" to the PHP
client, a time with a fraction breaks it, and a missing `start` breaks the web page; so times that are not set are null.
"""

import re
import time
from collections.abc import Sequence
from functools import lru_cache

from prunner_trio.http.facts import to_json
from prunner_trio.model import JobId, JobView, PipelineView, State, TaskView

__all__ = ["encode_job", "encode_pipelines", "parse_job_id", "quote", "timestamp"]

_HEX = "[0-9a-f]"
_UUID = re.compile(rf"({_HEX}{{8}})(-?)({_HEX}{{4}})\2({_HEX}{{4}})\2({_HEX}{{4}})\2({_HEX}{{12}})", re.ASCII)


def timestamp(seconds: float | None) -> str | None:
    """Return a point in time as RFC 3339 in UTC, cut (not rounded) to whole seconds; None stays None."""
    return None if seconds is None else _timestamp(int(seconds // 1))


@lru_cache(maxsize=1024)
def _timestamp(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def encode_job(job: JobView) -> bytes:
    """Return the JSON of a job, without a newline."""
    canceled = job.state is State.CANCELED
    running = job.state is State.RUNNING
    fields: dict[str, object] = {
        "id": job.id,
        "pipeline": job.pipeline,
        "tasks": [_task(task) for task in job.tasks],
        "completed": job.state.final and not (canceled and job.started is None),
        "canceled": canceled,
        "errored": job.state is State.ERROR or (running and any(task.failed for task in job.tasks)),
        "created": timestamp(job.created),
        "start": timestamp(job.started),
        "end": None if job.started is None else timestamp(job.ended),
    }
    last_error = job.error or ("context canceled" if canceled and job.started is not None else "")
    if last_error:
        fields["lastError"] = last_error
    if job.variables:
        fields["variables"] = dict(job.variables)
    fields["user"] = job.user
    return to_json(fields)


def _task(task: TaskView) -> dict[str, object]:
    errored = task.failed
    fields: dict[str, object] = {"name": task.name}
    if task.depends_on:
        fields["dependsOn"] = task.depends_on
    # A failure that is allowed has no state of its own in prunner: it is "done", and only the exit code tells.
    fields["status"] = "done" if task.state is State.ERROR and not errored else task.state.value
    fields["start"] = timestamp(task.started)
    fields["end"] = timestamp(task.ended)
    fields["skipped"] = task.state is State.SKIPPED
    fields["exitCode"] = task.exit_code
    fields["errored"] = errored
    if errored and task.reason:
        fields["error"] = task.reason
    return fields


def encode_pipelines(pipelines: Sequence[PipelineView]) -> bytes:
    """Return the JSON list of pipelines."""
    return to_json([{"pipeline": p.name, "schedulable": p.schedulable, "running": p.running} for p in pipelines])


def parse_job_id(text: str) -> JobId | None:
    """Return the usual form of a UUID, or None if this is none.

    Accepted, as by prunner: upper case, no dashes, braces around it, ``urn:uuid:`` in front.
    """
    lower = text.lower()
    if lower.startswith("urn:uuid:"):
        lower = lower[9:]
    elif lower.startswith("{") and lower.endswith("}"):
        lower = lower[1:-1]
    match = _UUID.fullmatch(lower)
    return JobId("-".join(match.group(1, 3, 4, 5, 6))) if match else None


_GO_ESCAPES = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    '"': '\\"',
    "\\": "\\\\",
}


def quote(text: str) -> str:
    """Return `text` between double quotes, as Go's ``%q`` shows it: what is printable stays as it is."""
    return '"' + "".join(map(_quote_character, text)) + '"'


def _quote_character(character: str) -> str:
    if escape := _GO_ESCAPES.get(character):
        return escape
    if character.isprintable():
        return character
    code = ord(character)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
