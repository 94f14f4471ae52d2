"""How tasks and jobs are, and why, in words for people: what is stored is for programs, and exact."""

import re
from collections.abc import Mapping

from prunner_trio.model.states import State
from prunner_trio.model.values import StopReason

__all__ = ["in_words", "missing_variable", "state_in_words", "stop_in_words"]

_MISSING = re.compile(r"template: .* at <\$?\.(\w+)>: map has no entry for key \"\1\"$", re.DOTALL)
_STOPPED = re.compile(r"stopped: (\w+)$")
_STATES: Mapping[str, str] = {State.DONE: "succeeded", State.ERROR: "failed"}
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


def state_in_words(state: str) -> str:
    """Return what a state of a job or task is called: as its end is, where that has a name of its own."""
    return _STATES.get(state, state)


def missing_variable(reason: str) -> str:
    """Return the name of the variable whose lack is the reason; empty if the reason is another one."""
    found = _MISSING.search(reason)
    return found[1] if found else ""


def in_words(reason: str, by: str = "") -> str:
    """Return a reason as a sentence; `by` is who canceled the job, if anybody is known to have."""
    if found := _MISSING.search(reason):
        return f"{reason[: found.start()]}the variable {found[1]} is not given"
    if (found := _STOPPED.search(reason)) and found[1] in set(StopReason):
        return reason[: found.start()] + stop_in_words(StopReason(found[1]), by)
    return reason


def stop_in_words(reason: StopReason, by: str = "") -> str:
    """Return why a job was told to stop, and by whom if somebody did."""
    return _STOPS[reason] + (f" by {by}" if by and reason is StopReason.USER else "")
