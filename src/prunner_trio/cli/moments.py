"""Times and durations for people. Pure."""

from datetime import datetime

__all__ = ["age", "seconds_of", "span"]


def seconds_of(time: str) -> float:
    """Return the seconds since the epoch of a time of API v1."""
    return datetime.fromisoformat(time).timestamp()


def span(seconds: float | None) -> str:
    """Return a duration in two units at most: ``0.4s``, ``12s``, ``3m05s``, ``2h04m``, ``3d02h``; ``-`` for none."""
    if seconds is None:
        return "-"
    if seconds < 10:
        return f"{max(0.0, seconds):.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02d}h"


def age(time: str | None, now: float) -> str:
    """Return how long ago a time was; ``-`` for none."""
    if time is None:
        return "-"
    seconds = max(0, int(now - seconds_of(time)))
    return f"{seconds}s" if seconds < 60 else span(float(seconds))
