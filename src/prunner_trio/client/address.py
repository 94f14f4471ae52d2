"""Where a daemon is: ``host:port`` as the daemon itself is told, or a URL. Pure."""

from typing import NamedTuple
from urllib.parse import urlsplit

__all__ = ["DEFAULT", "Address", "parse_address"]

DEFAULT = "localhost:9009"
"""Where a daemon listens that was told nothing else."""

_SCHEMES = {"http": 80, "https": 443}


class Address(NamedTuple):
    """The place of a daemon.

    Attributes:
        secure: with TLS.
        host: a name or a number, without brackets.
        prefix: the path below which the API is, behind a proxy; without a slash at its end.
    """

    secure: bool
    host: str
    port: int
    prefix: str = ""

    @property
    def authority(self) -> str:
        """Host and port as they stand in a URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{'https' if self.secure else 'http'}://{self.authority}{self.prefix}"


def parse_address(text: str) -> Address:
    """Read an address; without a host, and for all interfaces, this machine is meant.

    Raises:
        ValueError: it is none; the text says what is allowed, and holds no password.
    """
    try:
        url = urlsplit(text if "://" in text else f"http://{text}")
        port = url.port
    except ValueError:
        raise ValueError("it is not of the form HOST:PORT or https://HOST[:PORT][/PATH]") from None
    if url.scheme not in _SCHEMES:
        raise ValueError(f"{url.scheme!r} is none of {', '.join(_SCHEMES)}")
    if "@" in url.netloc:
        raise ValueError("a user or a password does not belong there")
    if url.query or url.fragment:
        raise ValueError("nothing may follow its path")
    if not (url.netloc.isprintable() and url.netloc.isascii() and url.path.isascii() and url.path.isprintable()):
        raise ValueError("it has characters that a URL cannot have")
    if " " in url.netloc or " " in url.path:
        raise ValueError("it has blanks")
    if port == 0 or (port is None and "://" not in text):
        raise ValueError("it needs a port, such as localhost:9009")
    host = url.hostname or ""
    host = {"": "localhost", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return Address(url.scheme == "https", host, port or _SCHEMES[url.scheme], url.path.rstrip("/"))
