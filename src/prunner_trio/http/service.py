"""What the daemon serves: both APIs at once, and the web application behind them when something first asks for it."""

import logging
import time
from collections.abc import Callable
from typing import Any

import trio

from prunner_trio.errors import StoreError
from prunner_trio.http.about import Tell, nothing_known
from prunner_trio.http.auth import Gate
from prunner_trio.http.bodies import MAX_BODY
from prunner_trio.http.fast import ASGIApp, Message, Receive, Send, ShortWay
from prunner_trio.http.limiting import Limited
from prunner_trio.http.listing import Listing
from prunner_trio.http.port import RunnerPort, Scrape
from prunner_trio.http.rights import Visitor
from prunner_trio.http.seen import seen_by
from prunner_trio.http.v1 import MOST_STREAMS, ApiV1
from prunner_trio.http.v1.incoming import SecretOf
from prunner_trio.http.views import Api

__all__ = ["ASGIApp", "Parts", "Service"]

log = logging.getLogger(__name__)


class Parts:
    """The two APIs of one runner, before anything stands behind them, and what the pages need of them.

    Attributes:
        now: returns wall time in seconds.
        closing: set when the server is about to end.
        about: tells of the daemon.
        most_streams: see `ApiV1`.
    """

    def __init__(
        self,
        runner: RunnerPort,
        *,
        secret: str | bytes,
        metrics: Scrape | None = None,
        max_body: int = MAX_BODY,
        now: Callable[[], float] = time.time,
        closing: trio.Event | None = None,
        hook_secrets: SecretOf = lambda _: None,
        rate: float = 0.0,
        most_streams: int = MOST_STREAMS,
        about: Tell = nothing_known,
    ) -> None:
        """Make them; for the arguments see `create_app`. Nothing is read yet."""
        self.gate = gate = Gate(secret, now=now)
        self.max_body = max_body
        self.most_streams = most_streams
        self._rate = rate
        self.about = about
        self._runner, self.now = runner, now
        self.closing = trio.Event() if closing is None else closing
        self._hook_secrets = hook_secrets
        self._listing = Listing(runner)
        self.api = Api(runner, gate=gate, listing=self._listing, metrics=metrics)
        self._v1: ApiV1 | None = None

    def seen_by(self, visitor: Visitor) -> RunnerPort:
        """Return the runner as somebody sees it."""
        return seen_by(self._runner, visitor.rights)

    @property
    def v1(self) -> ApiV1:
        """API v1, once there is an application in front of something."""
        assert self._v1 is not None
        return self._v1

    def in_front_of(self, otherwise: ASGIApp) -> ASGIApp:
        """Return the application that answers what the APIs own, and passes on everything else."""
        self._v1 = ApiV1(
            self._runner,
            gate=self.gate,
            otherwise=otherwise,
            max_body=self.max_body,
            now=self.now,
            closing=self.closing,
            hook_secrets=self._hook_secrets,
            most_streams=self.most_streams,
        )
        front = ShortWay(self.api, otherwise=self._v1, max_body=self.max_body, closing=self.closing)
        return Limited(front, self.gate, self._rate)

    def start(self) -> None:
        """Watch the runner; does nothing while it is watched already."""
        self.v1.start()

    async def warm_up(self) -> None:
        """Read what the runner keeps; a store that cannot be read now is read by the first request for the listing."""
        try:
            await self._listing.read_ahead()
        except StoreError as exc:
            log.warning("the kept jobs cannot be listed yet: %s", exc)

    def stop(self) -> None:
        """Watch no more."""
        if self._v1 is not None:
            self._v1.stop()
        self._listing.stop()


class Service:
    """An ASGI application with the same answers as that of `create_app`.

    Nearly half of the start would be spent on Quart, and neither API needs it. So the application behind them is made,
    in a thread, for the first request that asks for something else.
    """

    def __init__(self, runner: RunnerPort, *, behind: Callable[[Parts], ASGIApp], **options: Any) -> None:
        """Make it for one runner.

        Args:
            behind: makes the application behind the APIs; called once, in a thread, and again if that failed.
            options: see `create_app`.
        """
        self._parts = Parts(runner, **options)
        self._make = behind
        self._making = trio.Lock()
        self._behind: ASGIApp | None = None
        self._front = self._parts.in_front_of(self._otherwise)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request, or live through the lifespan of the server."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await self._front(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        self._parts.start()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._parts.warm_up, name="listing")
                await send({"type": "lifespan.startup.complete"})
                await receive()
                nursery.cancel_scope.cancel()
        finally:
            self._parts.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _otherwise(self, scope: Message, receive: Receive, send: Send) -> None:
        if self._behind is None:
            async with self._making:
                if self._behind is None:
                    self._behind = await trio.to_thread.run_sync(self._make, self._parts, abandon_on_cancel=True)
        await self._behind(scope, receive, send)
