"""Counts values by size."""

from bisect import bisect_left

import attrs

__all__ = ["Distribution", "Histogram"]


@attrs.frozen
class Distribution:
    """A histogram at one moment.

    Attributes:
        bounds: the upper bounds of the buckets, which they include, rising.
        counts: values in each bucket, and at last those beyond all bounds.
        sum: of all values.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    sum: float


class Histogram:
    """Counts values by size, between fixed bounds."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        """Begin with nothing; `bounds` rise."""
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value. One below 0, as a clock that is set back makes it, counts as 0."""
        value = max(value, 0.0)
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def __bool__(self) -> bool:
        """Whether there is a value."""
        return any(self._counts)

    def now(self) -> Distribution:
        """Return what has been counted so far."""
        return Distribution(self._bounds, tuple(self._counts), self._sum)
