"""What is left of finished jobs when the daemon is killed."""

from benchmarks.definitions import one_task
from benchmarks.measure import Bench, Figure, Measure, Outcome

__all__ = ["CRASH"]

_JOBS = 50


def _run(bench: Bench) -> Outcome:
    count = bench.size(_JOBS, 3)
    with bench.daemon(one_task("concurrency: 100")) as daemon:
        ids = [daemon.schedule() for _ in range(count)]
        for job in ids:
            daemon.wait(job)
        daemon.kill()
        daemon.start()
        kept = {job["id"]: job for job in daemon.ask("GET", "/pipelines/jobs").json()["jobs"]}
        again = daemon.started
    whole = sum(job in kept and kept[job]["completed"] and not kept[job]["canceled"] for job in ids)
    return Outcome({"jobs": count, "known": sum(job in kept for job in ids), "completed": whole, "answer": again})


CRASH = Measure(
    "crash",
    "service",
    f"{_JOBS} jobs are shown as completed, SIGKILL to the daemon, and it is started again",
    (
        Figure("jobs", "", "jobs", fact=True),
        Figure("known", "", "of them known afterwards", more=True, goal=_JOBS),
        Figure("completed", "", "of them still completed", more=True, goal=_JOBS),
        Figure("answer", "s", "start to first answer"),
    ),
    _run,
)
