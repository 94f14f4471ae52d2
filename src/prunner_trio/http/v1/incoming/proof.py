"""Whether a request comes from whoever knows the secret. Pure.

Each check costs one HMAC over the body and one comparison in constant time, whatever the kind of the hook and whether
there is one: how long the answer takes tells nobody which names exist.
"""

import hashlib
import hmac
import re

from prunner_trio.definition.incoming import HookKind
from prunner_trio.http.facts import Request

__all__ = ["SIGNATURE", "TIMESTAMP", "TOLERANCE", "proven"]

SIGNATURE = b"x-signature-256"
"""The header with the signature of a generic hook: ``sha256=HEX``."""

TIMESTAMP = b"x-timestamp"
"""The header with the time of a generic hook's signature, in seconds since 1970."""

TOLERANCE = 300.0
"""Seconds by which that time may differ from ours."""

_KEY = b"idempotency-key"
_SECONDS = re.compile(r"[0-9]{1,12}", re.ASCII)
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,255}", re.ASCII)


def proven(kind: HookKind, secret: bytes, request: Request, body: bytes, now: float) -> bool:
    """Whether a request carries the proof that its sender knows the secret; `now` is wall time in seconds."""
    digest = hmac.new(secret, digestmod=hashlib.sha256)
    timely = True
    if kind is HookKind.GENERIC:
        stamp, key = request.header(TIMESTAMP), request.header(_KEY)
        timely = bool(_SECONDS.fullmatch(stamp)) and abs(now - int(stamp)) <= TOLERANCE
        # The alphabet of keys keeps the two forms apart: a body that is an object begins with none of its letters.
        timely = timely and (not key or bool(_PLAIN_KEY.fullmatch(key)))
        digest.update(f"{stamp}.{key}.".encode() if key else f"{stamp}.".encode())
    digest.update(body)
    expected, given = f"sha256={digest.hexdigest()}", request.header(_HEADERS[kind])
    if kind is HookKind.GITLAB:  # its proof is the secret itself; the digests have one length, whatever is sent
        expected = hashlib.sha256(secret).hexdigest()
        given = hashlib.sha256(given.encode("latin-1")).hexdigest()
    return hmac.compare_digest(expected.encode(), given.encode()) and timely


_HEADERS = {
    HookKind.GITHUB: b"x-hub-signature-256",
    HookKind.GITLAB: b"x-gitlab-token",
    HookKind.GENERIC: SIGNATURE,
}
