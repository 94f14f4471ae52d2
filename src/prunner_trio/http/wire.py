"""The JSON of prunner's API: which members, in which order, and when they are left out.

prunner's clients are strict in places one would not expect. A member `error` in a job means "not found" to the PHP
client, a time with a fraction breaks it, and a missing `start` breaks the web page; so times that are not set are null.
"""

import re
import time
from collections.abc import Sequence
from functools import lru_cache

from prunner_trio.http.facts import json_bytes, json_text, to_json
from prunner_trio.model import JobId, JobView, PipelineView, State, TaskView

__all__ = ["encode_job", "encode_pipelines", "parse_job_id", "quote"]

_LONGEST_ID = len("urn:uuid:") + 36
_HEX = "[0-9a-f]"
_UUID = re.compile(rf"({_HEX}{{8}})(-?)({_HEX}{{4}})\2({_HEX}{{4}})\2({_HEX}{{4}})\2({_HEX}{{12}})", re.ASCII)


def encode_job(job: JobView) -> bytes:
    """Return the JSON of a job, without a newline.

    Clients poll running jobs, of which one task at a time has changed. So the texts of their tasks are kept, and all is
    put together by hand: a fifth of the time that an encoder takes for dictionaries.
    """
    if len(_kept) > _SPARE + 2 * len(job.tasks):
        _kept.clear()
    texts = map(_task if job.state.final else _kept_task, job.tasks)
    canceled = job.state is State.CANCELED
    completed = job.state.final and not (canceled and job.started is None)
    errored = job.state is State.ERROR or (job.state is State.RUNNING and any(task.failed for task in job.tasks))
    last_error = job.error or ("context canceled" if canceled and job.started is not None else "")
    more = f',"lastError":{json_text(last_error)}' if last_error else ""
    if job.variables:
        more += f',"variables":{json_text(dict(job.variables))}'
    return json_bytes(
        f'{{"id":"{job.id}","pipeline":{json_text(job.pipeline)},"tasks":[{",".join(texts)}],'
        f'"completed":{_bool(completed)},"canceled":{_bool(canceled)},"errored":{_bool(errored)},'
        f'"created":{_time(job.created)},"start":{_time(job.started)},'
        f'"end":{_time(None if job.started is None else job.ended)}{more},"user":{json_text(job.user)}}}'
    )


_kept: dict[int, tuple[TaskView, str]] = {}
_SPARE = 1024
"""How many texts are kept beside those of the job that somebody looks at, which change one by one."""


def _kept_task(task: TaskView) -> str:
    """Return the JSON of a task of a job that is not over.

    Found by identity, since to compare ten thousand tasks with those that are kept takes longer than to encode them.
    """
    kept = _kept.get(id(task))
    if kept is not None and kept[0] is task:
        return kept[1]
    text = _task(task)
    _kept[id(task)] = task, text
    return text


def _task(task: TaskView) -> str:
    errored = task.failed
    # A failure that is allowed has no state of its own in prunner: it is "done", and only the exit code tells.
    status = "done" if task.state is State.ERROR and not errored else task.state.value
    # An encoder is made for each list, but none for a string.
    needs = f',"dependsOn":[{",".join(map(json_text, task.depends_on))}]' if task.depends_on else ""
    error = f',"error":{json_text(task.reason)}' if errored and task.reason else ""
    return (
        f'{{"name":{json_text(task.name)}{needs},"status":"{status}","start":{_time(task.started)},'
        f'"end":{_time(task.ended)},"skipped":{_bool(task.state is State.SKIPPED)},"exitCode":{task.exit_code},'
        f'"errored":{_bool(errored)}{error}}}'
    )


def _time(seconds: float | None) -> str:
    """Return a point in time in RFC 3339 and UTC, cut (not rounded) to whole seconds."""
    return "null" if seconds is None else _whole(int(seconds // 1))


@lru_cache(maxsize=1024)
def _whole(seconds: int) -> str:
    return time.strftime('"%Y-%m-%dT%H:%M:%SZ"', time.gmtime(seconds))


def _bool(value: bool) -> str:
    return "true" if value else "false"


def encode_pipelines(pipelines: Sequence[PipelineView]) -> bytes:
    """Return the JSON list of pipelines."""
    return to_json([{"pipeline": p.name, "schedulable": p.schedulable, "running": p.running} for p in pipelines])


def parse_job_id(text: str) -> JobId | None:
    """Return the usual form of a UUID, or None if this is none.

    Accepted, as by prunner: upper case, no dashes, braces around it, ``urn:uuid:`` in front.
    """
    return _parsed_id(text) if len(text) <= _LONGEST_ID else None


@lru_cache(maxsize=1024)  # who polls asks for the same job again
def _parsed_id(text: str) -> JobId | None:
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
