"""One job with many tasks that do nothing: what remains is what the runner adds to each."""

import threading
from statistics import median

from benchmarks import metrics, reference
from benchmarks.client import Client
from benchmarks.definitions import jobs, lanes, makefile
from benchmarks.measure import Bench, Figure, Measure, Outcome
from benchmarks.series import bucket_quantile, percentile

__all__ = ["CHAIN", "FAN", "Probe"]

_CHAIN = 20
_FAN = 200
_LAG = "prunner_loop_lag_seconds"


class Probe:
    """Asks for something small again and again while its block lasts, and notes how long each answer took.

    Args:
        pause: seconds between two questions, which leave the daemon time for its work.
    """

    def __init__(self, client: Client, path: str = "/pipelines/", *, pause: float = 0.001) -> None:
        self.seconds: list[float] = []
        self._client, self._path, self._pause = client, path, pause
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask, name="probe")

    def __enter__(self) -> "Probe":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._client.close()

    def _ask(self) -> None:
        while not self._over.wait(self._pause):
            self.seconds.append(self._client.request("GET", self._path).seconds)


def _chain(bench: Bench) -> Outcome:
    tasks = bench.size(_CHAIN, 3)
    graph = lanes(tasks, 1)
    with bench.daemon(jobs(graph)) as daemon:
        daemon.run()
        seconds = median(daemon.run()[0] for _ in range(bench.size(9, 1)))
    outcome = Outcome({"task": seconds / tasks * 1e3})
    if (other := reference.make(makefile(graph), tasks)) is not None:
        outcome.references["task"] = other / tasks * 1e3
    return outcome


def _fan(bench: Bench) -> Outcome:
    tasks = bench.size(_FAN, 5)
    graph = lanes(tasks, tasks)
    runs = bench.size(5, 1)
    with bench.daemon(jobs(graph)) as daemon:
        daemon.run(poll=0.02)
        cpu, before = daemon.cpu(), metrics.scrape(daemon)
        seconds = median(daemon.run(poll=0.02)[0] for _ in range(runs))
        cpu, after = daemon.cpu() - cpu, metrics.scrape(daemon)
        with Probe(daemon.new_client()) as probe:
            for _ in range(runs):
                daemon.run(poll=0.02)
    outcome = Outcome({"task": seconds / tasks * 1e3, "cpu": cpu / tasks / runs * 1e3})
    if probe.seconds:
        outcome.values["probe"] = percentile(probe.seconds, 0.99) * 1e3
    if before is not None and after is not None:
        outcome.values["lag"] = bucket_quantile(metrics.histogram(after, _LAG, before), 0.99) * 1e3
    if (other := reference.make(makefile(graph), tasks)) is not None:
        outcome.references["task"] = other / tasks * 1e3
    return outcome


CHAIN = Measure(
    "chain",
    "service",
    f"one job, {_CHAIN} tasks in a row, each `/bin/true`; from the request to its end, looked at every 2 ms",
    (Figure("task", "ms", "a task", goal=1.2, ratio_goal=2.0),),
    _chain,
    "make, the same graph",
)

FAN = Measure(
    "fan",
    "service",
    f"one job, {_FAN} tasks that wait for nothing, each `/bin/true`; looked at every 20 ms. The loop's lag is that of "
    "`/metrics`; the probe is a second connection that asks for `/pipelines/` all the time, in further runs",
    (
        Figure("task", "ms", "a task", ratio_goal=1.0),
        Figure("cpu", "ms", "processor time of the daemon a task"),
        Figure("lag", "ms", "turns of the loop meanwhile, 99th percentile", goal=10),
        Figure("probe", "ms", "answers to somebody else meanwhile, 99th percentile"),
    ),
    _fan,
    f"make -j{_FAN}, the same graph",
)
