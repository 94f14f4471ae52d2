"""The values of keys: what a file may say in one place, whatever stands elsewhere."""

import re
from enum import StrEnum
from typing import TypeVar
from urllib.parse import urlsplit

import attrs

from prunner_trio.definition.check_parts import Where, Wrong, describe, quote, text_problem
from prunner_trio.definition.duration import parse_duration
from prunner_trio.definition.keys import Key
from prunner_trio.definition.pipeline import OnDaemonCrash, Orphans, QueueStrategy
from prunner_trio.definition.size import parse_log_limit, parse_size
from prunner_trio.definition.suggest import closest
from prunner_trio.definition.tables import SECRET_VARIABLE
from prunner_trio.definition.yaml_nodes import Entry, ListNode, MapNode, Node, TextNode
from prunner_trio.errors import Problem

__all__ = ["FLAGS", "ValueReader"]

_Word = TypeVar("_Word", bound=StrEnum)

_MAX_NUMBER = 2**63 - 1

FLAGS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]*)", re.ASCII)
_DECIMAL_FRACTION = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?", re.ASCII)
_SMALLEST = 1 << 20
"""Bytes; with less memory no program starts, and no message fits."""
_SECRET_NAME = re.compile(rf"{SECRET_VARIABLE}(_[A-Z0-9_]+)?", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_AMBIGUOUS = re.compile(r"[-+]?0[0-9]+", re.ASCII)


@attrs.define(eq=False, kw_only=True)
class ValueReader:
    """Reads values that stand for themselves: numbers, texts, words, lists of texts.

    Attributes:
        no_keep: why nothing can outlive its task where the pipelines are to run; empty: it can.
    """

    file: str
    no_keep: str
    problems: list[Problem] = attrs.field(factory=list)

    def report(self, where: Where, at: Node | Entry, message: str, hint: str = "") -> None:
        """See `Checking.report`."""
        self.problems.append(Problem(self.file, at.line, at.column, where.key, where.prefix + message, hint))

    def wrong(self, where: Where, node: Node, message: str, hint: str = "") -> Wrong:
        """See `Checking.wrong`."""
        self.report(where, node, message, hint)
        return Wrong()

    def _count(self, key: Key, node: Node, where: Where) -> int:
        if not isinstance(node, TextNode) or not node.plain or not _DECIMAL.fullmatch(node.text):
            hint = ""
            if isinstance(node, TextNode) and _AMBIGUOUS.fullmatch(node.text):
                hint = "without zeros in front, they mean octal to some"
            elif isinstance(node, TextNode) and not node.plain and _DECIMAL.fullmatch(node.text):
                hint = "without quotes"
            raise self.wrong(where, node, f"{key.name} must be a whole number, not {describe(node)}", hint)
        if len(node.text) > 20 or abs(number := int(node.text)) > _MAX_NUMBER:
            raise self.wrong(where, node, f"{key.name} is too large: {describe(node)}")
        number = int(node.text)
        if (number < 0 or (number == 0 and key.positive)) and key.below:
            raise self.wrong(where, node, f"{key.name} {key.below}")
        return number

    def _flag(self, key: Key, node: Node, where: Where) -> bool:
        if isinstance(node, TextNode) and node.plain and node.text in FLAGS:
            return FLAGS[node.text]
        word = node.text.lower() if isinstance(node, TextNode) else ""
        hint = ""
        if word in ("yes", "on", "y", "1", "true"):
            hint = "write true"
        elif word in ("no", "off", "n", "0", "false"):
            hint = "write false"
        raise self.wrong(where, node, f"{key.name} must be true or false, not {describe(node)}", hint)

    def _duration(self, key: Key, node: Node, where: Where) -> float:
        if not isinstance(node, TextNode):
            raise self.wrong(where, node, f"{key.name} must be a duration such as 1h30m, not {describe(node)}")
        try:
            seconds = parse_duration(node.text)
        except ValueError as exc:
            hint = f"write {node.text}s" if _DECIMAL.fullmatch(node.text) and len(node.text) < 20 else ""
            raise self.wrong(where, node, f"{key.name}: {quote(node.text)} {exc}", hint) from exc
        if seconds < 0 or (key.positive and seconds == 0):
            raise self.wrong(where, node, f"{key.name} {key.below}")
        return seconds

    def text(self, key: Key, node: Node, where: Where) -> str:
        """Return a text that is not empty. Raises `Wrong`."""
        if problem := text_problem(node):
            raise self.wrong(where, node, f"{key.name} {problem}")
        assert isinstance(node, TextNode)
        if not node.text.strip():
            raise self.wrong(where, node, f"{key.name} must not be empty")
        return node.text

    def _strategy(self, key: Key, node: Node, where: Where) -> QueueStrategy:
        return self._one_of(QueueStrategy, "unknown queue strategy", key, node, where)

    def _orphans(self, key: Key, node: Node, where: Where) -> Orphans:
        orphans = self._one_of(Orphans, "unknown way to treat orphans", key, node, where)
        if orphans is Orphans.KEEP and self.no_keep:
            raise self.wrong(where, node, f"{key.name}: keep is not possible here: {self.no_keep}")
        return orphans

    def _crash(self, key: Key, node: Node, where: Where) -> OnDaemonCrash:
        return self._one_of(OnDaemonCrash, "unknown way to recover", key, node, where)

    def _one_of(self, words: type[_Word], unknown: str, key: Key, node: Node, where: Where) -> _Word:
        if not isinstance(node, TextNode):
            raise self.wrong(where, node, f"{key.name} must be a text, not {describe(node)}")
        try:
            return words(node.text)
        except ValueError as exc:
            guess = closest(node.text, words)
            hint = f"did you mean {quote(guess)}?" if guess else f"allowed: {', '.join(words)}"
            raise self.wrong(where, node, f"{unknown}: {quote(node.text)}", hint) from exc

    def _size(self, key: Key, node: Node, where: Where) -> int:
        if not isinstance(node, TextNode):
            raise self.wrong(where, node, f"{key.name} must be a size such as 64Mi, not {describe(node)}")
        try:
            size = parse_size(node.text)
        except ValueError as exc:
            raise self.wrong(where, node, f"{key.name}: {quote(node.text)} {exc}") from exc
        if size < _SMALLEST:
            raise self.wrong(where, node, f"{key.name} {key.below}")
        return size

    def _log_limit(self, key: Key, node: Node, where: Where) -> int:
        if not isinstance(node, TextNode):
            raise self.wrong(where, node, f"{key.name} must be a size such as 10Mi or none, not {describe(node)}")
        try:
            return parse_log_limit(node.text)
        except ValueError as exc:
            raise self.wrong(where, node, f"{key.name}: {quote(node.text)} {exc}") from exc

    def _number(self, key: Key, node: Node, where: Where) -> float:
        if not isinstance(node, TextNode) or not node.plain or not _DECIMAL_FRACTION.fullmatch(node.text):
            raise self.wrong(where, node, f"{key.name} must be a number such as 0.5, not {describe(node)}")
        if not 0.01 <= (number := float(node.text)) <= 10_000:
            raise self.wrong(where, node, f"{key.name} {key.below}")
        return number

    def _address(self, key: Key, node: Node, where: Where) -> str:
        text = self.text(key, node, where)
        if not text.isascii() or not text.isprintable() or " " in text:
            raise self.wrong(where, node, f"{key.name} must be plain ASCII without blanks", "percent-encode the rest")
        try:
            parts = urlsplit(text)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise self.wrong(where, node, f"{key.name} must be an http or https address, not {describe(node)}")
        if parts.username is not None:  # the message must not repeat it
            raise self.wrong(where, node, f"{key.name} must not contain a user or a password", "use secret_env")
        return text

    def _secret(self, key: Key, node: Node, where: Where) -> str:
        if not isinstance(node, TextNode) or not _SECRET_NAME.fullmatch(node.text):
            # Somebody may have written the secret itself, so it is not repeated.
            hint = f"the name of a variable of the daemon, not the secret itself, such as {SECRET_VARIABLE}_CHAT"
            message = f"{key.name} must be {SECRET_VARIABLE} or begin with {SECRET_VARIABLE}_"
            raise self.wrong(where, node, message, hint)
        return node.text

    def _entries(self, key: Key, node: Node, where: Where) -> tuple[Entry, ...]:
        if not isinstance(node, MapNode):
            raise self.wrong(where, node, f"{key.name} must be a {key.kind.value}, not {describe(node)}")
        return node.entries

    def _env(self, key: Key, node: Node, where: Where) -> dict[str, str]:
        env: dict[str, str] = {}
        for entry in self._entries(key, node, where):
            here = where.below(entry.key)
            if not entry.key or "=" in entry.key or "\0" in entry.key:
                message = f"the name {quote(entry.key)} in env must not be empty nor contain = or the character NUL"
                self.report(here, entry, message)
            elif problem := text_problem(entry.value):
                hint = 'for an empty text, write ""' if entry.value.null else ""
                self.report(here, entry.value, f"{quote(entry.key)} in env {problem}", hint)
            elif isinstance(entry.value, TextNode):
                env[entry.key] = entry.value.text
        return env

    def items(self, key: Key, node: Node, where: Where) -> list[TextNode]:
        """Return the good entries of a list of texts. Raises `Wrong`."""
        if isinstance(node, TextNode):
            hint = f"write it as a list: [{quote(node.text)}]" if len(node.text) <= 60 else "write it as a list"
            raise self.wrong(where, node, f"{key.name} must be a {key.kind.value}, not {describe(node)}", hint)
        if not isinstance(node, ListNode):
            raise self.wrong(where, node, f"{key.name} must be a {key.kind.value}, not {describe(node)}")
        good: list[TextNode] = []
        for number, item in enumerate(node.items):
            if problem := text_problem(item):
                hint = "put the whole line in quotes, it contains a colon" if isinstance(item, MapNode) else ""
                here = Where(f"{where.key}[{number}]", where.prefix)
                self.report(here, item, f"entry {number + 1} of {key.name} {problem}", hint)
            elif isinstance(item, TextNode):
                good.append(item)
        return good

    def _secrets(self, key: Key, node: Node, where: Where) -> tuple[str, ...]:
        names: list[str] = []
        for item in self.items(key, node, where):
            if not _VARIABLE.fullmatch(item.text):
                # Somebody may have written the secret itself, so it is not repeated.
                message = f"an entry of {key.name} is not the name of an environment variable"
                self.report(where, item, message, "the name, such as API_TOKEN, and not the secret itself")
            elif item.text in names:
                self.report(where, item, f"{quote(item.text)} is there twice in {key.name}")
            else:
                names.append(item.text)
        return tuple(names)

    def _script(self, key: Key, node: Node, where: Where) -> tuple[str, ...]:
        return tuple(item.text for item in self.items(key, node, where))
