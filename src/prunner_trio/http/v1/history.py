"""How the latest jobs of each pipeline ended: read once, and kept up by events."""

import attrs
import trio

from prunner_trio.http.port import RunnerPort
from prunner_trio.http.v1.models import End
from prunner_trio.http.v1.views import end_of
from prunner_trio.model import Event, EventKind, JobId, JobQuery, JobView, State

__all__ = ["SHOWN", "History"]

SHOWN = 20
"""Ends of a pipeline that are shown."""

_FINAL = tuple(state for state in State if state.final)


@attrs.define(eq=False)
class History:
    """The latest ends of all pipelines that somebody has asked for. `note` is to hear all events."""

    runner: RunnerPort
    _ends: dict[str, dict[JobId, tuple[float, End]]] = attrs.field(factory=dict, init=False)
    _read: set[str] = attrs.field(factory=set, init=False)
    _removed: set[JobId] = attrs.field(factory=set, init=False)
    _reading: trio.Lock = attrs.field(factory=trio.Lock, init=False)

    def forget(self) -> None:
        """Begin anew: events were missed."""
        self._ends, self._read, self._removed = {}, set(), set()

    def note(self, event: Event) -> None:
        """Take over what an event changed."""
        if event.kind is EventKind.REMOVED:
            if self._reading.locked():
                self._removed.add(event.job_id)
            self._ends.get(event.pipeline, {}).pop(event.job_id, None)
        elif event.kind is EventKind.JOB and event.state.final and (job := self.runner.job(event.job_id)) is not None:
            self._add(job.view())

    async def ends(self, pipeline: str) -> tuple[End, ...]:
        """Return the latest ends of a pipeline, the oldest first.

        Raises:
            StoreError: the store cannot be read.
        """
        if pipeline not in self._read:
            async with self._reading:
                if pipeline not in self._read:
                    await self._fill(pipeline)
        ends = sorted(self._ends.get(pipeline, {}).values(), key=lambda item: item[0])
        return tuple(end for _, end in ends[-SHOWN:])

    async def _fill(self, pipeline: str) -> None:
        self._removed.clear()
        for job in await self.runner.search(JobQuery(pipeline=pipeline, states=_FINAL, limit=SHOWN)):
            if job.id not in self._removed:  # while it was being read
                self._add(job)
        self._read.add(pipeline)

    def _add(self, job: JobView) -> None:
        end = end_of(job)
        if end is None or job.ended is None:
            return
        ends = self._ends.setdefault(job.pipeline, {})
        ends[job.id] = job.ended, end
        if len(ends) > 2 * SHOWN:
            latest = sorted(ends, key=lambda job_id: ends[job_id][0])[-SHOWN:]
            self._ends[job.pipeline] = {job_id: ends[job_id] for job_id in latest}
