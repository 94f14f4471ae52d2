"""Refusals of API v1: problem details as RFC 9457 has them. All kinds are in one table.

The limits in front of all routes refuse as well, before the rest of API v1 is imported: so `models.Problem`, which this
is in the document, is written as JSON by hand here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from prunner_trio.http.facts import Answer, Header, to_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prunner_trio.http.v1.models import ProblemItem

__all__ = ["KINDS", "PROBLEM_TYPE", "Kind", "Refused", "problem_answer"]

PROBLEM_TYPE = "application/problem+json"
_URN = "urn:prunner-trio:problem:"


@attrs.frozen
class Kind:
    """A kind of problem; its name is the end of its URN."""

    status: int
    title: str


KINDS = {
    "invalid-query": Kind(400, "The query parameters cannot be used"),
    "invalid-body": Kind(400, "The body is not JSON"),
    "unauthorized": Kind(401, "No valid token"),
    "insufficient-scope": Kind(403, "The token does not allow this"),
    "cross-origin": Kind(403, "A page of another origin may not do this"),
    "hook-refused": Kind(403, "There is no such hook, or the request is not signed as it must be"),
    "not-found": Kind(404, "Nothing is here"),
    "pipeline-not-found": Kind(404, "There is no such pipeline"),
    "job-not-found": Kind(404, "There is no such job"),
    "task-not-found": Kind(404, "The job has no such task"),
    "method-not-allowed": Kind(405, "The method is not allowed here"),
    "job-finished": Kind(409, "The job has ended"),
    "job-not-finished": Kind(409, "The job has not ended yet"),
    "job-not-started": Kind(409, "The job has not started yet"),
    "job-not-waiting": Kind(409, "The job is not on that wait list"),
    "task-finished": Kind(409, "The task has ended"),
    "cannot-retry": Kind(409, "The job cannot be done again like this"),
    "queue-full": Kind(409, "The wait list is full"),
    "queue-disabled": Kind(409, "There is no free slot and no wait list"),
    "body-too-large": Kind(413, "The body is too large"),
    "unsupported-media-type": Kind(415, "The body must be JSON and say so"),
    "range-not-satisfiable": Kind(416, "The log has no such part"),
    "invalid-content": Kind(422, "The body has members that cannot be used"),
    "idempotency-key-reused": Kind(422, "The key was used for another request"),
    "too-many-requests": Kind(429, "There are more requests than are allowed"),
    "too-many-failures": Kind(429, "Too many tokens were refused"),
    "too-many-streams": Kind(429, "There are as many streams as are allowed"),
    "internal-error": Kind(500, "Internal error"),
    "shutting-down": Kind(503, "The daemon takes no new jobs because it is about to end"),
    "store-unavailable": Kind(503, "The store cannot be used now"),
}
"""All kinds, by status."""


class Refused(Exception):
    """Ends a request with a problem."""

    def __init__(
        self, kind: str, detail: str, *, errors: Sequence[ProblemItem] = (), headers: tuple[Header, ...] = ()
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = headers


def problem_answer(refused: Refused) -> Answer:
    """Return the answer for a refusal."""
    kind = KINDS[refused.kind]
    problem = {
        "type": _URN + refused.kind,
        "title": kind.title,
        "status": kind.status,
        "detail": refused.detail,
        "errors": [attrs.asdict(item) for item in refused.errors],
    }
    headers = ((b"content-type", PROBLEM_TYPE.encode()), (b"cache-control", b"no-store"), *refused.headers)
    return Answer(kind.status, (to_json(problem) + b"\n",), headers)
