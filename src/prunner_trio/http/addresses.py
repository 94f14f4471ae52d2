"""Which client a connection or request belongs to, as far as an address tells. Pure."""

import socket
from collections.abc import Iterable

from prunner_trio.http.facts import Header

__all__ = ["LOCAL", "address_key", "address_text", "requester_key"]

LOCAL = b""
"""The key of the machine itself: loopback and UNIX sockets. What is limited by address is not limited for it, since a
proxy there brings the clients of the whole world."""

_MAPPED = bytes(10) + b"\xff\xff"
_LOOPBACK_6 = bytes(15) + b"\x01"


def address_key(host: str | None) -> bytes:
    """Return the key of an address: the address itself or, of IPv6, its first 64 bits, which one client has whole.

    Args:
        host: as the kernel or a proxy writes it; None, or what is no address: `LOCAL`.
    """
    return _key(host) or LOCAL


def requester_key(host: str | None, headers: Iterable[Header]) -> bytes:
    """Return the key of whom a request is from: if a program on this machine passes it on, whom that one names.

    That is the last address in ``X-Forwarded-For``, the only one that the proxy has seen itself.
    """
    key = address_key(host)
    if key != LOCAL:
        return key
    forwarded = [value for name, value in headers if name == b"x-forwarded-for"]
    return address_key(forwarded[-1].decode("latin-1").rpartition(",")[2].strip()) if forwarded else LOCAL


def address_text(key: bytes) -> str:
    """Return a key as people write it, for logs."""
    if key == LOCAL:
        return "local"
    if len(key) == 4:
        return socket.inet_ntop(socket.AF_INET, key)
    return socket.inet_ntop(socket.AF_INET6, key + bytes(8)) + "/64"


def _key(host: str | None) -> bytes | None:
    packed = _packed(host)
    if packed is None or packed == _LOOPBACK_6:
        return None
    packed = packed.removeprefix(_MAPPED) if len(packed) == 16 else packed
    if len(packed) == 4:
        return None if packed[0] == 127 else packed
    return packed[:8]


def _packed(host: str | None) -> bytes | None:
    if not host or "\0" in host:
        return None
    host = host.strip("[]").partition("%")[0]
    try:
        return socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
    except (OSError, UnicodeEncodeError):
        return None
