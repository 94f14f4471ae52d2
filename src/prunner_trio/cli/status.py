"""How a job stands in a word, a sign and a color, and the exit status that its end stands for. Pure."""

from collections.abc import Iterable

from prunner_trio.client import Job, Kind, Task
from prunner_trio.model.reasons import state_in_words

__all__ = [
    "EXITS",
    "FINAL",
    "INTERRUPTED",
    "STATES",
    "TIMED_OUT",
    "colored",
    "count_states",
    "exit_status",
    "failed_status",
    "sign",
    "stopped_by",
    "word",
]

FINAL = frozenset({"done", "error", "canceled", "skipped"})
"""States that stay."""

TIMED_OUT = 124
INTERRUPTED = 130

FAILED, TIME_OVER, CANCELED = 10, 11, 12
_BY_OUTCOME = {"succeeded": 0, "failed": FAILED, "internal": FAILED, "timed_out": TIME_OVER}
_BY_KIND = {
    Kind.UNREACHABLE: 20,
    Kind.STRANGE: 20,
    Kind.UNAUTHORIZED: 21,
    Kind.NOT_FOUND: 22,
    Kind.FULL: 23,
    Kind.UNAVAILABLE: 24,
}

EXITS: tuple[tuple[int, str], ...] = (
    (0, "it worked; of a command that waits: the job succeeded"),
    (1, "anything else: a wrong command line, a request that the daemon does not want, an output that is gone"),
    (FAILED, "the job failed"),
    (TIME_OVER, "the job took longer than its pipeline's `timeout`"),
    (CANCELED, "the job was canceled: by a user, by a newer job in its place, by a stop or a crash of the daemon"),
    (20, "no daemon answers at the address, or it went away and did not come back within a minute"),
    (21, "there is no token, or the daemon refuses it"),
    (22, "there is no such job, task or pipeline, or more than one job begins like that"),
    (23, "the wait list is full, or the pipeline has none and all its slots are taken"),
    (24, "the daemon cannot do it now: it is about to end, cannot write its store, or has too many streams open"),
    (TIMED_OUT, "`wait --timeout` is over; the job goes on"),
    (INTERRUPTED, "Ctrl-C, SIGTERM or SIGHUP; the job goes on"),
)
"""What each exit status of the commands for a daemon means."""

STATES = {"succeeded": "done", "failed": "error"}
"""What people call states of jobs and tasks that programs know by another name."""

_SIGNS = {"waiting": "·", "running": "▶", "done": "✓", "error": "✗", "canceled": "■", "skipped": "↷"}
_COLORS = {"running": 36, "done": 32, "error": 31, "canceled": 33}


def exit_status(job: Job) -> int:
    """Return the exit status for the end of a job."""
    return _BY_OUTCOME.get(job["outcome"] or "", CANCELED)


def failed_status(kind: Kind) -> int:
    """Return the exit status for a request that was not fulfilled."""
    return _BY_KIND.get(kind, 1)


def word(job: Job) -> str:
    """Return the state of a job in a word, after its end how it ended."""
    return (job["outcome"] or job["state"]).replace("_", " ")


def stopped_by(job: Job | None) -> str:
    """Return who has told a job to stop; empty if nobody is known to have."""
    stop = job.get("stop") if job is not None else None
    return stop["by"] if stop else ""


def sign(state: str) -> str:
    """Return the sign of a state."""
    return _SIGNS.get(state, "?")


def colored(text: str, state: str, *, colors: bool) -> str:
    """Return text in the color of a state."""
    color = _COLORS.get(state)
    return f"\x1b[{color}m{text}\x1b[0m" if colors and color else text


def count_states(tasks: Iterable[Task]) -> dict[str, int]:
    """Return how many tasks are in each state, as people call it, in the order of a life."""
    counts = dict.fromkeys(map(state_in_words, _SIGNS), 0)
    for task in tasks:
        state = state_in_words(task["state"])
        counts[state] = counts.get(state, 0) + 1
    return {state: count for state, count in counts.items() if count}
