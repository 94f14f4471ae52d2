"""Plots of growth as SVG: lines with a mark at each size, both axes by their range. Pure, and the same every time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from benchmarks.measure import Points

__all__ = ["Axis", "Line", "plot"]

WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 72, 44, 40, 52
LEGEND_LINE = 18

# Okabe and Ito's colors, which people who see few colors can tell apart; shapes help, too.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")

_MOST_MARKS = 20

_DECADES_FOR_LOG = 1.2
"""From this many powers of ten on, an axis goes by powers; below that it begins at 0, so that flat looks flat."""


@dataclass(frozen=True)
class Line:
    """One line and what the legend says of it."""

    about: str
    points: Points


@dataclass(frozen=True)
class Axis:
    """From numbers to places between 0 and 1.

    Attributes:
        low: the number at 0.
        high: the number at 1.
        log: by powers of ten.
        ticks: numbers that are written beside it.
    """

    low: float
    high: float
    log: bool
    ticks: tuple[float, ...]

    @classmethod
    def over(cls, values: Sequence[float], *, powers: bool = True) -> "Axis":
        """Return one that has room for all values; `powers`: it may go by powers of ten."""
        above = [value for value in values if value > 0]
        if not above:
            return cls(0, 1, False, (0, 1))
        low, high = min(above), max(above)
        if math.log10(high / low) >= _DECADES_FOR_LOG and powers:
            first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
            return cls(10.0**first, 10.0**last, True, tuple(10.0**power for power in range(first, last + 1)))
        step = _step(high)
        count = math.ceil(high / step - 1e-9)
        return cls(0, count * step, False, tuple(step * number for number in range(count + 1)))

    def place(self, value: float) -> float:
        """Return where a value is; what is beyond an end stands at that end."""
        if self.log:
            share = math.log10(max(value, self.low) / self.low) / math.log10(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return min(max(share, 0.0), 1.0)


def plot(lines: Sequence[Line], across: str, unit: str) -> str:
    """Return an SVG picture of lines over a common axis.

    Args:
        across: what the horizontal axis is.
        unit: what the vertical one is counted in.
    """
    sizes = sorted({x for line in lines for x, _ in line.points})
    horizontal = Axis.over(sizes, powers=not _even(sizes))
    vertical = Axis.over([y for line in lines for _, y in line.points])
    height = HEIGHT + LEGEND_LINE * len(lines)
    bottom = HEIGHT - BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
        ' font-family="sans-serif" font-size="12" fill="#333">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
    ]
    for tick in vertical.ticks:
        y = _y(vertical, tick)
        parts.append(f'<path d="M{LEFT} {y}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y}" text-anchor="end" dominant-baseline="middle">{_label(tick)}</text>')
    for tick in horizontal.ticks:
        x = _x(horizontal, tick)
        parts.append(f'<path d="M{x} {TOP}V{bottom}" stroke="#eee"/>')
        parts.append(f'<text x="{x}" y="{bottom + 18}" text-anchor="middle">{_label(tick)}</text>')
    middle = (LEFT + WIDTH - RIGHT) // 2
    parts.append(f'<path d="M{LEFT} {TOP}V{bottom}H{WIDTH - RIGHT}" fill="none" stroke="#333"/>')
    parts.append(f'<text x="{middle}" y="{bottom + 40}" text-anchor="middle">{escape(across)}</text>')
    parts.append(f'<text x="{LEFT - 8}" y="{TOP - 20}" text-anchor="end">{escape(unit)}</text>')
    for number, line in enumerate(lines):
        color = COLORS[number % len(COLORS)]
        places = [(_x(horizontal, x), _y(vertical, y)) for x, y in line.points]
        path = " ".join(f"{x},{y}" for x, y in places)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        if len(places) <= _MOST_MARKS:
            parts += [_mark(number, x, y, color) for x, y in places]
        y = HEIGHT + LEGEND_LINE * number
        parts.append(f'<path d="M{LEFT} {y}h24" stroke="{color}" stroke-width="2"/>')
        parts.append(_mark(number, LEFT + 12, y, color))
        parts.append(f'<text x="{LEFT + 34}" y="{y}" dominant-baseline="middle">{escape(line.about)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _x(axis: Axis, value: float) -> float:
    return round(LEFT + axis.place(value) * (WIDTH - LEFT - RIGHT), 1)


def _y(axis: Axis, value: float) -> float:
    return round(HEIGHT - BOTTOM - axis.place(value) * (HEIGHT - TOP - BOTTOM), 1)


def _mark(number: int, x: float, y: float, color: str) -> str:
    """Return a circle, a square or a triangle, by turns."""
    if number % 3 == 0:
        return f'<circle cx="{x}" cy="{y}" r="4" fill="{color}"/>'
    if number % 3 == 1:
        return f'<rect x="{x - 3.5:.1f}" y="{y - 3.5:.1f}" width="7" height="7" fill="{color}"/>'
    return f'<path d="M{x:.1f} {y - 5:.1f}l5 9h-10z" fill="{color}"/>'


def _even(values: Sequence[float]) -> bool:
    """Tell whether rising values come at equal steps, which then are to look equal."""
    steps = [after - before for before, after in pairwise(values)]
    return len(steps) > 1 and max(steps) - min(steps) <= 1e-9 * values[-1]


def _step(high: float) -> float:
    """Return 1, 2 or 5 times a power of ten, of which four to eight reach `high`."""
    power = 10.0 ** math.floor(math.log10(high))
    return next(power * share for share in (0.2, 0.5, 1.0, 2.0) if high <= 8 * power * share)


def _label(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 and value == round(value) else f"{value:.6g}"
