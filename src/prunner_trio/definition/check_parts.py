"""What the checker of files and those of parts of a file share: places, values, words, and how to report."""

import json
from collections.abc import Iterable
from typing import Any, Protocol

import attrs

from prunner_trio.definition.keys import Table
from prunner_trio.definition.yaml_nodes import Entry, ListNode, MapNode, Node, TextNode

__all__ = ["Checking", "Values", "Where", "Wrong", "describe", "quote", "text_problem"]


_in_quotes = json.JSONEncoder(ensure_ascii=False).encode


def quote(text: str) -> str:
    """Return a text as it is shown in messages: in quotes, its end left out if it is long."""
    return _in_quotes(text if len(text) <= 80 else text[:79] + "…")


def describe(node: Node) -> str:
    """Return what a value is, for messages that say what it should be."""
    match node:
        case MapNode():
            return "a map"
        case ListNode():
            return "a list"
        case TextNode():
            return "null" if node.null else quote(node.text)


def text_problem(node: Node) -> str:
    """Return why `node` is no text; empty if it is one."""
    if not isinstance(node, TextNode):
        return f"must be a text, not {describe(node)}"
    if node.null:
        return "must be a text, but is empty"
    return "must not contain the character NUL" if "\0" in node.text else ""


@attrs.frozen
class Where:
    """Where in the file we are: the path of the key, and how messages begin."""

    key: str = ""
    prefix: str = ""

    def below(self, key: str, prefix: str = "") -> "Where":
        """Return the place of a key in the map that is here."""
        return Where(f"{self.key}.{key}" if self.key else key, self.prefix + prefix)


@attrs.define(eq=False)
class Values:
    """The keys of one map that were good, and the names of those that were not."""

    good: dict[str, Any] = attrs.field(factory=dict)
    bad: set[str] = attrs.field(factory=set)

    def judged(self, *keys: str) -> bool:
        """Whether these can be compared with one another."""
        return self.bad.isdisjoint(keys)


class Wrong(Exception):
    """A value that was reported and cannot be used."""


class Checking(Protocol):
    """The checker of a file, as those of its parts see it."""

    def report(self, where: Where, at: Node | Entry, message: str, hint: str = "") -> None:
        """Add a problem."""
        ...

    def wrong(self, where: Where, node: Node, message: str, hint: str = "") -> Wrong:
        """Add a problem, and return what to raise."""
        ...

    def values(self, table: Table, node: MapNode, where: Where) -> Values:
        """Read a map by its table; what is wrong with it is reported."""
        ...

    def closest(self, word: str, candidates: Iterable[str]) -> str | None:
        """Guess what was meant."""
        ...
