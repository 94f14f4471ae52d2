"""What can be done to jobs that are there, and to the runner itself."""

from prunner_trio.definition.pipeline import Definitions
from prunner_trio.errors import JobNotFound
from prunner_trio.execution.job import JobRun
from prunner_trio.execution.lines import Line, StopLevel
from prunner_trio.execution.looking import Looking
from prunner_trio.execution.seams import JobsRemoved
from prunner_trio.model import JobId, State, StopReason

__all__ = ["Steering"]


class Steering(Looking):
    """Cancels, reloads, ends."""

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
