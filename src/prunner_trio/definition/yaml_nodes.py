"""YAML text as a tree of nodes that know where they stand, with every scalar as it was written.

PyYAML's parser yields events, its own composer and resolver are not used: they recurse as deep as the text nests and
turn `yes`, `012` and `1.10` into something else. Whether a scalar is a number is decided by who knows its key.
"""

import re
from collections.abc import Iterator

import attrs
import yaml

from prunner_trio.errors import Problem

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "MAX_NODES",
    "Entry",
    "ListNode",
    "MapNode",
    "Node",
    "TextNode",
    "place_of",
    "read_nodes",
]

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 100
MAX_NODES = 500_000
"""Of one file, counted as if every alias were written out."""

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_TAGS = frozenset({"!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"})
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NESTING_OF_LIBYAML = "maximum nesting depth"
"""What newer versions of libyaml say of more than 1000 levels; they may do so before the first events come."""

_UNPRINTABLE = r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
_UNPRINTABLE_ASCII = r"[^\t\n\r\x20-\x7e]"
"""Most files are ASCII, and to compile the other one takes a hundredth of the daemon's start."""

_LINE_END = re.compile(r"\r\n|[\r\n\x85\u2028\u2029]")


@attrs.frozen
class TextNode:
    """A scalar.

    Attributes:
        plain: written without quotes, block style or tag; only such a scalar can be a number, a flag or null.
        weight: how many nodes it counts for.
        height: levels of nesting, itself included.
    """

    text: str
    plain: bool
    line: int
    column: int
    weight: int = 1
    height: int = 1

    @property
    def null(self) -> bool:
        """Whether it means that there is no value."""
        return self.plain and self.text in _NULLS


@attrs.frozen
class ListNode:
    """A sequence."""

    items: tuple["Node", ...]
    line: int
    column: int
    weight: int
    height: int

    null = False


@attrs.frozen
class Entry:
    """A key with its value; line and column are those of the key."""

    key: str
    value: "Node"
    line: int
    column: int


@attrs.frozen
class MapNode:
    """A mapping, merge keys (`<<`) resolved: keys written here win, then those of earlier merged maps."""

    entries: tuple[Entry, ...]
    line: int
    column: int
    weight: int
    height: int

    null = False

    def get(self, key: str) -> "Node | None":
        """Return the value of `key`, if it is there."""
        return next((entry.value for entry in self.entries if entry.key == key), None)


Node = TextNode | ListNode | MapNode


def place_of(text: str, index: int) -> tuple[int, int]:
    """Return line and column, both from 1, of the character at `index`."""
    line, start = 1, 0
    for end in _LINE_END.finditer(text, 0, index):
        line, start = line + 1, end.end()
    return line, index - start + 1


def read_nodes(text: str, file: str) -> tuple[Node | None, list[Problem]]:
    """Return the tree of the one document in `text` and all problems on the way.

    The tree is None if a problem left no way to read on (no YAML, too big, too deep); after others, such as a key that
    is there twice, the rest was read. `file` is only named in the problems.
    """
    composer = _Composer(file)
    try:
        return composer.read(text.removeprefix("\ufeff")), composer.problems
    except _Unreadable as exc:
        return None, [*composer.problems, exc.problem]


class _Unreadable(Exception):
    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(str(problem))


@attrs.define(eq=False)
class _Frame:
    """A collection whose end has not come."""

    mapping: bool
    anchor: str | None
    line: int
    column: int
    parts: list[Node] = attrs.field(factory=list)
    weight: int = 1
    height: int = 0


@attrs.define(eq=False)
class _Composer:
    file: str
    problems: list[Problem] = attrs.field(factory=list)
    _stack: list[_Frame] = attrs.field(factory=list)
    _anchors: dict[str, Node] = attrs.field(factory=dict)
    _root: Node | None = None

    def read(self, text: str) -> Node:
        if len(text) > MAX_BYTES:
            raise self._unreadable(0, 0, "the file is longer than 4 MiB")
        if odd := re.search(_UNPRINTABLE_ASCII if text.isascii() else _UNPRINTABLE, text):
            character = f"U+{ord(odd[0]):04X}"
            raise self._unreadable(*place_of(text, odd.start()), f"the character {character} is not allowed in YAML")
        for event in self._events(text):
            self._take(event)
        if self._root is None:
            raise self._unreadable(0, 0, "the file is empty", 'without pipelines, write "pipelines: {}"')
        return self._root

    def _events(self, text: str) -> Iterator[yaml.Event]:
        try:
            yield from yaml.parse(text, Loader=_LOADER)
        except yaml.MarkedYAMLError as exc:
            mark = exc.problem_mark or exc.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
            if _NESTING_OF_LIBYAML in (exc.problem or ""):
                raise self._too_deep(line, column) from exc
            raise self._unreadable(line, column, *_explain(exc, text, line, column)) from exc
        except (yaml.YAMLError, ValueError, OverflowError) as exc:
            # PyYAML without libyaml lets chr() fail on an escape such as "\UFFFFFFFF".
            raise self._unreadable(0, 0, f"{exc}") from exc

    def _take(self, event: yaml.Event) -> None:
        mark = event.start_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        if isinstance(event, yaml.NodeEvent) and len(self._stack) >= MAX_DEPTH:
            raise self._too_deep(line, column)
        if isinstance(event, yaml.ScalarEvent):
            self._check_tag(event.tag, line, column)
            self._scalar(event, line, column)
        elif isinstance(event, yaml.DocumentStartEvent) and self._root is not None:
            raise self._unreadable(line, column, "the file has more than one document", "remove the line ---")
        elif isinstance(event, yaml.AliasEvent):
            self._add(self._target(event.anchor or "", line, column))
        elif isinstance(event, yaml.CollectionStartEvent):
            self._check_tag(event.tag, line, column)
            self._stack.append(_Frame(isinstance(event, yaml.MappingStartEvent), event.anchor, line, column))
        elif isinstance(event, yaml.CollectionEndEvent):
            self._close(self._stack.pop())

    def _check_tag(self, tag: str | None, line: int, column: int) -> None:
        if tag is not None and tag not in _TAGS:
            self._report(line, column, f"the tag {tag[:80]} has no meaning here", "remove it")

    def _scalar(self, event: yaml.ScalarEvent, line: int, column: int) -> None:
        if odd := re.search("[\ud800-\udfff]", event.value):
            raise self._unreadable(line, column, f"the character U+{ord(odd[0]):04X} is half a character")
        self._keep(TextNode(event.value, event.implicit[0] and event.tag is None, line, column), event.anchor)

    def _target(self, anchor: str, line: int, column: int) -> Node:
        if any(frame.anchor == anchor for frame in self._stack):
            raise self._unreadable(line, column, f"the alias *{anchor[:80]} stands within what it names")
        node = self._anchors.get(anchor)
        if node is None:
            raise self._unreadable(line, column, f"the alias *{anchor[:80]} has no anchor before it")
        if len(self._stack) + node.height > MAX_DEPTH:
            raise self._too_deep(line, column)
        return node

    def _close(self, frame: _Frame) -> None:
        height = frame.height + 1
        node = (
            MapNode(self._entries(frame.parts), frame.line, frame.column, frame.weight, height)
            if frame.mapping
            else ListNode(tuple(frame.parts), frame.line, frame.column, frame.weight, height)
        )
        self._keep(node, frame.anchor)

    def _keep(self, node: Node, anchor: str | None) -> None:
        if anchor is not None:
            self._anchors[anchor] = node
        self._add(node)

    def _add(self, node: Node) -> None:
        if not self._stack:
            self._root = node
            return
        frame = self._stack[-1]
        frame.parts.append(node)
        frame.weight += node.weight
        frame.height = max(frame.height, node.height)
        if frame.weight > MAX_NODES:
            message = f"the file has more than {MAX_NODES:,} values, aliases written out"
            raise self._unreadable(node.line, node.column, message)

    def _entries(self, parts: list[Node]) -> tuple[Entry, ...]:
        entries: dict[str, Entry] = {}
        merged: list[MapNode] = []
        for key, value in zip(parts[::2], parts[1::2], strict=True):
            if not isinstance(key, TextNode):
                self._report(key.line, key.column, "a key must be a text, not a list or a map")
            elif key.plain and key.text == "<<":
                merged.extend(self._merged(value))
            elif first := entries.get(key.text):
                message = f'the key "{key.text[:80]}" is there twice, first in line {first.line}'
                self._report(key.line, key.column, message)
            else:
                entries[key.text] = Entry(key.text, value, key.line, key.column)
        for source in merged:
            for entry in source.entries:
                entries.setdefault(entry.key, entry)
        return tuple(entries.values())

    def _merged(self, value: Node) -> list[MapNode]:
        sources = value.items if isinstance(value, ListNode) else (value,)
        maps = [source for source in sources if isinstance(source, MapNode)]
        if len(maps) < len(sources):
            self._report(value.line, value.column, "<< can only merge a map or a list of maps")
        return maps

    def _report(self, line: int, column: int, message: str, hint: str = "") -> None:
        self.problems.append(Problem(self.file, line, column, "", f"decoding YAML: {message}", hint))

    def _unreadable(self, line: int, column: int, message: str, hint: str = "") -> _Unreadable:
        return _Unreadable(Problem(self.file, line, column, "", f"decoding YAML: {message}", hint))

    def _too_deep(self, line: int, column: int) -> _Unreadable:
        return self._unreadable(line, column, f"more than {MAX_DEPTH} levels within one another")


def _explain(exc: yaml.MarkedYAMLError, text: str, line: int, column: int) -> tuple[str, str]:
    """Return PyYAML's message and, for the mistakes that are made most, what to do."""
    message = ", ".join(part for part in (exc.context, exc.problem) if part)
    rows = _LINE_END.split(text)
    row = rows[line - 1] if 0 < line <= len(rows) else ""
    at = row[column - 1 : column]
    if at == "\t":
        return message, "YAML is indented with spaces, not with tabs"
    if "mapping values are not allowed" in message:
        return message, "put the text in quotes if it contains a colon"
    if at in ("@", "`", "%", "&", "*", "!"):
        return message, f"put the text in quotes if it begins with {at}"
    return message, ""
