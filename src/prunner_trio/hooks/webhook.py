"""Sends one request; imported at the first webhook that is told, since that takes a while."""

import ssl
from collections.abc import Mapping
from functools import cache

import httpcore
import trio

from prunner_trio.hooks.failed import HookFailed

__all__ = ["post"]

_PROBLEMS = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, httpcore.UnsupportedProtocol)


async def post(address: str, headers: Mapping[str, str], body: bytes, seconds: float) -> int:
    """POST a body and return the status of the answer, whose own body nobody reads.

    A connection of its own, no redirects, no proxies; certificates are checked against those of the system.

    Raises:
        HookFailed: there was no answer within that time.
    """
    context = await trio.to_thread.run_sync(_context) if address.startswith("https:") else None
    try:
        with trio.fail_after(seconds):
            async with (
                httpcore.AsyncConnectionPool(ssl_context=context, max_keepalive_connections=0) as pool,
                pool.stream("POST", address, headers=[*headers.items()], content=body) as response,
            ):
                return response.status
    except trio.TooSlowError:
        raise HookFailed(f"no answer within {seconds:g}s") from None
    except (*_PROBLEMS, OSError) as exc:
        raise HookFailed(f"no answer: {str(exc) or type(exc).__name__}") from exc


@cache
def _context() -> ssl.SSLContext:
    return ssl.create_default_context()
