"""The command that does a job again: retry."""

from prunner_trio.cli.assigned import assigned_variables
from prunner_trio.cli.flags import Parsed
from prunner_trio.cli.paper import Paper
from prunner_trio.cli.remote import at_daemon
from prunner_trio.cli.started import key_of, tell_or_follow
from prunner_trio.cli.which import find_job
from prunner_trio.client import Daemon, Job, call
from prunner_trio.client.requests import retry as retry_request

__all__ = ["retry"]


@at_daemon
def retry(daemon: Daemon, parsed: Parsed, paper: Paper) -> int:
    """Do a job again as a new one, and follow that if it is wanted."""
    values = parsed.values
    old = find_job(daemon, parsed.operands[0])
    failed = values.switch("failed")
    job: Job = call(daemon, retry_request(old["id"], failed, assigned_variables(values), key_of(values)))
    return tell_or_follow(daemon, job, values, paper)
