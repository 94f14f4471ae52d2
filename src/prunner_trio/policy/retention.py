"""Which finished jobs may go. Times are wall time in seconds."""

import attrs

from prunner_trio.definition.pipeline import Definitions, PipelineDef

__all__ = ["ORPHAN_GRACE", "RetentionRule", "next_look", "retention_rule"]

ORPHAN_GRACE = 24 * 3600.0
"""Seconds since its end for which a job of a pipeline that is no longer defined stays."""


@attrs.frozen
class RetentionRule:
    """What may be deleted of one pipeline; a None switches a condition off.

    Attributes:
        keep: finished jobs beyond the newest `keep` may go.
        created_before: those created before this time may go.
        ended_before: those that ended before this time may go.
    """

    keep: int | None = None
    created_before: float | None = None
    ended_before: float | None = None


def retention_rule(definitions: Definitions, name: str, now: float) -> RetentionRule | None:
    """Return the rule for a pipeline, None if all its jobs stay.

    Finished jobs of a pipeline that is no longer defined go, as in prunner, though not in the moment it vanishes. If no
    pipeline at all is defined, a wrong path or pattern is more likely than the wish to forget everything.
    """
    pipeline = definitions.get(name)
    if pipeline is None:
        return RetentionRule(ended_before=now - ORPHAN_GRACE) if len(definitions) else None
    if pipeline.retention_count <= 0 and pipeline.retention_period <= 0:
        return None
    return RetentionRule(
        keep=pipeline.retention_count or None,
        created_before=now - pipeline.retention_period if pipeline.retention_period > 0 else None,
    )


def next_look(pipeline: PipelineDef | None, oldest: float | None, now: float) -> float | None:
    """Return when time alone makes the next job expire; None if it never does.

    Args:
        oldest: when the oldest job that stays was created; None if no job stays.
    """
    if oldest is None:
        return None
    if pipeline is None:
        return now + ORPHAN_GRACE
    return oldest + pipeline.retention_period if pipeline.retention_period > 0 else None
