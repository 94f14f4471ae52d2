"""Commands that show jobs: jobs, show."""

import json
import time

from prunner_trio.cli.flags import Parsed
from prunner_trio.cli.moments import age, span
from prunner_trio.cli.paper import Paper
from prunner_trio.cli.remote import at_daemon
from prunner_trio.cli.rows import (
    audit_table,
    deed_fields,
    job_fields,
    job_table,
    tab_line,
    task_fields,
    task_table,
    took,
    why,
)
from prunner_trio.cli.status import STATES, colored, sign, word
from prunner_trio.cli.text import plain
from prunner_trio.cli.which import find_job, no_such_pipeline, pipeline_names
from prunner_trio.client import Daemon, Job, JobPage, call
from prunner_trio.client.requests import get_audit, list_jobs
from prunner_trio.client.shapes import Audit
from prunner_trio.model.reasons import in_words

__all__ = ["jobs", "show"]

_FILTERS = ("state", "user", "text", "since", "until", "cursor")


@at_daemon
def jobs(daemon: Daemon, parsed: Parsed, paper: Paper) -> int:
    """Show jobs, the newest first."""
    values = parsed.values
    pipeline = parsed.operands[0] if parsed.operands else ""
    filters = {name: values.text(name) for name in _FILTERS} | {
        "state": ",".join(STATES.get(state, state) for state in values.list("state"))
    }
    page: JobPage = call(daemon, list_jobs(int(values.text("limit")), pipeline=pipeline, **filters))
    found = page["jobs"]
    if pipeline and not found and pipeline not in (names := pipeline_names(daemon)):
        raise no_such_pipeline(pipeline, names)
    if values.switch("json"):
        paper.json(page)
    elif not paper.terminal:
        paper.lines(tab_line(job_fields(job)) for job in found)
    elif found:
        paper.lines(job_table(found, paper.width, time.time(), colors=paper.colors))
    else:
        paper.lines(["no jobs"])
    return 0


@at_daemon
def show(daemon: Daemon, parsed: Parsed, paper: Paper) -> int:
    """Show one job with its tasks."""
    job = find_job(daemon, parsed.operands[0])
    audit: Audit = call(daemon, get_audit(job["id"]))
    if parsed.values.switch("json"):
        paper.json({**job, "audit": audit["entries"]})
    elif paper.terminal:
        paper.lines(_facts(job, audit, paper))
        paper.lines(["", *task_table(job["tasks"], paper.width, time.time(), colors=paper.colors, job=job)])
        if len(audit["entries"]) > 1:
            paper.lines(["", *audit_table(audit["entries"], paper.width)])
    else:
        paper.lines([tab_line(("job", *job_fields(job)))])
        paper.lines(tab_line(("task", *task_fields(task))) for task in job["tasks"])
        paper.lines(tab_line(("audit", *deed_fields(deed))) for deed in audit["entries"])
    return 0


def _facts(job: Job, audit: Audit, paper: Paper) -> list[str]:
    now = time.time()
    state = colored(f"{sign(job['state'])} {word(job)}", job["state"], colors=paper.colors)
    retries = [deed["detail"] for deed in audit["entries"] if deed["action"] == "retried"]
    facts = [
        ("job", job["id"]),
        ("pipeline", plain(job["pipeline"])),
        ("state", state),
        ("reason", plain(in_words(why(job)))),
        ("user", plain(job["user"])),
        ("partition", plain(job["partition"])),
        ("variables", ", ".join(f"{plain(name)}={_value(value)}" for name, value in job["variables"].items())),
        ("created", f"{job['created']} ({age(job['created'], now)} ago)"),
        ("waited", span(job["waited"]) if job["waited"] is not None else ""),
        ("took", took(job, now) if job["started"] else ""),
        ("retry of", job.get("retry_of") or ""),
        ("retried by", ", ".join(retries)),
        ("attempt", str(job["attempt"]) if job["attempt"] > 1 else ""),
    ]
    return [f"{name:<12}{text}" for name, text in facts if text]


def _value(value: object) -> str:
    return plain(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
