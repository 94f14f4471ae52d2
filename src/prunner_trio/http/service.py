"""What the daemon serves: prunner's API at once, API v1 and the web application when something first asks for them."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

import trio

from prunner_trio.errors import StoreError
from prunner_trio.http.about import nothing_known
from prunner_trio.http.auth import Gate
from prunner_trio.http.bodies import MAX_BODY
from prunner_trio.http.fast import ASGIApp, Message, Receive, Send, ShortWay
from prunner_trio.http.limiting import Limited
from prunner_trio.http.listing import Listing
from prunner_trio.http.seen import seen_by
from prunner_trio.http.v1.paths import MOST_STREAMS
from prunner_trio.http.views import Api

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from prunner_trio.http.about import Tell
    from prunner_trio.http.port import RunnerPort, Scrape
    from prunner_trio.http.rights import Visitor
    from prunner_trio.http.v1.api import ApiV1
    from prunner_trio.http.v1.incoming import SecretOf

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
        self._watching = False

    def seen_by(self, visitor: Visitor) -> RunnerPort:
        """Return the runner as somebody sees it."""
        return seen_by(self._runner, visitor.rights)

    @property
    def v1(self) -> ApiV1:
        """API v1, once `v1_before` has made it; the web application is only reached through it."""
        assert self._v1 is not None
        return self._v1

    def in_front_of(self, otherwise: ASGIApp) -> ASGIApp:
        """Return the application that answers what prunner's API owns, and passes on everything else."""
        front = ShortWay(self.api, otherwise=otherwise, max_body=self.max_body, closing=self.closing)
        return Limited(front, self.gate, self._rate)

    def v1_before(self, otherwise: ASGIApp, kind: type[ApiV1]) -> ApiV1:
        """Make API v1, which passes on everything else than what it owns; `kind` is its class."""
        self._v1 = kind(
            self._runner,
            gate=self.gate,
            otherwise=otherwise,
            max_body=self.max_body,
            now=self.now,
            closing=self.closing,
            hook_secrets=self._hook_secrets,
            most_streams=self.most_streams,
        )
        if self._watching:
            self._v1.start()
        return self._v1

    def start(self) -> None:
        """Watch the runner, from now on or once there is API v1; does nothing while it is watched already."""
        self._watching = True
        if self._v1 is not None:
            self._v1.start()

    async def warm_up(self) -> None:
        """Read what the runner keeps; a store that cannot be read now is read by the first request for the listing."""
        try:
            await self._listing.read_ahead()
        except StoreError as exc:
            log.warning("the kept jobs cannot be listed yet: %s", exc)

    def stop(self) -> None:
        """Watch no more."""
        self._watching = False
        if self._v1 is not None:
            self._v1.stop()
        self._listing.stop()


class _Later:
    """An application that is made for the first request that comes to it, and again for the next one if that failed."""

    def __init__(self, make: Callable[[], Awaitable[ASGIApp]]) -> None:
        self._make = make
        self._making = trio.Lock()
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if self._app is None:
            async with self._making:
                if self._app is None:
                    self._app = await self._make()
        await self._app(scope, receive, send)


class Service:
    """An ASGI application with the same answers as that of `create_app`.

    Half of the start would be spent on Quart, and a sixth of the rest on API v1. So both are imported, in a thread, for
    the first request that asks for them.
    """

    def __init__(
        self,
        runner: RunnerPort,
        *,
        v1: Callable[[], type[ApiV1]],
        behind: Callable[[Parts], ASGIApp],
        **options: Any,
    ) -> None:
        """Make it for one runner.

        Args:
            v1: imports API v1; called once, in a thread, and again if that failed.
            behind: makes the application behind the APIs, likewise.
            options: see `create_app`.
        """
        self._parts = Parts(runner, **options)
        self._import_v1 = v1
        self._make_web = behind
        self._front = self._parts.in_front_of(_Later(self._v1))

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

    async def _v1(self) -> ASGIApp:
        kind = await trio.to_thread.run_sync(self._import_v1, abandon_on_cancel=True)
        return self._parts.v1_before(_Later(self._web), kind)

    async def _web(self) -> ASGIApp:
        return await trio.to_thread.run_sync(self._make_web, self._parts, abandon_on_cancel=True)
