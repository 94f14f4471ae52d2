"""Whether the daemon is well, and why a request was refused."""

import attrs

__all__ = ["Health", "Problem", "ProblemItem"]


@attrs.frozen
class Health:
    """Whether the daemon is well.

    Attributes:
        status: `ok`, or `unready`.
        reason: why it is not ready; empty if it is.
    """

    status: str
    reason: str


@attrs.frozen
class ProblemItem:
    """One thing that is wrong with a request.

    Attributes:
        detail: what, and what is allowed.
        pointer: where in the body (RFC 6901); null if not there.
        parameter: the query parameter or header; null if none.
    """

    detail: str
    pointer: str | None = None
    parameter: str | None = None


@attrs.frozen
class Problem:
    """Why a request was not fulfilled (RFC 9457).

    Attributes:
        type: a URN that names the kind of problem, and never changes.
        title: the kind in words.
        status: the HTTP status.
        detail: what happened this time.
        errors: all that is wrong with the request.
    """

    type: str
    title: str
    status: int
    detail: str
    errors: tuple[ProblemItem, ...] = ()
