"""From the nodes of a file to pipelines, or to problems: all of them, each with its place."""

from collections.abc import Callable, Mapping
from functools import cache, cached_property, partial
from typing import Any

import attrs

from prunner_trio.definition import check_hooks
from prunner_trio.definition.check_parts import Values, Where, Wrong, describe, quote
from prunner_trio.definition.check_together import Needs, Together
from prunner_trio.definition.incoming import HookKind, VariableType
from prunner_trio.definition.keys import Key, Kind, Table
from prunner_trio.definition.pipeline import (
    NO_HOOKS,
    NO_LIMITS,
    ON_ERROR,
    Definitions,
    Hook,
    Limits,
    Notify,
    PipelineDef,
    TaskDef,
)
from prunner_trio.definition.tables import EXTENSION, FILE, HANDLER, HINTED, HOOK, LIMITS, NOTIFY, PIPELINE, TASK
from prunner_trio.definition.yaml_nodes import Entry, ListNode, MapNode, Node, TextNode, read_nodes
from prunner_trio.errors import InvalidDefinition, Problem

__all__ = ["check_files", "parse_definitions"]

_MAX_NAME_BYTES = 100


def parse_definitions(files: Mapping[str, str]) -> Definitions:
    """Return the pipelines of `files`: their texts by the names under which problems are to be shown.

    Raises:
        InvalidDefinition: with every problem of every file.
    """
    definitions, problems = check_files(files)
    if problems:
        raise InvalidDefinition(problems)
    return definitions


def check_files(
    files: Mapping[str, str], lacking: Callable[[], Mapping[str, str]] = dict, *, no_keep: str = ""
) -> tuple[Definitions, list[Problem]]:
    """Return the pipelines of `files` that are good, and all problems.

    Args:
        lacking: returns the limits that cannot be enforced where the pipelines are to run, and why; asked at most once,
            and only if there are limits.
        no_keep: why nothing can outlive its task where the pipelines are to run; empty: it can.
    """
    lacking = cache(lacking)
    pipelines: list[PipelineDef] = []
    problems: list[Problem] = []
    owners: dict[str, str] = {}
    hook_owners: dict[str, str] = {}
    for file in sorted(files):
        checker = _Checker(file=file, lacking=lacking, no_keep=no_keep, hook_owners=hook_owners)
        pipelines += checker.check(files[file], owners)
        problems += checker.problems
    by_name = {pipeline.name: pipeline for pipeline in sorted(pipelines, key=lambda pipeline: pipeline.name)}
    return Definitions(by_name, tuple(sorted(files))), problems


@attrs.define(eq=False)
class _Checker(Together):
    """Reads a file from its top."""

    def check(self, text: str, owners: dict[str, str]) -> list[PipelineDef]:
        """Return the good pipelines; `owners` has the files of all names so far and gets those of this file."""
        root, problems = read_nodes(text, self.file)
        self.problems += problems
        if root is None or root.null:
            return []
        if not isinstance(root, MapNode):
            self.report(Where(), root, f"decoding YAML: the file must be a map, not {describe(root)}")
            return []
        values = self.values(FILE, root, Where())
        found: list[PipelineDef] = []
        for entry in values.good.get("pipelines", ()):
            where = Where("pipelines").below(entry.key, f"invalid pipeline definition {quote(entry.key)}: ")
            if entry.key in owners:
                message = f"pipeline {quote(entry.key)} was already declared in {owners[entry.key]}"
                self.report(Where(where.key), entry, message)
            owners.setdefault(entry.key, self.file)
            before = len(self.problems)
            pipeline = self._pipeline(entry, where)
            if pipeline is not None and len(self.problems) == before:
                found.append(pipeline)
        return found

    def values(self, table: Table, node: MapNode, where: Where) -> Values:
        """See `Checking.values`."""
        values = Values()
        for entry in node.entries:
            key = table.get(entry.key)
            if key is None:
                if not entry.key.startswith(EXTENSION):
                    self._unknown(table, entry, where)
            elif not entry.value.null:
                try:
                    values.good[key.name] = self._read(key, entry.value, where.below(key.name))
                except Wrong:
                    values.bad.add(key.name)
        return values

    def _unknown(self, table: Table, entry: Entry, where: Where) -> None:
        self.report(where.below(entry.key), entry, f"unknown key {quote(entry.key)}", self._hint(table, entry))

    def _hint(self, table: Table, entry: Entry) -> str:
        levels = [level for level, other in HINTED.items() if entry.key in other]
        if levels:
            return f"{quote(entry.key)} belongs into {' or '.join(levels)}"
        for key in table.values():
            if entry.key.lower() in key.also:
                return f"did you mean {quote(key.name)}?"
        if guess := self.closest(entry.key, table):
            return f"did you mean {quote(guess)}?"
        for level, other in HINTED.items():
            for key in other.values():
                if entry.key.lower() in key.also and not isinstance(entry.value, MapNode):
                    return f"did you mean {quote(key.name)}, which belongs into {level}?"
        if table is FILE and isinstance(entry.value, MapNode) and entry.value.get("tasks") is not None:
            return 'a pipeline belongs below "pipelines"'
        if table is PIPELINE and isinstance(entry.value, MapNode) and entry.value.get("script") is not None:
            return 'a task belongs below "tasks"'
        return f"allowed: {', '.join(table)}"

    def _pipeline(self, entry: Entry, where: Where) -> PipelineDef | None:
        if not entry.key or "\0" in entry.key:
            self.report(where, entry, "the name of a pipeline must not be empty nor contain the character NUL")
        if entry.value.null:
            return PipelineDef(entry.key, file=self.file)
        if not isinstance(entry.value, MapNode):
            self.report(where, entry.value, f"a pipeline must be a map, not {describe(entry.value)}")
            return None
        values = self.values(PIPELINE, entry.value, where)
        self._check_queue(values, entry, where)
        self._check_enforceable(entry.value, where)
        tasks = values.good.pop("tasks", {})
        if ON_ERROR in tasks and values.good.get("on_error") is not None:
            message = f'a task cannot have the name "{ON_ERROR}" beside the key {ON_ERROR}'
            self.report(where.below("tasks").below(ON_ERROR), entry.value, message, "give the task another name")
        self._check_copied(tasks, values, entry.value, where)
        if "hooks" in values.good:
            values.good["hooks"] = self._own_hooks(values.good["hooks"], entry.key, where)
        names = self._order(tasks, where)
        if not values.good.get("concurrency", 1):
            values.good["concurrency"] = 1
        return PipelineDef(entry.key, tuple(tasks[name][0] for name in names), file=self.file, **values.good)

    def _read(self, key: Key, node: Node, where: Where) -> Any:
        return self._readers[key.kind](key, node, where)

    @cached_property
    def _readers(self) -> Mapping[Kind, Callable[[Key, Node, Where], Any]]:
        return {
            Kind.COUNT: self._count,
            Kind.FLAG: self._flag,
            Kind.DURATION: self._duration,
            Kind.TEXT: self.text,
            Kind.STRATEGY: self._strategy,
            Kind.ORPHANS: self._orphans,
            Kind.SIZE: self._size,
            Kind.LOG_LIMIT: self._log_limit,
            Kind.NUMBER: self._number,
            Kind.LIMITS: self._limits,
            Kind.CRASH: self._crash,
            Kind.NOTIFY: self._notify,
            Kind.HOOKS: self._hooks,
            Kind.ADDRESS: self._address,
            Kind.SECRET: self._secret,
            Kind.ENV: self._env,
            Kind.SCRIPT: self._script,
            Kind.NAMES: self._needs,
            Kind.PIPELINES: self._entries,
            Kind.TASKS: self._tasks,
            Kind.HANDLER: self._handler,
            Kind.INCOMING: partial(check_hooks.read_incoming, self),
            Kind.HOOK_KIND: partial(check_hooks.read_word, self, HookKind),
            Kind.HOOK_SECRET: partial(check_hooks.read_secret_name, self),
            Kind.EVENTS: partial(check_hooks.read_events, self),
            Kind.BRANCHES: partial(check_hooks.read_branches, self),
            Kind.SOURCES: partial(check_hooks.read_sources, self),
            Kind.PATH: partial(check_hooks.read_path, self),
            Kind.SCALAR: self.text,
            Kind.SECRETS: self._secrets,
            Kind.TYPE: partial(check_hooks.read_word, self, VariableType),
        }

    def _limits(self, key: Key, node: Node, where: Where) -> Limits:
        if not isinstance(node, MapNode):
            raise self.wrong(where, node, f"{key.name} must be a {key.kind.value}, not {describe(node)}")
        good = self.values(LIMITS, node, where).good
        return Limits(**good) if good else NO_LIMITS

    def _notify(self, key: Key, node: Node, where: Where) -> Notify:
        if not isinstance(node, MapNode):
            raise self.wrong(where, node, f"{key.name} must be a {key.kind.value}, not {describe(node)}")
        good = self.values(NOTIFY, node, Where(where.key, f"{where.prefix}{key.name}: ")).good
        return Notify(**good) if good else NO_HOOKS

    def _hooks(self, key: Key, node: Node, where: Where) -> tuple[Hook, ...]:
        if not isinstance(node, ListNode):
            hint = "write it as a list: put a dash in front" if isinstance(node, MapNode) else ""
            raise self.wrong(where, node, f"{key.name} must be a {key.kind.value}, not {describe(node)}", hint)
        hooks: list[Hook] = []
        for number, item in enumerate(node.items):
            here = Where(f"{where.key}[{number}]", where.prefix)
            name = f"hook {number + 1} of {key.name}"
            if not isinstance(item, MapNode):
                self.report(here, item, f"{name} must be a map, not {describe(item)}", f"allowed: {', '.join(HOOK)}")
                continue
            before = len(self.problems)
            values = self.values(HOOK, item, Where(here.key, f"{here.prefix}{name}: "))
            if len(self.problems) > before:
                continue
            if ("command" in values.good) == ("webhook" in values.good):
                self.report(here, item, f"{name} must have either a command or a webhook")
            elif "secret_env" in values.good and "command" in values.good:
                self.report(here, item, f"{name}: secret_env is for webhooks only")
            else:
                hooks.append(Hook(**values.good))
        return tuple(hooks)

    def _needs(self, key: Key, node: Node, where: Where) -> Needs:
        nodes: dict[str, TextNode] = {}
        for item in self.items(key, node, where):
            if item.text in nodes:
                self.report(where, item, f"{quote(item.text)} is there twice in {key.name}")
            nodes.setdefault(item.text, item)
        return Needs(nodes)

    def _tasks(self, key: Key, node: Node, where: Where) -> dict[str, tuple[TaskDef, Needs]]:
        return {entry.key: self._task(entry, where) for entry in self._entries(key, node, where)}

    def _task(self, entry: Entry, where: Where) -> tuple[TaskDef, Needs]:
        here = where.below(entry.key, f"task {quote(entry.key)}: ")
        if not entry.key or "\0" in entry.key:
            self.report(here, entry, "the name of a task must not be empty nor contain the character NUL")
        elif len(entry.key.encode()) > _MAX_NAME_BYTES:
            self.report(here, entry, f"the name of a task may have {_MAX_NAME_BYTES} bytes at most")
        if entry.value.null:
            return TaskDef(entry.key), Needs()
        if not isinstance(entry.value, MapNode):
            self.report(here, entry.value, f"a task must be a map, not {describe(entry.value)}")
            return TaskDef(entry.key), Needs()
        good = self.values(TASK, entry.value, here).good
        needs = good.pop("depends_on", Needs())
        return TaskDef(entry.key, depends_on=tuple(needs.nodes), **good), needs

    def _handler(self, key: Key, node: Node, where: Where) -> TaskDef | None:
        if not isinstance(node, MapNode):
            raise self.wrong(where, node, f"{key.name} must be a map, not {describe(node)}")
        good = self.values(HANDLER, node, Where(where.key, f"{where.prefix}{key.name}: ")).good
        return TaskDef(ON_ERROR, **good) if good.get("script") else None
