"""The command that stops a job: cancel."""

import sys

from prunner_trio.cli.flags import Parsed
from prunner_trio.cli.paper import Paper
from prunner_trio.cli.remote import at_daemon
from prunner_trio.cli.rows import SHORT_ID
from prunner_trio.cli.status import word
from prunner_trio.cli.text import plain
from prunner_trio.cli.which import find_job
from prunner_trio.client import Daemon, Job, call
from prunner_trio.client.requests import cancel as cancel_request

__all__ = ["cancel"]

_AT_A_TIME = 60.0
"""Seconds for which one request waits for the end; then comes the next."""


@at_daemon
def cancel(daemon: Daemon, parsed: Parsed, paper: Paper) -> int:
    """Ask a job to stop; with --wait, until nothing of it is left."""
    job = find_job(daemon, parsed.operands[0])
    wait = _AT_A_TIME if parsed.values.switch("wait") else 0.0
    job = _asked(daemon, job["id"], wait)
    while wait and job["outcome"] is None:
        job = _asked(daemon, job["id"], wait)
    if parsed.values.switch("json"):
        paper.json(job)
        return 0
    print(f"{plain(job['pipeline'])} {job['id'][:SHORT_ID]} {_told(job)}", file=sys.stderr)
    return 0


def _asked(daemon: Daemon, job_id: str, wait: float) -> Job:
    job: Job = call(daemon, cancel_request(job_id, wait), patience=wait + 30.0)
    return job


def _told(job: Job) -> str:
    return "is being canceled" if job["outcome"] is None else word(job)
