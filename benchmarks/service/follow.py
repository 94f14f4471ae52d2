"""Watching a task write: how late a line comes, how fast a long log, and what it costs when nothing comes."""

import time
from contextlib import ExitStack

from benchmarks.client import Client
from benchmarks.daemon import Daemon, until
from benchmarks.definitions import one_task
from benchmarks.measure import Bench, Broken, Figure, Measure, Outcome
from benchmarks.series import percentile

__all__ = ["FOLLOW"]

_LINES = 200
_MEGABYTES = 100
_FOLLOWERS = 100
_SETTLE = 1.0
_TASK = "t00000"


def _run(bench: Bench) -> Outcome:
    bench.needs_own("following a log")
    lines, megabytes = bench.size(_LINES, 5), bench.size(_MEGABYTES, 1)
    stamps = f"sh -c 'i=0; while [ $i -lt {lines} ]; do date +%s%N; sleep 0.01; i=$((i+1)); done'"
    with bench.daemon(one_task(script=stamps)) as daemon:
        late = _lateness(daemon)
    if len(late) != lines:
        raise Broken(f"{len(late)} of {lines} lines came")
    values = {"p50": percentile(late, 0.5), "p99": percentile(late, 0.99)}
    with bench.daemon(one_task(script=f"head -c {megabytes}000000 /dev/zero")) as daemon:
        values |= _throughput(daemon, megabytes)
    with bench.daemon(one_task(script="sleep 36000")) as daemon:
        values["silent"] = _cost_of_silence(daemon, bench.size(_FOLLOWERS, 3), 0.2 if bench.quick else 3.0)
    return Outcome(values)


def _path(job: str) -> str:
    return f"/v1/jobs/{job}/tasks/{_TASK}/logs/stdout?follow=1"


def _lateness(daemon: Daemon) -> list[float]:
    """Return for each line, which says when it was written, after how many milliseconds it came."""
    client = daemon.new_client()
    late = []
    with client.open(_path(daemon.schedule())) as answer:
        while line := answer.readline():
            late.append((time.time_ns() - int(line)) / 1e6)
    client.close()
    return late


def _throughput(daemon: Daemon, megabytes: int) -> dict[str, float]:
    _, job = daemon.run()
    client = daemon.new_client()
    cpu, began, size = daemon.cpu(), time.perf_counter(), 0
    with client.open(_path(job["id"])) as answer:
        while piece := answer.read1(1 << 20):
            size += len(piece)
    seconds = time.perf_counter() - began
    client.close()
    if size != megabytes * 1_000_000:
        raise Broken(f"{size} of {megabytes}000000 bytes came")
    return {"rate": megabytes / seconds, "cpu": (daemon.cpu() - cpu) / megabytes * 1e3}


def _cost_of_silence(daemon: Daemon, followers: int, seconds: float) -> float:
    """Return the processor time of the daemon, in percent of one, while all follow a task that writes nothing."""
    job = daemon.schedule()
    until(lambda: daemon.ask("GET", f"/job/detail?id={job}").json().get("start"), "the start of a job")
    with ExitStack() as stack:
        for _ in range(followers):
            client: Client = daemon.new_client()
            stack.callback(client.close)
            stack.enter_context(client.open(_path(job)))
        time.sleep(_SETTLE)
        cpu = daemon.cpu()
        time.sleep(seconds)
        return (daemon.cpu() - cpu) / seconds * 100


FOLLOW = Measure(
    "follow",
    "service",
    f"`GET /v1/…/logs/stdout?follow=1`: of a task that writes {_LINES} times when it is; of {_MEGABYTES} MB that are "
    f"there already; and {_FOLLOWERS} times at once, of a task that writes nothing",
    (
        Figure("p50", "ms", "from writing a line to its coming, median"),
        Figure("p99", "ms", "the same, 99th percentile"),
        Figure("rate", "MB/s", "of what is there already", more=True),
        Figure("cpu", "ms", "processor time of the daemon for each of these MB"),
        Figure("silent", "%", f"of a processor, for all {_FOLLOWERS} that wait"),
    ),
    _run,
)
