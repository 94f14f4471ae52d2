"""The server's life: one incarnation after the other on the same listening sockets, until it is told to stop."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

import trio

from prunner_trio.http.server._connection import serve_connection
from prunner_trio.http.server._lifespan import Lifespan
from prunner_trio.http.server._limits import HttpLimits
from prunner_trio.http.server._shared import RoomyListener, Shared, Visitors

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from hypercorn.typing import ASGIFramework

log = logging.getLogger(__name__)


async def serve_http(
    app: ASGIFramework,
    sockets: Sequence[socket.socket],
    *,
    limits: HttpLimits = HttpLimits(),  # noqa: B008 - frozen
    shutdown: trio.Event,
    backoff: tuple[float, float] = (0.1, 5.0),
    visitors: Visitors | None = None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve an ASGI app over HTTP/1.1 until `shutdown` is set and the requests under way are over.

    The server is a failure domain of its own. What a client does, or the app does for a client, ends at worst that
    connection. Should the server itself fail, its connections are closed, the error is logged, and after a while
    (`backoff`: first and longest wait in seconds, doubled from failure to failure) a new incarnation serves the same
    sockets; clients who connect meanwhile wait in the backlog.

    After `shutdown` no request is begun; idle connections are closed at once; requests under way have
    `HttpLimits.drain` seconds and are canceled then. The app's lifespan has the same time again for its own shutdown.
    Canceling `serve_http` does all this at once.

    Args:
        app: the ASGI 3 application, such as a `QuartTrio`.
        sockets: sockets that listen already (see `bind`). They stay open, now non-blocking, and the caller closes
            them; until then the kernel goes on accepting into the backlog, for a successor, if there is one.
        limits: what clients may do.
        shutdown: set it to stop the server.
        backoff: see above.
        visitors: kept up to date with the number of open connections.
        task_status: started when the app is ready and connections are accepted; only once.

    Raises:
        ExceptionGroup: the first incarnation failed before it was ready.
    """
    ready = False

    def on_ready() -> None:
        nonlocal ready
        if not ready:
            ready = True
            task_status.started()

    delay, longest = backoff
    visitors = visitors or Visitors()
    while True:
        born = trio.current_time()
        failed = False
        try:
            await _serve_once(app, sockets, limits, shutdown, on_ready, visitors)
        except* Exception:
            # The HTTP supervisor: jobs and store are elsewhere and must not fall with the server. Cancelled passes.
            if not ready:
                raise
            failed = True
            log.exception("http server failed, will start again")
        if not failed:
            return
        if trio.current_time() - born > longest:
            delay = backoff[0]
        with trio.move_on_after(delay):
            await shutdown.wait()
            return
        delay = min(2 * delay, longest)


async def _serve_once(
    app: ASGIFramework,
    sockets: Sequence[socket.socket],
    limits: HttpLimits,
    shutdown: trio.Event,
    on_ready: Callable[[], None],
    visitors: Visitors,
) -> None:
    """Run one incarnation: the app's lifespan around the connections around the listeners."""
    lifespan = Lifespan(app)
    shared = Shared(app, limits, lifespan.state, visitors)
    async with trio.open_nursery() as lifespan_nursery:
        lifespan_nursery.start_soon(lifespan.run, name="lifespan")
        await lifespan.start()
        if lifespan.supported and lifespan.over.is_set():
            # The app gave up during its startup; we give the task that knows why a moment to fail, which cancels this.
            await trio.sleep(1.0)
            raise RuntimeError("the app's lifespan ended during startup")
        async with trio.open_nursery() as connections, trio.open_nursery() as accepting:
            listeners = [
                RoomyListener(trio.SocketListener(trio.socket.from_stdlib_socket(sock.dup())), shared)
                for sock in sockets
            ]
            accepting.start_soon(
                partial(trio.serve_listeners, partial(serve_connection, shared), listeners, handler_nursery=connections)
            )
            on_ready()
            await shutdown.wait()
            accepting.cancel_scope.cancel()
            shared.drain()
            connections.cancel_scope.deadline = trio.current_time() + limits.drain
        if lifespan.supported:
            await lifespan.end(limits.drain)
        lifespan_nursery.cancel_scope.cancel()
