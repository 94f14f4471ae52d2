"""The critical path: the chain of tasks that decided how long a job took."""

from collections.abc import Sequence

from prunner_trio.model import TaskView

__all__ = ["critical_path"]


def critical_path(tasks: Sequence[TaskView], now: float) -> tuple[str, ...]:
    """Return the names along the path, the first to run first: each task has waited for the one before it.

    It ends at the task that ended last, where one that runs counts as if it ended now.
    """
    ran = {task.name: task for task in tasks if task.started is not None}

    def end(task: TaskView) -> tuple[float, float, str]:
        return now if task.ended is None else task.ended, task.started or 0.0, task.name

    path: list[str] = []
    task = max(ran.values(), key=end, default=None)
    while task is not None and task.name not in path:
        path.append(task.name)
        task = max((ran[need] for need in task.depends_on if need in ran), key=end, default=None)
    return tuple(reversed(path))
