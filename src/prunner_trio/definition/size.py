"""Amounts of memory and of bytes: `64Mi`, `1.5G`, `4096`."""

import re

__all__ = ["MIN_LOG_LIMIT", "format_size", "parse_log_limit", "parse_size"]

MIN_LOG_LIMIT = 4096
"""Bytes; in less there is no room for a beginning, an end and a word about what is missing."""

_UNITS = {
    "": 1,
    "K": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}
_SHAPE = re.compile(r"([0-9]{1,19})(?:\.([0-9]{1,9}))?([A-Za-z]*)", re.ASCII)
_LARGEST = 2**63 - 1


def parse_size(text: str) -> int:
    """Return the bytes that `text` stands for: a number, with `K`, `M`, `G`, `T` (1000s) or `Ki` to `Ti` (1024s).

    Raises:
        ValueError: it is not a size; the text says what is wrong.
    """
    shape = _SHAPE.fullmatch(text)
    if shape is None:
        raise ValueError("is not a size such as 64Mi, 1.5G or 4096")
    whole, fraction, unit = shape[1], shape[2] or "", shape[3]
    if unit not in _UNITS:
        raise ValueError(f'has the unknown unit "{unit}" (units are K, M, G, T, Ki, Mi, Gi, Ti)')
    size = int(whole + fraction) * _UNITS[unit] // int("1" + "0" * len(fraction))
    if size > _LARGEST:
        raise ValueError("is too large")
    return size


def parse_log_limit(text: str) -> int:
    """Return the most bytes that a log may have, 0 for `none`.

    Raises:
        ValueError: it is neither `none` nor a size of at least `MIN_LOG_LIMIT`; the text says what is wrong.
    """
    if text == "none":
        return 0
    try:
        size = parse_size(text)
    except ValueError as exc:
        raise ValueError(f'{exc}, nor "none"' if "is not a size" in str(exc) else str(exc)) from None
    if size < MIN_LOG_LIMIT:
        raise ValueError('must be at least 4Ki, or "none"')
    return size


def format_size(size: int) -> str:
    """Return a size in the largest unit in which it is a whole number: `64 MiB`, `10 MB`, `1 byte`."""
    for unit, factor in sorted(_UNITS.items(), key=lambda item: -item[1]):
        if unit and size and size % factor == 0:
            return f"{size // factor} {'k' if unit == 'K' else unit}B"
    return f"{size} byte{'' if size == 1 else 's'}"
