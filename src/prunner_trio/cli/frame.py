"""The picture that `watch` paints: a job, its tasks as a graph, the end of a log. Pure."""

from collections.abc import Sequence

from prunner_trio.cli.rows import SHORT_ID, needs_text, took, why
from prunner_trio.cli.status import FINAL, colored, count_states, sign, stopped_by, word
from prunner_trio.cli.text import fit, plain, shown_line, width_of
from prunner_trio.client import Job, Task
from prunner_trio.model.reasons import in_words

__all__ = ["FEWEST_LOG_LINES", "choice", "depths", "frame"]

FEWEST_LOG_LINES = 3
_AROUND = 5
"""Lines that are neither tasks nor log: head, progress, a blank, a rule, keys."""

_BAR = 24


def choice(job: Job) -> str:
    """Return the task that is most worth looking at: one that runs, has failed, or came last."""
    tasks = job["tasks"]
    for state in ("running", "error"):
        for task in tasks:
            if task["state"] == state:
                return task["name"]
    begun = [task for task in tasks if task["started"] is not None]
    latest = max(begun, key=lambda task: task["started"] or "", default=tasks[0] if tasks else None)
    return latest["name"] if latest else ""


def depths(tasks: Sequence[Task]) -> dict[str, int]:
    """Return for each task how many come one after the other before it; each stands behind those that it needs."""
    found: dict[str, int] = {}
    for task in tasks:
        found[task["name"]] = 1 + max((found.get(need, -1) for need in task["needs"]), default=-1)
    return found


def frame(
    job: Job,
    selected: str,
    log: Sequence[str],
    size: tuple[int, int],
    now: float,
    *,
    colors: bool,
    note: str = "",
) -> list[str]:
    """Return exactly as many lines as the terminal has, none wider than it.

    Args:
        log: the last lines of the selected task.
        size: columns and lines.
        note: what went wrong with the connection; empty if nothing.
    """
    width, height = size
    shown = max(1, min(len(job["tasks"]), height - _AROUND - FEWEST_LOG_LINES))
    tasks = _task_lines(job, selected, width, now, shown, colors=colors)
    room = max(0, height - _AROUND - len(tasks))
    lines = [_head(job, now, colors=colors), _progress(job), "", *tasks]
    title = f"── {plain(selected)} " if selected else ""
    lines.append(title + "─" * max(0, width - width_of(title)))
    tail = [shown_line(line, colors=colors).replace("\t", "    ") for line in log[-room:]] if room else []
    lines += tail + [""] * (room - len(tail))
    lines.append(plain(note) if note else "↑ ↓ task   q leave, the job goes on")
    fitted = [fit(line, width, pad=False) for line in lines]
    return [*fitted[: height - 1], fitted[-1]] if height > 1 else fitted[:height]


def _head(job: Job, now: float, *, colors: bool) -> str:
    state = colored(f"{sign(job['state'])} {word(job)}", job["state"], colors=colors)
    by = f"  by {plain(job['user'])}" if job["user"] else ""
    reason = f"  {plain(in_words(why(job)))}" if why(job) else ""
    return f"{plain(job['pipeline'])} {job['id'][:SHORT_ID]}  {state}  {took(job, now)}{by}{reason}"


def _progress(job: Job) -> str:
    tasks = job["tasks"]
    over = sum(task["state"] in FINAL for task in tasks)
    filled = _BAR * over // len(tasks) if tasks else _BAR
    counts = ", ".join(f"{count} {state}" for state, count in count_states(tasks).items())
    return f"{'█' * filled}{'░' * (_BAR - filled)} {over}/{len(tasks)}  {counts}"


def _task_lines(job: Job, selected: str, width: int, now: float, most: int, *, colors: bool) -> list[str]:
    tasks = job["tasks"]
    depth = depths(tasks)
    names = [f"{'  ' * depth[task['name']]}{sign(task['state'])} {plain(task['name'])}" for task in tasks]
    column = min(max(map(width_of, names), default=0), max(10, width // 2))
    place = next((index for index, task in enumerate(tasks) if task["name"] == selected), 0)
    first = max(0, min(place - most // 2, len(tasks) - most))
    lines = []
    for task, name in list(zip(tasks, names, strict=True))[first : first + most]:
        mark = "›" if task["name"] == selected else " "
        more = plain(in_words(task["reason"], stopped_by(job))) or needs_text(task)
        line = f"{mark} {fit(name, column)}  {took(task, now):>7}  {more}".rstrip()
        lines.append(colored(line, task["state"], colors=colors))
    return lines
