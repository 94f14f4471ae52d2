"""The life of a job as bars over time: for each task how long it waited and ran."""

from collections.abc import Collection, Sequence

import attrs
from markupsafe import Markup

from prunner_trio.http.pages.drawing.axis import mark_text, marks
from prunner_trio.http.pages.drawing.svg import CHAR, Look, cut, number, shown, text_width

__all__ = ["Bar", "timeline"]

_LABEL, _PLOT, _ROW, _BAR, _HEAD, _MARGIN = 28, 640, 26, 14, 26, 10
_MOST_MARKS = 7
_THINNEST = 2.0


@attrs.frozen
class Bar:
    """A task, or the job before its tasks, in time; all times are wall time in seconds.

    Attributes:
        waits: since when nothing but a slot, or its own turn, kept it from running; None: it never got there.
        starts: when it began to run; None: it did not.
        ends: when it was over; None: it goes on.
        lasted: how long it ran, as a text.
        href: where its name leads; empty: nowhere.
    """

    name: str
    look: Look
    waits: float | None = None
    starts: float | None = None
    ends: float | None = None
    lasted: str = ""
    href: str = ""


def timeline(
    bars: Sequence[Bar], *, now: float, title: str, ident: str = "timeline", critical: Collection[str] = ()
) -> Markup:
    """Return a drawing of bars, from top to bottom as they are given.

    Args:
        now: where bars end that go on.
        title: what it shows, for those who cannot see it.
        ident: makes the ids in it different from all others on the page.
        critical: the names on the critical path.
    """
    times = [time for bar in bars for time in (bar.waits, bar.starts, bar.ends) if time is not None]
    first = min(times, default=now)
    goes_on = any(bar.ends is None and (bar.waits is not None or bar.starts is not None) for bar in bars)
    length = max(0.001, max([*times, *([now] if goes_on else [])], default=now) - first)
    left = _MARGIN + 2 * CHAR + max((CHAR * text_width(cut(bar.name, _LABEL)) for bar in bars), default=0.0) + 12
    right = 90
    width, height = left + _PLOT + right, _HEAD + _ROW * len(bars) + _MARGIN
    scale = _Scale(first, _PLOT / length, left, now)
    rows = "".join(
        _row(bar, scale, _HEAD + _ROW * index, critical=bar.name in critical) for index, bar in enumerate(bars)
    )
    return Markup(
        f'<svg class="timeline" role="group" aria-labelledby="{shown(ident)}-title {shown(ident)}-about" '
        f'width="{number(width)}" height="{number(height)}" viewBox="0 0 {number(width)} {number(height)}">'
        f'<title id="{shown(ident)}-title">{shown(title)}</title>'
        f'<desc id="{shown(ident)}-about">{shown(_about(bars, critical))}</desc>'
        f"{_axis(length, scale, height)}{rows}</svg>"
    )


def _about(bars: Sequence[Bar], critical: Collection[str]) -> str:
    path = " → ".join(bar.name for bar in bars if bar.name in critical)
    return f"{len(bars)} bars over time" + (f"; on the critical path: {path}" if path else "")


@attrs.frozen
class _Scale:
    first: float
    pixels: float
    left: float
    now: float

    def x(self, time: float) -> float:
        return self.left + (time - self.first) * self.pixels


def _axis(length: float, scale: _Scale, height: float) -> str:
    parts = []
    for mark in marks(length, _MOST_MARKS):
        x = number(scale.x(scale.first + mark))
        parts.append(f'<path d="M{x} {_HEAD - 6}V{number(height - _MARGIN + 4)}"/>')
        parts.append(f'<text x="{x}" y="{_HEAD - 12}">{shown(mark_text(mark))}</text>')
    return f'<g class="axis">{"".join(parts)}</g>'


def _row(bar: Bar, scale: _Scale, y: float, *, critical: bool) -> str:
    middle = y + _ROW / 2
    text = f"{bar.name}: {bar.look.word}" + (f", {bar.lasted}" if bar.lasted else "")
    text += ", on the critical path" if critical else ""
    kinds = f"row {bar.look.kind}" + (" critical" if critical else "")
    shapes = _waits(bar, scale, middle) + _runs(bar, scale, middle, critical=critical)
    return f'<g class="{shown(kinds)}"><title>{shown(text)}</title>{_label(bar, middle)}{shapes}</g>'


def _label(bar: Bar, middle: float) -> str:
    y = number(middle + 4.5)
    name = f'<text class="name" x="{number(_MARGIN + 2 * CHAR)}" y="{y}">{shown(cut(bar.name, _LABEL))}</text>'
    icon = f'<text class="icon" x="{_MARGIN}" y="{y}">{shown(bar.look.icon)}</text>'
    return icon + (f'<a href="{shown(bar.href)}">{name}</a>' if bar.href else name)


def _waits(bar: Bar, scale: _Scale, middle: float) -> str:
    until = _first(bar.starts, bar.ends, scale.now)
    if bar.waits is None or until <= bar.waits:
        return ""
    return _rect("waits", scale.x(bar.waits), scale.x(until), middle, _BAR / 2)


def _runs(bar: Bar, scale: _Scale, middle: float, *, critical: bool) -> str:
    if bar.starts is None:
        return ""
    begin = scale.x(bar.starts)
    end = max(begin + _THINNEST, scale.x(_first(bar.ends, scale.now)))
    parts = [_rect("runs", begin, end, middle, _BAR)]
    if critical:
        parts.append(f'<path class="path" d="M{number(begin)} {number(middle + _BAR / 2 + 2)}H{number(end)}"/>')
    if bar.lasted:
        parts.append(f'<text class="lasted" x="{number(end + 6)}" y="{number(middle + 4)}">{shown(bar.lasted)}</text>')
    return "".join(parts)


def _rect(kind: str, begin: float, end: float, middle: float, height: float) -> str:
    return (
        f'<rect class="{kind}" x="{number(begin)}" y="{number(middle - height / 2)}" '
        f'width="{number(max(0.0, end - begin))}" height="{number(height)}" rx="2"/>'
    )


def _first(*times: float | None) -> float:
    return next(time for time in times if time is not None)
