"""Changes that could not be written yet: one per job, task and pipeline, so that an outage does not fill the memory."""

from collections.abc import Iterator

from prunner_trio.execution.seams import (
    Change,
    JobAdded,
    JobChanged,
    JobReset,
    JobsChanged,
    JobsRemoved,
    PipelineChanged,
    TaskChanged,
)
from prunner_trio.model import JobId, JobView, PipelineRecord, TaskView

__all__ = ["Kept"]

REMEMBERED_JOBS = 10_000
"""How many jobs that were given up are remembered, to drop what is still said about them."""


class Kept:
    """The newest change of every job and task since the store could last be written.

    A new job is not kept: its caller is told, nothing has started for it, and the jobs whose places it was to take
    still have them.
    """

    def __init__(self) -> None:
        self._jobs: dict[JobId, JobView] = {}
        self._tasks: dict[tuple[JobId, int], TaskView] = {}
        self._resets: dict[JobId, JobView] = {}
        self._removed: dict[JobId, None] = {}
        self._pipelines: dict[str, PipelineRecord] = {}
        self._given_up: dict[JobId, None] = {}

    def __len__(self) -> int:
        jobs = len(self._jobs) + len(self._resets) + len(self._removed)
        return jobs + len(self._tasks) + len(self._pipelines)

    def __iter__(self) -> Iterator[Change]:
        for job in self._resets.values():
            yield JobReset(job)
        for job in self._jobs.values():
            yield JobChanged(job)
        for (job_id, position), task in self._tasks.items():
            yield TaskChanged(job_id, position, task)
        for record in self._pipelines.values():
            yield PipelineChanged(record)
        if self._removed:
            yield JobsRemoved(tuple(self._removed))

    def add(self, change: Change) -> None:
        """Take a change in, in place of an older one of the same thing."""
        match change:
            case JobAdded(job=job):
                self._give_up(job.id)
            case JobChanged(job=job):
                if job.id not in self._given_up:
                    self._jobs[job.id] = job
            case JobsChanged(jobs=jobs):
                self._jobs.update({job.id: job for job in jobs if job.id not in self._given_up})
            case JobReset(job=job):
                if job.id not in self._given_up:
                    self._forget({job.id})
                    self._resets[job.id] = job
            case TaskChanged(job_id=job_id, position=position, task=task):
                if job_id not in self._given_up:
                    self._tasks[job_id, position] = task
            case JobsRemoved(job_ids=job_ids):
                self._remove(job_ids)
            case PipelineChanged(record=record):
                self._pipelines[record.name] = record

    def clear(self) -> None:
        """Forget everything: it has been written."""
        self._jobs.clear()
        self._tasks.clear()
        self._resets.clear()
        self._removed.clear()
        self._pipelines.clear()

    def _give_up(self, job_id: JobId) -> None:
        self._given_up[job_id] = None
        if len(self._given_up) > REMEMBERED_JOBS:
            del self._given_up[next(iter(self._given_up))]

    def _remove(self, job_ids: tuple[JobId, ...]) -> None:
        self._removed.update(dict.fromkeys(job_ids))
        self._forget(set(job_ids))

    def _forget(self, gone: set[JobId]) -> None:
        for job_id in gone:
            self._jobs.pop(job_id, None)
            self._resets.pop(job_id, None)
        for key in [key for key in self._tasks if key[0] in gone]:
            del self._tasks[key]
