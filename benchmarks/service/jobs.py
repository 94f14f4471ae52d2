"""Many small jobs, one request each."""

import time

from benchmarks import reference
from benchmarks.definitions import one_task
from benchmarks.measure import Bench, Curve, Figure, Measure, Outcome
from benchmarks.series import percentile, slope

__all__ = ["GROWTH", "JOBS"]

_JOBS = 500
_GROWTH = 50_000
_KEPT = 1000


def _jobs(bench: Bench) -> Outcome:
    count = bench.size(_JOBS, 10)
    with bench.daemon(one_task("concurrency: 1000")) as daemon:
        for _ in range(bench.size(10, 1)):
            daemon.run()
        cpu, began = daemon.cpu(), time.perf_counter()
        latencies, ids = [], []
        for _ in range(count):
            asked = time.perf_counter()
            ids.append(daemon.schedule())
            latencies.append((time.perf_counter() - asked) * 1e3)
        for job in ids:
            daemon.wait(job)
        seconds, cpu = time.perf_counter() - began, daemon.cpu() - cpu
    values = {
        "rate": count / seconds,
        "p50": percentile(latencies, 0.5),
        "p99": percentile(latencies, 0.99),
        "cpu": cpu / count * 1e3,
    }
    other = reference.xargs(count, 2)
    return Outcome(values, {"rate": count / other} if other else {})


def _growth(bench: Bench) -> Outcome:
    count = bench.size(_GROWTH, 60)
    chunk, kept = min(count // 6, _KEPT // 2), min(count // 3, _KEPT)
    points = []
    with bench.daemon(one_task("concurrency: 4", f"retention_count: {kept}")) as daemon:
        for done in range(chunk, count + 1, chunk):
            for job in [daemon.schedule() for _ in range(chunk)]:
                daemon.wait(job)
            points.append((float(done), float(daemon.memory())))
            bench.say(f"{done} of {count} jobs, {daemon.memory() / 1e6:.1f} MB")
    # The first jobs fill what is kept, and caches; from then on nothing should grow.
    steady = points[len(points) // 3 :]
    values = {"job": slope(steady), "memory": points[-1][1] / 1e6}
    return Outcome(values, curves={"memory": [(done, size / 1e6) for done, size in points]})


JOBS = Measure(
    "jobs",
    "service",
    f"{_JOBS} jobs of one task `/bin/true`, asked for one by one on one connection, then awaited",
    (
        Figure("rate", "/s", "jobs from the first request to the last end", more=True, goal=790),
        Figure("p50", "ms", "a request that starts a job, median", goal=0.6),
        Figure("p99", "ms", "the same, 99th percentile"),
        Figure("cpu", "ms", "processor time of the daemon a job"),
    ),
    _jobs,
    "xargs -P2, as many `/bin/true`",
)

GROWTH = Measure(
    "growth",
    "service",
    f"{_GROWTH:,} jobs of one task, of which the newest {_KEPT:,} are kept; memory after every {_KEPT // 2}, fitted by "
    "a straight line, without the first third",
    (
        Figure("job", "bytes", "memory that grows with each job; 10 are within what the kernel rounds", goal=10),
        Figure("memory", "MB", "resident memory at the end"),
    ),
    _growth,
    curves=(Curve("memory", "jobs that have run", "MB", "resident memory"),),
    once=True,
)
