"""The drawings of pages, from what the runner knows."""

from collections.abc import Sequence
from datetime import UTC, datetime

from markupsafe import Markup

from prunner_trio.definition.pipeline import ON_ERROR, PipelineDef
from prunner_trio.http.pages.drawing import Bar, Node, Run, critical_path, graph, sparkline, timeline
from prunner_trio.http.pages.visit import url
from prunner_trio.http.pages.words import duration_text, sign_of_job, sign_of_outcome, sign_of_task, sign_of_wait
from prunner_trio.http.v1.models import End
from prunner_trio.model import JobView, State, TaskView

__all__ = ["graph_of_job", "graph_of_pipeline", "runs_of", "timeline_of"]


def runs_of(ends: Sequence[End]) -> Markup:
    """Draw the latest runs of a pipeline, the oldest first."""
    return sparkline([Run(sign_of_outcome(end.outcome), end.duration, duration_text(end.duration)) for end in ends])


def graph_of_pipeline(pipeline: PipelineDef) -> Markup:
    """Draw the tasks of a definition; each leads to its script on the same page."""
    numbers = {task.name: number for number, task in enumerate(pipeline.tasks, 1)}
    nodes = [Node(task.name, task.depends_on, href=f"#task-{numbers[task.name]}") for task in pipeline.tasks]
    if pipeline.on_error is not None:
        nodes.append(Node(pipeline.on_error.name, href="#task-on-error", handler=True))
    return graph(nodes, title=f"Tasks of {pipeline.name}")


def graph_of_job(root: str, job: JobView, now: float) -> Markup:
    """Draw the tasks of a job and where they stand; each leads to its log."""
    path = _critical(job, now)
    nodes = [
        Node(
            task.name,
            task.depends_on,
            sign_of_task(task),
            _told(task),
            since=task.started if task.state is State.RUNNING else None,
            href=_log(root, job, task),
            handler=_is_handler(job, task),
        )
        for task in job.tasks
    ]
    return graph(nodes, title=f"Tasks of {job.pipeline} #{job.number}", critical=path)


def timeline_of(root: str, job: JobView, now: float) -> Markup:
    """Draw the life of a job over time."""
    path = _critical(job, now)
    begun = job.started or job.ended
    lasted = (begun or now) - job.created
    look = sign_of_job(job) if begun is None else sign_of_wait(lasted)
    waited = Bar("waited for a slot", look, waits=job.created, ends=begun)
    bars = [waited] if lasted >= _WORTH_TELLING else []
    for task in job.tasks:
        if task.from_job:  # it ran before this job began
            continue
        looked = Bar(
            task.name,
            sign_of_task(task),
            waits=_ready(job, task),
            starts=task.started,
            ends=task.ended,
            lasted=_lasted(task),
            href=_log(root, job, task),
        )
        bars.append(looked)
    return timeline(bars, now=now, title=f"{job.pipeline} #{job.number} over time", critical=path)


_WORTH_TELLING = 0.5


def _since(started: float | None) -> str:
    return "" if started is None else f"since {datetime.fromtimestamp(started, UTC):%H:%M:%S}"


def _told(task: TaskView) -> str:
    if task.from_job is not None:
        return "taken over"
    return _since(task.started) if task.started is not None and task.state is State.RUNNING else _lasted(task)


def _lasted(task: TaskView) -> str:
    if task.started is None:
        return ""
    return duration_text(task.ended - task.started) if task.ended is not None else "running"


def _critical(job: JobView, now: float) -> tuple[str, ...]:
    return critical_path([task for task in job.tasks if not (task.from_job or _is_handler(job, task))], now)


def _ready(job: JobView, task: TaskView) -> float | None:
    """Return when a task had all that it needs; None if it never ran."""
    if task.started is None or _is_handler(job, task):
        return None
    ends = [need.ended for name in task.depends_on if (need := job.task(name)) is not None]
    return max((end for end in ends if end is not None), default=job.started)


def _is_handler(job: JobView, task: TaskView) -> bool:
    return task.name == ON_ERROR and not task.depends_on and task is job.tasks[-1] and len(job.tasks) > 1


def _log(root: str, job: JobView, task: TaskView) -> str:
    return root + url("jobs", task.from_job or job.id, "log", task.name)
