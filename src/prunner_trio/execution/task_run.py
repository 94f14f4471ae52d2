"""A task of a live job, and the tasks that a job has."""

from collections.abc import Mapping

import attrs
import trio

from prunner_trio.definition.pipeline import TaskDef
from prunner_trio.execution.seams import NO_USAGE, Proc, Remaining, SavedJob, Usage
from prunner_trio.model import TaskView

__all__ = ["TaskRun", "task_runs"]


@attrs.define(eq=False)
class TaskRun:
    """A task of a live job; owned by its `JobRun`.

    Attributes:
        remains: what an earlier daemon launched of it and nobody has seen off yet.
        proc: its processes, while somebody waits for their end.
        left: whether these are the next daemon's from now on; else they end under this one in any case.
        ended_at: when its leader ended, if that was before anybody looked.
    """

    spec: TaskDef
    position: int
    view: TaskView
    deps: "tuple[TaskRun, ...]" = ()
    remains: Remaining | None = None
    proc: Proc | None = None
    left: bool = False
    ended_at: float | None = None
    settled: trio.Event = attrs.field(factory=trio.Event)
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    usage: Usage = NO_USAGE

    def closed(self, usage: Usage) -> None:
        """Take note that the processes are gone, and what they have used."""
        self.usage = usage

    def blocker(self) -> "TaskRun | None":
        """Return a dependency that has not passed, if there is one."""
        return next((dep for dep in self.deps if not dep.view.passed), None)


def task_runs(saved: SavedJob, remains: Mapping[str, Remaining]) -> list[TaskRun]:
    """Make the tasks of a job, each with its dependencies; a definition lists them in topological order.

    The handler comes last, if it has begun.
    """
    kept = {view.name: view for view in saved.job.tasks}
    runs: dict[str, TaskRun] = {}
    for position, (spec, untouched) in enumerate(
        zip(saved.definition.tasks, saved.definition.waiting_tasks, strict=True)
    ):
        view = kept.get(spec.name) or untouched
        runs[spec.name] = TaskRun(spec, position, view, tuple(runs[name] for name in spec.depends_on))
    handler = saved.definition.on_error
    if handler is not None and (handler.name in kept or handler.name in remains):
        view = kept.get(handler.name) or TaskView(handler.name, allow_failure=handler.allow_failure)
        runs[handler.name] = TaskRun(handler, len(runs), view)
    for name, run in runs.items():
        run.remains = remains.get(name)
        if run.view.state.final:
            run.settled.set()
    return list(runs.values())
