"""Tells everybody who watches a runner what changed, in order."""

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import trio

from prunner_trio.model import Event

__all__ = ["BACKLOG", "Bus", "Listener"]

log = logging.getLogger(__name__)

Listener = Callable[[Event], None]

BACKLOG = 256
"""Events that a subscriber may lag behind before it is cut off."""


class Bus:
    """Hands each event to listeners at once and to subscribers through bounded channels."""

    def __init__(self) -> None:
        self._listeners: dict[object, Listener] = {}
        self._channels: set[trio.MemorySendChannel[Event]] = set()
        self._closed = False

    @property
    def subscribers(self) -> int:
        """How many channels are open."""
        return len(self._channels)

    def publish(self, event: Event) -> None:
        """Tell everybody. Never blocks: a subscriber that is `BACKLOG` events behind is cut off."""
        for listener in tuple(self._listeners.values()):
            try:
                listener(event)
            except Exception:
                log.exception("a listener failed", extra=_facts(event))
        for channel in tuple(self._channels):
            try:
                channel.send_nowait(event)
            except (trio.WouldBlock, trio.BrokenResourceError):
                self._channels.discard(channel)
                channel.close()

    @contextmanager
    def observe(self, listener: Listener) -> Iterator[None]:
        """Call `listener` with each event, synchronously, as long as the block lasts."""
        key = object()
        self._listeners[key] = listener
        try:
            yield
        finally:
            del self._listeners[key]

    @asynccontextmanager
    async def subscribe(self) -> AsyncIterator[trio.MemoryReceiveChannel[Event]]:
        """Open a channel of events; it ends early for a subscriber that does not keep up."""
        send, receive = trio.open_memory_channel[Event](BACKLOG)
        if self._closed:
            send.close()
        else:
            self._channels.add(send)
        try:
            with receive:
                yield receive
        finally:
            self._channels.discard(send)
            send.close()

    def close(self) -> None:
        """End all channels, also those to come; what is in them can still be read."""
        self._closed = True
        for channel in self._channels:
            channel.close()
        self._channels.clear()


def _facts(event: Event) -> dict[str, str]:
    return {"job": event.job_id, "pipeline": event.pipeline, "task": event.task}
