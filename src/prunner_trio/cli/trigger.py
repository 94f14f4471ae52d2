"""The command that starts a job: trigger."""

from prunner_trio.cli.assigned import assigned_variables
from prunner_trio.cli.flags import Parsed, Values
from prunner_trio.cli.paper import Paper
from prunner_trio.cli.remote import at_daemon
from prunner_trio.cli.rows import SHORT_ID
from prunner_trio.cli.text import plain
from prunner_trio.cli.which import no_such_pipeline, pipeline_names
from prunner_trio.client import ClientError, Daemon, Job, call
from prunner_trio.client.requests import schedule

__all__ = ["trigger"]


@at_daemon
def trigger(daemon: Daemon, parsed: Parsed, paper: Paper) -> int:
    """Start a job, and follow it if that is wanted."""
    values = parsed.values
    job = _scheduled(daemon, parsed.operands[0], values)
    if values.switch("wait") or values.switch("follow") or values.switch("cancel-on-interrupt"):
        from prunner_trio.cli.following import Wish, follow

        wish = Wish(
            logs=values.switch("follow"),
            as_json=values.switch("json"),
            plain=values.switch("disable-ansi"),
            cancel_on_interrupt=values.switch("cancel-on-interrupt"),
        )
        if not (wish.as_json or wish.logs or paper.terminal):
            paper.lines([job["id"]])
        return follow(daemon, job, wish)
    if values.switch("json"):
        paper.json(job)
    elif paper.terminal:
        why = f": {plain(job['waiting']['text'])}" if job["waiting"] else ""
        paper.lines([f"{plain(job['pipeline'])} {job['id'][:SHORT_ID]} {job['state']}{why}"])
    else:
        paper.lines([job["id"]])
    return 0


def _scheduled(daemon: Daemon, pipeline: str, values: Values) -> Job:
    key = values.text("key")
    if not key:
        import secrets

        key = secrets.token_urlsafe(24)
    try:
        job: Job = call(daemon, schedule(pipeline, assigned_variables(values), values.text("partition"), key))
    except ClientError as exc:
        if exc.name == "invalid-content" and pipeline not in (names := pipeline_names(daemon)):
            raise no_such_pipeline(pipeline, names) from exc
        raise
    return job
