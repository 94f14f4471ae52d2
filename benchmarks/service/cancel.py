"""How long until everything is dead after somebody has said so."""

import os
import time
from pathlib import Path
from statistics import median

from benchmarks import metrics
from benchmarks.daemon import until
from benchmarks.definitions import jobs, lanes
from benchmarks.measure import Bench, Broken, Figure, Measure, Outcome

__all__ = ["CANCEL"]

_TASKS = 30
_LIMIT = 30.0


def _run(bench: Bench) -> Outcome:
    outcome = Outcome()
    seconds, means = _cancel(bench)
    outcome.values["cgroup" if means == "cgroup" else "gone"] = seconds
    if bench.own:
        outcome.values["gone"] = seconds if means == "subreaper" else _cancel(bench, "--containment", "subreaper")[0]
    return outcome


def _cancel(bench: Bench, *flags: str) -> tuple[float, str]:
    """Return the seconds from the request until no process of a job is alive, and how the daemon finds them."""
    tasks = bench.size(_TASKS, 2)
    mark = f"9{os.getpid():09}"
    script = f"sh -c 'sleep {mark}1 & sleep {mark}2 & wait'"
    seconds = []
    with bench.daemon(jobs(lanes(tasks, tasks), script=script), *flags) as daemon:
        for _ in range(bench.size(5, 1)):
            job = daemon.schedule()
            until(lambda: _alive(mark) == 2 * tasks, "all processes", pause=0.02)
            began = time.perf_counter()
            daemon.ask("POST", f"/job/cancel?id={job}")
            while _alive(mark):
                if time.perf_counter() - began > _LIMIT:
                    raise Broken(f"{_alive(mark)} of {2 * tasks} processes are alive {_LIMIT:g} s after the cancel")
                time.sleep(0.002)
            seconds.append(time.perf_counter() - began)
            daemon.wait(job)
        means = metrics.containment(metrics.scrape(daemon))
    return median(seconds), means


def _alive(mark: str) -> int:
    """Return how many `sleep` are alive that sleep for seconds that begin with `mark`."""
    count, wanted = 0, mark.encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            count += words[0].endswith(b"sleep") and len(words) > 1 and words[1].startswith(wanted)
    return count


CANCEL = Measure(
    "cancel",
    "service",
    f"one job, {_TASKS} tasks, each a shell with two children in the background, which ignore SIGINT; from the request "
    "until no child is in /proc any more",
    (
        Figure("cgroup", "s", "all are gone, with control groups", goal=0.05),
        Figure("gone", "s", "the same without control groups", goal=0.2),
    ),
    _run,
)
