"""The HTTP server, with connections of our own; why, in ``docs/http-server.md``.

It speaks ASGI to any app and knows nothing of pipelines. Whatever a client sends ends, at worst, that client's
connection; whatever ends the server itself is logged, and it is started again on the same listening sockets.
"""

from prunner_trio.http.server._bind import bind, check_address
from prunner_trio.http.server._limits import HttpLimits
from prunner_trio.http.server._serve import serve_http
from prunner_trio.http.server._shared import Visitors

__all__ = ["HttpLimits", "Visitors", "bind", "check_address", "serve_http"]
