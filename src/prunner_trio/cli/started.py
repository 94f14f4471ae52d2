"""What a command does with a job that it has just started: tells of it, waits for it, or follows it."""

from prunner_trio.cli.flags import Values
from prunner_trio.cli.paper import Paper
from prunner_trio.cli.rows import SHORT_ID
from prunner_trio.cli.text import plain
from prunner_trio.client import Daemon, Job

__all__ = ["key_of", "tell_or_follow"]


def key_of(values: Values) -> str:
    """Return the idempotency key that was given, or a random one."""
    if key := values.text("key"):
        return key
    import secrets

    return secrets.token_urlsafe(24)


def tell_or_follow(daemon: Daemon, job: Job, values: Values, paper: Paper) -> int:
    """Show the id of a new job or, if that is wanted, follow it; return the exit status."""
    if values.switch("wait") or values.switch("follow") or values.switch("cancel-on-interrupt"):
        from prunner_trio.cli.following import Wish, follow

        wish = Wish(
            logs=values.switch("follow"),
            taken_over=False,
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
