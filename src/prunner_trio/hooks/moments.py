"""Which hooks the end of a job concerns. Pure."""

from collections.abc import Iterable
from enum import StrEnum

from prunner_trio.model import JobView, State

__all__ = ["Moment", "last_end", "moments"]


class Moment(StrEnum):
    """What there is to tell; the keys of `notify`."""

    FAILURE = "failure"
    RECOVERY = "recovery"
    SUCCESS = "success"


def moments(before: State | None, now: State) -> tuple[Moment, ...]:
    """Return what the end of a job means.

    Args:
        before: how the last job of the pipeline ended that was not canceled; None if there was none.
        now: how this one did. A canceled job means nothing.
    """
    if now is State.ERROR:
        return (Moment.FAILURE,)
    if now is State.DONE:
        return (Moment.RECOVERY, Moment.SUCCESS) if before is State.ERROR else (Moment.SUCCESS,)
    return ()


def last_end(kept: Iterable[JobView], job: JobView) -> State | None:
    """Return how the last of the `kept` jobs ended that ended before `job`; canceled ones do not count."""
    ended = [
        (other.ended, other.number, other.state)
        for other in kept
        if other.state in (State.DONE, State.ERROR) and other.id != job.id and other.ended is not None
    ]
    earlier = [end for end in ended if end[:2] <= (job.ended or 0.0, job.number)]
    return max(earlier)[2] if earlier else None
