"""Why tasks and jobs stopped or failed, in the words of pages: what is stored is for programs, and exact."""

import re
from collections.abc import Mapping

from prunner_trio.model import JobView, StopReason, StopRequest, TaskView

__all__ = ["in_words", "missing_variable", "reason_of_task", "stop_text"]

_MISSING = re.compile(r"template: .* at <\$?\.(\w+)>: map has no entry for key \"\1\"$", re.DOTALL)
_STOPPED = re.compile(r"stopped: (\w+)$")
_STOPS: Mapping[StopReason, str] = {
    StopReason.USER: "canceled",
    StopReason.FAIL_FAST: "stopped because another task failed",
    StopReason.TIMEOUT: "stopped because the job took too long",
    StopReason.REPLACED: "replaced by a newer job",
    StopReason.REFUSED: "refused",
    StopReason.NOT_SAVED: "stopped because it could not be saved",
    StopReason.SHUTDOWN: "stopped with the daemon",
    StopReason.INTERRUPTED: "stopped because the daemon died",
    StopReason.INTERNAL: "stopped by an internal error",
}


def missing_variable(reason: str) -> str:
    """Return the name of the variable whose lack is the reason; empty if the reason is another one."""
    found = _MISSING.search(reason)
    return found[1] if found else ""


def in_words(reason: str, stop: StopRequest | None = None) -> str:
    """Return a reason as a sentence.

    Args:
        stop: of the job that it belongs to, which knows by whom.
    """
    if found := _MISSING.search(reason):
        return f"{reason[: found.start()]}the variable {found[1]} is not given"
    if (found := _STOPPED.search(reason)) and found[1] in set(StopReason):
        why = StopReason(found[1])
        told = stop_text(stop) if stop is not None and stop.reason is why else _STOPS[why]
        return reason[: found.start()] + told
    return reason


def reason_of_task(task: TaskView, job: JobView) -> str:
    """Return the reason of a task of a job."""
    return in_words(task.reason, job.stop)


def stop_text(stop: StopRequest) -> str:
    """Return why a job was told to stop, and by whom."""
    return _STOPS[stop.reason] + (f" by {stop.by}" if stop.by and stop.reason is StopReason.USER else "")
