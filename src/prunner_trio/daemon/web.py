"""The web application, imported when something first asks for it: see `prunner_trio.http.Service`."""

from collections.abc import Callable

from prunner_trio.http.service import ASGIApp, Parts

__all__ = ["web_behind"]


def web_behind(*, profiling: bool) -> Callable[[Parts], ASGIApp]:
    """Return what makes the web application; called in a thread, since Quart takes a while to be imported.

    Args:
        profiling: show figures about the process under ``/debug/pprof/``, without a token.
    """

    def make(parts: Parts) -> ASGIApp:
        from prunner_trio.http.app import web_app

        return web_app(parts, profiling=profiling).asgi_app

    return make
