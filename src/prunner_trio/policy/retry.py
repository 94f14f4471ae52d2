"""What a retry takes over of a job that is over."""

from collections.abc import Iterator

import attrs

from prunner_trio.definition.pipeline import ON_ERROR, PipelineDef
from prunner_trio.errors import NothingToRetry, TasksChanged
from prunner_trio.model import JobView, State, TaskView

__all__ = ["kept_tasks"]


def kept_tasks(job: JobView, pipeline: PipelineDef) -> tuple[TaskView, ...]:
    """Return the tasks of a retry that need not run again, in the order of the definition.

    These are the tasks that are done, and whose needs are all kept as well. A failure that was allowed is no success:
    such a task runs again, and so do those that need it. The scripts may be others than those that ran.

    Args:
        pipeline: the current definition.

    Raises:
        TasksChanged: it has other tasks, or they need others.
        NothingToRetry: all tasks are done.
    """
    before = {task.name: task for task in job.tasks if task.name != ON_ERROR}
    if changes := list(_changes(before, pipeline)):
        raise TasksChanged(job.id, pipeline.name, changes)
    kept: dict[str, TaskView] = {}
    for spec in pipeline.tasks:  # in topological order
        task = before[spec.name]
        if task.state is State.DONE and all(need in kept for need in spec.depends_on):
            kept[spec.name] = attrs.evolve(task, allow_failure=spec.allow_failure, from_job=task.from_job or job.id)
    if len(kept) == len(pipeline.tasks):
        raise NothingToRetry(job.id)
    return tuple(kept.values())


def _changes(before: dict[str, TaskView], pipeline: PipelineDef) -> Iterator[str]:
    now = {spec.name: spec for spec in pipeline.tasks}
    for name in sorted(before.keys() - now.keys()):
        yield f"task {name!r} is gone"
    for name, spec in now.items():
        if name not in before:
            yield f"task {name!r} is new"
        elif sorted(before[name].depends_on) != sorted(spec.depends_on):
            yield f"task {name!r} needs other tasks"
