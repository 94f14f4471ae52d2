"""Guesses what a mistyped name was meant to be."""

from collections.abc import Iterable
from difflib import SequenceMatcher

__all__ = ["closest"]

_LIKENESS = 0.6
_LONGEST = 60
"""Longer names are not compared: likeness costs the product of both lengths."""


def closest(word: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate most like `word`, the first by name of several; None if none is like it.

    Case, and the difference between `-`, `_` and nothing, do not count: `dependsOn` is like `depends_on`.
    """
    plain = _plain(word)
    if not plain or len(plain) > _LONGEST:
        return None
    matcher = SequenceMatcher(b=plain, autojunk=False)
    best, best_likeness = None, _LIKENESS
    for candidate in sorted(candidates):
        if len(candidate) > _LONGEST:
            continue
        matcher.set_seq1(_plain(candidate))
        if matcher.real_quick_ratio() < best_likeness or matcher.quick_ratio() < best_likeness:
            continue
        likeness = matcher.ratio()
        if likeness > best_likeness or (best is None and likeness == best_likeness):
            best, best_likeness = candidate, likeness
    return best


def _plain(word: str) -> str:
    return word.lower().replace("-", "").replace("_", "")
