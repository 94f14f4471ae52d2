"""The start and the end of an app, as ASGI's lifespan protocol has them.

Hypercorn has the same in `hypercorn.trio.lifespan`; importing that takes HTTP/2 and WebSocket with it, a tenth of a
second at each start of the daemon.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import attrs
import trio

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from hypercorn.typing import ASGIFramework

log = logging.getLogger(__name__)

STARTUP_S = 60.0


class LifespanFailed(Exception):
    """The app said that it could not start, or not end; the message is its own."""


@attrs.define(eq=False)
class Lifespan:
    """One life of an app.

    Attributes:
        state: what the app may keep there, for all its requests.
        supported: whether the app takes part; one that fails before it has started is served without.
        over: set when the app's part has ended.
    """

    app: ASGIFramework
    state: dict[str, Any] = attrs.field(factory=dict)
    supported: bool = attrs.field(default=True, init=False)
    over: trio.Event = attrs.field(factory=trio.Event, init=False)
    _started: trio.Event = attrs.field(factory=trio.Event, init=False)
    _asked_to_start: bool = attrs.field(default=False, init=False)
    _end: trio.Event = attrs.field(factory=trio.Event, init=False)

    async def run(self) -> None:
        """Run the app's part, from before its start to its end.

        Raises:
            LifespanFailed: the app said so.
        """
        scope: Any = {"type": "lifespan", "asgi": {"spec_version": "2.0", "version": "3.0"}, "state": self.state}
        try:
            await self.app(scope, self._receive, self._send)  # type: ignore[arg-type]
        except LifespanFailed:
            raise
        except Exception as exc:
            failed = exc.subgroup(LifespanFailed) if isinstance(exc, ExceptionGroup) else None
            if failed is not None:
                raise failed from None
            self.supported = False
            if self._started.is_set():
                log.exception("the app's lifespan failed, and is over")
            else:
                log.warning("the app has no lifespan, or failed in it before it had started: %r", exc)
        finally:
            self._started.set()
            self.over.set()

    async def start(self) -> None:
        """Wait until the app has started. Raises `trio.TooSlowError` after a minute."""
        with trio.fail_after(STARTUP_S):
            await self._started.wait()

    async def end(self, patience: float) -> None:
        """Ask the app to end, and wait until it has. Raises `trio.TooSlowError` after that many seconds."""
        self._end.set()
        with trio.fail_after(patience):
            await self.over.wait()

    async def _receive(self) -> Any:
        if not self._asked_to_start:
            self._asked_to_start = True
            return {"type": "lifespan.startup"}
        await self._end.wait()
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        kind = message["type"]
        if kind == "lifespan.startup.complete":
            self._started.set()
        elif kind == "lifespan.shutdown.complete":
            self.over.set()
        elif kind in ("lifespan.startup.failed", "lifespan.shutdown.failed"):
            raise LifespanFailed(f"{kind}: {message.get('message', '')}")
        else:
            raise ValueError(f"not a message of a lifespan: {kind!r}")
