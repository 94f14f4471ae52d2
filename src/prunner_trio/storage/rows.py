"""Between values of the runner and rows of the store: cattrs reads definitions, all else (the hot paths) is by hand.

Only a start with jobs of an earlier daemon reads a definition, so cattrs, a twentieth of what the others import, is
imported then.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import attrs

from prunner_trio.definition.pipeline import PipelineDef
from prunner_trio.errors import StoreError
from prunner_trio.execution.seams import Change, JobAdded, JobChanged, TaskChanged
from prunner_trio.model import (
    Action,
    AuditEntry,
    JobId,
    JobView,
    Pause,
    PipelineRecord,
    State,
    StopReason,
    StopRequest,
    TaskView,
)

if TYPE_CHECKING:
    from cattrs import Converter

__all__ = [
    "INSERT_JOB",
    "JOB_COLUMNS",
    "PIPELINE_COLUMNS",
    "REPLACE_PIPELINE",
    "REPLACE_TASK",
    "TASK_COLUMNS",
    "UPDATE_JOB",
    "all_tasks",
    "audit_from_text",
    "consequences",
    "definition_from_text",
    "definition_to_text",
    "job_from_row",
    "job_parameters",
    "pipeline_parameters",
    "record_from_row",
    "task_from_row",
    "task_parameters",
    "update_parameters",
]

Row = tuple[Any, ...]

INSERT_JOB = """INSERT INTO job (number, id, pipeline, definition, state, created, started, ended, not_before,
    stop_reason, stop_at, stop_by, user, partition, error, variables, attempt, handed_over, retry_of, moved_to, audit)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""

UPDATE_JOB = """UPDATE job SET state = ?, started = ?, ended = ?, not_before = ?, stop_reason = ?, stop_at = ?,
    stop_by = ?, error = ?, attempt = ?, handed_over = ?, moved_to = ?, audit = ? WHERE id = ?"""

# A job that is not there, because it could not be saved or has been removed, has no tasks: nothing is written.
REPLACE_TASK = """REPLACE INTO task (job, position, name, state, depends_on, started, ended, exit_code, reason,
    allow_failure, from_job, stop_at, stop_by)
    SELECT number, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM job WHERE id = ?"""

REPLACE_PIPELINE = "REPLACE INTO pipeline (name, paused_at, paused_by, audit) VALUES (?, ?, ?, ?)"

JOB_COLUMNS = """number, id, pipeline, definition, state, created, started, ended, not_before, stop_reason, stop_at,
    stop_by, user, partition, error, variables, attempt, handed_over, retry_of, moved_to, audit"""

TASK_COLUMNS = """job, position, name, state, depends_on, started, ended, exit_code, reason, allow_failure, from_job,
    stop_at, stop_by"""

PIPELINE_COLUMNS = "name, paused_at, paused_by, audit"

_STATES = {state.value: state for state in State}
_ACTIONS = {action.value: action for action in Action}
_STOP_REASONS = {reason.value: reason for reason in StopReason}


def definition_to_text(definition: PipelineDef) -> tuple[str, str]:
    """Return the content hash and the JSON text of a definition; equal definitions give equal texts."""
    text = json.dumps(definition, default=_members, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest(), text


def _members(value: Any) -> dict[str, Any]:
    """Return a value of ours, or a mapping that is no dict, as JSON has it."""
    return attrs.asdict(value, recurse=False) if attrs.has(type(value)) else dict(value)


@cache
def _converter() -> "Converter":
    import cattrs

    return cattrs.Converter()


def definition_from_text(text: str) -> PipelineDef:
    """Return a stored definition. Keys that a newer program has added are ignored on purpose.

    Raises:
        StoreError: the text is not a definition.
    """
    try:
        return _converter().structure(json.loads(text), PipelineDef)
    except (ValueError, TypeError, KeyError, ExceptionGroup) as exc:  # the last is what cattrs raises
        raise StoreError(f"the store holds a definition that cannot be read: {exc}") from exc


def job_parameters(job: JobView, definition: int) -> Row:
    """Return the row of a new job for `INSERT_JOB`.

    Raises:
        ValueError, TypeError, RecursionError: the variables are no JSON data.
    """
    reason, at, by = _stop(job)
    variables = json.dumps(dict(job.variables), allow_nan=False, separators=(",", ":")) if job.variables else None
    return (
        job.number,
        job.id,
        job.pipeline,
        definition,
        job.state.value,
        job.created,
        job.started,
        job.ended,
        job.not_before,
        reason,
        at,
        by,
        _clean(job.user),
        _clean(job.partition),
        _clean(job.error),
        variables,
        job.attempt,
        job.handed_over,
        job.retry_of,
        job.moved_to,
        _audit_to_text(job.audit),
    )


def update_parameters(job: JobView) -> Row:
    """Return what can change in a job's own row, for `UPDATE_JOB`."""
    return (
        job.state.value,
        job.started,
        job.ended,
        job.not_before,
        *_stop(job),
        _clean(job.error),
        job.attempt,
        job.handed_over,
        job.moved_to,
        _audit_to_text(job.audit),
        job.id,
    )


def task_parameters(job_id: JobId, position: int, task: TaskView) -> Row:
    """Return the row of a task for `REPLACE_TASK`."""
    return (
        position,
        task.name,
        task.state.value,
        json.dumps(task.depends_on) if task.depends_on else None,
        task.started,
        task.ended,
        task.exit_code,
        _clean(task.reason),
        task.allow_failure,
        task.from_job,
        task.stop.at if task.stop is not None else None,
        _clean(task.stop.by) if task.stop is not None else None,
        job_id,
    )


def pipeline_parameters(record: PipelineRecord) -> Row:
    """Return the row of what is remembered of a pipeline, for `REPLACE_PIPELINE`."""
    pause = record.pause
    paused = (pause.at, _clean(pause.by)) if pause is not None else (None, None)
    return (_clean(record.name), *paused, _audit_to_text(record.audit))


def job_from_row(row: Row, definition: PipelineDef, touched: Mapping[int, TaskView]) -> JobView:
    """Return the job of a row with `JOB_COLUMNS`; `touched` are its saved tasks by position.

    Raises:
        StoreError: the row holds a state, a stop reason or a deed that this program does not know.
    """
    (number, job_id, pipeline, _, state, created, started, ended, not_before, reason, at, by, *rest) = row
    user, part, error, data, attempt, handed_over, retry_of, moved_to, audit = rest
    try:
        known = _STATES[state]
        stop = StopRequest(_STOP_REASONS[reason], at, by) if reason is not None else None
    except KeyError as exc:
        raise StoreError(
            f"job {job_id} (number {number}) in the store has an unknown state or stop reason {exc}"
        ) from None
    return JobView(
        JobId(job_id),
        number,
        pipeline,
        known,
        all_tasks(definition, touched, known, stop),
        created,
        started,
        ended,
        not_before,
        json.loads(data) if data else {},
        user,
        part,
        stop,
        error,
        attempt,
        bool(handed_over),
        JobId(retry_of) if retry_of is not None else None,
        moved_to,
        audit_from_text(audit),
    )


def task_from_row(row: Row) -> TaskView:
    """Return the task of a row with `TASK_COLUMNS`.

    Raises:
        StoreError: the row holds a state that this program does not know.
    """
    job, position, name, state, depends_on, started, ended, exit_code, reason, allow_failure, *rest = row
    from_job, stop_at, stop_by = rest
    known = _STATES.get(state)
    if known is None:
        raise StoreError(
            f"task {name!r} of job number {job} (position {position}) in the store has an unknown state {state!r}"
        )
    needs = _names(depends_on) if depends_on else ()
    return TaskView(
        name,
        known,
        needs,
        started,
        ended,
        exit_code,
        reason,
        bool(allow_failure),
        stop=StopRequest(StopReason.USER, stop_at, stop_by or "") if stop_at is not None else None,
        from_job=JobId(from_job) if from_job is not None else None,
    )


def record_from_row(row: Row) -> PipelineRecord:
    """Return what is remembered of a pipeline, of a row with `PIPELINE_COLUMNS`.

    Raises:
        StoreError: the row holds a deed that this program does not know.
    """
    name, paused_at, paused_by, audit = row
    return PipelineRecord(
        name, Pause(paused_at, paused_by or "") if paused_at is not None else None, audit_from_text(audit)
    )


def audit_from_text(text: str | None) -> tuple[AuditEntry, ...]:
    """Return a stored audit.

    Raises:
        StoreError: it holds a deed that this program does not know.
        ValueError, TypeError: it is no audit.
    """
    if text is None:
        return ()
    try:
        return tuple(AuditEntry(at, _ACTIONS[action], by, detail) for at, action, by, detail in json.loads(text))
    except KeyError as exc:
        raise StoreError(f"the audit of a job or a pipeline in the store has an unknown deed {exc}") from None


def all_tasks(
    definition: PipelineDef, saved: Mapping[int, TaskView], state: State, stop: StopRequest | None
) -> tuple[TaskView, ...]:
    """Return the tasks of a job by position: the saved ones, the others as the definition says.

    A task that was never touched is `waiting`; in a job that has ended it is `canceled`, as nothing can follow.
    """
    if not saved and state is State.WAITING:
        return definition.waiting_tasks
    if all(position in saved for position in range(len(definition.tasks))):
        return tuple(task for _, task in sorted(saved.items()))
    rest, reason = State.WAITING, ""
    if state.final:
        rest, reason = State.CANCELED, f"stopped: {stop.reason.value}" if stop else ""
    untouched = {
        position: TaskView(task.name, rest, depends_on=task.depends_on, reason=reason, allow_failure=task.allow_failure)
        for position, task in enumerate(definition.tasks)
        if position not in saved
    }
    return tuple(task for _, task in sorted((untouched | dict(saved)).items()))


def consequences(change: JobAdded) -> Iterator[Change]:
    """Yield the changes that come along with a new job: its touched tasks, and the jobs whose places it takes."""
    for job in (change.job, *change.evicted):
        if job is not change.job:
            yield JobChanged(job)
        for position, task in enumerate(job.tasks):
            if task.state is not State.WAITING or task.stop is not None:
                yield TaskChanged(job.id, position, task)


def _stop(job: JobView) -> tuple[str | None, float | None, str | None]:
    stop = job.stop
    return (stop.reason.value, stop.at, _clean(stop.by)) if stop is not None else (None, None, None)


def _audit_to_text(audit: tuple[AuditEntry, ...]) -> str | None:
    """Return an audit as JSON; None if there is none, as in most jobs."""
    if not audit:
        return None
    rows = [[entry.at, entry.action.value, _clean(entry.by), _clean(entry.detail)] for entry in audit]
    return json.dumps(rows, separators=(",", ":"))


def _clean(text: str) -> str:
    """Replace what UTF-8 cannot hold: file names in messages may bring lone surrogates along."""
    return text if text.isascii() else text.encode(errors="replace").decode()


@lru_cache(maxsize=1024)
def _names(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))
