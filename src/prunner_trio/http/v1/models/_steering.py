"""What is asked and answered when somebody steers: retries, wait lists, pauses, audits."""

from collections.abc import Mapping

import attrs

from prunner_trio.http.v1.models._jobs import Pause, Waiting
from prunner_trio.http.v1.models._scalars import Time, Uuid
from prunner_trio.model import Action

__all__ = ["Audit", "Deed", "MoveRequest", "PipelinePause", "QueuedJob", "RetryRequest", "WaitLists"]


@attrs.frozen
class RetryRequest:
    """What ``POST /v1/jobs/{id}/retry`` asks for.

    Attributes:
        only_failed: keep what the tasks that are done have done, as far as what they need is kept too; run the others.
        variables: these instead of those of the job that have the same names; the others are as they were.
    """

    only_failed: bool = False
    variables: Mapping[str, object] = attrs.field(factory=dict)


@attrs.frozen
class MoveRequest:
    """Where a job goes within the wait list of its pipeline; exactly one of these.

    Attributes:
        before: the id of a job: right before that one.
        after: the id of a job: right after that one.
        to: the position, from 1; beyond the end of the list means its end.
    """

    before: str | None = None
    after: str | None = None
    to: int | None = None


@attrs.frozen
class QueuedJob:
    """A job that waits.

    Attributes:
        id: its address is `/v1/jobs/{id}`.
        number: counts up by one per accepted job.
        pipeline: the name of its pipeline.
        user: who scheduled it; may be empty.
        partition: its part of the wait list; may be empty.
        created: when it was accepted.
        waiting: where it stands, and why it does not run yet.
    """

    id: Uuid
    number: int
    pipeline: str
    user: str
    partition: str
    created: Time
    waiting: Waiting


@attrs.frozen
class WaitLists:
    """All jobs that wait.

    Attributes:
        jobs: by pipeline, in the order in which they are to start; those that have a slot already come first.
        paused: the pipelines that are paused, sorted by name.
    """

    jobs: tuple[QueuedJob, ...]
    paused: "tuple[PipelinePause, ...]"


@attrs.frozen
class PipelinePause:
    """Whether a pipeline is paused: it accepts jobs, and starts none.

    Attributes:
        pipeline: its name.
        paused: since when, and by whom; null if it is not paused.
    """

    pipeline: str
    paused: Pause | None


@attrs.frozen
class Deed:
    """What somebody did.

    Attributes:
        at: when.
        action: what.
        by: who; empty if the token had no name.
        detail: the task that was canceled, the place that the job was moved to, or the id of the job on the other side
            of a retry; else empty.
    """

    at: Time
    action: Action
    by: str
    detail: str


@attrs.frozen
class Audit:
    """Who did what to a job or a pipeline.

    Attributes:
        entries: the newest 100, the oldest of them first.
    """

    entries: tuple[Deed, ...]
