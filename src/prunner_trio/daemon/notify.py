"""What systemd and its like want to know, and the sockets that they hand over."""

import contextlib
import os
import socket
import time
from collections.abc import MutableMapping

__all__ = ["Notifier", "inherited_sockets", "open_notifier"]

_FIRST_FD = 3
_HANDED_OVER = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


class Notifier:
    """Tells the service manager how we are; does nothing when there is none."""

    def __init__(self, address: str | None = None) -> None:
        self._address = "\0" + address[1:] if address and address.startswith("@") else address

    @property
    def heard(self) -> bool:
        """Whether there is a manager."""
        return self._address is not None

    def ready(self, status: str) -> None:
        """Jobs are recovered and requests are answered, or a reload is over."""
        self._send(f"READY=1\nSTATUS={status}")

    def status(self, status: str) -> None:
        """Say in a few words what is going on."""
        self._send(f"STATUS={status}")

    def more_time(self, seconds: float, status: str) -> None:
        """Ask for so many seconds more from now, whatever time the start was given."""
        self._send(f"EXTEND_TIMEOUT_USEC={round(seconds * 1_000_000)}\nSTATUS={status}")

    def alive(self) -> None:
        """Give the watchdog a sign of life."""
        self._send("WATCHDOG=1")

    def reloading(self) -> None:
        """New definitions are being read; `ready` says when that is over, with whatever result."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, status: str) -> None:
        """The end has begun."""
        self._send(f"STOPPING=1\nSTATUS={status}")

    def _send(self, message: str) -> None:
        if self._address is None:
            return
        # A manager that does not listen must neither hold up nor end the daemon.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.sendto(message.encode(), self._address)


def open_notifier(environ: MutableMapping[str, str]) -> Notifier:
    """Return the notifier for ``NOTIFY_SOCKET``, and take the variable away: tasks must not speak in our name."""
    return Notifier(environ.pop("NOTIFY_SOCKET", None) or None)


def inherited_sockets(environ: MutableMapping[str, str]) -> list[socket.socket]:
    """Return the listening sockets passed by ``LISTEN_FDS``, none if there are none, and take the variables away.

    Raises:
        OSError: a descriptor that was announced is not a socket.
    """
    pid, count, _ = (environ.pop(name, "") for name in _HANDED_OVER)
    if pid != str(os.getpid()) or not count.isdigit():
        return []
    sockets = []
    for descriptor in range(_FIRST_FD, _FIRST_FD + int(count)):
        os.set_inheritable(descriptor, False)
        sockets.append(socket.socket(fileno=descriptor))
    return sockets
