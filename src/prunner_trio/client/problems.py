"""Why a daemon did not do what it was asked for."""

import json
from enum import Enum
from typing import Any

__all__ = ["ClientError", "Kind", "problem_of"]


class Kind(Enum):
    """What kind of failure it is, as far as a caller may act on it."""

    UNREACHABLE = "unreachable"
    """No connection, or it broke before the answer was whole."""
    UNAUTHORIZED = "unauthorized"
    NOT_FOUND = "not found"
    FULL = "full"
    """The wait list is full, or there is none."""
    UNAVAILABLE = "unavailable"
    """The daemon is about to end, cannot write its store, or has too much to do."""
    REFUSED = "refused"
    """Anything else that the daemon did not want."""
    STRANGE = "strange"
    """What answers does not speak API v1."""


class ClientError(Exception):
    """A request was not fulfilled; the text is for people, and holds no token.

    No child of `PrunnerError`: that is what the daemon's own rooms raise, and importing it takes longer than a request.

    Attributes:
        name: the daemon's own name for the problem, such as ``queue-full``; empty if it did not say.
    """

    def __init__(self, kind: Kind, text: str, name: str = "") -> None:
        super().__init__(text)
        self.kind = kind
        self.name = name


_URN = "urn:prunner-trio:problem:"
_KINDS = {"queue-full": Kind.FULL, "queue-disabled": Kind.FULL, "too-many-failures": Kind.UNAUTHORIZED}
_BY_STATUS = {
    401: Kind.UNAUTHORIZED,
    403: Kind.UNAUTHORIZED,
    404: Kind.NOT_FOUND,
    429: Kind.UNAVAILABLE,
    502: Kind.UNREACHABLE,
    503: Kind.UNAVAILABLE,
    504: Kind.UNREACHABLE,
}
_LONGEST = 500


def problem_of(status: int, body: bytes) -> ClientError:
    """Return the error for an answer that is no success."""
    try:
        said: Any = json.loads(body)
    except ValueError:
        said = None
    if not isinstance(said, dict) or not str(said.get("type", "")).startswith(_URN):
        # A proxy or another program says what it likes; prunner, say, answers 404 to all that it does not know.
        kind = _BY_STATUS.get(status, Kind.STRANGE)
        kind = Kind.STRANGE if kind is Kind.NOT_FOUND else kind
        return ClientError(kind, f"it answers with HTTP status {status}, and not as a daemon with API v1 would")
    name = str(said["type"]).removeprefix(_URN)
    kind = _KINDS.get(name, _BY_STATUS.get(status, Kind.REFUSED))
    return ClientError(kind, str(said.get("detail") or said.get("title") or name)[:_LONGEST], name)
