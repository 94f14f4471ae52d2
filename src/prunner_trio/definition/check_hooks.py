"""Checks the incoming webhooks of a pipeline."""

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import TypeVar

from prunner_trio.definition.check_parts import Checking, Where, Wrong, describe, quote, text_problem
from prunner_trio.definition.incoming import (
    HOOK_SECRET_VARIABLE,
    HookKind,
    HookVariable,
    IncomingHook,
    VariableType,
    convert,
    secret_variable,
)
from prunner_trio.definition.incoming_schema import IN_THE_FILE, INCOMING, SOURCE
from prunner_trio.definition.keys import Key
from prunner_trio.definition.payload_path import parse_path
from prunner_trio.definition.suggest import closest
from prunner_trio.definition.yaml_nodes import Entry, ListNode, MapNode, Node, TextNode

__all__ = [
    "read_branches",
    "read_events",
    "read_incoming",
    "read_path",
    "read_secret_name",
    "read_sources",
    "read_word",
]

_Word = TypeVar("_Word", bound=StrEnum)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}", re.ASCII)
_EVENT = re.compile(r"[a-z0-9_-]{1,80}([.][a-z0-9_-]{1,80})?", re.ASCII)
_SECRET_NAME = re.compile(rf"{HOOK_SECRET_VARIABLE}(_[A-Z0-9_]+)?", re.ASCII)
_DEFAULT_EVENTS = ("push",)


def read_incoming(checker: Checking, key: Key, node: Node, where: Where) -> dict[str, tuple[Entry, IncomingHook]]:
    """Return the good hooks of a pipeline by name, each with where it stands."""
    found: dict[str, tuple[Entry, IncomingHook]] = {}
    for entry in _entries(checker, key, node, where):
        here = where.below(entry.key, f"hook {quote(entry.key)}: ")
        hook = _hook(checker, entry, here)
        if hook is not None:
            found[entry.key] = entry, hook
    return found


def _hook(checker: Checking, entry: Entry, where: Where) -> IncomingHook | None:
    if not _NAME.fullmatch(entry.key):
        message = "the name of a hook must be 1 to 80 letters, digits, - and _, and not begin with - or _"
        checker.report(where, entry, message)
    if not isinstance(entry.value, MapNode):
        message = f"a hook must be a map, not {describe(entry.value)}"
        checker.report(where, entry.value, message, f"allowed: {', '.join(INCOMING)}")
        return None
    node = entry.value
    inside = [each for each in node.entries if each.key.lower() in IN_THE_FILE]
    for each in inside:  # its value is not repeated
        hint = f"set {secret_variable(entry.key)} for the daemon, or write it to a file and name that in secret_file"
        checker.report(where.below(each.key), each, "a secret does not belong into a definition file", hint)
    rest = tuple(each for each in node.entries if each not in inside)
    values = checker.values(INCOMING, MapNode(rest, node.line, node.column, node.weight, node.height), where)
    good = values.good
    if "secret_file" in good and "secret_env" in good:
        checker.report(where.below("secret_env"), node, "secret_file and secret_env cannot go together")
    if "kind" not in good:
        if values.judged("kind"):
            checker.report(where, entry, f"kind must be given: {', '.join(HookKind)}")
        return None
    if not good.get("events") and good["kind"] is not HookKind.GENERIC:
        good["events"] = _DEFAULT_EVENTS
    return IncomingHook(entry.key, **good)


def read_word(checker: Checking, words: type[_Word], key: Key, node: Node, where: Where) -> _Word:
    """Return the word that `node` is. Raises `Wrong`."""
    if isinstance(node, TextNode) and node.text in list(words):
        return words(node.text)
    guess = closest(node.text, words) if isinstance(node, TextNode) else None
    hint = f"did you mean {quote(guess)}?" if guess else ""
    raise checker.wrong(where, node, f"{key.name} must be {_or(words)}, not {describe(node)}", hint)


def _or(words: type[StrEnum]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}"


def read_secret_name(checker: Checking, key: Key, node: Node, where: Where) -> str:
    """Return the name of a variable. Raises `Wrong`."""
    if not isinstance(node, TextNode) or not _SECRET_NAME.fullmatch(node.text):
        # Somebody may have written the secret itself, so it is not repeated.
        hint = f"the name of a variable of the daemon, not the secret itself, such as {HOOK_SECRET_VARIABLE}_SITE"
        message = f"{key.name} must be {HOOK_SECRET_VARIABLE} or begin with {HOOK_SECRET_VARIABLE}_"
        raise checker.wrong(where, node, message, hint)
    return node.text


def read_events(checker: Checking, key: Key, node: Node, where: Where) -> tuple[str, ...]:
    """Return the events. Raises `Wrong`."""
    found: list[str] = []
    for here, item in _texts(checker, key, node, where):
        if _EVENT.fullmatch(item.text):
            found.append(item.text)
            continue
        plain = item.text.lower().removesuffix(" hook").replace(" ", "_")
        hint = f"did you mean {quote(plain)}?" if _EVENT.fullmatch(plain) else ""
        message = f"{quote(item.text)} is no event: small letters, digits, - and _, and perhaps an action behind a dot"
        checker.report(here, item, message, hint)
    return tuple(found)


def read_branches(checker: Checking, key: Key, node: Node, where: Where) -> tuple[str, ...]:
    """Return the patterns. Raises `Wrong`."""
    found: list[str] = []
    for here, item in _texts(checker, key, node, where):
        if item.text.startswith("refs/"):
            name = item.text.removeprefix("refs/heads/")
            hint = f"did you mean {quote(name)}?" if not name.startswith("refs/") else ""
            checker.report(here, item, f"{quote(item.text)} is no pattern of a branch, but of a reference", hint)
        elif not item.text:
            checker.report(here, item, f"a pattern in {key.name} must not be empty")
        else:
            found.append(item.text)
    return tuple(found)


def read_sources(checker: Checking, key: Key, node: Node, where: Where) -> tuple[HookVariable, ...]:
    """Return the variables. Raises `Wrong`."""
    found: list[HookVariable] = []
    for entry in _entries(checker, key, node, where):
        here = where.below(entry.key, f"variable {quote(entry.key)}: ")
        if not entry.key or "\0" in entry.key:
            checker.report(here, entry, "the name of a variable must not be empty nor contain the character NUL")
        elif isinstance(entry.value, MapNode):
            variable = _source(checker, entry, entry.value, here)
            if variable is not None:
                found.append(variable)
        else:
            try:
                found.append(HookVariable(entry.key, read_path(checker, SOURCE["from"], entry.value, here)))
            except Wrong:
                continue
    return tuple(found)


def _source(checker: Checking, entry: Entry, node: MapNode, where: Where) -> HookVariable | None:
    # An empty default means something, which is not so with other texts.
    rest = tuple(each for each in node.entries if each.key != "default")
    values = checker.values(SOURCE, MapNode(rest, node.line, node.column, node.weight, node.height), where)
    kind = values.good.get("type", VariableType.ANY)
    default, sound = _default(checker, node, kind, where)
    if "from" not in values.good:
        if values.judged("from"):
            checker.report(where, entry, 'the field of the payload is missing: write {from: "head_commit.id"}')
        return None
    return HookVariable(entry.key, values.good["from"], default, kind) if sound else None


def _default(checker: Checking, node: MapNode, kind: VariableType, where: Where) -> tuple[str | None, bool]:
    """Return the default, and whether it is one or none, and not a wrong one."""
    default = node.get("default")
    if default is None:
        return None, True
    here = where.below("default")
    if problem := text_problem(default):
        hint = 'for an empty text, write ""' if default.null else ""
        checker.report(here, default, f"default {problem}", hint)
        return None, False
    assert isinstance(default, TextNode)
    try:
        convert(default.text, kind)
    except ValueError as exc:
        checker.report(here, default, f"default {exc}")
        return None, False
    return default.text, True


def read_path(checker: Checking, key: Key, node: Node, where: Where) -> str:
    """Return a path into the payload. Raises `Wrong`."""
    if problem := text_problem(node):
        raise checker.wrong(where, node, f"the field of the payload {problem}")
    assert isinstance(node, TextNode)
    try:
        parse_path(node.text)
    except ValueError as exc:
        hint = ""
        if node.text.startswith("$."):
            hint = f"did you mean {quote(node.text[2:])}?"
        elif node.text.startswith("."):
            hint = f"did you mean {quote(node.text[1:])}?"
        raise checker.wrong(where, node, f"the path {quote(node.text)} {exc}", hint) from exc
    return node.text


def _entries(checker: Checking, key: Key, node: Node, where: Where) -> tuple[Entry, ...]:
    if not isinstance(node, MapNode):
        raise checker.wrong(where, node, f"{key.name} must be a {key.kind.value}, not {describe(node)}")
    return node.entries


def _texts(checker: Checking, key: Key, node: Node, where: Where) -> Iterator[tuple[Where, TextNode]]:
    if not isinstance(node, ListNode):
        hint = f"write it as a list: [{quote(node.text)}]" if isinstance(node, TextNode) else ""
        raise checker.wrong(where, node, f"{key.name} must be a {key.kind.value}, not {describe(node)}", hint)
    for number, item in enumerate(node.items):
        here = Where(f"{where.key}[{number}]", where.prefix)
        if problem := text_problem(item):
            checker.report(here, item, f"entry {number + 1} of {key.name} {problem}")
        elif isinstance(item, TextNode):
            yield here, item
