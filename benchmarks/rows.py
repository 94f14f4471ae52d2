"""Figures beside their references, their baseline and their goals, as the table and the page show them. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.measure import Figure, Measure
from benchmarks.results import Result, Results
from benchmarks.series import change, same, spread

__all__ = ["HEADS", "Row", "goal_text", "number", "rows", "table"]

HEADS = ("measure", "figure", "", "range", "to reference", "baseline", "change", "goal", "met")


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        value: median of the runs, with its unit.
        range: lowest and highest of the runs, if there were several.
        ratio: to the reference.
        baseline: the stored median.
        change: from there to here; with a ~ if the runs of both overlap.
        goal: what it has to reach.
        met: `yes` or `no`; empty without a goal.
    """

    measure: str
    figure: str
    value: str
    range: str = ""
    ratio: str = ""
    baseline: str = ""
    change: str = ""
    goal: str = ""
    met: str = ""


def rows(measures: Sequence[Measure], results: Results, baseline: Results | None = None) -> Iterator[Row]:
    """Yield a row for each figure that was measured, and one for each measure that was not."""
    for measure in measures:
        result = results.measures.get(measure.name)
        if result is None:
            continue
        before = baseline.measures.get(measure.name) if baseline is not None else None
        if before is not None and before.quick != result.quick:
            before = None
        for figure in measure.figures:
            if figure.name in result.values:
                yield _row(measure, figure, result, before)
        if result.trouble:
            yield Row(measure.name, "", " ".join(result.trouble.split()))


def _row(measure: Measure, figure: Figure, result: Result, before: Result | None) -> Row:
    values = result.values[figure.name]
    low, middle, high = spread(values)
    ratio = result.ratio(figure.name)
    with_goal = not result.quick
    earlier = before.values.get(figure.name) if before is not None else None
    return Row(
        measure.name,
        figure.name,
        f"{number(middle)} {figure.unit}".strip(),
        f"{number(low)} – {number(high)}" if len(values) > 1 else "",
        f"{number(ratio)} × {_tool(measure)}" if ratio is not None else "",
        number(median(earlier)) if earlier else "",
        _change(values, earlier) if earlier and not figure.fact else "",
        goal_text(measure, figure) if with_goal else "",
        _met(figure, middle, ratio) if with_goal else "",
    )


def goal_text(measure: Measure, figure: Figure) -> str:
    """Return what a figure has to reach; empty if that is nothing."""
    sign = "≥" if figure.more else "≤"
    goals = []
    if figure.goal is not None:
        goals.append(f"{sign} {number(figure.goal)} {figure.unit}".strip())
    if figure.ratio_goal is not None:
        goals.append(f"{sign} {number(figure.ratio_goal)} × {_tool(measure)}")
    return ", ".join(goals)


def number(value: float) -> str:
    """Return a number with about three digits that matter, and commas between thousands."""
    size = abs(value)
    if size >= 100 or value == round(value):
        return f"{value:,.0f}"
    digits = 1 if size >= 10 else 2 if size >= 1 else 3 if size >= 0.1 else 4
    return f"{value:.{digits}f}"


def table(found: Sequence[Row]) -> str:
    """Return rows as a table for a terminal; a measure is named once, and trouble takes a whole line."""
    cells = [(*HEADS,)]
    last = ""
    for row in found:
        name = row.measure if row.measure != last else ""
        last = row.measure
        cells.append((name, row.figure, row.value, row.range, row.ratio, row.baseline, row.change, row.goal, row.met))
    whole = [cell[1] != "" for cell in cells]
    used = [any(cell[column] for cell in cells[1:]) for column in range(len(HEADS))]
    widths = [
        max(len(cell[column]) for cell, fits in zip(cells, whole, strict=True) if fits or column == 0)
        for column in range(len(HEADS))
    ]
    lines = []
    for cell, fits in zip(cells, whole, strict=True):
        if not fits:
            lines.append(f"{cell[0]:<{widths[0]}}  {cell[2]}")
            continue
        words = [
            f"{text:>{width}}" if column in (2, 3, 4, 5, 6) else f"{text:<{width}}"
            for column, (text, width) in enumerate(zip(cell, widths, strict=True))
            if used[column]
        ]
        lines.append("  ".join(words).rstrip())
    return "\n".join(lines)


def _tool(measure: Measure) -> str:
    return measure.reference.split(",")[0].split()[0] if measure.reference else "reference"


def _change(now: Sequence[float], before: Sequence[float]) -> str:
    share = change(median(now), median(before))
    if share is None:
        return ""
    return f"{share * 100:+.0f} %" + (" ~" if same(now, before) else "")


def _met(figure: Figure, value: float, ratio: float | None) -> str:
    def reached(found: float, goal: float) -> bool:
        return found >= goal if figure.more else found <= goal

    verdicts = []
    if figure.goal is not None:
        verdicts.append(reached(value, figure.goal))
    if figure.ratio_goal is not None and ratio is not None:
        verdicts.append(reached(ratio, figure.ratio_goal))
    return "" if not verdicts else "yes" if all(verdicts) else "no"
