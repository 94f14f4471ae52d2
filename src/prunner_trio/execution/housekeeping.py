"""Deletes finished jobs that retention lets go."""

import logging
from collections.abc import Callable, Container

import trio

from prunner_trio.definition.pipeline import Definitions
from prunner_trio.errors import StoreError
from prunner_trio.execution.seams import JobsRemoved, Journal, OutputStore
from prunner_trio.model import JobId
from prunner_trio.policy import next_look, retention_rule

__all__ = ["Housekeeping"]

log = logging.getLogger(__name__)

_PAUSE = 1.0  # seconds between two passes: a storm of short jobs is looked at once, not once per job
_AT_ONCE = 200  # jobs that are removed together: nobody waits for more than these
_RETRY = 5.0  # seconds until a store that could not be read is asked again


class Housekeeping:
    """Looks at a pipeline when a job of it has ended, when definitions change, and when time makes a job expire."""

    def __init__(
        self,
        journal: Journal,
        output: OutputStore,
        now: Callable[[], float],
        definitions: Callable[[], Definitions],
        removed: Callable[[JobId, str], None],
        live: Container[JobId],
    ) -> None:
        self._journal = journal
        self._output = output
        self._now = now
        self._definitions = definitions
        self._removed = removed
        self._live = live
        self._look_at: set[str] = set()
        self._look_at_all = True
        self._due: dict[str, float] = {}
        self._work = trio.Event()

    def job_ended(self, pipeline: str) -> None:
        """Note that a job of this pipeline has become final."""
        if retention_rule(self._definitions(), pipeline, self._now()) is not None:
            self._look_at.add(pipeline)
            self._work.set()

    def definitions_changed(self) -> None:
        """Note that other rules may hold for every pipeline."""
        self._look_at_all = True
        self._work.set()

    async def run(self) -> None:
        """Work until canceled."""
        while True:
            self._work = trio.Event()
            try:
                if self._look_at_all:
                    self._look_at.update(await self._journal.pipelines())
                    self._look_at_all = False
                while self._look_at:
                    pipeline = self._look_at.pop()
                    try:
                        await self._look(pipeline)
                    except StoreError:
                        self._look_at.add(pipeline)
                        raise
            except StoreError as exc:
                log.warning("retention has to wait: %s", exc)
                await trio.sleep(_RETRY)
                continue
            if self._work.is_set():
                await trio.sleep(_PAUSE)
            else:
                await self._wait_for_work()

    async def _wait_for_work(self) -> None:
        first = min(self._due.values(), default=float("inf"))
        with trio.move_on_after(max(_PAUSE, first - self._now())) as waited:
            await self._work.wait()
        if waited.cancelled_caught:
            now = self._now()
            self._look_at.update(pipeline for pipeline, due in self._due.items() if due <= now)
        else:
            await trio.sleep(_PAUSE)

    async def _look(self, pipeline: str) -> None:
        self._due.pop(pipeline, None)
        if retention_rule(self._definitions(), pipeline, self._now()) is None:
            return
        await self._flush()
        definition, now = self._definitions().get(pipeline), self._now()
        rule = retention_rule(self._definitions(), pipeline, now)
        if rule is None:
            return
        expired = await self._journal.expired(
            pipeline, keep=rule.keep, created_before=rule.created_before, ended_before=rule.ended_before
        )
        if (due := next_look(definition, expired.oldest, now)) is not None:
            self._due[pipeline] = due
        # One that is final on disk and still live is about to be told to have ended; it brings us here again.
        job_ids = tuple(job_id for job_id in expired.job_ids if job_id not in self._live)
        if not job_ids:
            return
        for begin in range(0, len(job_ids), _AT_ONCE):
            some = job_ids[begin : begin + _AT_ONCE]
            await self._output.remove(some)  # first: once the jobs are gone, nobody knows of their logs
            await self._flush(some)
            for job_id in some:
                self._removed(job_id, pipeline)
        facts = {"pipeline": pipeline, "count": len(job_ids)}
        if definition is None:
            log.warning("removed the jobs of a pipeline that is no longer defined", extra=facts)
        else:
            log.info("retention removed jobs", extra=facts)

    async def _flush(self, removed: tuple[JobId, ...] = ()) -> None:
        """Remove jobs. Also of use with none: a job that was canceled while it waited counts once that is on disk."""
        await self._journal.committed(self._journal.record(JobsRemoved(removed)))
