"""The command that waits for the end of a job: wait."""

from prunner_trio.cli.flags import Parsed
from prunner_trio.cli.following import Wish, follow
from prunner_trio.cli.paper import Paper
from prunner_trio.cli.remote import at_daemon
from prunner_trio.cli.which import find_job
from prunner_trio.client import Daemon
from prunner_trio.definition.duration import parse_duration

__all__ = ["wait"]


@at_daemon
def wait(daemon: Daemon, parsed: Parsed, paper: Paper) -> int:
    """Wait until a job is over; the exit status tells how it ended."""
    values = parsed.values
    job = find_job(daemon, parsed.operands[0])
    timeout = parse_duration(values.text("timeout")) if values.text("timeout") else None
    wish = Wish(
        as_json=values.switch("json"),
        plain=values.switch("disable-ansi"),
        timeout=timeout,
        cancel_on_interrupt=values.switch("cancel-on-interrupt"),
    )
    return follow(daemon, job, wish)
