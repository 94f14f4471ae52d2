"""Who did what to a job or a pipeline, and when."""

from enum import StrEnum

import attrs

__all__ = ["MOST_ENTRIES", "Action", "AuditEntry", "audited"]

MOST_ENTRIES = 100
"""So many entries a job or a pipeline keeps: the newest."""


class Action(StrEnum):
    """What somebody did."""

    SCHEDULED = "scheduled"
    RETRIED = "retried"
    """It was run again, as another job."""
    MOVED = "moved"
    CANCELED = "canceled"
    TASK_CANCELED = "task_canceled"
    PAUSED = "paused"
    RESUMED = "resumed"


@attrs.frozen
class AuditEntry:
    """One deed.

    Attributes:
        at: wall time, in seconds since the epoch.
        by: the user; empty if nobody in particular.
        detail: the task that was canceled, the place that a job was moved to, the id of the job on the other side of a
            retry; empty otherwise.
    """

    at: float
    action: Action
    by: str = ""
    detail: str = ""


def audited(audit: tuple[AuditEntry, ...], entry: AuditEntry) -> tuple[AuditEntry, ...]:
    """Return an audit with one more entry, and without the oldest if there are too many."""
    return (*audit, entry)[-MOST_ENTRIES:]
