"""Jobs that are put on a wait list: nothing runs, so what is measured is acceptance alone."""

import threading
import time
from statistics import median

from benchmarks.client import Client
from benchmarks.daemon import Daemon
from benchmarks.definitions import NAME, waiting
from benchmarks.measure import Bench, Broken, Figure, Measure, Outcome
from benchmarks.series import percentile

__all__ = ["BURST", "QUEUE", "schedule_at_once"]

_QUEUE = 5000
_BURST = 4000
_CONNECTIONS = 16


def schedule_at_once(daemon: Daemon, count: int, connections: int = _CONNECTIONS) -> tuple[float, list[float]]:
    """Ask for jobs over several connections; return the seconds for all, and those of each request.

    Raises:
        Broken: not all were accepted.
    """
    latencies: list[float] = []
    refused: list[int] = []
    body = {"pipeline": NAME, "variables": {}}

    def ask(client: Client, times: int) -> None:
        for _ in range(times):
            answer = client.request("POST", "/pipelines/schedule", body)
            (latencies if answer.status == 202 else refused).append(answer.seconds)  # type: ignore[arg-type]
        client.close()

    shares = [count // connections + (number < count % connections) for number in range(connections)]
    threads = [threading.Thread(target=ask, args=(daemon.new_client(), share)) for share in shares]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    if len(latencies) != count:
        raise Broken(f"{len(latencies)} of {count} jobs were accepted")
    return seconds, latencies


def _queue(bench: Bench) -> Outcome:
    count = bench.size(_QUEUE, 20)
    with bench.daemon(waiting()) as daemon:
        latencies = []
        for _ in range(count):
            asked = time.perf_counter()
            daemon.schedule()
            latencies.append((time.perf_counter() - asked) * 1e3)
        answers = [daemon.ask("GET", "/pipelines/jobs") for _ in range(5)]
        if len(answers[-1].json()["jobs"]) != count:
            raise Broken("not all jobs are in the list")
        values = {
            "p50": percentile(latencies, 0.5),
            "p99": percentile(latencies, 0.99),
            "rate": count / sum(latencies) * 1e3,
            "list": median(answer.seconds for answer in answers) * 1e3,
            "memory": daemon.memory() / 1e6,
        }
    return Outcome(values)


def _burst(bench: Bench) -> Outcome:
    count = bench.size(_BURST, 32)
    with bench.daemon(waiting()) as daemon:
        cpu = daemon.cpu()
        seconds, latencies = schedule_at_once(daemon, count)
        cpu = daemon.cpu() - cpu
    return Outcome(
        {
            "rate": count / seconds,
            "p50": percentile(latencies, 0.5) * 1e3,
            "p99": percentile(latencies, 0.99) * 1e3,
            "cpu": cpu / count * 1e3,
        }
    )


QUEUE = Measure(
    "queue",
    "service",
    f"{_QUEUE:,} jobs put on a wait list one by one on one connection, then `GET /pipelines/jobs`",
    (
        Figure("p50", "ms", "a request, median", goal=0.5),
        Figure("p99", "ms", "a request, 99th percentile"),
        Figure("rate", "/s", "accepted", more=True),
        Figure("list", "ms", "the list of all jobs"),
        Figure("memory", "MB", "resident memory at the end"),
    ),
    _queue,
)

BURST = Measure(
    "burst",
    "service",
    f"{_BURST:,} jobs put on a wait list over {_CONNECTIONS} connections at once",
    (
        Figure("rate", "/s", "accepted", more=True, goal=3500),
        Figure("p50", "ms", "a request, median"),
        Figure("p99", "ms", "a request, 99th percentile"),
        Figure("cpu", "ms", "processor time of the daemon a job"),
    ),
    _burst,
)
