"""What the connections of one server incarnation have in common: the app, the limits, who is idle, who must go."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import attrs
import trio

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hypercorn.config import Config
    from hypercorn.typing import ASGIFramework, ConnectionState

    from prunner_trio.http.server._limits import HttpLimits


@attrs.define(eq=False)
class Shared:
    """The common part of all connections."""

    app: ASGIFramework
    config: Config
    limits: HttpLimits
    state: ConnectionState
    draining: bool = False
    count: int = 0
    _left: trio.Event = attrs.Factory(trio.Event)
    # The scopes of connections that wait for a request, the longest waiting first; a dict for want of an ordered set.
    _idle: dict[trio.CancelScope, None] = attrs.Factory(dict)

    @property
    def full(self) -> bool:
        """Whether there are as many connections as are allowed."""
        return self.count >= self.limits.connections

    @property
    def closing(self) -> bool:
        """Whether connections should end with their present answer: at shutdown, and when others need the place."""
        return self.draining or self.full

    def drain(self) -> None:
        """Let nobody begin another request, and close the connections that have none."""
        self.draining = True
        for scope in self._idle:
            scope.cancel()

    async def room(self) -> None:
        """Wait until one more connection is allowed. Of the idle ones, the oldest is closed to this end."""
        while self.full:
            left = self._left
            for scope in self._idle:
                scope.cancel()
                break
            await left.wait()

    @contextmanager
    def closed_first(self, scope: trio.CancelScope) -> Iterator[None]:
        """Mark a connection as idle: `scope` is canceled when the server drains, or needs its place."""
        self._idle[scope] = None
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
            self._left.set()
            self._left = trio.Event()


@attrs.define(eq=False)
class RoomyListener(trio.abc.Listener[trio.SocketStream]):
    """A listener that accepts nobody while all places are taken; the kernel's backlog is the waiting room."""

    listener: trio.SocketListener
    shared: Shared

    async def accept(self) -> trio.SocketStream:
        """Wait for room, then for a client."""
        await self.shared.room()
        stream = await self.listener.accept()
        self.shared.count += 1
        return stream

    async def aclose(self) -> None:
        """Close this incarnation's duplicate of the listening socket."""
        await self.listener.aclose()
