"""A task that writes as fast as it can."""

import os
import tempfile
import time
from pathlib import Path

from benchmarks import reference
from benchmarks.daemon import until
from benchmarks.definitions import one_task
from benchmarks.measure import Bench, Broken, Figure, Measure, Outcome

__all__ = ["COPIED", "LOGS", "MASKED"]

_MEGABYTES = 1000
_LINE = b"2026-01-01 INFO a line of log output number 0123456789 of some task\n"


def _logs(bench: Bench) -> Outcome:
    return _write(bench, ())


def _copied(bench: Bench) -> Outcome:
    bench.needs_own("log_limit")
    return _write(bench, ("log_limit: 4Gi",))


def _masked(bench: Bench) -> Outcome:
    bench.needs_own("secrets")
    secrets = {f"SECRET_{number}": f"s3cr3t-{number}/{number * 31} of 'many'" for number in range(5)}
    env = ", ".join(f'{name}: "{value}"' for name, value in secrets.items())
    return _write(bench, (f"secrets: [{', '.join(secrets)}]", f"env: {{{env}}}"))


def _write(bench: Bench, settings: tuple[str, ...]) -> Outcome:
    size = bench.size(_MEGABYTES, 1) * 1_000_000
    with tempfile.NamedTemporaryFile() as source:
        for _ in range(size // 1_000_000):
            source.write((_LINE * (1_000_000 // len(_LINE) + 1))[:1_000_000])
        source.flush()
        os.fsync(source.fileno())  # or else the disk is busy with it while others write
        script = f"head -c {size} '{source.name}'"
        with bench.daemon(one_task(*settings, script=script)) as daemon:
            others = [_reference(Path(source.name), size, daemon.directory)]
            cpu, before, began = daemon.cpu(), daemon.memory(), time.perf_counter()
            job = daemon.schedule()
            log = daemon.data / "logs" / job / "t00000-stdout.log"
            # The daemon is not asked meanwhile: its processor time is to be that of the log.
            until(lambda: log.exists() and log.stat().st_size >= size, f"a log of {size} bytes", pause=0.002)
            if daemon.wait(job)["errored"] or log.stat().st_size != size:
                raise Broken(f"the log has {log.stat().st_size} bytes, not {size}")
            seconds, cpu = time.perf_counter() - began, daemon.cpu() - cpu
            growth = daemon.peak_memory() - before
            log.unlink()  # what was not written to the disk yet need not be
            others.append(_reference(Path(source.name), size, daemon.directory))
    megabytes = size / 1e6
    values = {"s": seconds, "rate": megabytes / seconds, "cpu": cpu, "growth": growth / 1e6}
    found = [other for other in others if other is not None]
    return Outcome(values, {"s": sum(found) / len(found)} if found else {})


def _reference(source: Path, size: int, folder: Path) -> float | None:
    """Return what head takes; it is made before and after, as a disk that fills up gets slower."""
    copy = folder / "copy"
    seconds = reference.head(source, size, copy)
    copy.unlink(missing_ok=True)
    return seconds


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

MASKED = Measure(
    "masked",
    "service",
    f"the same with five `secrets`, for which the daemon looks in all {_MEGABYTES} MB; there are none",
    (
        Figure("s", "s", "the job"),
        Figure("rate", "MB/s", "written", more=True, goal=300),
        Figure("cpu", "s", "processor time of the daemon"),
        Figure("growth", "MB", "memory of the daemon beyond what it had before, at most"),
    ),
    _masked,
    "head, into a file",
)
