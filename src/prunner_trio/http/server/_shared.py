"""What the connections of one server incarnation have in common: the app, the limits, who is idle, who must go."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs
import trio

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hypercorn.config import Config
    from hypercorn.typing import ASGIFramework

    from prunner_trio.http.server._limits import HttpLimits


@attrs.define(eq=False)
class Visitors:
    """How many connections are open; for those who want to know, whichever incarnation has them."""

    count: int = 0


@attrs.define(eq=False)
class Shared:
    """The common part of all connections."""

    app: ASGIFramework
    config: Config
    limits: HttpLimits
    state: dict[str, Any]
    visitors: Visitors = attrs.Factory(Visitors)
    draining: bool = False
    crowded: bool = False  # all places are taken, and somebody waits for one
    count: int = 0
    _left: trio.Event = attrs.Factory(trio.Event)
    # The connections that wait for a request, the longest waiting first: their scopes, and whether they had one before.
    _idle: dict[trio.CancelScope, bool] = attrs.Factory(dict)

    @property
    def full(self) -> bool:
        """Whether there are as many connections as are allowed."""
        return self.count >= self.limits.connections

    @property
    def closing(self) -> bool:
        """Whether connections should end with their present answer: at shutdown, and when others need the place."""
        return self.draining or self.crowded

    def drain(self) -> None:
        """Let nobody begin another request, and close the connections that have none."""
        self.draining = True
        for scope in self._idle:
            scope.cancel()

    async def room(self) -> None:
        """Wait until one more connection is allowed.

        The connection that is idle for the longest is closed to this end; not one that was just made, whose first
        request must be on its way.
        """
        self.crowded = True
        try:
            while self.full:
                left = self._left
                oldest = next((scope for scope, had_request in self._idle.items() if had_request), None)
                if oldest is not None:
                    oldest.cancel()
                await left.wait()
        finally:
            self.crowded = False

    @contextmanager
    def closed_first(self, scope: trio.CancelScope, *, had_request: bool) -> Iterator[None]:
        """Mark a connection as idle: `scope` is canceled when the server drains, or needs its place."""
        self._idle[scope] = had_request
        if self.draining:  # accepted in the last moment
            scope.cancel()
        try:
            yield
        finally:
            del self._idle[scope]

    @contextmanager
    def occupied_place(self) -> Iterator[None]:
        """Give back at the end the place that `RoomyListener.accept` has taken."""
        try:
            yield
        finally:
            self.count -= 1
            self.visitors.count -= 1
            self._left.set()
            self._left = trio.Event()


@attrs.define(eq=False)
class RoomyListener(trio.abc.Listener[trio.SocketStream]):
    """A listener that accepts nobody while all places are taken; the kernel's backlog is the waiting room."""

    listener: trio.SocketListener
    shared: Shared

    async def accept(self) -> trio.SocketStream:
        """Wait for a client, and for room if there is none."""
        if self.shared.full:
            await trio.lowlevel.wait_readable(self.listener.socket)  # nobody need go before somebody comes
            await self.shared.room()
        stream = await self.listener.accept()
        self.shared.count += 1
        self.shared.visitors.count += 1
        return stream

    async def aclose(self) -> None:
        """Close this incarnation's duplicate of the listening socket."""
        await self.listener.aclose()
