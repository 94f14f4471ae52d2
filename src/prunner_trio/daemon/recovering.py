"""What is heard of a daemon while it reads a damaged store, which takes minutes if that is large."""

import logging
import time

import attrs

from prunner_trio.daemon.notify import Notifier

__all__ = ["INTERVAL", "MORE_TIME", "Recovering"]

log = logging.getLogger(__name__)

INTERVAL = 5.0
"""Seconds between two signs."""

MORE_TIME = 60.0
"""Seconds for which a service manager is asked each time: steps that give no sign are far shorter."""


@attrs.define(eq=False)
class Recovering:
    """Says in the log how far a recovery is, and has the service manager wait for it as long as it gets on."""

    notifier: Notifier
    _last: float = attrs.field(factory=time.monotonic, init=False)

    def __call__(self, what: str, done: int, total: int) -> None:
        """Hear of a step; from any thread, but one at a time."""
        now = time.monotonic()
        if now >= self._last + INTERVAL:
            self._last = now
            self.notifier.more_time(MORE_TIME, f"recovering a damaged store: {what}")
            log.warning("recovering a damaged store", extra={"step": what, "done": done, "of": total})
