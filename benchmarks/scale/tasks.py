"""One job with ever more tasks."""

from statistics import median

from benchmarks import reference
from benchmarks.definitions import jobs, lanes, makefile
from benchmarks.measure import Bench, Curve, Figure, Measure, Outcome, Points
from benchmarks.scale.sizes import sizes

__all__ = ["TASKS"]

_MOST = 10_000
_WIDTH = 20
_ENOUGH = 200
"""Tasks that are run at least in each size, by running the job again."""


def _run(bench: Bench) -> Outcome:
    most = bench.size(_MOST, 20)
    ours: Points = []
    other: Points = []
    starts: Points = []
    outcome = Outcome(curves={"task": ours, "make": other, "start": starts})
    for tasks in sizes(most):
        bench.say(f"{tasks:,} tasks")
        graph = lanes(tasks, _WIDTH)
        with bench.daemon(jobs(graph)) as daemon:
            starts.append((tasks, daemon.started))
            if tasks <= _ENOUGH:  # for more, what is done once at first is nothing
                daemon.run(poll=0.01)
            runs = max(1, bench.size(_ENOUGH, 1) // tasks)
            ours.append((tasks, median(daemon.run(poll=0.01)[0] for _ in range(runs)) / tasks * 1e3))
            outcome.values["memory"] = daemon.memory() / 1e6
        if (seconds := reference.make(makefile(graph), _WIDTH)) is not None:
            other.append((tasks, seconds / tasks * 1e3))
    outcome.values |= {"task": ours[-1][1], "flat": ours[-1][1] / ours[-2][1], "start": starts[-1][1]}
    if other:
        outcome.references["task"] = other[-1][1]
    else:
        del outcome.curves["make"]
    return outcome


TASKS = Measure(
    "tasks",
    "scale",
    f"one job of up to {_MOST:,} tasks `/bin/true`, in {_WIDTH} chains side by side; looked at every 10 ms",
    (
        Figure("task", "ms", f"a task of {_MOST:,}"),
        Figure("flat", "", f"the same beside a task of {_MOST // 10:,}", goal=1.2),
        Figure("start", "s", "start to first answer with such a definition"),
        Figure("memory", "MB", "resident memory at the end"),
    ),
    _run,
    f"make -j{_WIDTH}, the same graph",
    (
        Curve("task", "tasks in one job", "ms", "a task"),
        Curve("make", "tasks in one job", "ms", f"make -j{_WIDTH}"),
        Curve("start", "tasks in one job", "s", "start to first answer"),
    ),
    once=True,
)
