"""The part of docs/performance.md that is made of stored figures, and its pictures. Pure."""

import re
from collections.abc import Iterator, Sequence

from benchmarks.measure import Curve, Measure
from benchmarks.plot import Line, plot
from benchmarks.results import Result, Results
from benchmarks.rows import goal_text, rows

__all__ = ["BEGIN", "END", "NO_FIGURES", "PLACE", "block", "pictures", "replaced"]

BEGIN = "<!-- figures: made by scripts/bench --page, do not edit -->"
END = "<!-- end of figures -->"
NO_FIGURES = "No figures are stored yet."
PLACE = "images/performance"

_GROUPS = {
    "service": "The daemon from outside",
    "part": "Parts alone",
    "scale": "Growth",
}


def block(measures: Sequence[Measure], results: Results | None) -> str:
    """Return what stands between the markers; None: nothing has been measured."""
    if results is None:
        return f"{BEGIN}\n\n{NO_FIGURES}\n\n{END}"
    facts = ", ".join(f"{name} {value}" for name, value in results.machine.items())
    dates = sorted({result.date for result in results.measures.values()})
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    intro = f"Measured {when} with {results.daemon}, on this machine: {facts}."
    if loads := [result.load for result in results.measures.values() if result.load is not None]:
        intro += f" Its load from other programs was {max(loads):g} at most when a measurement began."
    if any(result.quick for result in results.measures.values()):
        intro += " **The sizes are small ones, so this is no measurement.**"
    parts = [BEGIN, intro, *_goals(measures, results)]
    for group, title in _GROUPS.items():
        found = [measure for measure in measures if measure.group == group and measure.name in results.measures]
        if found:
            parts.append(f"### {title}")
        for measure in found:
            parts += _measure(measure, results)
    return "\n\n".join([*parts, END])


def pictures(measures: Sequence[Measure], results: Results | None) -> dict[str, str]:
    """Return SVG pictures by the names of their files."""
    found = {}
    for measure in measures:
        result = results.measures.get(measure.name) if results is not None else None
        for name, curves in _plots(measure, result):
            assert result is not None
            lines = [Line(curve.about, result.curves[curve.name]) for curve in curves]
            found[name] = plot(lines, curves[0].across, curves[0].unit)
    return found


def replaced(page: str, new: str) -> str:
    """Return a page with another block between its markers.

    Raises:
        ValueError: the page has no markers.
    """
    begin, end = page.find(BEGIN), page.find(END)
    if begin < 0 or end < begin:
        raise ValueError(f"there is no {BEGIN} with {END} behind it")
    return page[:begin] + new + page[end + len(END) :]


def _goals(measures: Sequence[Measure], results: Results) -> Iterator[str]:
    """Yield a table of all figures that have a goal."""
    lines = ["| what | figure | beside the same done by others | goal | met |", "|---|---|---|---|---|"]
    with_goal = {
        (measure.name, figure.name): figure
        for measure in measures
        for figure in measure.figures
        if goal_text(measure, figure)
    }
    for row in rows(measures, results):
        figure = with_goal.get((row.measure, row.figure))
        if figure is not None and row.goal:
            ratio = row.ratio or "–"
            lines.append(
                f"| [{row.measure}](#{row.measure}): {figure.about} | {row.value} | {ratio} | {row.goal} | {row.met} |"
            )
    if len(lines) > 2:
        yield "### Goals"
        yield "\n".join(lines)


def _measure(measure: Measure, results: Results) -> Iterator[str]:
    result = results.measures[measure.name]
    yield f"#### {measure.name}"
    about = measure.about[0].upper() + measure.about[1:] + "."
    if measure.reference:
        about += f" Beside it: {measure.reference}."
    yield about
    if result.trouble:
        yield f"Not measured, {' '.join(result.trouble.split())}."
    abouts = {figure.name: figure.about for figure in measure.figures}
    lines = ["| figure | | median | range | ratio |", "|---|---|---|---|---|"]
    for row in rows([measure], results):
        if row.figure:
            lines.append(f"| {row.figure} | {abouts[row.figure]} | {row.value} | {row.range} | {row.ratio} |")
    if len(lines) > 2:
        yield "\n".join(lines)
    for name, curves in _plots(measure, result):
        yield f"![{measure.name}: {', '.join(curve.about for curve in curves)}]({PLACE}/{name})"


def _plots(measure: Measure, result: Result | None) -> Iterator[tuple[str, list[Curve]]]:
    """Yield the name of each picture of a measure, and its curves: those of one unit share one."""
    by_unit: dict[str, list[Curve]] = {}
    for curve in measure.curves:
        if result is not None and len(result.curves.get(curve.name, ())) > 1:
            by_unit.setdefault(curve.unit, []).append(curve)
    for unit, curves in by_unit.items():
        name = re.sub(r"\W+", "-", unit).strip("-") or "share"
        yield f"{measure.name}-{name}.svg", curves
