"""What `scripts/bench` does: measure, show a table, keep the figures."""

import argparse
import datetime
import http.client
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.daemon import DaemonFailed, environment
from benchmarks.machine import facts
from benchmarks.measure import Bench, Broken, Measure, Skipped
from benchmarks.page import PLACE, block, pictures, replaced
from benchmarks.registry import MEASURES
from benchmarks.results import Result, Results, UnfitFile, load, merged, save, to_text
from benchmarks.rows import rows, table

__all__ = ["main"]

ROOT = Path(__file__).resolve().parents[1]
BASELINE = ROOT / "benchmarks" / "baseline.json"
OWN = Path(sys.executable).with_name("prunner-trio")
PAGE = ROOT / "docs" / "performance.md"
GROUPS = ("service", "part", "scale")
_QUIET = 0.5
TROUBLE = (
    Broken,
    DaemonFailed,
    OSError,
    ValueError,
    LookupError,
    http.client.HTTPException,
    subprocess.SubprocessError,
)


class Progress:
    """One line on the terminal that says what is being done; without a terminal, a line for each measure."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._name = ""

    def begin(self, name: str, run: int, runs: int) -> None:
        """Tell that a run of a measure begins."""
        self._name = name if runs == 1 else f"{name}, run {run} of {runs}"
        self._show("")
        if not self._terminal:
            print(self._name, file=sys.stderr, flush=True)

    def warn(self, text: str) -> None:
        """Tell what whoever reads the figures has to know."""
        print(f"scripts/bench: {text}", file=sys.stderr, flush=True)

    def say(self, text: str) -> None:
        """Tell how far it is."""
        self._show(f": {text}")

    def end(self, text: str) -> None:
        """Tell what came of it, if that is not what one expects."""
        if self._terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
        if text:
            print(f"{self._name}: {text}", file=sys.stderr, flush=True)

    def _show(self, text: str) -> None:
        if self._terminal:
            print(f"\r{self._name}{text}\x1b[K", end="", file=sys.stderr, flush=True)


def main(words: list[str] | None = None) -> int:
    """Run the command; return its exit status: 0, 1 if a measure failed, 130 after Ctrl-C."""
    arguments = _parse(words)
    if arguments.list:
        width = max(len(measure.name) for measure in MEASURES)
        for measure in MEASURES:
            print(f"{measure.group:<8}  {measure.name:<{width}}  {measure.about}")
        return 0
    try:
        baseline = load(arguments.baseline) if arguments.baseline.exists() or arguments.given_baseline else None
    except (OSError, UnfitFile) as exc:
        print(f"scripts/bench: {exc}", file=sys.stderr)
        return 2
    if arguments.page:
        return _write_page(baseline)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # an end like any other: the daemon ends, too
    command = tuple(shlex.split(arguments.daemon)) if arguments.daemon else (str(OWN),)
    progress = Progress()
    bench = Bench(command, not arguments.daemon, arguments.quick, progress.say)
    found: dict[str, Result] = {}
    status = 0
    try:
        measure_all(arguments.measures, bench, arguments.runs, progress, found)
    except KeyboardInterrupt:
        progress.end("interrupted")
        status = 130
    results = Results(_name_of(command), facts(), found)
    if arguments.json:
        print(to_text(results), end="")
    else:
        _show(arguments.measures, results, baseline)
    if arguments.save is not None:
        save(merged(load(arguments.save), results) if arguments.save.exists() else results, arguments.save)
    return status or int(any(result.trouble.startswith("failed") for result in found.values()))


def measure_all(
    measures: Sequence[Measure], bench: Bench, runs: int, progress: Progress, found: dict[str, Result]
) -> None:
    """Make all measures, one run of each after the other, so that a slow minute of the machine meets them all alike.

    Args:
        found: what comes of it, as it comes.
    """
    load = round(os.getloadavg()[0], 1)  # before we make some ourselves
    if load > _QUIET:
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
            except TROUBLE as exc:  # a measure that failed is a result, and the next one can still be made
                trouble = f"failed: {type(exc).__name__}: {exc}"
            found[measure.name] = replace(result, trouble=trouble)
            progress.end(trouble or ("" if sys.stderr.isatty() else f"{time.monotonic() - began:.0f} s"))


def _write_page(results: Results | None) -> int:
    """Bring docs/performance.md and its pictures up to date; those that are shown no more go."""
    folder = PAGE.parent / PLACE
    folder.mkdir(parents=True, exist_ok=True)
    found = pictures(MEASURES, results)
    for old in folder.glob("*.svg"):
        if old.name not in found:
            old.unlink()
    for name, text in found.items():
        (folder / name).write_text(text, encoding="utf-8")
    PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), block(MEASURES, results)), encoding="utf-8")
    print(f"{PAGE.relative_to(ROOT)}: {len(found)} pictures")
    return 0


def _show(measures: Sequence[Measure], results: Results, baseline: Results | None) -> None:
    machine = results.machine
    print(f"\n{results.daemon}; {machine['cores']} cores, Python {machine['python']}, {machine['system']}\n")
    print(table(list(rows(measures, results, baseline))))
    if any(result.quick for result in results.measures.values()):
        print("\nThese are small sizes, to see that all works: no measurement.")
    if baseline is not None:
        print("\n~ in front of a change: the ranges of the runs overlap, so it may be none.")
        other = [name for name, value in machine.items() if baseline.machine.get(name) != value]
        if other:
            differ = ", ".join(f"{name} {baseline.machine.get(name, '?')}" for name in other)
            print(f"The baseline comes from another machine: {differ}.")


def _name_of(command: Sequence[str]) -> str:
    """Return what a daemon calls itself."""
    try:
        done = subprocess.run(
            [*command, "--version"], env=environment(), capture_output=True, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return Path(command[0]).name
    return f"{Path(command[0]).name} {done.stdout.strip()[:60]}".strip()


def _chosen(names: Sequence[str], parser: argparse.ArgumentParser) -> list[Measure]:
    known = {measure.name for measure in MEASURES}
    for name in names:
        if name not in known and name not in GROUPS:
            parser.error(f"there is no measure {name!r}; there are {', '.join([*GROUPS, *sorted(known)])}")
    return [measure for measure in MEASURES if not names or measure.name in names or measure.group in names]


def _parse(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measures how fast the daemon is, from outside and in parts, and shows the figures beside the same "
        "work done by other tools, beside stored ones and beside goals.",
        epilog="A quiet machine matters more than anything else here. docs/performance.md says what is measured.",
    )
    parser.add_argument("names", nargs="*", metavar="MEASURE", help="these only, or groups: service, part, scale")
    parser.add_argument("--list", action="store_true", help="show all measures and end")
    parser.add_argument("--runs", type=_positive, default=3, metavar="N", help="median of so many runs (default 3)")
    parser.add_argument("--quick", action="store_true", help="small sizes and one run, to see that all works")
    parser.add_argument(
        "--daemon",
        default="",
        metavar="CMD",
        help="another daemon that takes prunner's flags; default: the project's own",
    )
    parser.add_argument(
        "--baseline", type=Path, metavar="FILE", help="compare with these figures (default benchmarks/baseline.json)"
    )
    parser.add_argument(
        "--save", type=Path, metavar="FILE", help="keep the figures; those of other measures stay in it"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON instead of a table")
    parser.add_argument(
        "--page", action="store_true", help="measure nothing: show the baseline in docs/performance.md, with plots"
    )
    arguments = parser.parse_args(words)
    arguments.measures = _chosen(arguments.names, parser)
    arguments.given_baseline = arguments.baseline is not None
    arguments.baseline = arguments.baseline or BASELINE
    arguments.runs = 1 if arguments.quick else arguments.runs
    return arguments


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value
