"""What leads to the web page."""

import attrs

from prunner_trio.http.v1.models._scalars import Time

__all__ = ["SignInLink"]


@attrs.frozen
class SignInLink:
    """A link to the web page that signs in whoever opens it first.

    Attributes:
        path: to be put behind the address of the daemon and a slash.
        expires: it is good until then.
    """

    path: str
    expires: Time
