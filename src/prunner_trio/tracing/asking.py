"""To which trace a request belongs that asks for a job."""

from collections.abc import Awaitable, Callable, MutableMapping
from contextvars import ContextVar
from typing import Any

__all__ = ["App", "TracedRequests", "asked_by"]

App = Callable[[Any, Any, Any], Awaitable[None]]
"""An ASGI application, as far as we have to know."""

_LONGEST = 512
_PARENT: ContextVar[str] = ContextVar("parent", default="")


def asked_by() -> str:
    """Return the header `traceparent` of the request that is being answered; empty if there is none."""
    return _PARENT.get()


class TracedRequests:
    """An ASGI application around another one that remembers `traceparent` as long as a request is answered.

    A job is accepted, and its first event told, in one step of whoever answers the request, so a context variable is
    enough to bring the two together.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: object, send: object) -> None:
        """Pass everything on."""
        parent = next((v for n, v in scope.get("headers", ()) if n == b"traceparent" and len(v) <= _LONGEST), b"")
        token = _PARENT.set(parent.decode("latin-1"))
        try:
            await self._app(scope, receive, send)
        finally:
            _PARENT.reset(token)
