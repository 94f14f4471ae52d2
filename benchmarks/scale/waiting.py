"""Ever more jobs on one wait list."""

from statistics import median

from benchmarks.daemon import Daemon
from benchmarks.definitions import NAME, waiting
from benchmarks.measure import Bench, Curve, Figure, Measure, Outcome, Points
from benchmarks.scale.sizes import sizes
from benchmarks.service.waiting import schedule_at_once

__all__ = ["WAITING"]

_MOST = 100_000
_TIMES = 50


def _run(bench: Bench) -> Outcome:
    most, times = bench.size(_MOST, 20), bench.size(_TIMES, 2)
    curves: dict[str, Points] = {name: [] for name in ("request", "cancel", "list", "restart", "memory")}
    rate = 0.0
    with bench.daemon(waiting()) as daemon:
        have = 0
        for count in sizes(most):
            bench.say(f"{count:,} jobs")
            wanted = count - have
            seconds, _ = schedule_at_once(daemon, wanted)
            rate, have = wanted / seconds, count
            ids: list[str] = []
            curves["request"].append((count, _requests(daemon, times, ids)))
            curves["cancel"].append((count, _cancels(daemon, ids)))
            daemon.ask("GET", "/pipelines/jobs")
            curves["list"].append((count, median(daemon.ask("GET", "/pipelines/jobs").seconds for _ in range(3)) * 1e3))
            curves["memory"].append((count, daemon.memory() / 1e6))
            daemon.kill()
            daemon.start()
            curves["restart"].append((count, daemon.started))
    values = {name: points[-1][1] for name, points in curves.items()}
    return Outcome({**values, "rate": rate}, curves=curves)


def _requests(daemon: Daemon, times: int, ids: list[str]) -> float:
    """Return the milliseconds of a request that puts one job more on the list; `ids` get those jobs."""
    body = {"pipeline": NAME, "variables": {}}
    answers = [daemon.ask("POST", "/pipelines/schedule", body, status=202) for _ in range(times)]
    ids += [answer.json()["jobId"] for answer in answers]
    return median(answer.seconds for answer in answers) * 1e3


def _cancels(daemon: Daemon, ids: list[str]) -> float:
    """Cancel these jobs, which wait, and return the milliseconds of one request."""
    return median(daemon.ask("POST", f"/job/cancel?id={job}").seconds for job in ids) * 1e3


WAITING = Measure(
    "waiting",
    "scale",
    f"up to {_MOST:,} jobs on one wait list, asked for over 16 connections; then jobs more, cancels of these, the list "
    "of all, SIGKILL and a start",
    (
        Figure("rate", "/s", "accepted, from nine tenths less to the end", more=True),
        Figure("request", "ms", "one more, median"),
        Figure("cancel", "ms", "cancel one of those that wait last, median"),
        Figure("list", "ms", "the list of all"),
        Figure("restart", "s", "start to first answer, after SIGKILL"),
        Figure("memory", "MB", "resident memory"),
    ),
    _run,
    curves=(
        Curve("request", "jobs that wait", "ms", "one more"),
        Curve("cancel", "jobs that wait", "ms", "cancel one"),
        Curve("list", "jobs that wait", "ms", "the list of all"),
        Curve("restart", "jobs that wait", "s", "start after SIGKILL"),
        Curve("memory", "jobs that wait", "MB", "resident memory"),
    ),
    once=True,
)
