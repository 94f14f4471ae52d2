"""What `--verbose` adds to the log: each step of each task, each request."""

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import trio

from prunner_trio.model import Event, EventKind

__all__ = ["App", "LoggedRequests", "log_event"]

Message = MutableMapping[str, Any]
App = Callable[[Any, Any, Any], Awaitable[None]]
"""An ASGI application, as far as we have to know."""

log = logging.getLogger(__name__)


def log_event(event: Event) -> None:
    """Log a change of a task; those of jobs are in the log anyway."""
    if event.kind is EventKind.TASK:
        facts = {
            "job": event.job_id,
            "task": event.task,
            "state": event.state.value,
            "reason": event.reason,
            "pipeline": event.pipeline,
        }
        log.debug("task changed", extra=facts)


class LoggedRequests:
    """An ASGI application around another one that logs each request: no query, no headers, so no secrets."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: object, send: Callable[[Any], Awaitable[None]]) -> None:
        """Pass everything on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        began = trio.current_time()
        try:
            await self._app(scope, receive, watched)
        finally:
            took = f"{(trio.current_time() - began) * 1000:.1f}ms"
            log.debug(
                "request", extra={"method": scope["method"], "path": scope["path"], "status": status, "took": took}
            )
