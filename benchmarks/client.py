"""A client with one connection, and a token that the daemon under test takes."""

import base64
import hashlib
import hmac
import http.client
import json
import socket
import time
from collections.abc import Mapping
from typing import Any

__all__ = ["SECRET", "Answer", "Client"]

SECRET = "x" * 32
"""Signs the tokens of all daemons under test; they listen to this machine alone, for seconds."""

_GONE = (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError)


def _token() -> str:
    def encoded(raw: bytes) -> bytes:
        return base64.urlsafe_b64encode(raw).rstrip(b"=")

    signed = encoded(b'{"alg":"HS256","typ":"JWT"}') + b"." + encoded(b'{"sub":"bench"}')
    return (signed + b"." + encoded(hmac.new(SECRET.encode(), signed, hashlib.sha256).digest())).decode()


class Answer:
    """What came back.

    Attributes:
        seconds: from the request to the last byte.
    """

    def __init__(self, status: int, headers: http.client.HTTPMessage, body: bytes, seconds: float) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.seconds = seconds

    def json(self) -> Any:
        """Return what the body says."""
        return json.loads(self.body)


class Client:
    """Speaks HTTP/1.1 over one connection, which it opens again if the other side has closed it meanwhile."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._headers = {"Authorization": f"Bearer {_token()}"}
        self._connection: http.client.HTTPConnection | None = None

    def request(self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Answer:
        """Ask, and return the answer whatever its status.

        Raises:
            OSError, http.client.HTTPException: there was none.
        """
        text = None if body is None else json.dumps(body)
        began = time.perf_counter()
        try:
            status, found, data = self._exchange(method, path, text, {**self._headers, **(headers or {})})
        except _GONE:
            self.close()
            status, found, data = self._exchange(method, path, text, {**self._headers, **(headers or {})})
        return Answer(status, found, data, time.perf_counter() - began)

    def open(self, path: str, headers: Mapping[str, str] | None = None) -> http.client.HTTPResponse:
        """Ask for something that goes on, and return the answer, still to be read; nothing else goes over it."""
        self.close()
        self._connection = self._connect()
        self._connection.request("GET", path, None, {**self._headers, **(headers or {})})
        return self._connection.getresponse()

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _exchange(
        self, method: str, path: str, body: str | None, headers: Mapping[str, str]
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        if self._connection is None:
            self._connection = self._connect()
        try:
            self._connection.request(method, path, body, dict(headers))
            response = self._connection.getresponse()
            return response.status, response.headers, response.read()
        except OSError:
            self.close()
            raise

    def _connect(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection
