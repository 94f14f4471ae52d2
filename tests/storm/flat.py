"""Many tasks through one daemon: what it holds on to must not grow with their number."""

import json
import os
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import attrs
from tests.storm.machine import Daemon, wait_for

__all__ = ["Sample", "flat", "samples"]

TASKS_PER_JOB = 20
_SCRIPTS = ("true", "echo out; echo err >&2", "(setsid true &); exit 0", "sleep 0.01 & wait")


@attrs.frozen
class Sample:
    """What a daemon holds; memory in MiB.

    Attributes:
        zombies: processes that have ended and that it has not reaped.
    """

    tasks: int
    memory: float
    descriptors: int
    threads: int
    zombies: int

    def __str__(self) -> str:
        return (
            f"{self.tasks:6} tasks: {self.memory:6.1f} MiB, {self.descriptors} descriptors, {self.threads} threads, "
            f"{self.zombies} zombies"
        )


def samples(
    tasks: int, containment: str, folder: Path, at: tuple[int, ...], tell: Callable[[Sample], None] = lambda _: None
) -> list[Sample]:
    """Run tasks, some of which leave processes behind, with a short history; return what the daemon held when."""
    definition = {
        "retention_count": 5,
        "concurrency": 3,
        "tasks": {f"t{n}": {"script": [_SCRIPTS[n % len(_SCRIPTS)]]} for n in range(TASKS_PER_JOB)},
    }
    (folder / "pipelines.yml").write_text(json.dumps({"pipelines": {"p": definition}}))
    daemon = Daemon(folder, uuid.uuid4().hex, ("--containment", containment)).start()
    found: list[Sample] = []
    done = 0
    try:
        for goal in sorted(at):
            while done < min(goal, tasks):
                batch = [daemon.ask("POST", "/pipelines/schedule", {"pipeline": "p"})[1]["jobId"] for _ in range(10)]
                for job in batch:
                    wait_for(lambda: daemon.ask("GET", f"/job/detail?id={job}")[1]["completed"], "a job")  # noqa: B023
                done += len(batch) * TASKS_PER_JOB
            sample = wait_for(lambda: (seen := look(daemon, done)).zombies == 0 and seen, "no zombies", seconds=5)  # noqa: B023
            found.append(sample)
            tell(sample)
        assert daemon.stop() == 0
    finally:
        daemon.close()
    return found


def look(daemon: Daemon, tasks: int) -> Sample:
    """Return what a daemon holds now."""
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{daemon.pid}/status").read_text().splitlines() if ":" in line
    )
    zombies = 0
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            fields = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        zombies += fields[0] == "Z" and int(fields[1]) == daemon.pid
    memory = int(status["VmRSS"].split()[0]) / 1024
    descriptors = len(os.listdir(f"/proc/{daemon.pid}/fd"))
    return Sample(tasks, memory, descriptors, int(status["Threads"]), zombies)


def flat(tasks: int, containment: str) -> int:
    """Do this for the command line."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        at = tuple(sorted({min(n, tasks) for n in (1000, 2000, 5000, 10000, 20000)} | {tasks}))
        samples(tasks, containment, Path(name), at, print)
    print(f"{time.monotonic() - began:.0f} s")
    return 0
