"""The runner: definitions, wait lists, slots and live jobs, all owned by one thread.

Every decision is one synchronous run of code; whatever has to wait (a commit, a process, a moment) is a child task of
the runner's nursery. It is built in layers: `lines`, `looking`, `steering`, `accepting`; on top stands its life.
"""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial

import trio

from prunner_trio.execution.accepting import Accepting
from prunner_trio.execution.job import JobRun
from prunner_trio.execution.lines import Line, StopLevel
from prunner_trio.execution.plain_errors import plain_errors
from prunner_trio.execution.seams import Remaining, SavedJob
from prunner_trio.model import EventKind, PipelineRecord, State
from prunner_trio.policy import Waiting

__all__ = ["Runner", "StopLevel"]


class Runner(Accepting):
    """Schedules, runs and remembers jobs. Made by `run_engine`; all methods belong to its Trio thread."""

    def remember(self, records: Iterable[PipelineRecord]) -> None:
        """Take up what an earlier runner knew of pipelines; before anything is started."""
        self._records.update((record.name, record) for record in records)

    def wait_again(self, saved: SavedJob) -> None:
        """Put a job that an earlier runner accepted on its wait list; before the first `start_due`."""
        run = JobRun(saved, self._services)
        self._adopt(run, saved=True)
        line = self._lines.setdefault(saved.job.pipeline, Line(saved.definition))
        delay = min(saved.job.not_before - self._services.now(), saved.definition.start_delay)
        due = trio.current_time() + delay if delay > 0 else 0.0
        self._wait(line, Waiting(run.id, due, saved.job.partition))

    def go_on(self, saved: SavedJob, remains: Mapping[str, Remaining]) -> None:
        """Take up a job that an earlier daemon has begun, to go on with it where it stands; it holds its slot again."""
        run = JobRun(saved, self._services, remains)
        self._adopt(run, saved=True)
        run.go_on()
        line = self._lines.setdefault(saved.job.pipeline, Line(saved.definition))
        line.slots.add(run.id)
        self._at_start.append(partial(self._run, line, run))

    def stop_remains(self, saved: SavedJob, remains: Mapping[str, Remaining]) -> None:
        """Take up a job that was running when its daemon died, to bring down what is left of it.

        It holds its slot until nothing is, and then ends as interrupted.
        """
        run = JobRun(saved, self._services, remains)
        self._adopt(run, saved=True)
        run.interrupt()
        line = self._lines.setdefault(saved.job.pipeline, Line(saved.definition))
        line.slots.add(run.id)
        self._at_start.append(partial(self._run, line, run))

    def begin_again(self, saved: SavedJob, last: SavedJob, remains: Mapping[str, Remaining]) -> None:
        """Take up a job that is to wait again once what is left of its earlier attempt has been brought down.

        Until then it holds the slot that those processes had.

        Args:
            saved: the job as it will be then.
            last: the job as its earlier attempt has left it.
        """
        run = JobRun(saved, self._services, last=last)
        self._adopt(run, saved=True)
        line = self._lines.setdefault(saved.job.pipeline, Line(saved.definition))
        line.slots.add(run.id)
        line.unsaved.add(run.id)
        self._at_start.append(partial(self._clear, line, run, remains))

    async def _clear(self, line: Line, run: JobRun, remains: Mapping[str, Remaining]) -> None:
        again = await run.begin_again(remains)
        self._survivors = self._survivors or run.survived
        self._leave_line(line, run.id)
        if again:
            self._publish(EventKind.JOB, run, "", State.WAITING, f"attempt {run.view().attempt}")
            self._put_back(line, run, Waiting(run.id, partition=run.view().partition))
        else:
            self._forget(run)
        self._pump(line)
        self._notify()

    @asynccontextmanager
    async def serving(self, last_number: int) -> AsyncIterator[None]:
        """Run jobs as long as the block lasts; see `run_engine`.

        Args:
            last_number: the highest number that any job ever had.
        """
        # A rank may come from a job that was never saved, and whose number is free again.
        self._number = max([last_number, *(run.rank for run in self._runs.values())])
        with plain_errors() as block:
            async with trio.open_nursery() as services:
                services.start_soon(self._alarm, name="alarm")
                services.start_soon(self._housekeeping.run, name="retention")
                try:
                    async with self._running_jobs():
                        with block:
                            yield
                finally:  # only now: subscribers hear the end of the last job, callers whether theirs was saved
                    self._close()
                    services.cancel_scope.cancel()

    @asynccontextmanager
    async def _running_jobs(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as jobs:
            self._nursery = jobs
            for work in self._at_start:
                jobs.start_soon(work)
            self._at_start.clear()
            for line in list(self._lines.values()):
                self._pump(line)
            drained = False
            try:
                yield
                self.request_shutdown(StopLevel.DRAIN)
                await self.finished()
                drained = True
            finally:
                if not drained:
                    self.request_shutdown(StopLevel.CANCEL)

    def _close(self) -> None:
        """Let everybody who waits for a job that stays on the wait list know that it will not run here.

        No job runs any more. One that was about to be replaced is on no list, and somebody may wait for it as well.
        """
        for run in self._runs.values():
            run.finished.set()
        self._bus.close()
