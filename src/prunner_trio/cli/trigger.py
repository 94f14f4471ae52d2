"""The command that starts a job: trigger."""

from prunner_trio.cli.assigned import assigned_variables
from prunner_trio.cli.flags import Parsed, Values
from prunner_trio.cli.paper import Paper
from prunner_trio.cli.remote import at_daemon
from prunner_trio.cli.started import key_of, tell_or_follow
from prunner_trio.cli.which import no_such_pipeline, pipeline_names
from prunner_trio.client import ClientError, Daemon, Job, call
from prunner_trio.client.requests import schedule

__all__ = ["trigger"]


@at_daemon
def trigger(daemon: Daemon, parsed: Parsed, paper: Paper) -> int:
    """Start a job, and follow it if that is wanted."""
    return tell_or_follow(daemon, _scheduled(daemon, parsed.operands[0], parsed.values), parsed.values, paper)


def _scheduled(daemon: Daemon, pipeline: str, values: Values) -> Job:
    asked = schedule(pipeline, assigned_variables(values), values.text("partition"), key_of(values))
    try:
        job: Job = call(daemon, asked)
    except ClientError as exc:
        if exc.name == "invalid-content" and pipeline not in (names := pipeline_names(daemon)):
            raise no_such_pipeline(pipeline, names) from exc
        raise
    return job
