"""prunner's HTTP API over a runner, and the server that carries it."""

from prunner_trio.http.app import create_app
from prunner_trio.http.port import JobPort, RunnerPort

__all__ = ["JobPort", "RunnerPort", "create_app"]
