"""Makes runs of measures and gathers what comes of them, whatever happens to single ones."""

import datetime
import http.client
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.daemon import DaemonFailed, environment
from benchmarks.measure import Bench, Broken, Measure, Skipped
from benchmarks.progress import Progress
from benchmarks.results import Result

__all__ = ["FAILED", "QUIET", "measure_all", "name_of"]

FAILED = "failed"
"""How the trouble of a measure begins that should have been made."""

QUIET = 0.5
"""The load of a machine on which figures can be taken for those of the daemon."""

_TROUBLE = (
    Broken,
    DaemonFailed,
    OSError,
    ValueError,
    LookupError,
    http.client.HTTPException,
    subprocess.SubprocessError,
)


def measure_all(
    measures: Sequence[Measure],
    bench: Bench,
    runs: int,
    progress: Progress,
    found: dict[str, Result],
    keep: Callable[[], None],
) -> None:
    """Make all measures, one run of each after the other, so that a slow minute of the machine meets them all alike.

    Args:
        found: what comes of it, as it comes.
        keep: called whenever there is more of it.
    """
    load = round(os.getloadavg()[0], 1)  # before we make some ourselves
    if load > QUIET:
        progress.warn(f"the machine is busy with something else (load {load:g}): these will be figures of both")
    for run in range(1, runs + 1):
        for measure in measures:
            if (run > 1 and measure.once) or (measure.name in found and found[measure.name].trouble):
                continue
            progress.begin(measure.name, run, 1 if measure.once else runs)
            result = found.get(measure.name) or Result(bench.quick, datetime.date.today().isoformat(), load=load)
            began, trouble = time.monotonic(), ""
            try:
                result = result.with_run(measure.run(bench))
            except Skipped as exc:
                trouble = f"skipped: {exc}"
            except _TROUBLE as exc:  # a measure that failed is a result, and the next one can still be made
                trouble = f"{FAILED}: {type(exc).__name__}: {exc}"
            found[measure.name] = replace(result, trouble=trouble)
            keep()
            progress.end(trouble or ("" if sys.stderr.isatty() else f"{time.monotonic() - began:.0f} s"))


def name_of(command: Sequence[str]) -> str:
    """Return what a daemon calls itself."""
    try:
        done = subprocess.run(
            [*command, "--version"], env=environment(), capture_output=True, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return Path(command[0]).name
    return f"{Path(command[0]).name} {done.stdout.strip()[:60]}".strip()
