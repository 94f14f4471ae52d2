"""A task that writes as fast as it can."""

import tempfile
from pathlib import Path

from benchmarks import reference
from benchmarks.definitions import one_task
from benchmarks.measure import Bench, Broken, Figure, Measure, Outcome

__all__ = ["COPIED", "LOGS"]

_MEGABYTES = 1000
_LINE = b"2026-01-01 INFO a line of log output number 0123456789 of some task\n"


def _logs(bench: Bench) -> Outcome:
    return _write(bench, ())


def _copied(bench: Bench) -> Outcome:
    bench.needs_own("log_limit")
    return _write(bench, ("log_limit: 4Gi",))


def _write(bench: Bench, settings: tuple[str, ...]) -> Outcome:
    size = bench.size(_MEGABYTES, 1) * 1_000_000
    with tempfile.NamedTemporaryFile() as source:
        for _ in range(size // 1_000_000):
            source.write((_LINE * (1_000_000 // len(_LINE) + 1))[:1_000_000])
        source.flush()
        script = f"/usr/bin/env head -c {size} {source.name}"
        with bench.daemon(one_task(*settings, script=script)) as daemon:
            daemon.run()  # the source is in memory now, as it will be for the reference
            cpu, before = daemon.cpu(), daemon.memory()
            seconds, job = daemon.run(poll=0.005)
            cpu, growth = daemon.cpu() - cpu, daemon.peak_memory() - before
            log = daemon.data / "logs" / job["id"] / "t00000-stdout.log"
            if log.stat().st_size != size:
                raise Broken(f"{log.stat().st_size} of {size} bytes are in the log")
            other = reference.head(Path(source.name), size, daemon.directory / "copy")
    megabytes = size / 1e6
    values = {"s": seconds, "rate": megabytes / seconds, "cpu": cpu, "growth": growth / 1e6}
    return Outcome(values, {} if other is None else {"s": other})


LOGS = Measure(
    "logs",
    "service",
    f"one task that writes {_MEGABYTES} MB to its standard output",
    (
        Figure("s", "s", "the job", ratio_goal=1.1),
        Figure("rate", "MB/s", "written", more=True),
        Figure("cpu", "s", "processor time of the daemon", goal=0.02),
        Figure("growth", "MB", "memory of the daemon beyond what it had before, at most"),
    ),
    _logs,
    "head, into a file",
)

COPIED = Measure(
    "copied",
    "service",
    f"the same with `log_limit: 4Gi`, so that all {_MEGABYTES} MB go through a pipe and the daemon",
    (
        Figure("s", "s", "the job"),
        Figure("rate", "MB/s", "written", more=True),
        Figure("cpu", "s", "processor time of the daemon"),
        Figure("growth", "MB", "memory of the daemon beyond what it had before, at most"),
    ),
    _copied,
    "head, into a file",
)
