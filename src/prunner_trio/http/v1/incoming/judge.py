"""What becomes of a request to a hook."""

import logging
import os
from collections.abc import Callable

import attrs

from prunner_trio.definition.incoming import HookKind, IncomingHook, event_matches, pattern_matches
from prunner_trio.definition.pipeline import Definitions
from prunner_trio.http.facts import Request
from prunner_trio.http.v1.incoming.delivery import Delivery, delivery_of
from prunner_trio.http.v1.incoming.mapping import mapped
from prunner_trio.http.v1.incoming.proof import proven
from prunner_trio.http.v1.models import HookReceipt, HookResult, ScheduleRequest
from prunner_trio.http.v1.problems import Refused
from prunner_trio.http.v1.schedule_body import read_object

__all__ = ["Incoming", "SecretOf", "Wanted", "log_wanted"]

log = logging.getLogger(__name__)

SecretOf = Callable[[IncomingHook], bytes | None]
"""From a hook to its secret; None: it is not known, and nobody is let in."""

_PING = "ping"
_PAUSE = 10.0
_SHOWN = 80


@attrs.frozen
class Wanted:
    """A job that is wanted.

    Attributes:
        user: in whose name.
        key: which makes one job of several attempts to deliver; None: there is none.
    """

    hook: IncomingHook
    delivery: Delivery
    user: str
    key: str | None
    request: ScheduleRequest


@attrs.define(eq=False)
class Incoming:
    """Judges requests by the present definitions.

    Attributes:
        definitions: returns them.
        secret_of: finds secrets.
        now: wall time in seconds.
    """

    definitions: Callable[[], Definitions]
    secret_of: SecretOf
    now: Callable[[], float]
    _nobody: bytes = attrs.field(factory=lambda: os.urandom(32), init=False, repr=False)
    _quiet_until: float = attrs.field(default=0.0, init=False)
    _unsaid: int = attrs.field(default=0, init=False)

    def judge(self, name: str, request: Request, body: bytes) -> Wanted | HookReceipt:
        """Return the job that a request means, or why it means none.

        Raises:
            Refused: there is no such hook, or the proof is missing or wrong, which is one answer; or the request cannot
                be understood.
        """
        pipeline, hook = self.definitions().hooks.get(name, (None, None))
        secret = self.secret_of(hook) if hook is not None else None
        kind = hook.kind if hook is not None else HookKind.GENERIC
        right = proven(kind, secret or self._nobody, request, body, self.now())
        if hook is None or pipeline is None or not secret or not right:
            self._say_refused(name)
            raise Refused("hook-refused", "there is no such hook, or the request is not signed as it must be")
        if request.media_type != "application/json":
            text = f"expected Content-Type: application/json, got {request.media_type[:_SHOWN]!r}"
            raise Refused("unsupported-media-type", text)
        payload = read_object(body)
        delivery = delivery_of(kind, request, payload)
        if delivery.event == _PING:
            return HookReceipt(HookResult.PONG, "", None)
        if reason := _passed_over(hook, delivery):
            log.info("hook: passed over", extra={**_facts(hook, delivery), "reason": reason})
            return HookReceipt(HookResult.FILTERED, reason, None)
        variables, partition = mapped(hook, delivery, payload)
        asked = ScheduleRequest(pipeline.name, variables, partition)
        return Wanted(hook, delivery, f"hook:{name}", delivery.id or None, asked)

    def _say_refused(self, name: str) -> None:
        """Log a refusal; of those that come thick, only how many there were, since anybody can cause them."""
        now = self.now()
        if self._quiet_until - _PAUSE <= now < self._quiet_until:
            self._unsaid += 1
            return
        log.warning("hook: refused", extra={"hook": name[:_SHOWN], "unsaid": self._unsaid})
        self._quiet_until, self._unsaid = now + _PAUSE, 0


def log_wanted(wanted: Wanted, job: str, *, known: bool) -> None:
    """Log what a request has led to."""
    log.info("hook: known before" if known else "hook: job", extra={**_facts(wanted.hook, wanted.delivery), "job": job})


def _facts(hook: IncomingHook, delivery: Delivery) -> dict[str, str]:
    return {"hook": hook.name, "event": delivery.name[:_SHOWN], "delivery": delivery.id}


def _passed_over(hook: IncomingHook, delivery: Delivery) -> str:
    """Return why an event starts no job; empty if it does."""
    if not event_matches(hook, delivery.event, delivery.action):
        name = repr(delivery.name[:_SHOWN]) if delivery.event else "without a name"
        return f"the event is {name}, and those that start a job are {', '.join(hook.events)}"
    if delivery.deleted:
        return "the branch was deleted"
    if hook.branches and not delivery.branch:
        return f"the event is of no branch, and the branches that start a job are {', '.join(hook.branches)}"
    if hook.branches and not any(pattern_matches(pattern, delivery.branch) for pattern in hook.branches):
        branch = repr(delivery.branch[:_SHOWN])
        return f"the branch is {branch}, and those that start a job are {', '.join(hook.branches)}"
    return ""
