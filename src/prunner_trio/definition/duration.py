"""Durations as Go writes them (`1h30m`, `250ms`), in seconds for us."""

import re

__all__ = ["format_duration", "parse_duration"]

_NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_LONGEST = 2**63 - 1
_LONGEST_TEXT = 100
_STEP = re.compile(r"([0-9]*)(?:\.([0-9]*))?([^0-9.]*)")
_UNITS = "units are h, m, s, ms, us, ns"


def parse_duration(text: str) -> float:
    """Return the seconds that `text` stands for, to the nanosecond: a sum such as `1h30m`, `1.5s`, `-2m`; or `0`.

    Raises:
        ValueError: it is not a duration, or longer than about 292 years; the text says what is wrong.
    """
    sign, rest = (-1, text[1:]) if text[:1] == "-" else (1, text.removeprefix("+"))
    if rest == "0":
        return 0.0
    if not rest or len(text) > _LONGEST_TEXT:
        raise ValueError("is not a duration such as 1h30m, 90s or 250ms")
    total, at = 0, 0
    while at < len(rest):
        step = _STEP.match(rest, at)
        if step is None or not (step[1] or step[2]):
            raise ValueError("is not a duration such as 1h30m, 90s or 250ms")
        total += _nanoseconds(step[1], step[2] or "", step[3])
        at = step.end()
    if total > _LONGEST:
        raise ValueError("is too long: 292 years are the most")
    return sign * total / 1_000_000_000


def _nanoseconds(whole: str, fraction: str, unit: str) -> int:
    if not unit:
        raise ValueError(f"has no unit ({_UNITS})")
    if unit not in _NANOSECONDS:
        raise ValueError(f'has the unknown unit "{unit}" ({_UNITS})')
    size = _NANOSECONDS[unit]
    scale: int = 10 ** len(fraction)
    return int(whole or "0") * size + int(fraction or "0") * size // scale


def format_duration(seconds: float) -> str:
    """Return `seconds` as Go prints a duration, rounded to the nanosecond: `1h30m0s`, `1.5s`, `250ms`, `0s`.

    Raises:
        ValueError: not a number, or infinite.
    """
    if seconds != seconds or seconds in (float("inf"), float("-inf")):
        raise ValueError(f"{seconds} is not a duration")
    left = round(abs(seconds) * 1_000_000_000)
    if left == 0:
        return "0s"
    sign = "-" if seconds < 0 else ""
    for unit in ("ns", "µs", "ms"):
        if left < _NANOSECONDS[unit] * 1000:
            return f"{sign}{_decimal(left, _NANOSECONDS[unit])}{unit}"
    minutes, rest = divmod(left, _NANOSECONDS["m"])
    hours, minutes = divmod(minutes, 60)
    text = f"{_decimal(rest, _NANOSECONDS['s'])}s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    return f"{sign}{hours}h{text}" if hours else f"{sign}{text}"


def _decimal(amount: int, unit: int) -> str:
    whole, rest = divmod(amount, unit)
    if not rest:
        return str(whole)
    digits = len(str(unit)) - 1
    return f"{whole}.{rest:0{digits}d}".rstrip("0")
