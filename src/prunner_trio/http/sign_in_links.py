"""Links that sign in to the web page: each good for one use within a minute."""

import secrets
from collections.abc import Callable

import attrs

__all__ = ["GOOD_FOR", "SignInLinks"]

GOOD_FOR = 60.0
"""Seconds."""

_MOST = 100


@attrs.define(eq=False)
class SignInLinks:
    """The links that were given out and not yet used: at most 100, of which the oldest goes first.

    Attributes:
        now: returns wall time in seconds.
    """

    now: Callable[[], float]
    _tokens: dict[str, tuple[float, str]] = attrs.field(factory=dict, init=False, repr=False)

    def make(self, token: str) -> tuple[str, float]:
        """Return a code that stands for a token once, and the time when it ends."""
        ends = self.now() + GOOD_FOR
        code = secrets.token_urlsafe(32)
        self._tokens[code] = ends, token
        if len(self._tokens) > _MOST:
            del self._tokens[next(iter(self._tokens))]
        return code, ends

    def take(self, code: str) -> str | None:
        """Return the token that a code stands for, which it does no more; None if it does not, or not any more."""
        ends, token = self._tokens.pop(code, (0.0, ""))
        return token if token and self.now() < ends else None
