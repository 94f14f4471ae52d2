"""prunner's HTTP API over a runner, and the server that carries it.

`create_app`, in `prunner_trio.http.app`, is the whole as a Quart-Trio application, for a server of your own. The daemon
serves a `Service`, which answers the same.
"""

from prunner_trio.http.port import JobPort, RunnerPort
from prunner_trio.http.service import Service

__all__ = ["JobPort", "RunnerPort", "Service"]
