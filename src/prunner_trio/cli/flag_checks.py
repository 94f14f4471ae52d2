"""Checks for the values of flags; what they raise says what is allowed."""

from collections.abc import Callable

__all__ = ["assignment", "json_assignment", "log_limit", "positive_duration", "some_words", "whole_number"]


def positive_duration(text: str) -> float:
    """Read a duration that is more than nothing."""
    from prunner_trio.definition.duration import parse_duration

    try:
        seconds = parse_duration(text)
    except ValueError as exc:
        raise ValueError(f"{text!r} {exc}") from None
    if seconds <= 0:
        raise ValueError(f"{text!r} is not more than 0s")
    return seconds


def log_limit(text: str) -> int:
    """Read a limit for logs, in bytes."""
    from prunner_trio.definition.size import parse_log_limit

    try:
        return parse_log_limit(text)
    except ValueError as exc:
        raise ValueError(f"{text!r} {exc}") from None


def some_words(text: str) -> None:
    """Accept a list with commas that is not empty: where nothing means all, it must not come from an accident."""
    if not any(part.strip() for part in text.split(",")):
        raise ValueError("it is empty; leave the flag out if that is meant")


def assignment(text: str) -> None:
    """Accept ``name=value``."""
    name, equals, _ = text.partition("=")
    if not name or not equals:
        raise ValueError(f"{text!r} is not of the form name=value")


def json_assignment(text: str) -> None:
    """Accept ``name=value`` whose value is JSON."""
    import json

    assignment(text)
    name, _, value = text.partition("=")
    try:
        json.loads(value)
    except ValueError as exc:
        raise ValueError(f"the value of {name!r} is not JSON: {exc}") from None


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """Return a check for whole numbers in a range."""

    def check(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 19 and least <= int(text) <= most):
            raise ValueError(f"{text!r} is not a whole number from {least} to {most}")
        return int(text)

    return check
