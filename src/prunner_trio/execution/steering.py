"""What can be done to jobs that are there, to pipelines, and to the runner itself."""

import attrs

from prunner_trio.definition.pipeline import Definitions
from prunner_trio.errors import JobNotFound, JobNotWaiting, PipelineNotFound
from prunner_trio.execution.job import JobRun
from prunner_trio.execution.lines import Line, StopLevel
from prunner_trio.execution.looking import Looking
from prunner_trio.execution.seams import JobsChanged, JobsRemoved, PipelineChanged
from prunner_trio.model import (
    Action,
    AuditEntry,
    EventKind,
    JobId,
    Pause,
    PipelineRecord,
    State,
    StopReason,
    audited,
)

__all__ = ["Steering"]


class Steering(Looking):
    """Cancels, moves, pauses, reloads, ends."""

    def cancel(self, job_id: JobId, *, by: str = "") -> None:
        """Ask a live job to stop. Returns at once, not a checkpoint.

        The job becomes `canceled` when none of its processes is alive, at the latest `kill_timeout + reap_timeout`
        seconds from now (see `Job.wait`); a waiting job before this returns. `flush` tells when that is on disk.

        Raises:
            JobNotFound: no live job has this id; it may have ended (see `find`).
        """
        run = self._runs.get(job_id)
        if run is None:
            raise JobNotFound(job_id)
        line = self._lines[run.definition.name]
        if job_id in line.slots or run.state is State.RUNNING:  # one that was handed over is stopped by the next daemon
            run.request_stop(StopReason.USER, by)
            return
        self._leave_line(line, job_id)
        run.cancel_waiting(StopReason.USER, by)
        self._forget(run)
        self._notify()

    def cancel_task(self, job_id: JobId, task: str, *, by: str = "") -> None:
        """Ask one task of a running job to stop. Returns at once, not a checkpoint.

        It becomes `canceled` when none of its processes is alive. The job goes on: for the tasks that need this one a
        cancel is what a failure would be, but it stops no others. A task that is being stopped already, alone or with
        its job, is left alone.

        Raises:
            JobNotFound: no live job has this id.
            JobNotStarted: it still waits.
            TaskNotFound: it has no such task.
            TaskAlreadyFinished: the task had ended before; nothing changed.
        """
        run = self._runs.get(job_id)
        if run is None:
            raise JobNotFound(job_id)
        run.cancel_task(task, by)

    def move(
        self,
        job_id: JobId,
        *,
        before: JobId | None = None,
        after: JobId | None = None,
        to: int | None = None,
        by: str = "",
    ) -> None:
        """Give a job another place in the wait list of its pipeline. Returns at once, not a checkpoint.

        The jobs in between move up or down by one; `flush` tells when all of that is on disk.

        Args:
            before: right before this one.
            after: right after this one.
            to: the place, from 1; beyond the end of the list means its end.

        Raises:
            ValueError: not exactly one place is given, or it is below 1.
            JobNotFound: no live job has this id.
            JobNotWaiting: one of the two jobs is not on that list.
        """
        if sum(place is not None for place in (before, after, to)) != 1 or (to is not None and to < 1):
            raise ValueError("one of before, after and to (from 1) says where the job goes")
        run = self._runs.get(job_id)
        if run is None:
            raise JobNotFound(job_id)
        pipeline = run.definition.name
        waiting = self._lines[pipeline].waiting
        other = before or after or job_id
        for wanted in (job_id, other):
            if wanted not in waiting:
                raise JobNotWaiting(wanted, pipeline)
        order = [waits for waits in waiting if waits != job_id]
        if to is not None:
            place = min(to - 1, len(order))
        elif other == job_id:
            return
        else:
            place = order.index(other) + (after is not None)
        order.insert(place, job_id)
        self._reorder(self._lines[pipeline], order, run, by)

    def _reorder(self, line: Line, order: list[JobId], moved: JobRun, by: str) -> None:
        """Bring a wait list into another order: the ranks stay, and are given out anew."""
        ranks = [self._runs[job_id].rank for job_id in line.waiting]
        changed = [
            (self._runs[job_id], rank)
            for job_id, rank in zip(order, ranks, strict=True)
            if self._runs[job_id].rank != rank
        ]
        if not changed:
            return
        place = order.index(moved.id) + 1
        moved.note(Action.MOVED, by, f"to position {place} of {len(order)}")
        for run, rank in changed:
            run.move_to(rank)
        for job_id in order:
            line.waiting.move_to_end(job_id)
        self._services.journal.record(JobsChanged(tuple(attrs.evolve(run.view(), tasks=()) for run, _ in changed)))
        self._publish(EventKind.MOVED, moved, "", moved.state, f"to position {place} of {len(order)}")

    def pause(self, pipeline: str, *, by: str = "") -> None:
        """Let a pipeline start no jobs until `resume`, over restarts. Returns at once, not a checkpoint.

        New jobs wait, if there is a wait list; those that run go on. Pausing twice changes nothing.

        Raises:
            PipelineNotFound: no such pipeline.
        """
        if self._known(pipeline) and self.pause_of(pipeline) is None:
            self._record_pause(pipeline, Action.PAUSED, by)

    def resume(self, pipeline: str, *, by: str = "") -> None:
        """Let a paused pipeline start jobs again; one that is not paused stays as it is. Not a checkpoint.

        Raises:
            PipelineNotFound: no such pipeline.
        """
        if self._known(pipeline) and self.pause_of(pipeline) is not None:
            self._record_pause(pipeline, Action.RESUMED, by)
            self._refill = True
            self._rearm()

    def _known(self, pipeline: str) -> bool:
        if pipeline not in self._lines and pipeline not in self._records:
            raise PipelineNotFound(pipeline)
        return True

    def _record_pause(self, pipeline: str, action: Action, by: str) -> None:
        paused, now = action is Action.PAUSED, self._services.now()
        before = self._records.get(pipeline, PipelineRecord(pipeline))
        audit = audited(before.audit, AuditEntry(now, action, by))
        record = PipelineRecord(pipeline, Pause(now, by) if paused else None, audit)
        self._records[pipeline] = record
        self._services.journal.record(PipelineChanged(record))
        reason = f"{action.value} by {by}" if by else action.value
        state = State.WAITING if paused else State.RUNNING
        self._tell(EventKind.PIPELINE, JobId(""), pipeline, "", state, reason)

    async def flush(self) -> None:
        """Wait until everything that has happened so far is on disk, as long as that may take.

        Raises:
            StoreError: the journal is closed.
        """
        await self._services.journal.committed(self._services.journal.record(JobsRemoved(())))

    def replace_definitions(self, definitions: Definitions) -> None:
        """Let new definitions count for new jobs. Accepted jobs keep theirs; concurrency follows the new ones."""
        self._definitions = definitions
        for pipeline in definitions:
            if (line := self._lines.get(pipeline.name)) is not None:
                line.definition = pipeline
            else:
                self._lines[pipeline.name] = Line(pipeline)
        for name in list(self._lines):
            self._drop_unused_line(name)
        self._refill = True
        self._rearm()  # the alarm fills the slots: the caller's scope may be canceled, which says nothing of ours
        self._housekeeping.definitions_changed()

    def request_shutdown(self, level: StopLevel) -> None:
        """Begin to end, or end more urgently; a lower level than the current one changes nothing. Not a checkpoint."""
        if level <= self._level:
            return
        self._level = level
        if level >= StopLevel.KILL:
            self._services.hurry.call()
        if level >= StopLevel.CANCEL:
            for run in self._in_slots():
                run.request_stop(StopReason.SHUTDOWN)
        self._notify()

    async def hand_over(self) -> None:
        """Leave all running jobs to the next daemon: close the door, write it down, let go of them.

        After this `finished` returns as soon as what is being stopped already is gone. A job with a task that cannot be
        handed over is stopped and ends as interrupted. If the store cannot write, this waits; canceled meanwhile, or
        overtaken by a request to cancel all jobs, it lets nothing go, and the runner drains.

        Raises:
            StoreError: the journal is closed.
        """
        self.request_shutdown(StopLevel.DRAIN)
        # Again, because a job that had its slot already may take its first step meanwhile.
        while self._level is StopLevel.DRAIN and sum(run.mark_handed_over() for run in self._in_slots()):
            await self.flush()
        if self._level is StopLevel.DRAIN:
            for run in self._in_slots():
                run.let_go()

    def _in_slots(self) -> list[JobRun]:
        return [self._runs[job_id] for line in self._lines.values() for job_id in line.slots - line.unsaved]

    async def finished(self) -> None:
        """Wait until no job holds a slot any more, which after `request_shutdown` means: for good."""
        while any(line.slots for line in self._lines.values()):
            await self._changed.wait()
