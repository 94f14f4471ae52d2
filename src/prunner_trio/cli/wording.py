"""Words that several commands share."""

__all__ = ["count"]


def count(number: int, noun: str) -> str:
    """Return the number with its noun: ``1 job``, ``2 jobs``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
