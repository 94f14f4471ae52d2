"""What a daemon pays for the jobs that it keeps."""

import json
import time
import uuid
from statistics import median

from benchmarks.daemon import Daemon
from benchmarks.definitions import NAME, jobs, lanes
from benchmarks.measure import Bench, Broken, Figure, Measure, Outcome

__all__ = ["LISTING"]

_KEPT = 10_000
_SECONDS = 12.0
_STAMP = "2026-01-01T00:00:00.123456Z"


def _run(bench: Bench) -> Outcome:
    count = bench.size(_KEPT, 50)
    graph = lanes(3, 1)
    daemon = bench.daemon(jobs(graph))
    daemon.data.mkdir()
    (daemon.data / "data.json").write_text(json.dumps({"Jobs": [_job(number, graph) for number in range(count)]}))
    with daemon:
        answers = [daemon.ask("GET", "/pipelines/jobs") for _ in range(bench.size(9, 2))]
        if len(answers[-1].json()["jobs"]) != count:
            raise Broken("not all jobs were taken over")
        values = {
            "first": answers[0].seconds * 1e3,
            "list": median(answer.seconds for answer in answers[1:]) * 1e3,
            "size": len(answers[-1].body) / 1e6,
        }
        if (tag := answers[-1].headers.get("ETag")) is not None:
            values["unchanged"] = _unchanged(daemon, tag, bench.size(50, 2))
        cpu, began, ran = daemon.cpu(), time.perf_counter(), 0
        while time.perf_counter() - began < (0.5 if bench.quick else _SECONDS):
            daemon.run(poll=0.01)
            ran += 1
        values |= {"cpu": (daemon.cpu() - cpu) / ran * 1e3, "memory": daemon.memory() / 1e6}
    return Outcome(values)


def _unchanged(daemon: Daemon, tag: str, times: int) -> float:
    """Return the milliseconds of asking whether there is something new when there is not."""
    answers = [daemon.client.request("GET", "/pipelines/jobs", headers={"If-None-Match": tag}) for _ in range(times)]
    if any(answer.status != 304 for answer in answers):
        raise Broken("nothing has changed, but the answer is not 304")
    return median(answer.seconds for answer in answers) * 1e3


def _job(number: int, graph: list[tuple[str, str | None]]) -> dict[str, object]:
    tasks = [
        {
            "Name": name,
            "Script": ["/bin/true"],
            "DependsOn": [needs] if needs else None,
            "AllowFailure": False,
            "Status": "done",
            "Start": _STAMP,
            "End": _STAMP,
            "Skipped": False,
            "ExitCode": 0,
            "Errored": False,
            "Error": None,
        }
        for name, needs in graph
    ]
    return {
        "ID": str(uuid.uuid4()),
        "Pipeline": NAME,
        "Completed": True,
        "Canceled": False,
        "Created": _STAMP,
        "Start": _STAMP,
        "End": _STAMP,
        "Tasks": tasks,
        "Variables": {"tenant": f"t{number}"},
        "User": "bench",
    }


LISTING = Measure(
    "listing",
    "service",
    f"start with {_KEPT:,} finished jobs of three tasks in prunner's `data.json`; ask for the list of all; then run "
    f"jobs of three tasks one after the other for {_SECONDS:.0f} s",
    (
        Figure("list", "ms", "the list of all jobs", goal=10),
        Figure("unchanged", "ms", "the same with the tag of the answer before: 304", goal=1),
        Figure("first", "ms", "the list, the first time"),
        Figure("size", "MB", "its size", fact=True),
        Figure("cpu", "ms", "processor time of the daemon a job", goal=3),
        Figure("memory", "MB", "resident memory at the end"),
    ),
    _run,
)
