"""API v1 and the web application, imported when something first asks for them: see `prunner_trio.http.Service`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from prunner_trio.http.service import ASGIApp, Parts
    from prunner_trio.http.v1.api import ApiV1

__all__ = ["api_v1", "web_behind"]


def api_v1() -> type[ApiV1]:
    """Return what makes API v1; called in a thread, since it takes a while to be imported."""
    from prunner_trio.http.v1.api import ApiV1

    return ApiV1


def web_behind(*, profiling: bool) -> Callable[[Parts], ASGIApp]:
    """Return what makes the web application; called in a thread, since Quart takes a while to be imported.

    Args:
        profiling: show figures about the process under ``/debug/pprof/``, without a token.
    """

    def make(parts: Parts) -> ASGIApp:
        from prunner_trio.http.app import web_app

        return web_app(parts, profiling=profiling).asgi_app

    return make
