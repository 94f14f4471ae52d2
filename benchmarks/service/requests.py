"""What an answer costs, by route: the daemon's processor time is its own, whatever the client is."""

from statistics import median

from benchmarks.definitions import one_task
from benchmarks.measure import Bench, Figure, Measure, Outcome

__all__ = ["REQUESTS"]

_TIMES = 500
_KEPT = 60

_ROUTES = {
    "pipelines": ("/pipelines/", "`GET /pipelines/`"),
    "detail": ("/job/detail?id={job}", "`GET /job/detail`"),
    "logs": ("/job/logs?id={job}&task=t00000", "`GET /job/logs`"),
    "v1 page": ("/v1/jobs?limit=50", "`GET /v1/jobs?limit=50`"),
    "v1 job": ("/v1/jobs/{job}", "`GET /v1/jobs/{id}`"),
}


def _run(bench: Bench) -> Outcome:
    times = bench.size(_TIMES, 3)
    outcome = Outcome()
    with bench.daemon(one_task("concurrency: 100", script="echo something")) as daemon:
        ids = [daemon.schedule() for _ in range(bench.size(_KEPT, 2))]
        for job in ids:
            daemon.wait(job)
        for name, (path, _) in _ROUTES.items():
            if path.startswith("/v1") and not bench.own:
                continue
            wanted = path.format(job=ids[0])
            daemon.ask("GET", wanted)
            cpu = daemon.cpu()
            outcome.values[name] = median(daemon.ask("GET", wanted).seconds for _ in range(times)) * 1e3
            outcome.values[f"{name} cpu"] = (daemon.cpu() - cpu) / times * 1e3
    return outcome


REQUESTS = Measure(
    "requests",
    "service",
    f"each route {_TIMES} times on one connection, with {_KEPT} finished jobs",
    tuple(
        figure
        for name, (_, about) in _ROUTES.items()
        for figure in (
            Figure(name, "ms", f"{about}, median"),
            Figure(f"{name} cpu", "ms", "the same, processor time of the daemon"),
        )
    ),
    _run,
)
