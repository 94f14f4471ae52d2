"""The marks on an axis of time."""

import math

__all__ = ["mark_text", "marks"]

_STEPS = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
    *(1, 2, 5, 10, 15, 30),
    *(60, 120, 300, 600, 900, 1800),
    *(3600, 7200, 10_800, 21_600, 43_200, 86_400),
)


def marks(length: float, most: int) -> tuple[float, ...]:
    """Return round times, in seconds from 0 on, at equal distances; at most `most` after the 0."""
    if length <= 0:
        return (0.0,)
    step = next((step for step in _STEPS if length / step <= most), None)
    if step is None:
        days = length / most / 86_400
        step = 86_400 * math.ceil(days)
    return tuple(index * float(step) for index in range(math.floor(length / step + 1e-9) + 1))


def mark_text(seconds: float) -> str:
    """Return a round time in its largest units."""
    if seconds == 0:
        return "0"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:g} s"
    whole = round(seconds)
    days, hours, minutes, rest = whole // 86_400, whole // 3600 % 24, whole // 60 % 60, whole % 60
    parts = ((days, "d"), (hours, "h"), (minutes, "min"), (rest, "s"))
    return " ".join(f"{value} {unit}" for value, unit in parts if value)
