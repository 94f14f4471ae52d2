"""What a request says that has happened, whoever sends it. Pure."""

from collections.abc import Mapping

import attrs

from prunner_trio.definition.incoming import HookKind
from prunner_trio.definition.payload_path import Absent, find, parse_path
from prunner_trio.http.facts import Request
from prunner_trio.http.v1.incoming.proof import SIGNATURE
from prunner_trio.http.v1.keys import LONGEST
from prunner_trio.http.v1.models import ProblemItem
from prunner_trio.http.v1.problems import Refused

__all__ = ["Delivery", "delivery_of"]

_BRANCH = "refs/heads/"
_NOTHING = "0" * 40


@attrs.frozen
class Delivery:
    """One event.

    Attributes:
        id: the same for each attempt to deliver it; empty: none.
        event: in small letters, `push`; empty: none is named.
        action: what has happened to its object, `published`; empty: that is not said.
        branch: empty: it is of none.
        deleted: the branch is no more.
    """

    id: str
    event: str
    action: str
    branch: str
    deleted: bool = False

    @property
    def name(self) -> str:
        """The event with its action."""
        return f"{self.event}.{self.action}" if self.action else self.event


def delivery_of(kind: HookKind, request: Request, payload: Mapping[str, object]) -> Delivery:
    """Return what has happened.

    Raises:
        Refused: a header is missing, or cannot be used.
    """
    match kind:
        case HookKind.GITHUB:
            return _of_github(request, payload)
        case HookKind.GITLAB:
            return _of_gitlab(request, payload)
        case HookKind.GENERIC:
            return _of_anybody(request, payload)


def _of_github(request: Request, payload: Mapping[str, object]) -> Delivery:
    event = _header(request, "X-GitHub-Event", needed=True)
    base = _text(payload, "pull_request.base.ref") or _text(payload, "workflow_run.head_branch")
    return Delivery(
        id=_header(request, "X-GitHub-Delivery"),
        event=event.lower(),
        action=_text(payload, "action"),
        branch=_branch(_text(payload, "ref")) or base,
        deleted=payload.get("deleted") is True,
    )


def _of_gitlab(request: Request, payload: Mapping[str, object]) -> Delivery:
    event = _header(request, "X-Gitlab-Event", needed=True)
    attributes = "object_attributes"
    # Requests that one hook causes another to send share the id of the event, so that is only the second best.
    return Delivery(
        id=_header(request, "Idempotency-Key") or _header(request, "X-Gitlab-Event-UUID"),
        event=event.lower().removesuffix(" hook").replace(" ", "_"),
        action=_text(payload, f"{attributes}.action"),
        branch=_branch(_text(payload, "ref"))
        or _text(payload, f"{attributes}.target_branch")
        or _text(payload, f"{attributes}.ref"),
        deleted=payload.get("after") == _NOTHING,
    )


def _of_anybody(request: Request, payload: Mapping[str, object]) -> Delivery:
    ref = _text(payload, "ref")
    plain = "" if ref.startswith("refs/") else ref
    return Delivery(
        # A request without a key is known again by its signature, which covers the time.
        id=_header(request, "Idempotency-Key") or request.header(SIGNATURE),
        event=_header(request, "X-Event").lower(),
        action=_text(payload, "action"),
        branch=_text(payload, "branch") or _branch(ref) or plain,
    )


def _branch(ref: str) -> str:
    return ref.removeprefix(_BRANCH) if ref.startswith(_BRANCH) else ""


def _text(payload: Mapping[str, object], path: str) -> str:
    try:
        found = find(parse_path(path), payload)
    except Absent:
        return ""
    return found if isinstance(found, str) else ""


def _header(request: Request, name: str, *, needed: bool = False) -> str:
    text = request.header(name.lower().encode())
    problem = "must be given" if needed and not text else ""
    if text and (len(text) > LONGEST or not text.isprintable()):
        problem = f"must be one text of 1 to {LONGEST} printable characters"
    if problem:
        raise Refused("invalid-query", f"{name}: {problem}", errors=[ProblemItem(problem, parameter=name)])
    return text
