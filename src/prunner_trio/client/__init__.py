"""The client's side of API v1: what is asked and answered, without Trio where one answer is waited for.

``live`` has what goes on: streams that are resumed. It imports Trio, so it is not passed on here.
"""

from prunner_trio.client.address import Address, parse_address
from prunner_trio.client.blocking import call, pieces
from prunner_trio.client.daemon import Daemon
from prunner_trio.client.problems import ClientError, Kind
from prunner_trio.client.shapes import Job, JobPage, Occurrence, Pipeline, Task

__all__ = [
    "Address",
    "ClientError",
    "Daemon",
    "Job",
    "JobPage",
    "Kind",
    "Occurrence",
    "Pipeline",
    "Task",
    "call",
    "parse_address",
    "pieces",
]
