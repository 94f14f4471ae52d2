"""What `scripts/bench` does: measure, show a table, keep the figures."""

import argparse
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.machine import facts
from benchmarks.measure import Bench, Measure
from benchmarks.page import PLACE, block, pictures, replaced
from benchmarks.progress import Progress
from benchmarks.registry import MEASURES
from benchmarks.results import Results, UnfitFile, load, merged, save, to_text
from benchmarks.rows import rows, table
from benchmarks.runs import FAILED, measure_all, name_of

__all__ = ["main"]

ROOT = Path(__file__).resolve().parents[1]
BASELINE = ROOT / "benchmarks" / "baseline.json"
OWN = Path(sys.executable).with_name("prunner-trio")
PAGE = ROOT / "docs" / "performance.md"
GROUPS = ("service", "part", "scale")


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
        older = load(arguments.save) if arguments.save is not None and arguments.save.exists() else None
    except (OSError, UnfitFile) as exc:
        print(f"scripts/bench: {exc}", file=sys.stderr)
        return 2
    if arguments.page:
        return _write_page(baseline)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # an end like any other: the daemon ends, too
    command = arguments.daemon or (str(OWN),)
    progress = Progress()
    bench = Bench(command, not arguments.daemon, arguments.quick, progress.say)
    results = Results(name_of(command), facts(), {})

    def keep() -> None:
        if arguments.save is not None:
            save(merged(older, results) if older is not None else results, arguments.save)

    status = 0
    try:
        measure_all(arguments.measures, bench, arguments.runs, progress, results.measures, keep)
    except KeyboardInterrupt:
        progress.end("interrupted")
        status = 130
    if arguments.json:
        print(to_text(results), end="")
    else:
        _show(arguments.measures, results, baseline)
    return status or int(any(result.trouble.startswith(FAILED) for result in results.measures.values()))


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
        type=_located,
        default=(),
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


def _located(text: str) -> tuple[str, ...]:
    """Return the words of a command, whose program is found from here; it starts elsewhere."""
    program, *rest = shlex.split(text)  # an empty or broken text is a ValueError, as for all types of flags
    return (str(Path(program).absolute()) if "/" in program else program, *rest)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value
