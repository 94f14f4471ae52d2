"""Words that several commands share."""

from collections.abc import Iterable, Sequence

from prunner_trio.cli.text import plain

__all__ = ["count", "guess", "hint", "not_defined"]


def count(number: int, noun: str) -> str:
    """Return the number with its noun: ``1 job``, ``2 jobs``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def guess(typed: str, known: Iterable[str]) -> str | None:
    """Return the name that was probably meant, if one is like it."""
    from prunner_trio.definition.suggest import closest

    return closest(typed, known)


def hint(typed: str, known: Sequence[str]) -> str:
    """Return what helps somebody whose name is not there: the one that was probably meant, or else all there are."""
    near = guess(typed, known)
    return f"did you mean {near!r}?" if near else f"there are: {', '.join(map(plain, known)) or 'none'}"


def not_defined(pipeline: str, known: Sequence[str]) -> str:
    """Return the sentence for a pipeline that is not there."""
    return f"pipeline {pipeline!r} is not defined ({hint(pipeline, known)})"
