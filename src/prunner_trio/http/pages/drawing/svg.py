"""Pieces of SVG that stand inside of a page: no styles, no scripts, and of what users write only its characters."""

import unicodedata
from html import escape
from typing import Protocol

__all__ = ["CHAR", "Look", "cut", "number", "shown", "text_width", "visible"]

CHAR = 7.9
"""Pixels that a character of the labels takes: 13 pixels of a monospaced font, rounded up."""


class Look(Protocol):
    """How a state is shown: a class for its color, and a character and a word, since color must not be all.

    Attributes:
        kind: `wait`, `run`, `good`, `bad`, `off` or `skip`.
    """

    @property
    def kind(self) -> str: ...
    @property
    def icon(self) -> str: ...
    @property
    def word(self) -> str: ...


def visible(text: str) -> str:
    """Return a text with all that is not printed, or turns the direction of writing, spelled out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def shown(text: str) -> str:
    """Return a text to stand in an element or an attribute."""
    return escape(visible(text))


def text_width(text: str) -> int:
    """Return how many columns a text takes in a monospaced font."""
    return sum(_columns(character) for character in text)


def cut(text: str, most: int) -> str:
    """Return a text in at most so many columns; one that has lost its end shows that."""
    text = visible(text)
    if text_width(text) <= most:
        return text
    kept, room = "", most - 1
    for character in text:
        room -= _columns(character)
        if room < 0:
            break
        kept += character
    return kept + "…"


def number(value: float) -> str:
    """Return a coordinate, to a tenth of a pixel."""
    return f"{value:.1f}".removesuffix(".0")


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
