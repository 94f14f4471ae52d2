"""Ever more pipelines in one file."""

import signal
from statistics import median

from benchmarks.daemon import Daemon, until
from benchmarks.measure import Bench, Curve, Figure, Measure, Outcome, Points
from benchmarks.scale.sizes import sizes
from benchmarks.service.graphs import Probe

__all__ = ["PIPELINES"]

_MOST = 1000
_TIMES = 50


def _run(bench: Bench) -> Outcome:
    most, times = bench.size(_MOST, 5), bench.size(_TIMES, 2)
    curves: dict[str, Points] = {name: [] for name in ("start", "reload", "list", "request", "pause")}
    memory = 0.0
    for count in sizes(most, first=1):
        bench.say(f"{count:,} pipelines")
        with bench.daemon(_definitions(count)) as daemon:
            curves["start"].append((count, daemon.started))
            curves["list"].append((count, median(daemon.ask("GET", "/pipelines/").seconds for _ in range(times)) * 1e3))
            seconds = []
            for _ in range(times):
                body = {"pipeline": "p0000", "variables": {}}
                seconds.append(daemon.ask("POST", "/pipelines/schedule", body, status=202).seconds)
            curves["request"].append((count, median(seconds) * 1e3))
            memory = daemon.memory() / 1e6
            with Probe(daemon.new_client(), "/job/detail?id=00000000-0000-4000-8000-000000000000") as probe:
                curves["reload"].append((count, _reload(daemon, count)))
            curves["pause"].append((count, max(probe.seconds, default=0.0) * 1e3))
    values = {name: points[-1][1] for name, points in curves.items()}
    return Outcome({**values, "memory": memory}, curves=curves)


def _reload(daemon: Daemon, count: int) -> float:
    """Define one pipeline more; return the seconds until it is there."""
    daemon.define(_definitions(count + 1))
    daemon.signal(signal.SIGUSR1)
    return until(lambda: len(daemon.ask("GET", "/pipelines/").json()["pipelines"]) == count + 1, "a reload", pause=0.02)


def _definitions(count: int) -> str:
    lines = ["pipelines:"]
    for number in range(count):
        lines += [
            f"  p{number:04}:",
            "    retention_count: 20",
            "    tasks:",
            '      build: {script: ["/bin/true"]}',
            '      test: {script: ["/bin/true"], depends_on: [build]}',
            '      publish: {script: ["echo {{ quote .version }}"], depends_on: [test], allow_failure: true}',
        ]
    return "\n".join([*lines, ""])


PIPELINES = Measure(
    "pipelines",
    "scale",
    f"up to {_MOST:,} pipelines of three tasks in one file; start, ask, start jobs of one; then one more is defined "
    "and SIGUSR1 sent, while a second connection asks for a job all the time",
    (
        Figure("start", "s", "start to first answer"),
        Figure("reload", "s", "from the signal until the new pipeline is there"),
        Figure("pause", "ms", "the longest answer meanwhile"),
        Figure("list", "ms", "`GET /pipelines/`"),
        Figure("request", "ms", "a request that starts a job"),
        Figure("memory", "MB", "resident memory"),
    ),
    _run,
    curves=(
        Curve("start", "pipelines", "s", "start to first answer"),
        Curve("reload", "pipelines", "s", "reload"),
        Curve("pause", "pipelines", "ms", "longest answer while reloading"),
        Curve("list", "pipelines", "ms", "GET /pipelines/"),
        Curve("request", "pipelines", "ms", "a request that starts a job"),
    ),
    once=True,
)
