"""What the connections of one server incarnation have in common: the app, the limits, who is idle, who must go."""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs
import trio

from prunner_trio.http.addresses import LOCAL, address_text
from prunner_trio.http.buckets import Buckets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hypercorn.typing import ASGIFramework

    from prunner_trio.http.server._limits import HttpLimits


log = logging.getLogger(__name__)

MOST_TURNED_AWAY = 32
"""Connections at a time that are told why they are turned away; so these cannot take the places of others."""


@attrs.define(eq=False)
class Visitors:
    """How many connections are open; for those who want to know, whichever incarnation has them."""

    count: int = 0


@attrs.define(eq=False)
class Shared:
    """The common part of all connections."""

    app: ASGIFramework
    limits: HttpLimits
    state: dict[str, Any]
    visitors: Visitors = attrs.Factory(Visitors)
    draining: bool = False
    crowded: bool = False  # all places are taken, and somebody waits for one
    count: int = 0
    _left: trio.Event = attrs.Factory(trio.Event)
    turned_away: int = 0  # that many are being told
    # The connections that wait for a request, the longest waiting first: their scopes, whether they had one before, and
    # their addresses.
    _idle: dict[trio.CancelScope, tuple[bool, bytes]] = attrs.Factory(dict)
    _addresses: Counter[bytes] = attrs.Factory(Counter)
    _told: Buckets = attrs.Factory(lambda: Buckets(1 / 60, 1))

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
                oldest = next((scope for scope, (had_request, _) in self._idle.items() if had_request), None)
                if oldest is not None:
                    oldest.cancel()
                await left.wait()
        finally:
            self.crowded = False

    @contextmanager
    def closed_first(self, scope: trio.CancelScope, address: bytes, *, had_request: bool) -> Iterator[None]:
        """Mark a connection as idle: `scope` is canceled when the server drains, or needs its place."""
        self._idle[scope] = had_request, address
        if self.draining:  # accepted in the last moment
            scope.cancel()
        try:
            yield
        finally:
            del self._idle[scope]

    @contextmanager
    def from_address(self, address: bytes) -> Iterator[bool]:
        """Count a connection of an address; the value says whether there may be one more."""
        self._addresses[address] += 1
        try:
            yield self._room_for(address)
        finally:
            self._addresses[address] -= 1
            if not self._addresses[address]:
                del self._addresses[address]

    def _room_for(self, address: bytes) -> bool:
        most = self.limits.connections_per_address
        if address == LOCAL or not most or self._addresses[address] <= most:
            return True
        for scope, (had_request, other) in self._idle.items():
            if had_request and other == address and not scope.cancel_called:
                scope.cancel()
                return True
        if not self._told.take(address, trio.current_time()):
            log.warning("an address has too many connections address=%s most=%d", address_text(address), most)
        return False

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
