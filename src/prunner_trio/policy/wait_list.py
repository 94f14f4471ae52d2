"""Who may wait, who must go, who may start: decisions over plain values.

Times are seconds on one clock that only moves forward; `now` is always an argument. A wait list is any collection of
`Waiting` in the order of arrival.
"""

from collections.abc import Iterable, Reversible, Sized
from typing import Protocol

import attrs

from prunner_trio.definition.pipeline import PipelineDef, QueueStrategy
from prunner_trio.errors import QueueDisabled, QueueFull
from prunner_trio.model import JobId

__all__ = ["Admission", "WaitList", "Waiting", "admit", "schedulable", "startable"]


@attrs.frozen
class Waiting:
    """A job on a wait list.

    Attributes:
        due: the job may not start before this time.
        partition: an empty one is a partition too.
    """

    job_id: JobId
    due: float = 0.0
    partition: str = ""


class WaitList(Sized, Reversible[Waiting], Protocol):
    """What the decisions need of a wait list; the values of an ordered dictionary are one."""


@attrs.frozen
class Admission:
    """The answer to a new job that is accepted.

    Attributes:
        start: it takes a free slot at once; otherwise it goes to the end of the list.
        evict: the job that loses its place to it.
    """

    start: bool
    evict: JobId | None = None


def admit(pipeline: PipelineDef, waiting: WaitList, running: int, new: Waiting, now: float) -> Admission:
    """Decide over a new job.

    A job that can start at once needs no place in the list, so `queue_limit: 0` means "no list", not "never". A full
    list refuses (`append`) or gives up its last job (`replace`; `partitioned_replace`: the last of the same
    partition). Delayed jobs occupy places. A limit that a reload has lowered evicts one job at a time: what was
    accepted is not dropped because of a new file.

    Args:
        running: occupied slots.

    Raises:
        QueueDisabled: no slot is free and the pipeline has no wait list.
        QueueFull: no slot is free and the list is full.
    """
    if running < pipeline.concurrency and new.due <= now:
        return Admission(start=True)
    if pipeline.queue_limit == 0:
        raise QueueDisabled(pipeline.name)
    match pipeline.queue_strategy:
        case QueueStrategy.APPEND:
            if pipeline.queue_limit is not None and len(waiting) >= pipeline.queue_limit:
                raise QueueFull(pipeline.name)
            return Admission(start=False)
        case QueueStrategy.REPLACE:
            limit = 1 if pipeline.queue_limit is None else pipeline.queue_limit
            evict = next(iter(reversed(waiting))).job_id if len(waiting) >= limit else None
            return Admission(start=False, evict=evict)
        case QueueStrategy.PARTITIONED_REPLACE:
            limit = pipeline.queue_partition_limit or 1
            newest_first = [other.job_id for other in reversed(waiting) if other.partition == new.partition]
            return Admission(start=False, evict=newest_first[0] if len(newest_first) >= limit else None)


def schedulable(pipeline: PipelineDef, waiting: WaitList, running: int) -> bool:
    """Tell whether `admit` would accept a new job now."""
    if running < pipeline.concurrency and pipeline.start_delay <= 0:
        return True
    if pipeline.queue_limit == 0:
        return False
    limited = pipeline.queue_strategy is QueueStrategy.APPEND and pipeline.queue_limit is not None
    return not limited or len(waiting) < (pipeline.queue_limit or 0)


def startable(concurrency: int, waiting: Iterable[Waiting], running: int, now: float) -> tuple[JobId, ...]:
    """Return the jobs that take the free slots: those that are due, in the order of the list."""
    free = concurrency - running
    if free <= 0:
        return ()
    chosen: list[JobId] = []
    for job in waiting:
        if job.due <= now:
            chosen.append(job.job_id)
            if len(chosen) == free:
                break
    return tuple(chosen)
