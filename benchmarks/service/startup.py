"""How long until a daemon is there, and what it holds when it has nothing to do."""

import subprocess
import time
from statistics import median

from benchmarks.daemon import environment
from benchmarks.definitions import one_task
from benchmarks.measure import Bench, Figure, Measure, Outcome

__all__ = ["STARTUP"]

_SETTLE = 0.3


def _run(bench: Bench) -> Outcome:
    starts, memory, versions = [], [], []
    for _ in range(bench.size(5, 1)):
        with bench.daemon(one_task()) as daemon:
            starts.append(daemon.started)
            time.sleep(_SETTLE)
            memory.append(daemon.memory() / 1e6)
    for _ in range(bench.size(10, 1)):
        began = time.perf_counter()
        done = subprocess.run([*bench.command, "--version"], env=environment(), capture_output=True)
        if done.returncode == 0:
            versions.append((time.perf_counter() - began) * 1e3)
    values = {"answer": median(starts), "memory": median(memory)}
    return Outcome(values | ({"version": median(versions)} if versions else {}))


STARTUP = Measure(
    "startup",
    "service",
    "from the start of the process to the first 200 of `GET /pipelines/`, in an empty directory",
    (
        Figure("answer", "s", "start to first answer", goal=0.3),
        Figure("version", "ms", "`--version`, the whole process", goal=40),
        Figure("memory", "MB", "resident memory, idle", goal=55),
    ),
    _run,
)
