"""Who is asking: JSON web tokens signed with HS256.

The texts of the refusals, the places where a token is looked for and the order of the checks are prunner's.
"""

import json
import math
import sys
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from hmac import digest

import attrs
from jwt.algorithms import HMACAlgorithm
from jwt.api_jws import PyJWS
from jwt.exceptions import InvalidTokenError

from prunner_trio.errors import Unauthorized
from prunner_trio.http.facts import Request
from prunner_trio.http.origin import is_foreign
from prunner_trio.http.rights import Visitor, rights_of

__all__ = ["Gate"]

_ALGORITHM = "HS256"
_REMEMBERED_TOKENS = 1024
_REMEMBERED_LENGTH = 4096


class _AnyBytesHmac(HMACAlgorithm):
    """HMAC over the secret's bytes, whatever they look like.

    PyJWT refuses keys that look like a public key, to protect programs that accept other algorithms too, and warns of
    keys under 32 bytes. Ours is one algorithm, and prunner's secrets may have 16 bytes.
    """

    def prepare_key(self, key: str | bytes) -> bytes:
        return key.encode() if isinstance(key, str) else key

    def check_key_length(self, key: bytes) -> str | None:
        return None


@attrs.frozen
class _Claims:
    """What counts of a token whose signature is right; times are whole seconds since the epoch."""

    visitor: Visitor
    issued: int | None
    expires: int | None
    not_before: int | None


class Gate:
    """Lets requests in that carry a valid token.

    Tokens whose signature was found right are remembered (the latest 1024), so that a client that polls costs one
    signature check; their times are looked at each time.

    Attributes:
        cookie: the name of the cookie that signs in to the web page; other daemons of the same host have other ones,
            since browsers give cookies to all ports.
    """

    def __init__(self, secret: str | bytes, *, now: Callable[[], float]) -> None:
        """Take the secret's bytes as the key; `now` returns wall time in seconds."""
        self._key = secret.encode() if isinstance(secret, str) else secret
        self.cookie = f"prunner_trio_{digest(self._key, b'name of the cookie', sha256).hex()[:8]}"
        self._now = now
        self._known: OrderedDict[str, _Claims] = OrderedDict()
        self._signatures = PyJWS(algorithms=[])
        self._signatures.register_algorithm(_ALGORITHM, _AnyBytesHmac(HMACAlgorithm.SHA256))

    def visitor(self, request: Request) -> Visitor:
        """Return who asks, and with which rights. Whether these are enough is for the caller to see.

        Raises:
            Unauthorized: no token, or not a valid one; the message is the answer's text.
        """
        return self.visitor_of(self.token(request))

    def token(self, request: Request) -> str:
        """Return the token of a request, valid or not; empty if there is none."""
        return _bearer(request) or self._session(request) or _cookie(request, "jwt")

    def _session(self, request: Request) -> str:
        """Return the token of the page's cookie; pages of other origins cannot do anything with it."""
        changes = request.method not in ("GET", "HEAD")
        return "" if changes and is_foreign(request) else _cookie(request, self.cookie)

    def visitor_of(self, token: str) -> Visitor:
        """Return whom a token belongs to, and the rights that it gives. Raises `Unauthorized`."""
        if not token:
            raise Unauthorized("no token found")
        claims = self._known.get(token)
        if claims is None:
            claims = self._verify(token)
            self._remember(token, claims)
        else:
            self._known.move_to_end(token)
        self._check_times(claims)
        return claims.visitor

    def session_token(self, token: str, seconds: float) -> tuple[str, int]:
        """Return another token with the same claims, and its end: after so many seconds, or with the given one.

        Raises:
            Unauthorized: the given one is not valid.
        """
        self.visitor_of(token)
        claims = self._payload(token)
        own = _seconds(claims, "exp")
        ends = int(self._now() + seconds)
        ends = ends if own is None else min(own, ends)
        payload = json.dumps({**claims, "exp": ends}).encode()
        return self._signatures.encode(payload, self._key, algorithm=_ALGORITHM), ends

    def _payload(self, token: str) -> dict[str, object]:
        try:
            payload = self._signatures.decode(token, self._key, algorithms=[_ALGORITHM])
            claims = json.loads(payload)
        except (InvalidTokenError, ValueError, RecursionError) as exc:
            raise Unauthorized("token is unauthorized") from exc
        if not isinstance(claims, dict):
            raise Unauthorized("token is unauthorized")
        return claims

    def _verify(self, token: str) -> _Claims:
        claims = self._payload(token)
        subject = claims.get("sub")
        return _Claims(
            visitor=Visitor(_well_formed(subject) if isinstance(subject, str) else "", rights_of(claims)),
            issued=_seconds(claims, "iat"),
            expires=_seconds(claims, "exp"),
            not_before=_seconds(claims, "nbf"),
        )

    def _remember(self, token: str, claims: _Claims) -> None:
        if len(token) <= _REMEMBERED_LENGTH:
            self._known[token] = claims
            if len(self._known) > _REMEMBERED_TOKENS:
                self._known.popitem(last=False)

    def _check_times(self, claims: _Claims) -> None:
        now = int(self._now())
        if claims.issued is not None and claims.issued > now:
            raise Unauthorized("token iat validation failed")
        if claims.expires is not None and claims.expires <= now:
            raise Unauthorized("token is expired")
        if claims.not_before is not None and claims.not_before > now:
            raise Unauthorized("token nbf validation failed")


def _bearer(request: Request) -> str:
    value = request.header(b"authorization")
    return value[7:] if value[:7].lower() == "bearer " else ""


def _cookie(request: Request, wanted: str) -> str:
    for name, value in request.headers:
        if name == b"cookie":
            for pair in value.decode("latin-1").split(";"):
                key, _, text = pair.strip().partition("=")
                if key == wanted and text:
                    return text.strip('"')
    return ""


def _seconds(claims: dict[str, object], name: str) -> int | None:
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= sys.float_info.max:
        raise Unauthorized("token is unauthorized")
    return math.floor(value)


def _well_formed(text: str) -> str:
    # JSON can spell half a surrogate pair, which no file, process or answer of ours could hold.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
