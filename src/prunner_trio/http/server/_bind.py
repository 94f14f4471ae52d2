"""Listening sockets for addresses as Go programs write them."""

from __future__ import annotations

import errno
import os
import socket

BACKLOG = 1024  # the kernel cuts it down to net.core.somaxconn


def bind(address: str) -> list[socket.socket]:
    """Bind and listen on a Go-style address: ``host:port``, ``:port`` or ``[ipv6]:port``.

    An empty host means all interfaces, IPv4 and IPv6 on one socket where the kernel has IPv6. A name is looked up
    (which blocks) and, as in Go, its first IPv4 address is taken, or else its first IPv6 address. Port 0, or none
    after the colon, lets the kernel choose one. The sockets are not inherited by child processes.

    Raises:
        OSError: with the errno, and as ``strerror`` the whole sentence in Go's words, for example
            ``listen tcp 127.0.0.1:9009: bind: address already in use``.
    """
    host, port = _split(address)
    number = _port_number(port)
    dual = host in ("", "::") and socket.has_dualstack_ipv6()
    family, where = (socket.AF_INET6, ("::", number)) if dual else _look_up(host or "0.0.0.0", number)
    shown = _shown(where[0] if host else "", where[1])
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if dual else 1)
        sock.bind(where)
        sock.listen(BACKLOG)
    except OSError as exc:
        sock.close()
        raise OSError(exc.errno, f"listen tcp {shown}: bind: {_go_text(exc)}") from exc
    return [sock]


def check_address(address: str) -> None:
    """Look whether an address has the form that `bind` takes, without looking up its name.

    Raises:
        OSError: as from `bind`.
    """
    _port_number(_split(address)[1])


def _split(address: str) -> tuple[str, str]:
    host, colon, port = address.rpartition(":")
    if not colon or address.endswith("]"):
        raise OSError(errno.EINVAL, f"listen tcp: address {address}: missing port in address")
    if host.startswith("[") and host.endswith("]"):
        return host[1:-1], port
    if ":" in host:
        raise OSError(errno.EINVAL, f"listen tcp: address {address}: too many colons in address")
    return host, port


def _port_number(port: str) -> int:
    if not port.isascii() or (port and not port.isdigit()):
        try:
            return socket.getservbyname(port, "tcp")
        except OSError as exc:
            raise OSError(errno.EINVAL, f"listen tcp: lookup tcp/{port}: unknown port") from exc
    number = int(port or "0")
    if number > 65535:
        raise OSError(errno.EINVAL, f"listen tcp: address {port}: invalid port")
    return number


def _look_up(host: str, number: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    try:
        found = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as exc:
        raise OSError(errno.EADDRNOTAVAIL, f"listen tcp: lookup {host}: no such host") from exc
    family, _, _, _, where = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return family, (str(where[0]), int(where[1]))


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _go_text(exc: OSError) -> str:
    text = os.strerror(exc.errno or 0)
    return text[:1].lower() + text[1:]
