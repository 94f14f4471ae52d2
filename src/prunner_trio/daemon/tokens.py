"""Tokens for people who try the API by hand."""

import time
import warnings
from collections.abc import Mapping

__all__ = ["make_token"]


def make_token(secret: str, *, subject: str = "", expires: float | None = None) -> str:
    """Return a signed token with the time of its making.

    Args:
        subject: becomes the user of jobs; empty: none.
        expires: seconds from now; None: never.
    """
    import jwt

    now = int(time.time())
    claims: Mapping[str, object] = {
        "iat": now,
        **({"sub": subject} if subject else {}),
        **({} if expires is None else {"exp": now + max(1, round(expires))}),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # prunner allows secrets of 16 bytes, newer pyjwt wants 32
        return jwt.encode(dict(claims), secret, algorithm="HS256")
