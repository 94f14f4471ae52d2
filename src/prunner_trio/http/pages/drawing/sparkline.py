"""The latest runs of a pipeline in one line of text height: a bar for each, as high as it took long."""

import math
from collections import Counter
from collections.abc import Sequence

import attrs
from markupsafe import Markup

from prunner_trio.http.pages.drawing.svg import Look, number, shown

__all__ = ["Run", "sparkline"]

_BAR, _STEP, _HEIGHT, _LOWEST, _MARK = 5, 7, 24, 3.0, 4


@attrs.frozen
class Run:
    """How a run ended.

    Attributes:
        duration: seconds.
        lasted: the duration as a text.
    """

    look: Look
    duration: float
    lasted: str


def sparkline(runs: Sequence[Run]) -> Markup:
    """Return a drawing of runs, the oldest first; one that failed has a wedge on top."""
    if not runs:
        return Markup("")
    width = _STEP * len(runs) - (_STEP - _BAR)
    words = Counter(run.look.word for run in runs)
    counts = ", ".join(f"{count} {word}" for word, count in words.items())
    last = runs[-1]
    label = f"The latest {len(runs)} runs: {counts}. The last one {last.look.word} after {last.lasted}."
    longest = max(run.duration for run in runs)
    bars = "".join(_bar(run, index * _STEP, longest) for index, run in enumerate(runs))
    return Markup(
        f'<svg class="spark" role="img" aria-label="{shown(label)}" width="{width}" height="{_HEIGHT}" '
        f'viewBox="0 0 {width} {_HEIGHT}">{bars}</svg>'
    )


def _bar(run: Run, x: int, longest: float) -> str:
    room = _HEIGHT - _MARK - 1
    # The root keeps short runs visible beside one that took hours.
    part = math.sqrt(max(0.0, run.duration) / longest) if longest > 0 else 0.0
    height = _LOWEST + part * (room - _LOWEST)
    top = _HEIGHT - height
    title = f"<title>{shown(f'{run.look.word}, {run.lasted}')}</title>"
    bar = f'<rect x="{x}" y="{number(top)}" width="{_BAR}" height="{number(height)}" rx="1"/>'
    wedge = f'<path d="M{x} {number(top - 1 - _MARK)}h{_BAR}l{-_BAR / 2} {_MARK}z"/>' if run.look.kind == "bad" else ""
    return f'<g class="{shown(run.look.kind)}">{title}{bar}{wedge}</g>'
