"""Whether a request was made by a page of another origin, which would use a cookie that is not its own."""

from prunner_trio.http.facts import Request

__all__ = ["is_foreign"]

_FOREIGN = ("cross-site", "same-site")


def is_foreign(request: Request) -> bool:
    """Tell whether a browser says that a page of another origin made it send this.

    Programs say nothing, and are not foreign: nobody can make them send what they do not want to. Behind a proxy that
    changes ``Host``, ``X-Forwarded-Host`` is what the browser knows us by; a page cannot set it for another origin.
    """
    site = request.header(b"sec-fetch-site")
    if site:
        return site in _FOREIGN
    origin = request.header(b"origin")
    ours = (request.header(b"host"), request.header(b"x-forwarded-host"))
    return bool(origin) and origin.partition("://")[2] not in filter(None, ours)
