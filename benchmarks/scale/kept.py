"""Ever more finished jobs in the store."""

import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from statistics import median

from benchmarks.daemon import Daemon, environment, until
from benchmarks.definitions import one_task
from benchmarks.measure import Bench, Broken, Curve, Figure, Measure, Outcome, Points, Skipped
from benchmarks.scale.sizes import sizes
from benchmarks.series import percentile
from benchmarks.service.graphs import Probe

__all__ = ["KEPT"]

_MOST = 1_000_000
_LISTED = 100_000
_REMOVED = 100_000
_BYTES_A_JOB = 1500
"""Of disk, with room for what SQLite needs meanwhile, and for logs of those that are removed."""

_ROOT = Path(__file__).resolve().parents[2]
_LIMIT = 900.0
_SETTLE = 60.0


def _run(bench: Bench) -> Outcome:
    bench.needs_own("a store that can be filled from outside")
    most, removed = bench.size(_MOST, 60), bench.size(_REMOVED, 6)
    curves: dict[str, Points] = {name: [] for name in ("start", "page", "nothing", "list", "memory")}
    outcome = Outcome(curves=curves)
    daemon = bench.daemon(one_task())
    room = shutil.disk_usage(daemon.directory).free
    if room < 2 * most * _BYTES_A_JOB:
        shutil.rmtree(daemon.directory)
        raise Skipped(f"{2 * most * _BYTES_A_JOB / 1e9:.0f} GB of disk are needed for a while")
    have = 0
    with daemon:
        daemon.stop()
        for count in sizes(most):
            bench.say(f"making {count:,} jobs")
            if not have:  # the oldest, which retention will take, are the ones with logs
                _fill(daemon, 1, min(removed, count), logs=True)
                have = min(removed, count)
            _fill(daemon, have + 1, count, logs=count <= removed)
            have = count
            bench.say(f"{count:,} jobs")
            curves["start"].append((count, median(_starts(daemon, bench.size(3, 1)))))
            daemon.settle(_SETTLE)  # it looks at its store and copies it, which costs those who ask meanwhile
            curves["memory"].append((count, daemon.memory() / 1e6))
            curves["page"].append((count, _ask(daemon, "/v1/jobs?limit=50", bench.size(21, 1))))
            curves["nothing"].append((count, _ask(daemon, "/v1/jobs?limit=50&text=no-such-text", bench.size(3, 1))))
            if count <= _LISTED:
                daemon.ask("GET", "/pipelines/jobs")
                curves["list"].append((count, _ask(daemon, "/pipelines/jobs", bench.size(3, 1))))
        bench.say(f"removing {removed:,} of {most:,} jobs")
        outcome.values |= _retention(daemon, most - removed)
    outcome.values |= {name: curves[name][-1][1] for name in ("start", "page", "nothing", "memory")}
    return outcome


def _fill(daemon: Daemon, first: int, last: int, *, logs: bool) -> None:
    if first > last:
        return
    daemon.stop()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.scale.store", str(daemon.data), str(first), str(last)),
            *(["--logs"] if logs else []),
        ],
        cwd=_ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=_LIMIT,
    )
    if done.returncode != 0:
        raise Broken(done.stderr.strip()[-1000:])


def _starts(daemon: Daemon, times: int) -> list[float]:
    found = []
    for _ in range(times):
        daemon.stop()
        daemon.start()
        found.append(daemon.started)
    return found


def _ask(daemon: Daemon, path: str, times: int) -> float:
    """Return the median of so many answers, in milliseconds."""
    return median(daemon.ask("GET", path).seconds for _ in range(times)) * 1e3


def _retention(daemon: Daemon, keep: int) -> dict[str, float]:
    """Let retention leave so many jobs; return how long that takes and how long others wait meanwhile."""
    daemon.stop()
    daemon.start()  # one that has not been asked for the list of all, as at 1,000,000
    daemon.define(one_task(f"retention_count: {keep}"))
    oldest = f"/v1/jobs/{uuid.UUID(int=1, version=4)}"
    with Probe(daemon.new_client(), pause=0.01) as probe:
        began = time.perf_counter()
        daemon.signal(signal.SIGHUP)
        until(lambda: daemon.client.request("GET", oldest).status == 404, "retention", seconds=_LIMIT, pause=0.1)
        seconds = time.perf_counter() - began
        time.sleep(0.5)  # what is told to everybody after that
    return {
        "removal": seconds,
        "pause": max(probe.seconds) * 1e3,
        "waits": percentile(probe.seconds, 0.99) * 1e3,
    }


KEPT = Measure(
    "kept",
    "scale",
    f"a store with up to {_MOST:,} finished jobs of one task, put there by the library; start, then ask. At the end "
    f"`retention_count` goes down by {_REMOVED:,}, while a second connection asks for `/pipelines/` every 10 ms",
    (
        Figure("start", "s", "start to first answer", goal=2.0),
        Figure("page", "ms", "the newest 50 jobs: `GET /v1/jobs?limit=50`", goal=10),
        Figure("nothing", "ms", "a search that finds nothing: `&text=…`"),
        Figure("memory", "MB", "resident memory after the start"),
        Figure("removal", "s", f"retention removes {_REMOVED:,} jobs with their logs"),
        Figure("pause", "ms", "the longest answer meanwhile", goal=20),
        Figure("waits", "ms", "answers meanwhile, 99th percentile"),
    ),
    _run,
    curves=(
        Curve("start", "finished jobs in the store", "s", "start to first answer"),
        Curve("page", "finished jobs in the store", "ms", "the newest 50"),
        Curve("nothing", "finished jobs in the store", "ms", "a search that finds nothing"),
        Curve("list", "finished jobs in the store", "ms", "the list of all"),
        Curve("memory", "finished jobs in the store", "MB", "resident memory after the start"),
    ),
    once=True,
)
