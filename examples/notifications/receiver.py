"""Receives notifications: checks the signature, and prints a line for each. Standard library only.

PRUNNER_NOTIFY_SECRET=... python receiver.py 8008
"""

import hashlib
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MOST_SECONDS = 300
"""What is older is refused: somebody may have overheard it, and send it once more."""

MOST_BYTES = 100_000


def verify(secret: bytes, signature: str, body: bytes, now: float) -> bool:
    """Return whether `signature`, the header Prunner-Signature, was made for `body` with the secret."""
    fields = dict(part.partition("=")[::2] for part in signature.split(","))
    timestamp, given = fields.get("t", ""), fields.get("v1", "")
    if not (timestamp.isascii() and timestamp.isdigit()) or abs(now - int(timestamp)) > MOST_SECONDS:
        return False
    expected = hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), given.encode())


class Receiver(BaseHTTPRequestHandler):
    """Answers 204 to what is genuine, 401 to all else."""

    timeout = 10

    def do_POST(self) -> None:
        """Take one notification."""
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > MOST_BYTES:
            self.send_error(413)
            return
        body = self.rfile.read(int(length))  # exactly the bytes that came: parsed and written again, they may differ
        secret = os.environ["PRUNNER_NOTIFY_SECRET"].encode()
        if not verify(secret, self.headers.get("Prunner-Signature", ""), body, time.time()):
            self.send_error(401)
            return
        notice = json.loads(body)
        print(notice["event"], notice["pipeline"], notice["job"]["id"], notice["job"]["error"], flush=True)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print no line for each request."""


if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver) as server:
        print("listening on port", server.server_address[1], flush=True)
        server.serve_forever()
