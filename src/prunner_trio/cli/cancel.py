"""The command that stops a job, or one task of it: cancel."""

import sys

from prunner_trio.cli.flags import Parsed
from prunner_trio.cli.paper import Paper
from prunner_trio.cli.remote import at_daemon
from prunner_trio.cli.rows import SHORT_ID
from prunner_trio.cli.status import FINAL, word
from prunner_trio.cli.text import plain
from prunner_trio.cli.which import find_job, find_task
from prunner_trio.client import Daemon, Job, call
from prunner_trio.client.requests import cancel as cancel_request
from prunner_trio.client.requests import cancel_task, events, get_job
from prunner_trio.model.reasons import state_in_words

__all__ = ["cancel"]

_AT_A_TIME = 60.0
"""Seconds for which one request waits for the end; then comes the next."""


@at_daemon
def cancel(daemon: Daemon, parsed: Parsed, paper: Paper) -> int:
    """Ask a job to stop; with --wait, until nothing of it is left."""
    job = find_job(daemon, parsed.operands[0], running=True)
    if name := parsed.values.text("task"):
        return _cancel_task(daemon, job, find_task(job, name), parsed, paper)
    wait = _AT_A_TIME if parsed.values.switch("wait") else 0.0
    job = _asked(daemon, job["id"], wait)
    while wait and job["outcome"] is None:
        job = _asked(daemon, job["id"], wait)
    if parsed.values.switch("json"):
        paper.json(job)
        return 0
    print(f"{plain(job['pipeline'])} {job['id'][:SHORT_ID]} {_told(job)}", file=sys.stderr)
    return 0


def _cancel_task(daemon: Daemon, job: Job, name: str, parsed: Parsed, paper: Paper) -> int:
    """Ask one task to stop; with --wait, until it is over."""
    job = call(daemon, cancel_task(job["id"], name))
    if parsed.values.switch("wait"):
        job = _until_over(daemon, job, name)
    if parsed.values.switch("json"):
        paper.json(job)
        return 0
    state = next(task["state"] for task in job["tasks"] if task["name"] == name)
    told = "is being canceled" if state not in FINAL else state_in_words(state)
    print(f"{plain(job['pipeline'])} {job['id'][:SHORT_ID]} {plain(name)} {told}", file=sys.stderr)
    return 0


def _until_over(daemon: Daemon, job: Job, name: str) -> Job:
    import trio

    from prunner_trio.client.live import ask, follow_events

    async def over() -> Job:
        latest = job

        async def heard(_: object) -> bool:
            nonlocal latest
            latest = await ask(daemon, get_job(job["id"]))
            return any(task["name"] == name and task["state"] in FINAL for task in latest["tasks"])

        async def note(text: str) -> None:
            print(text, file=sys.stderr)

        await follow_events(daemon, events(job["id"]), heard, note)
        return latest

    found: Job = trio.run(over, strict_exception_groups=True)
    return found


def _asked(daemon: Daemon, job_id: str, wait: float) -> Job:
    job: Job = call(daemon, cancel_request(job_id, wait), patience=wait + 30.0)
    return job


def _told(job: Job) -> str:
    return "is being canceled" if job["outcome"] is None else word(job)
