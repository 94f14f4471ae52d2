"""What several values say together. Pure."""

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

__all__ = ["bucket_quantile", "change", "percentile", "same", "slope", "spread"]


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that is not below `share` (0 to 1) of all; there has to be one.

    With few values this is one that really came, not one in between.
    """
    ordered = sorted(values)
    rank = -int(-share * len(ordered) // 1)  # rounded up
    return ordered[min(max(rank, 1), len(ordered)) - 1]


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the lowest, the median and the highest."""
    return min(values), median(values), max(values)


def same(left: Sequence[float], right: Sequence[float]) -> bool:
    """Tell whether the ranges of two series overlap, so that nothing says that they differ."""
    return min(left) <= max(right) and min(right) <= max(left)


def change(now: float, before: float) -> float | None:
    """Return by which share a value has changed, 0.1 for a tenth more; None if it was 0."""
    return None if before == 0 else now / before - 1


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Return how much the second number grows with the first, by least squares; 0 if the first does not change."""
    middle_x = sum(x for x, _ in points) / len(points)
    middle_y = sum(y for _, y in points) / len(points)
    across = sum((x - middle_x) ** 2 for x, _ in points)
    return sum((x - middle_x) * (y - middle_y) for x, y in points) / across if across else 0.0


def bucket_quantile(buckets: Sequence[tuple[float, float]], share: float) -> float:
    """Return about which value `share` (0 to 1) of all do not exceed; 0 if there are none.

    Args:
        buckets: upper bounds, rising, and how many values are at most that; the last bound may be infinite. Within a
            bucket the values are taken to lie evenly; of those beyond the last finite bound only that bound is known.
    """
    total = buckets[-1][1] if buckets else 0
    if not total:
        return 0.0
    wanted = share * total
    for (low, below), (high, upto) in pairwise([(0.0, 0.0), *buckets]):
        if upto >= wanted and upto > below:
            return low if high == float("inf") else low + (high - low) * (wanted - below) / (upto - below)
    return buckets[-1][0]
