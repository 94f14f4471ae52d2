"""What is answered to those who tell of events."""

from enum import StrEnum

import attrs

from prunner_trio.http.v1.models._scalars import Uuid

__all__ = ["HookReceipt", "HookResult"]


class HookResult(StrEnum):
    """What an event has led to."""

    SCHEDULED = "scheduled"
    FILTERED = "filtered"
    PONG = "pong"


@attrs.frozen
class HookReceipt:
    """What an event has led to.

    Attributes:
        result: `scheduled`: there is a job; `filtered`: the event is none of those that start one; `pong`: it was only
            a test of the connection.
        reason: why there is no job; empty if there is one.
        job: its id; null if there is none.
    """

    result: HookResult
    reason: str
    job: Uuid | None
