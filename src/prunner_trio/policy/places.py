"""Why jobs wait, and where in the line: what people ask of a wait list."""

from collections.abc import Container, Iterable

from prunner_trio.model import JobId, Pause, WaitPlace, WaitReason
from prunner_trio.policy.wait_list import Waiting

__all__ = ["wait_places"]


def wait_places(
    waiting: Iterable[Waiting],
    unsaved: Container[JobId],
    *,
    holders: tuple[JobId, ...],
    slots: int,
    draining: bool,
    pause: Pause | None,
    now: float,
) -> dict[JobId, WaitPlace]:
    """Return the place of each job on a wait list, with the reason that would still hold if all others were gone.

    Args:
        waiting: in the order of the list.
        unsaved: jobs whose acceptance is not on disk yet.
        holders: the jobs that hold slots.
        slots: how many slots there are.
        draining: nothing starts any more.
        pause: that of the pipeline, if it is paused.
        now: on the clock of `Waiting.due`.
    """
    line = tuple(waiting)

    def reason(job: Waiting) -> WaitReason:
        if draining:
            return WaitReason.DRAINING
        if pause is not None:
            return WaitReason.PAUSED
        if job.due > now:
            return WaitReason.DELAYED
        return WaitReason.SAVING if job.job_id in unsaved else WaitReason.SLOTS

    return {
        job.job_id: WaitPlace(reason(job), index, len(line), len(holders), slots, holders, pause)
        for index, job in enumerate(line, 1)
    }
