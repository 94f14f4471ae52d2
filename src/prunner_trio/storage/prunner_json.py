"""prunner's own file, ``data.json``: read once to take a user's history over, written to let a user go back. Pure."""

import json
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, TypeVar

import attrs

from prunner_trio.definition.pipeline import ON_ERROR, PipelineDef, TaskDef
from prunner_trio.errors import StoreError
from prunner_trio.execution.seams import SavedJob
from prunner_trio.model import JobId, JobView, State, StopReason, StopRequest, TaskView

__all__ = ["format_time", "parse_time", "read_prunner", "write_prunner"]

T = TypeVar("T")
Members = Mapping[str, Any]

SUCCESS = -1
"""prunner's exit code of a task that has succeeded."""

_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:[.,](\d+))?(Z|[+-]\d\d:\d\d)", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_KINDS: Mapping[type, str] = {str: "a text", bool: "true or false", list: "a list", dict: "an object"}
_STATES = {state.value: state for state in State}


# --------------------------------------------------------------------------------------------------------------- times


@lru_cache(maxsize=4096)
def parse_time(text: str) -> tuple[int, int]:
    """Return seconds since the epoch and nanoseconds of an RFC 3339 time.

    Raises:
        ValueError: the text is no such time.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not an RFC 3339 time")
    seconds, fraction, zone = match.groups()
    moment = datetime.fromisoformat(seconds + zone)
    return (moment - _EPOCH) // _SECOND, int((fraction or "0")[:9].ljust(9, "0"))


def format_time(seconds: float) -> str:
    """Return a wall time as Go does: RFC 3339 in UTC, nanoseconds, no zeros at the end."""
    whole = int(seconds // 1)
    nanoseconds = round((seconds - whole) * 1e9)  # the difference is exact, so nothing of the time is lost
    whole, nanoseconds = whole + nanoseconds // 10**9, nanoseconds % 10**9
    fraction = f".{nanoseconds:09}".rstrip("0") if nanoseconds else ""
    return f"{(_EPOCH + whole * _SECOND).replace(tzinfo=None).isoformat()}{fraction}Z"


def _seconds(time: tuple[int, int]) -> float:
    return time[0] + time[1] / 1e9


# ------------------------------------------------------------------------------------------------------------- reading


def read_prunner(data: bytes, *, now: float, source: str = "data.json") -> list[SavedJob]:
    """Return the jobs of a file, oldest first, numbered from 1; none of them is unfinished.

    prunner cancels at its start whatever had not ended, and so does this: waiting and running jobs come back as
    canceled (`interrupted`, at `now`) with all of their tasks that had not ended. Of two jobs with one id the later
    counts. Unknown members are ignored.

    Raises:
        StoreError: the file is broken; the message names `source` and what is wrong where.
    """
    try:
        jobs = list(_read_jobs(json.loads(data.decode(errors="replace"), parse_constant=_refuse_constant), now))
    except RecursionError:
        raise StoreError(f"cannot load {source}: it is nested too deeply") from None
    except ValueError as exc:
        raise StoreError(f"cannot load {source}: {exc}") from exc
    latest = {saved.job.id: (created, saved) for created, saved in jobs}
    ordered = [saved for _, saved in sorted(latest.values(), key=lambda pair: pair[0])]
    return [
        SavedJob(attrs.evolve(saved.job, number=number), saved.definition) for number, saved in enumerate(ordered, 1)
    ]


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _read_jobs(content: object, now: float) -> Iterator[tuple[tuple[int, int], SavedJob]]:
    known: dict[tuple[object, ...], PipelineDef] = {}
    jobs: list[object] = _plain(_members(content, "the file"), "Jobs", list, "the file", [])
    for index, item in enumerate(jobs):
        where = f"Jobs[{index}]"
        yield _read_job(_members(item, where), where, now, known)


def _read_job(
    item: Members, where: str, now: float, known: dict[tuple[object, ...], PipelineDef]
) -> tuple[tuple[int, int], SavedJob]:
    pipeline = _plain(item, "Pipeline", str, where, "")
    created = _get(item, "Created", _time, where, (0, 0))
    started = _get(item, "Start", _moment, where, None)
    ended = _get(item, "End", _moment, where, None)
    completed = _plain(item, "Completed", bool, where, False)
    canceled = _plain(item, "Canceled", bool, where, False)
    stop = None
    if not completed and (started is not None or not canceled):
        stop = StopRequest(StopReason.INTERRUPTED, now)
        ended = now
    elif completed and started is None:
        started = _seconds(created)  # a job that has completed must have started, whatever the file says
    definition, tasks = _read_tasks(item, where, pipeline, stop, known)
    failed = next((task for task in tasks if task.failed), None)
    state = State.CANCELED
    if completed and (failed is not None or not canceled):
        state = State.DONE if failed is None else State.ERROR
    job = JobView(
        id=_get(item, "ID", _job_id, where, JobId("")),
        number=0,
        pipeline=pipeline,
        state=state,
        tasks=tasks,
        created=_seconds(created),
        started=started,
        ended=ended,
        variables=_plain(item, "Variables", dict, where, {}),
        user=_plain(item, "User", str, where, ""),
        stop=stop,
        error=failed.reason if failed is not None else "",
    )
    if not job.id:
        raise ValueError(f"{where}: there is no ID")
    return created, SavedJob(job, definition)


def _read_tasks(
    item: Members, where: str, pipeline: str, stop: StopRequest | None, known: dict[tuple[object, ...], PipelineDef]
) -> tuple[PipelineDef, tuple[TaskView, ...]]:
    specs, views = [], []
    tasks: list[object] = _plain(item, "Tasks", list, where, [])
    for index, task in enumerate(tasks):
        place = f"{where}.Tasks[{index}]"
        spec, view = _read_task(_members(task, place), place, stop)
        specs.append(spec)
        views.append(view)
    key = (pipeline, *((spec.name, spec.script, spec.depends_on, spec.allow_failure) for spec in specs))
    if key not in known:
        handler = specs.pop() if specs and specs[-1].name == ON_ERROR and not specs[-1].depends_on else None
        known[key] = PipelineDef(pipeline, tuple(specs), on_error=handler)
    return known[key], tuple(views)


def _read_task(item: Members, where: str, stop: StopRequest | None) -> tuple[TaskDef, TaskView]:
    status = _plain(item, "Status", str, where, State.WAITING.value)
    state = _STATES.get(status)
    if state is None:
        raise ValueError(f"{where}: Status {status!r} is unknown")
    if _plain(item, "Errored", bool, where, False) and state is not State.CANCELED:
        state = State.ERROR
    elif _plain(item, "Skipped", bool, where, False):
        state = State.SKIPPED
    exit_code = _get(item, "ExitCode", _integer, where, 0)
    reason = _plain(item, "Error", str, where, "")
    if not state.final:  # a task behind a failure stays `waiting` for ever in prunner
        state = State.CANCELED
        reason = reason or (f"stopped: {stop.reason.value}" if stop else "")
    spec = TaskDef(
        name=_plain(item, "Name", str, where, ""),
        script=_get(item, "Script", _texts, where, ()),
        depends_on=_get(item, "DependsOn", _texts, where, ()),
        allow_failure=_plain(item, "AllowFailure", bool, where, False),
    )
    view = TaskView(
        spec.name,
        state,
        spec.depends_on,
        _get(item, "Start", _moment, where, None),
        _get(item, "End", _moment, where, None),
        0 if state is State.DONE and exit_code == SUCCESS else exit_code,
        reason,
        # prunner calls a failure that was allowed `done`; one that it calls an error was none.
        spec.allow_failure and state is not State.ERROR,
    )
    return spec, view


def _get(item: Members, key: str, convert: Callable[[Any], T], where: str, default: T) -> T:
    value = item.get(key)
    if value is None:  # as in Go, null is the same as nothing
        return default
    try:
        return convert(value)
    except (ValueError, OverflowError) as exc:
        raise ValueError(f"{where}: {key}: {exc}") from None


def _members(value: object, where: str) -> Members:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"{where} is not an object")
    return value


def _plain(item: Members, key: str, kind: type[T], where: str, default: T) -> T:
    """Return a member that needs no conversion; most are of this sort, and a history has a great many of them."""
    value = item.get(key)
    if type(value) is kind:  # a bool is no integer
        return value
    if value is None:
        return default
    raise ValueError(f"{where}: {key}: {json.dumps(value)[:40]} is not {_KINDS[kind]}")


def _integer(value: object) -> int:
    if type(value) is not int:
        raise ValueError(f"{json.dumps(value)[:40]} is not a whole number")
    if not -(2**63) <= value < 2**63:
        raise ValueError(f"{value} is out of range")
    return value


def _texts(value: object) -> tuple[str, ...]:
    if type(value) is not list:
        raise ValueError(f"{json.dumps(value)[:40]} is not a list")
    for item in value:
        if type(item) is not str:
            raise ValueError(f"{json.dumps(item)[:40]} is not a text")
    return tuple(value)


def _time(value: object) -> tuple[int, int]:
    return parse_time(str(value))


def _moment(value: object) -> float | None:
    return _seconds(_time(value))


def _job_id(value: object) -> JobId:
    try:
        return JobId(str(uuid.UUID(str(value))))
    except ValueError:
        raise ValueError(f"{json.dumps(value)[:60]} is not a UUID") from None


# ------------------------------------------------------------------------------------------------------------- writing


def write_prunner(jobs: Iterable[SavedJob]) -> Iterator[str]:
    """Yield the text of a file that prunner reads, a job at a time. Keys are left out where prunner does so."""
    yield '{"Jobs":['
    separator = ""
    for saved in jobs:
        yield separator + json.dumps(_job(saved), separators=(",", ":"), allow_nan=False)
        separator = ","
    yield "]}\n"


def _job(saved: SavedJob) -> dict[str, object]:
    job, definition = saved.job, saved.definition
    specs = {task.name: task for task in definition.tasks}
    if definition.on_error is not None:
        specs.setdefault(ON_ERROR, definition.on_error)
    return {
        "ID": job.id,
        "Pipeline": job.pipeline,
        # A job that was canceled before it began has not completed, in prunner's words.
        **_if("Completed", job.state.final and (job.started is not None or job.state is not State.CANCELED)),
        **_if("Canceled", job.state is State.CANCELED),
        "Created": format_time(job.created),
        **_times(job.started, job.ended if job.started is not None else None),
        "Tasks": [_task(task, specs.get(task.name) or TaskDef(task.name)) for task in job.tasks],
        **_if("Variables", dict(job.variables)),
        **_if("User", job.user),
    }


def _task(task: TaskView, spec: TaskDef) -> dict[str, object]:
    passed = task.state is State.ERROR and task.allow_failure
    succeeded = task.state is State.DONE and task.exit_code == 0
    return {
        "Name": task.name,
        "Script": list(spec.script),
        **_if("DependsOn", list(task.depends_on)),
        **_if("AllowFailure", task.allow_failure),
        "Status": State.DONE.value if passed else task.state.value,
        **_times(task.started, task.ended),
        **_if("Skipped", task.state is State.SKIPPED),
        **_if("ExitCode", SUCCESS if succeeded else task.exit_code),
        **_if("Errored", task.failed),
        **_if("Error", "" if passed else task.reason),
    }


def _times(started: float | None, ended: float | None) -> dict[str, object]:
    times = {"Start": started, "End": ended}
    return {key: format_time(time) for key, time in times.items() if time is not None}


def _if(key: str, value: object) -> dict[str, object]:
    return {key: value} if value else {}
