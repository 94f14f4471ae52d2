"""Tables for a terminal and plain lines for programs. Pure."""

from collections.abc import Sequence

from prunner_trio.cli.moments import age, span
from prunner_trio.cli.status import colored, sign, stopped_by, word
from prunner_trio.cli.text import fit, plain, width_of
from prunner_trio.client import Job, Occurrence, Pipeline, Task
from prunner_trio.client.shapes import Deed, QueuedJob
from prunner_trio.model.reasons import in_words, state_in_words

__all__ = [
    "SHORT_ID",
    "audit_table",
    "deed_fields",
    "event_line",
    "job_fields",
    "job_table",
    "needs_text",
    "pipeline_fields",
    "pipeline_table",
    "queue_table",
    "queued_fields",
    "tab_line",
    "table",
    "task_fields",
    "task_note",
    "task_table",
    "took",
    "why",
]

SHORT_ID = 8
"""Letters of an id that are shown; the program takes as few as four, if no other job begins like that."""

_GAP = "  "
_NARROWEST = 8


def tab_line(fields: Sequence[object]) -> str:
    """Return a line for programs: texts with tabs between, nothing for None."""
    return "\t".join("" if field is None else plain(str(field)) for field in fields)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], width: int, *, kept: int = 0) -> list[str]:
    """Return lines that are at most `width` columns wide: the last column is cut, then the widest ones.

    The first `kept` columns are cut only when nothing is left of the others.
    """
    widths = [max(width_of(row[index]) for row in (heads, *rows)) for index in range(len(heads))]
    over = sum(widths) + len(_GAP) * (len(widths) - 1) - width
    while over > 0:
        index = len(widths) - 1 if widths[-1] > _NARROWEST else _widest(widths, kept)
        if widths[index] <= 1:
            break
        cut = min(over, max(1, widths[index] - _NARROWEST))
        widths[index] -= cut
        over -= cut
    return [
        _GAP.join(fit(cell, size) for cell, size in zip(row, widths, strict=True)).rstrip() for row in (heads, *rows)
    ]


def _widest(widths: Sequence[int], kept: int) -> int:
    return max(range(len(widths)), key=lambda index: (index >= kept and widths[index] > 1, widths[index]))


def job_table(jobs: Sequence[Job], width: int, now: float, *, colors: bool) -> list[str]:
    """Return jobs as a table."""
    rows = [
        (
            job["id"][:SHORT_ID],
            plain(job["pipeline"]),
            f"{sign(job['state'])} {word(job)}",
            plain(job["user"]) or "-",
            age(job["created"], now),
            took(job, now),
            plain(in_words(why(job))),
        )
        for job in jobs
    ]
    lines = table(("JOB", "PIPELINE", "STATE", "USER", "AGE", "TOOK", ""), rows, width, kept=1)
    return _in_colors(lines, [job["state"] for job in jobs], colors=colors)


def job_fields(job: Job) -> tuple[object, ...]:
    """Return the fields of a job for a line: id, pipeline, state, outcome, user, created, seconds, reason."""
    return (
        job["id"],
        job["pipeline"],
        job["state"],
        job["outcome"],
        job["user"],
        job["created"],
        job["duration"],
        why(job),
    )


def needs_text(task: Task) -> str:
    """Return what a task waits for, as an arrow and names."""
    return f"← {', '.join(map(plain, task['needs']))}" if task["needs"] else ""


def task_table(tasks: Sequence[Task], width: int, now: float, *, colors: bool, job: Job | None = None) -> list[str]:
    """Return tasks as a table.

    Args:
        job: theirs; it names who has canceled them.
    """
    rows = [
        (
            f"{sign(task['state'])} {plain(task['name'])}",
            state_in_words(task["state"]),
            took(task, now),
            "" if task["exit_code"] is None else str(task["exit_code"]),
            plain(in_words(task["reason"], stopped_by(job))) or _run_by(task) or needs_text(task),
        )
        for task in tasks
    ]
    lines = table(("TASK", "STATE", "TOOK", "EXIT", ""), rows, width)
    return _in_colors(lines, [task["state"] for task in tasks], colors=colors)


def _run_by(task: Task) -> str:
    other = task.get("from_job")
    return f"run by job {other[:SHORT_ID]}" if other else ""


def took(one: Job | Task, now: float) -> str:
    """Return how long a job or a task took, or has taken by now."""
    return age(one["started"], now) if one["started"] and not one["ended"] else span(one["duration"])


def why(job: Job) -> str:
    """Return why a job waits, or else why it is as it is; empty if there is nothing to say."""
    return job["waiting"]["text"] if job["waiting"] else job["reason"]


def task_fields(task: Task) -> tuple[object, ...]:
    """Return the fields of a task for a line: name, state, exit code, seconds, reason."""
    return (task["name"], task["state"], task["exit_code"], task["duration"], task["reason"])


def task_note(task: Task, job: Job | None = None) -> str:
    """Return the end of a task as a sentence.

    Args:
        job: that of the task; it names who has canceled it.
    """
    after = f" after {span(task['duration'])}" if task["duration"] is not None else ""
    code = f"exit status {task['exit_code']}" if task["exit_code"] else ""
    reason = plain(in_words(task["reason"], stopped_by(job))) or code
    return f"{plain(task['name'])} {state_in_words(task['state'])}{after}{f': {reason}' if reason else ''}"


def queue_table(jobs: Sequence[QueuedJob], width: int, now: float) -> list[str]:
    """Return jobs that wait as a table."""
    rows = [
        (
            job["id"][:SHORT_ID],
            plain(job["pipeline"]),
            plain(job["user"]) or "-",
            age(job["created"], now),
            plain(job["waiting"]["text"]),
        )
        for job in jobs
    ]
    return table(("JOB", "PIPELINE", "USER", "WAITS", "FOR"), rows, width, kept=1)


def queued_fields(job: QueuedJob) -> tuple[object, ...]:
    """Return the fields of a job that waits for a line: id, pipeline, position, reason, user, created, text."""
    waiting = job["waiting"]
    return (
        job["id"],
        job["pipeline"],
        waiting["position"],
        waiting["reason"],
        job["user"],
        job["created"],
        waiting["text"],
    )


def audit_table(deeds: Sequence[Deed], width: int) -> list[str]:
    """Return an audit as a table."""
    rows = [(deed["at"], _deed(deed), plain(deed["by"]) or "-", plain(deed["detail"])) for deed in deeds]
    return table(("WHEN", "ACTION", "BY", ""), rows, width)


def deed_fields(deed: Deed) -> tuple[object, ...]:
    """Return the fields of an entry of an audit for a line: time, action, user, detail."""
    return (deed["at"], deed["action"], deed["by"], deed["detail"])


def _deed(deed: Deed) -> str:
    return plain(deed["action"]).replace("_", " ")


def pipeline_table(pipelines: Sequence[Pipeline], width: int, now: float, *, colors: bool) -> list[str]:
    """Return pipelines as a table, with a sign for each of their latest ends, the newest at the right."""
    rows = [
        (
            plain(pipeline["name"]),
            "paused" if pipeline.get("paused") else f"{pipeline['running']}/{pipeline['concurrency']}",
            str(pipeline["waiting"]),
            "".join(sign(end["state"]) for end in pipeline["ends"][-10:]) or "-",
            span(pipeline["last"]["duration"]) if pipeline["last"] else "-",
            f"{age(pipeline['last']['ended'], now)} ago" if pipeline["last"] else "-",
        )
        for pipeline in pipelines
    ]
    lines = table(("PIPELINE", "RUNNING", "WAITING", "RESULTS", "TOOK", "ENDED"), rows, width)
    states = [pipeline["last"]["state"] if pipeline["last"] else "" for pipeline in pipelines]
    return _in_colors(lines, states, colors=colors)


def _in_colors(lines: Sequence[str], states: Sequence[str], *, colors: bool) -> list[str]:
    """Return the lines of a table, each but its head in the color of a state."""
    head, *rows = lines
    return [head, *(colored(row, state, colors=colors) for row, state in zip(rows, states, strict=True))]


def pipeline_fields(pipeline: Pipeline) -> tuple[object, ...]:
    """Return the fields of a pipeline for a line: name, running, slots, waiting, last outcome, its seconds and end.

    For slots stands ``paused`` while it starts none.
    """
    last = pipeline["last"]
    end = (last["outcome"], last["duration"], last["ended"]) if last else (None, None, None)
    slots = "paused" if pipeline.get("paused") else pipeline["concurrency"]
    return (pipeline["name"], pipeline["running"], slots, pipeline["waiting"], *end)


def event_line(event: Occurrence, *, terminal: bool) -> str:
    """Return a change as a line."""
    if not terminal:
        fields = (event["at"], event["job"], event["pipeline"], event["task"], event["state"], event["reason"])
        return tab_line(fields)
    what = plain(event["pipeline"]) + (f"/{plain(event['task'])}" if event["task"] is not None else "")
    reason = f": {plain(in_words(event['reason']))}" if event["reason"] else ""
    who = (event["job"] or "-")[:SHORT_ID]
    return f"{event['at'][11:23]} {who} {sign(event['state'])} {what} {state_in_words(event['state'])}{reason}"
