"""Tokens for people who try the API by hand."""

import time
import warnings
from collections.abc import Mapping, Sequence

__all__ = ["make_token"]


def make_token(
    secret: str,
    *,
    subject: str = "",
    expires: float | None = None,
    scope: str = "",
    pipelines: Sequence[str] = (),
) -> str:
    """Return a signed token with the time of its making.

    Args:
        subject: becomes the user of jobs; empty: none.
        expires: seconds from now; None: never.
        scope: what the bearer may do; empty: everything.
        pipelines: patterns of the names of those that exist for the bearer; empty: all.
    """
    import jwt

    now = int(time.time())
    claims: Mapping[str, object] = {
        "iat": now,
        **({"sub": subject} if subject else {}),
        **({} if expires is None else {"exp": now + max(1, round(expires))}),
        **({"scope": scope} if scope else {}),
        **({"pipelines": list(pipelines)} if pipelines else {}),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # prunner allows secrets of 16 bytes, newer pyjwt wants 32
        return jwt.encode(dict(claims), secret, algorithm="HS256")
