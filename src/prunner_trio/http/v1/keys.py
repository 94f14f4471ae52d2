"""Idempotency keys: the same request, sent twice, makes one job.

The id of a job that comes with a key is made from the key and the owner, so the store itself remembers which keys were
used, for as long as it keeps the job, over restarts and crashes, and without a table of its own.
"""

import json
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import attrs
import trio

from prunner_trio.definition.variables import checked_variables
from prunner_trio.errors import JobNotFound
from prunner_trio.http.port import RunnerPort
from prunner_trio.http.rights import Visitor
from prunner_trio.http.v1.models import RetryRequest, ScheduleRequest
from prunner_trio.http.v1.problems import Refused
from prunner_trio.model import JobId, JobView

__all__ = ["LIFETIME", "LONGEST", "Keys"]

LIFETIME = 24 * 3600.0
"""Seconds after a job's creation for which its key leads to it."""

LONGEST = 255
"""Characters of a key."""

_NAMESPACE = uuid.UUID("6f1b1a52-3a0c-5b7e-9f53-1d2f6c0a7e44")
_REMEMBERED = 10_000


@attrs.define(eq=False)
class Keys:
    """Which job a key stands for.

    Attributes:
        now: wall time in seconds.
    """

    runner: RunnerPort
    now: Callable[[], float]
    _busy: dict[str, trio.Lock] = attrs.field(factory=dict, init=False)
    _given: OrderedDict[JobId, None] = attrs.field(factory=OrderedDict, init=False)

    @asynccontextmanager
    async def claim(self, visitor: Visitor, key: str) -> AsyncIterator[None]:
        """Let nobody else look at a key of a visitor as long as the block lasts; others wait."""
        name = _name(visitor, key, 0)
        lock = self._busy.setdefault(name, trio.Lock())
        try:
            async with lock:
                yield
        finally:
            statistics = lock.statistics()
            if not statistics.locked and not statistics.tasks_waiting:
                self._busy.pop(name, None)

    async def look_up(self, visitor: Visitor, key: str, asked: ScheduleRequest) -> JobView | JobId:
        """Return the job that the key stands for or, if there is none, the id for a new one.

        Raises:
            Refused: the key was used for another request.
            StoreError: the store cannot be read.
        """
        return await self._look_up(visitor, key, lambda job: _request_of(job) == _text(asked))

    async def look_up_retry(
        self, visitor: Visitor, key: str, original: JobView, asked: RetryRequest
    ) -> JobView | JobId:
        """Return the retry that the key stands for or, if there is none, the id for a new one; see `look_up`."""

        def same(job: JobView) -> bool:
            kept = any(task.from_job is not None for task in job.tasks)
            wanted = checked_variables({**original.variables, **asked.variables})
            return job.retry_of == original.id and (asked.only_failed or not kept) and dict(job.variables) == wanted

        return await self._look_up(visitor, key, same)

    async def _look_up(self, visitor: Visitor, key: str, same: Callable[[JobView], bool]) -> JobView | JobId:
        number = 0
        while True:
            job_id = JobId(str(uuid.uuid5(_NAMESPACE, _name(visitor, key, number))))
            job = await self._find(job_id)
            if job is not None and job.created > self.now() - LIFETIME:
                if not same(job):
                    raise Refused("idempotency-key-reused", f"the key stands for job {job_id}, which is another one")
                return job
            # One that is gone may still be about to lose its logs: its id is not given a second time.
            if job is None and job_id not in self._given:
                return job_id
            number += 1

    def note(self, job_id: JobId) -> None:
        """Remember that an id was given to a job."""
        self._given[job_id] = None
        if len(self._given) > _REMEMBERED:
            self._given.popitem(last=False)

    async def _find(self, job_id: JobId) -> JobView | None:
        try:
            return await self.runner.find(job_id)
        except JobNotFound:
            return None


def _name(visitor: Visitor, key: str, number: int) -> str:
    """Return what the number-th job of a key is named after: it is of one user, with one view of the pipelines.

    Else a key could lead to a job that is hidden from whoever uses it again.
    """
    patterns = visitor.rights.patterns
    return json.dumps([visitor.user, key, number, *(() if patterns is None else (patterns,))])


def _request_of(job: JobView) -> str:
    return "" if job.retry_of else _text(ScheduleRequest(job.pipeline, job.variables, job.partition))


def _text(asked: ScheduleRequest) -> str:
    return json.dumps([asked.pipeline, dict(asked.variables), asked.partition], sort_keys=True)
