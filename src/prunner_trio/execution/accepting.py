"""How new jobs come in: decided in one synchronous step, saved, and only then begun."""

import logging
from collections.abc import Mapping
from types import MappingProxyType

import trio

from prunner_trio.definition.pipeline import PipelineDef
from prunner_trio.definition.variables import RESERVED, checked_variables
from prunner_trio.errors import JobNotFinished, PipelineNotFound, PipelinePaused, ShuttingDown, StoreError
from prunner_trio.execution.handle import Job, Saving
from prunner_trio.execution.job import JobRun
from prunner_trio.execution.lines import Line, StopLevel
from prunner_trio.execution.seams import JobAdded, SavedJob
from prunner_trio.execution.steering import Steering
from prunner_trio.model import EventKind, JobId, JobView, State, StopReason, TaskView
from prunner_trio.policy import Waiting, admit, kept_tasks

__all__ = ["NO_VARIABLES", "Accepting"]

log = logging.getLogger(__name__)

NO_VARIABLES: Mapping[str, object] = MappingProxyType({})


class Accepting(Steering):
    """Accepts jobs, or refuses them."""

    def submit(
        self,
        pipeline: str,
        *,
        variables: Mapping[str, object] = NO_VARIABLES,
        user: str = "",
        partition: str = "",
        job_id: JobId | None = None,
    ) -> Job:
        """Decide over a new job, in one synchronous step. Not a checkpoint.

        The job is not on disk yet: `Job.saved` tells when. Nothing of it starts before.

        Args:
            job_id: a UUID that no job has; None: a new random one.

        Raises:
            ValueError: a live job has this id. (With that of a kept one the new job cannot be saved.)
            ShuttingDown: the runner is about to end.
            PipelineNotFound: no such pipeline.
            InvalidVariable: a variable cannot be given to a task.
            QueueFull, QueueDisabled: there is no place for it.
        """
        return self._accept(self._open_pipeline(pipeline), checked_variables(variables), user, partition, job_id)

    def _open_pipeline(self, pipeline: str) -> PipelineDef:
        """Return the definition by which a new job is accepted now."""
        if self._level > StopLevel.SERVE:
            raise ShuttingDown
        definition = self._definitions.get(pipeline)
        if definition is None:
            raise PipelineNotFound(pipeline)
        if definition.queue_limit == 0 and self.pause_of(pipeline) is not None:
            raise PipelinePaused(pipeline)
        return definition

    def _accept(
        self,
        definition: PipelineDef,
        variables: Mapping[str, object],
        user: str,
        partition: str,
        job_id: JobId | None,
        *,
        retry_of: JobId | None = None,
        kept: tuple[TaskView, ...] = (),
    ) -> Job:
        """Accept a job, or raise; see `submit`.

        Args:
            kept: tasks that need not run, because the job that is retried has done them.
        """
        if job_id in self._runs:
            raise ValueError(f"there is a job {job_id} already")
        line = self._lines[definition.name]
        clock = trio.current_time()
        job_id = job_id or self._new_id()
        new = Waiting(job_id, clock + definition.start_delay if definition.start_delay > 0 else 0.0, partition)
        admission = admit(definition, line.waiting.values(), self._taken(line), new, clock)
        evicted = self._runs[admission.evict] if admission.evict is not None else None
        if evicted is not None:
            place = line.waiting.pop(evicted.id)
        created = self._services.now()
        self._number += 1
        view = JobView(
            id=job_id,
            number=self._number,
            pipeline=definition.name,
            state=State.WAITING,
            tasks=kept,
            created=created,
            not_before=created + definition.start_delay if definition.start_delay > 0 else 0.0,
            variables=variables,
            user=user,
            partition=partition,
            retry_of=retry_of,
        )
        run = JobRun(SavedJob(view, definition), self._services)
        job, saving = self._adopt(run)
        if admission.start:
            line.slots.add(job_id)
        else:
            self._wait(line, new)
        line.unsaved.add(job_id)
        ticket = self._services.journal.record(
            JobAdded(run.view(), definition, (evicted.as_evicted(created),) if evicted is not None else ())
        )
        self._publish(EventKind.JOB, run, "", State.WAITING, f"retry of {retry_of}" if retry_of else "")
        replaced = (evicted, place) if evicted is not None else None
        self._nursery.start_soon(self._save_and_run, saving, run, line, ticket, replaced, name=f"job {job_id}")
        return job

    async def schedule(
        self,
        pipeline: str,
        *,
        variables: Mapping[str, object] = NO_VARIABLES,
        user: str = "",
        partition: str = "",
    ) -> Job:
        """Submit a job and wait until it is on disk. A caller that is canceled meanwhile loses only the answer.

        Raises:
            StoreError: it could not be saved, and was canceled before anything of it had started.
            ShuttingDown, PipelineNotFound, InvalidVariable, QueueFull, QueueDisabled: see `submit`.
        """
        job = self.submit(pipeline, variables=variables, user=user, partition=partition)
        await job.saved()
        return job

    def submit_retry(
        self,
        original: JobView,
        *,
        only_failed: bool = False,
        variables: Mapping[str, object] | None = None,
        by: str = "",
        job_id: JobId | None = None,
    ) -> Job:
        """Decide over a new job that does again what another one did, in one synchronous step. Not a checkpoint.

        The new job is accepted like any other, by the current definition and into the partition of the original, and
        says of which job it is a retry.

        Args:
            original: as `find` returns it.
            only_failed: keep what the tasks that are done have done, as far as their needs are kept too: see
                `policy.kept_tasks`. They are `done` in the new job from its beginning, and name the job that ran them.
            variables: in place of those of the original that have the same names.
            job_id: see `submit`.

        Raises:
            JobNotFinished: the original is not over.
            TasksChanged, NothingToRetry: with `only_failed`; nothing can be kept, or all.
            ValueError, ShuttingDown, PipelineNotFound, InvalidVariable, QueueFull, QueueDisabled: see `submit`.
        """
        if not original.state.final:
            raise JobNotFinished(original.id)
        definition = self._open_pipeline(original.pipeline)
        kept = kept_tasks(original, definition) if only_failed else ()
        given = checked_variables({**original.variables, **(variables or {})})
        return self._accept(definition, given, by, original.partition, job_id, retry_of=original.id, kept=kept)

    async def retry(
        self,
        job_id: JobId,
        *,
        only_failed: bool = False,
        variables: Mapping[str, object] | None = None,
        by: str = "",
    ) -> Job:
        """Do a job again as a new one, and wait until that is on disk; see `submit_retry`.

        Raises:
            JobNotFound: there is no such job.
            StoreError: the store cannot be read, or the new job could not be saved.
            JobNotFinished, TasksChanged, NothingToRetry, ShuttingDown, PipelineNotFound, InvalidVariable, QueueFull,
            QueueDisabled: see `submit_retry`.
        """
        original = await self.find(job_id)
        job = self.submit_retry(original, only_failed=only_failed, variables=variables, by=by)
        await job.saved()
        return job

    def _adopt(self, run: JobRun, *, saved: bool = False) -> tuple[Job, Saving]:
        saving = Saving()
        if saved:
            saving.succeeded()
        job = Job(run, saving, lambda job_id, by: self.cancel(job_id, by=by))
        self._runs[run.id] = run
        self._jobs[run.id] = job
        return job, saving

    async def _save_and_run(
        self, saving: Saving, run: JobRun, line: Line, ticket: int, replaced: tuple[JobRun, Waiting] | None
    ) -> None:
        """Wait until a new job is on disk, and run it if it has a slot: a task of its own would cost twice as much."""
        starts = False
        try:
            await self._services.journal.committed(ticket)
        except StoreError as exc:
            saving.error = exc
            self._give_up(line, run, str(exc), replaced)
        else:
            saving.succeeded()
            starts = self._accepted(line, run, replaced)
        finally:
            saving.done.set()
        self._pump(line)
        self._notify()
        if starts:
            await self._run(line, run)

    def _give_up(self, line: Line, run: JobRun, error: str, replaced: tuple[JobRun, Waiting] | None) -> None:
        self._leave_line(line, run.id)
        if replaced is not None:
            self._put_back(line, *replaced)
        if run.state.final:  # canceled meanwhile, so its end has been told; but the store will never have it
            self._tell(EventKind.REMOVED, run.id, run.definition.name, "", run.state, StopReason.NOT_SAVED.value)
        else:
            run.cancel_waiting(StopReason.NOT_SAVED, error=error, record=False)
        self._forget(run)

    def _accepted(self, line: Line, run: JobRun, replaced: tuple[JobRun, Waiting] | None) -> bool:
        """Take note that a job is on disk; return whether it is to be run now."""
        line.unsaved.discard(run.id)
        log.info("job accepted", extra={"job": run.id, "pipeline": run.definition.name})
        if replaced is not None and not replaced[0].state.final:
            replaced[0].cancel_waiting(StopReason.REPLACED, record=False, at=run.view().created)
            self._forget(replaced[0])
        if run.state.final:
            return False
        if RESERVED in run.view().variables:
            self._leave_line(line, run.id)
            run.cancel_waiting(StopReason.REFUSED, error=f"variable name {RESERVED} is reserved for internal use")
            self._forget(run)
            return False
        return run.id in line.slots and self._takes_slot(line, run)
