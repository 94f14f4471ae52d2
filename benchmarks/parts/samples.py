"""Jobs and definitions that parts are given to work on."""

import uuid

import attrs

from prunner_trio.definition.pipeline import PipelineDef, TaskDef
from prunner_trio.execution.seams import JobAdded
from prunner_trio.model import JobId, JobView, State, TaskView

__all__ = ["PIPELINE", "added", "finished", "new_job", "pipeline"]


def pipeline(tasks: int = 3, *, start_delay: float = 0) -> PipelineDef:
    """Return a pipeline whose tasks run one after the other."""
    names = [f"t{number:05}" for number in range(tasks)]
    chain = [TaskDef(name, ("/bin/true",), (names[at - 1],) if at else ()) for at, name in enumerate(names)]
    return PipelineDef("c", tuple(chain), start_delay=start_delay)


PIPELINE = pipeline()


def new_job(number: int, of: PipelineDef = PIPELINE) -> JobView:
    """Return a job that waits."""
    tasks = tuple(TaskView(task.name, depends_on=task.depends_on) for task in of.tasks)
    job_id = JobId(str(uuid.UUID(int=number, version=4)))
    variables = {"tenant": f"t{number}"}
    return JobView(job_id, number, of.name, State.WAITING, tasks, 1.7e9 + number, variables=variables, user="bench")


def finished(number: int, of: PipelineDef = PIPELINE) -> JobView:
    """Return a job that has succeeded."""
    job = new_job(number, of)
    start, end = job.created + 0.25, job.created + 0.75
    tasks = tuple(attrs.evolve(task, state=State.DONE, started=start, ended=end) for task in job.tasks)
    return attrs.evolve(job, state=State.DONE, started=start, ended=end, tasks=tasks)


def added(job: JobView, of: PipelineDef = PIPELINE) -> JobAdded:
    """Return the change with which a store takes a job."""
    return JobAdded(job, of)
