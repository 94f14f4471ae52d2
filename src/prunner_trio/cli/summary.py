"""What is said at the end of a job: how many, the slowest, the last words of each failure. Pure."""

from collections.abc import Mapping, Sequence

from prunner_trio.cli.moments import span
from prunner_trio.cli.rows import SHORT_ID
from prunner_trio.cli.status import count_states, word
from prunner_trio.cli.text import plain, shown_line
from prunner_trio.client import Job, Task
from prunner_trio.model.reasons import in_words

__all__ = ["TAIL_LINES", "failed_tasks", "summary"]

TAIL_LINES = 5
"""Lines of a failed task that are shown."""


def failed_tasks(job: Job) -> list[Task]:
    """Return the tasks that have failed, the first one first; those that may fail are not among them."""
    failed = [task for task in job["tasks"] if task["state"] == "error" and not task["allow_failure"]]
    return sorted(failed, key=lambda task: task["ended"] or "")


def summary(job: Job, tails: Mapping[str, Sequence[str]], *, colors: bool, told: bool = False) -> list[str]:
    """Return the lines for the end of a job.

    Args:
        tails: the last lines of failed tasks, by name.
        told: the end of each task was told already, so only these lines are left to show.
    """
    lines = []
    for task in failed_tasks(job):
        tail = [f"  | {shown_line(line, colors=colors)}" for line in tails.get(task["name"], ())[-TAIL_LINES:]]
        if not told:
            reason = f": {plain(in_words(task['reason']))}" if task["reason"] else ""
            code = f" (exit status {task['exit_code']})" if task["exit_code"] is not None else ""
            lines.append(f"{plain(task['name'])} failed{reason or code}")
        elif tail:
            lines.append(f"the end of what {plain(task['name'])} wrote:")
        lines += tail
    counts = ", ".join(f"{count} {state}" for state, count in count_states(job["tasks"]).items())
    took = f" after {span(job['duration'])}" if job["duration"] is not None else ""
    reason = f": {plain(in_words(job['reason']))}" if job["reason"] and not failed_tasks(job) else ""
    lines.append(f"{plain(job['pipeline'])} {job['id'][:SHORT_ID]} {word(job)}{took}{reason}")
    lines.append(f"tasks: {counts}{_slowest(job)}")
    return lines


def _slowest(job: Job) -> str:
    timed = [task for task in job["tasks"] if task["duration"] is not None]
    if len(timed) < 2:
        return ""
    slowest = max(timed, key=lambda task: task["duration"] or 0.0)
    return f"; slowest: {plain(slowest['name'])} {span(slowest['duration'])}"
