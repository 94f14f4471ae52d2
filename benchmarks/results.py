"""What was measured, and the file in which it is kept."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measure import Outcome, Points

__all__ = ["Result", "Results", "UnfitFile", "load", "merged", "save", "to_text"]

FORMAT = 1


class UnfitFile(Exception):
    """The file holds no results."""


@dataclass(frozen=True)
class Result:
    """What came of one measure.

    Attributes:
        quick: the sizes were not the real ones.
        date: when, as YYYY-MM-DD.
        values: of each figure, one number per run, or per round of each run.
        references: likewise, what the reference did.
        curves: those of the last run.
        load: how many programs wanted a processor in the minute before; None if nobody looked.
        trouble: why there is nothing, or not all: `skipped: no make`, `failed: …`; empty if all is well.
    """

    quick: bool
    date: str
    values: dict[str, list[float]] = field(default_factory=dict)
    references: dict[str, list[float]] = field(default_factory=dict)
    curves: dict[str, Points] = field(default_factory=dict)
    load: float | None = None
    trouble: str = ""

    def with_run(self, outcome: Outcome) -> "Result":
        """Return this with one run more."""
        values = {**self.values}
        for name, found in [*((name, [value]) for name, value in outcome.values.items()), *outcome.rounds.items()]:
            values[name] = [*values.get(name, ()), *found]
        references = {**self.references}
        for name, value in outcome.references.items():
            references[name] = [*references.get(name, ()), value]
        return replace(self, values=values, references=references, curves={**self.curves, **outcome.curves})

    def ratio(self, figure: str) -> float | None:
        """Return the ratio of a figure to its reference: each the median of the runs."""
        other = self.references.get(figure)
        return median(self.values[figure]) / median(other) if other and median(other) else None


@dataclass(frozen=True)
class Results:
    """All that is known of one daemon on one machine.

    Attributes:
        daemon: what it calls itself.
        machine: see `machine.facts`.
        measures: by name.
    """

    daemon: str
    machine: dict[str, str]
    measures: dict[str, Result]


def load(path: Path) -> Results:
    """Read results.

    Raises:
        OSError: the file cannot be read.
        UnfitFile: it is something else.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise UnfitFile(f"{path} has format {data['format']!r}, this program knows {FORMAT}")
        return Results(
            str(data["daemon"]),
            {str(name): str(value) for name, value in data["machine"].items()},
            {str(name): _result(found) for name, found in data["measures"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise UnfitFile(f"{path} holds no results: {type(exc).__name__}: {exc}") from exc


def save(results: Results, path: Path) -> None:
    """Write results, in a form whose changes can be read."""
    path.write_text(to_text(results), encoding="utf-8")


def to_text(results: Results) -> str:
    """Return results as JSON."""
    measures = {name: _rounded(asdict(result)) for name, result in results.measures.items()}
    data = {"format": FORMAT, "daemon": results.daemon, "machine": results.machine, "measures": measures}
    return _on_few_lines(data) + "\n"


def merged(older: Results, newer: Results) -> Results:
    """Return the newer results, and of the older ones those of measures that were not made again.

    Only what the same daemon did on the same machine stands side by side; otherwise the newer ones stand alone. What
    was skipped or failed does not take the place of what was measured.
    """
    if older.machine != newer.machine:
        return newer
    made = {name: found for name, found in newer.measures.items() if found.values or name not in older.measures}
    return Results(newer.daemon, newer.machine, {**older.measures, **made})


def _result(data: Mapping[str, Any]) -> Result:
    def series(name: str) -> dict[str, list[float]]:
        return {str(figure): [float(value) for value in values] for figure, values in data[name].items()}

    curves = {str(name): [(float(x), float(y)) for x, y in points] for name, points in data["curves"].items()}
    return Result(
        bool(data["quick"]),
        str(data["date"]),
        series("values"),
        series("references"),
        curves,
        None if data["load"] is None else float(data["load"]),
        str(data["trouble"]),
    )


def _rounded(value: Any) -> Any:
    """Return data with numbers of five digits: more would be noise, in the figures and in their changes."""
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


def _on_few_lines(value: Any, indent: str = "") -> str:
    """Return JSON with one line for each series, so that a changed figure is a changed line."""
    if not isinstance(value, dict) or not value:
        return json.dumps(value, ensure_ascii=False)
    inner = indent + "  "
    lines = [f"{inner}{json.dumps(name)}: {_on_few_lines(each, inner)}" for name, each in value.items()]
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
