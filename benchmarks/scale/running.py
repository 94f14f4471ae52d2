"""Ever more tasks that run at the same time."""

import resource
import time
from functools import partial
from statistics import median

from benchmarks.daemon import Daemon, until
from benchmarks.definitions import jobs, lanes
from benchmarks.measure import Bench, Curve, Figure, Measure, Outcome, Points, Skipped

__all__ = ["RUNNING"]

_SIZES = (10, 50, 100, 200, 500)
_DESCRIPTORS_A_TASK = 8
_WATCHED = 3.0


def _run(bench: Bench) -> Outcome:
    chosen = (2, 4) if bench.quick else _SIZES
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if most < chosen[-1] * _DESCRIPTORS_A_TASK:
        raise Skipped(f"a process may have {most} descriptors, which is too few for {chosen[-1]} tasks")
    curves: dict[str, Points] = {name: [] for name in ("start", "cancel", "cpu", "memory", "answer")}
    for count in chosen:
        bench.say(f"{count} tasks")
        with bench.daemon(jobs(lanes(count, count), script="/bin/sleep 36000")) as daemon:
            began = time.perf_counter()
            job = daemon.schedule()
            until(partial(_all_run, daemon, job), "all tasks to run")
            curves["start"].append((count, (time.perf_counter() - began) / count * 1e3))
            daemon.settle()
            cpu = daemon.cpu()
            time.sleep(0.1 if bench.quick else _WATCHED)
            curves["cpu"].append((count, (daemon.cpu() - cpu) / (0.1 if bench.quick else _WATCHED) * 100))
            answers = [daemon.ask("GET", "/pipelines/").seconds for _ in range(20)]
            curves["answer"].append((count, median(answers) * 1e3))
            curves["memory"].append((count, daemon.memory() / 1e6))
            began = time.perf_counter()
            daemon.ask("POST", f"/job/cancel?id={job}")
            daemon.wait(job)
            curves["cancel"].append((count, time.perf_counter() - began))
    return Outcome({name: points[-1][1] for name, points in curves.items()}, curves=curves)


def _all_run(daemon: Daemon, job: str) -> bool:
    return all(task["status"] == "running" for task in daemon.ask("GET", f"/job/detail?id={job}").json()["tasks"])


RUNNING = Measure(
    "running",
    "scale",
    f"one job of up to {_SIZES[-1]} tasks `/bin/sleep` at the same time; then nothing; then it is canceled",
    (
        Figure("start", "ms", "a task, from the request until the last one runs"),
        Figure("cpu", "%", "of a processor, while all only sleep"),
        Figure("answer", "ms", "`GET /pipelines/` meanwhile, median"),
        Figure("cancel", "s", "from the request until the job is over and nothing of it lives"),
        Figure("memory", "MB", "resident memory"),
    ),
    _run,
    curves=(
        Curve("start", "tasks at once", "ms", "a task to its start"),
        Curve("answer", "tasks at once", "ms", "GET /pipelines/"),
        Curve("cancel", "tasks at once", "s", "cancel"),
        Curve("memory", "tasks at once", "MB", "resident memory"),
    ),
    once=True,
)
