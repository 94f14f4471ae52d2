"""From the nodes of a file to pipelines, or to problems: all of them, each with its place."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from functools import cache, partial
from itertools import islice
from typing import Any, TypeVar
from urllib.parse import urlsplit

import attrs

from prunner_trio.definition import check_hooks, graph
from prunner_trio.definition.check_parts import Values, Where, Wrong, describe, quote, text_problem
from prunner_trio.definition.duration import parse_duration
from prunner_trio.definition.incoming import HookKind, IncomingHook, VariableType
from prunner_trio.definition.keys import Key, Kind, Table
from prunner_trio.definition.pipeline import (
    NO_HOOKS,
    NO_LIMITS,
    ON_ERROR,
    Definitions,
    Hook,
    Limits,
    Notify,
    OnDaemonCrash,
    Orphans,
    PipelineDef,
    QueueStrategy,
    TaskDef,
)
from prunner_trio.definition.schema import (
    EXTENSION,
    FILE,
    HANDLER,
    HINTED,
    HOOK,
    LIMITS,
    NOTIFY,
    PIPELINE,
    SECRET_VARIABLE,
    TASK,
)
from prunner_trio.definition.size import parse_log_limit, parse_size
from prunner_trio.definition.suggest import closest
from prunner_trio.definition.yaml_nodes import Entry, ListNode, MapNode, Node, TextNode, read_nodes
from prunner_trio.errors import InvalidDefinition, Problem

__all__ = ["check_files", "parse_definitions", "problems_json", "startup_text"]

_Word = TypeVar("_Word", bound=StrEnum)

_MAX_NAME_BYTES = 100
_MAX_NUMBER = 2**63 - 1
_MAX_CYCLES = 50
_MAX_COMPARISONS = 20_000
"""Of names for "did you mean", per file: a file of nothing but mistakes must not take minutes."""
_SHOWN_PROBLEMS = 100
_SHOWN_PATH = 12

_FLAGS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]*)", re.ASCII)
_DECIMAL_FRACTION = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?", re.ASCII)
_SMALLEST = 1 << 20
"""Bytes; with less memory no program starts, and no message fits."""
_SECRET_NAME = re.compile(rf"{SECRET_VARIABLE}(_[A-Z0-9_]+)?", re.ASCII)
_AMBIGUOUS = re.compile(r"[-+]?0[0-9]+", re.ASCII)


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
        checker = _Checker(file, lacking, no_keep, hook_owners)
        pipelines += checker.check(files[file], owners)
        problems += checker.problems
    by_name = {pipeline.name: pipeline for pipeline in sorted(pipelines, key=lambda pipeline: pipeline.name)}
    return Definitions(by_name, tuple(sorted(files))), problems


def problems_json(problems: Iterable[Problem]) -> list[dict[str, object]]:
    """Return problems as values for JSON, sorted as in the text: file, line, column, key, message, hint."""
    return [attrs.asdict(problem) for problem in sorted(problems)]


def startup_text(invalid: InvalidDefinition) -> str:
    """Return what a daemon says that cannot start: prunner's words for one problem, a line each for several.

    At most 100 problems are shown.
    """
    shown = [_startup_line(problem) for problem in invalid.problems[:_SHOWN_PROBLEMS]]
    if len(invalid.problems) == 1:
        return f"loading definitions: {shown[0]}"
    if len(invalid.problems) > len(shown):
        shown.append(f"and {len(invalid.problems) - len(shown)} more")
    return "\n".join([f"loading definitions: {len(invalid.problems)} problems", *shown])


def _startup_line(problem: Problem) -> str:
    notes = [f"at {problem.line}:{problem.column}"] if problem.line else []
    notes += [problem.hint] if problem.hint else []
    tail = f" ({'; '.join(notes)})" if notes else ""
    return f"loading {problem.file}: {problem.message}{tail}"


@attrs.frozen
class _Needs:
    """What one task depends on, and where each stands."""

    nodes: Mapping[str, TextNode] = attrs.field(factory=dict)


@attrs.define(eq=False)
class _Checker:
    file: str
    lacking: Callable[[], Mapping[str, str]]
    no_keep: str
    hook_owners: dict[str, str]
    problems: list[Problem] = attrs.field(factory=list)
    _comparisons: int = 0

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

    def report(self, where: Where, at: Node | Entry, message: str, hint: str = "") -> None:
        self.problems.append(Problem(self.file, at.line, at.column, where.key, where.prefix + message, hint))

    # -- maps ------------------------------------------------------------------------------------------------------

    def values(self, table: Table, node: MapNode, where: Where) -> Values:
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

    def closest(self, word: str, candidates: Iterable[str]) -> str | None:
        some = list(islice(candidates, max(0, _MAX_COMPARISONS - self._comparisons)))
        self._comparisons += len(some)
        return closest(word, some)

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
        self._check_log_limits(tasks, values, entry.value, where)
        if "hooks" in values.good:
            values.good["hooks"] = self._own_hooks(values.good["hooks"], entry.key, where)
        names = self._order(tasks, where)
        if not values.good.get("concurrency", 1):
            values.good["concurrency"] = 1
        return PipelineDef(entry.key, tuple(tasks[name][0] for name in names), file=self.file, **values.good)

    def _own_hooks(
        self, found: Mapping[str, tuple[Entry, IncomingHook]], pipeline: str, where: Where
    ) -> tuple[IncomingHook, ...]:
        """Return the hooks of a pipeline, after a look at those of all others: a request has nothing but the name."""
        for name, (entry, _) in found.items():
            if name in self.hook_owners:
                message = f"hook {quote(name)} was already declared in {self.hook_owners[name]}"
                self.report(where.below("hooks").below(name), entry, message)
            self.hook_owners.setdefault(name, f"{self.file}, for pipeline {quote(pipeline)}")
        return tuple(hook for _, hook in found.values())

    def _check_queue(self, values: Values, entry: Entry, where: Where) -> None:
        def report(key: str, message: str) -> None:
            self.report(where.below(key), _value_or(entry, key), f"{key} {message}")

        good = values.good
        partitioned = good.get("queue_strategy") is QueueStrategy.PARTITIONED_REPLACE
        partition_limit = good.get("queue_partition_limit")
        if values.judged("queue_strategy", "queue_partition_limit"):
            if partitioned and (partition_limit is None or partition_limit < 1):
                report("queue_partition_limit", "must be defined and >=1 for queue_strategy partitioned_replace")
            if not partitioned and partition_limit is not None:
                report("queue_partition_limit", "is not allowed unless queue_strategy is partitioned_replace")
        if values.judged("queue_strategy", "queue_limit") and partitioned and "queue_limit" in good:
            report("queue_limit", "is not allowed for queue_strategy partitioned_replace; use queue_partition_limit")
        if values.judged("start_delay", "queue_limit") and good.get("start_delay") and good.get("queue_limit") == 0:
            report("start_delay", "needs queue_limit > 0")

    def _check_enforceable(self, pipeline: MapNode, where: Where) -> None:
        """Report limits that this machine lacks the means for; pipelines may say that they can do without."""

        def check(node: Node | None, here: Where, optional: bool) -> bool:
            if not isinstance(node, MapNode):
                return optional
            flag = node.get("limits_optional")
            if isinstance(flag, TextNode) and flag.plain and flag.text in _FLAGS:
                optional = _FLAGS[flag.text]
            limits = node.get("limits")
            if isinstance(limits, MapNode) and not optional:
                for entry in limits.entries:
                    if not entry.value.null and (why := self.lacking().get(entry.key)) is not None:
                        message = f"this machine cannot enforce the limit {quote(entry.key)}: {why}"
                        hint = "limits_optional: true lets tasks run without it"
                        self.report(here.below("limits").below(entry.key), entry, message, hint)
            return optional

        optional = check(pipeline, where, False)
        tasks = pipeline.get("tasks")
        for entry in tasks.entries if isinstance(tasks, MapNode) else ():
            check(entry.value, where.below("tasks").below(entry.key, f"task {quote(entry.key)}: "), optional)
        check(pipeline.get("on_error"), where.below("on_error", "on_error: "), optional)

    def _check_log_limits(
        self, tasks: Mapping[str, tuple[TaskDef, _Needs]], values: Values, pipeline: MapNode, where: Where
    ) -> None:
        """Report limits of logs for processes that may outlive whoever reads what they write."""
        below = where.below("tasks")
        places = [
            (task, _child(pipeline.get("tasks"), name), below.below(name, f"task {quote(name)}: "))
            for name, (task, _) in tasks.items()
        ]
        if (handler := values.good.get("on_error")) is not None:
            places.append((handler, pipeline.get("on_error"), where.below("on_error", "on_error: ")))
        reported: list[Node] = []
        for task, node, here in places:
            limit = values.good.get("log_limit") if task.log_limit is None else task.log_limit
            kept = (task.orphans or values.good.get("orphans")) is Orphans.KEEP
            adopted = values.good.get("on_daemon_crash") is OnDaemonCrash.ADOPT
            if not limit or not (kept or adopted):
                continue
            key = "log_limit" if task.log_limit is not None or task.orphans is None else "orphans"
            at, here = _child(node, key), here.below(key)
            if at is None or at.null:  # both are the pipeline's
                at, here = pipeline.get("log_limit"), where.below("log_limit")
            if at is not None and not any(at is other for other in reported):
                reported.append(at)
                message = (
                    "log_limit cannot go with orphans: keep, since nobody would read what those who are kept write"
                )
                hint = "write log_limit: none, or orphans: wait"
                if adopted:
                    message = (
                        "log_limit cannot go with on_daemon_crash: adopt, since nobody would read what a task writes "
                        "while no daemon is there"
                    )
                    hint = "write log_limit: none"
                self.report(here, at, message, hint)

    def _order(self, tasks: Mapping[str, tuple[TaskDef, _Needs]], where: Where) -> Sequence[str]:
        """Return the names in their order; those as they stand if the graph is no good."""
        needs = {name: task.depends_on for name, (task, _) in tasks.items()}
        sound = True
        for name, (_, wanted) in tasks.items():
            for need, node in wanted.nodes.items():
                if need not in tasks:
                    sound = False
                    message = f"missing task {quote(need)} referenced in depends_on of task {quote(name)}"
                    guess = self.closest(need, (other for other in tasks if other != name))
                    hint = f"did you mean {quote(guess)}?" if guess else ""
                    self.report(where.below("tasks").below(name).below("depends_on"), node, message, hint)
        for path in islice(graph.cycles(needs), _MAX_CYCLES):
            sound = False
            last, first = path[-2:]
            message = f"tasks depend on one another in a cycle: {_path(path)}"
            closing = tasks[last][1].nodes[first]
            self.report(where.below("tasks").below(last).below("depends_on"), closing, message)
        return graph.order(needs) if sound else tuple(tasks)

    # -- values ----------------------------------------------------------------------------------------------------

    def _read(self, key: Key, node: Node, where: Where) -> Any:
        readers: dict[Kind, Callable[[Key, Node, Where], Any]] = {
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
            Kind.TYPE: partial(check_hooks.read_word, self, VariableType),
        }
        return readers[key.kind](key, node, where)

    def wrong(self, where: Where, node: Node, message: str, hint: str = "") -> Wrong:
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
        if isinstance(node, TextNode) and node.plain and node.text in _FLAGS:
            return _FLAGS[node.text]
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

    def _script(self, key: Key, node: Node, where: Where) -> tuple[str, ...]:
        return tuple(item.text for item in self.items(key, node, where))

    def _needs(self, key: Key, node: Node, where: Where) -> _Needs:
        nodes: dict[str, TextNode] = {}
        for item in self.items(key, node, where):
            if item.text in nodes:
                self.report(where, item, f"{quote(item.text)} is there twice in {key.name}")
            nodes.setdefault(item.text, item)
        return _Needs(nodes)

    def _tasks(self, key: Key, node: Node, where: Where) -> dict[str, tuple[TaskDef, _Needs]]:
        return {entry.key: self._task(entry, where) for entry in self._entries(key, node, where)}

    def _task(self, entry: Entry, where: Where) -> tuple[TaskDef, _Needs]:
        here = where.below(entry.key, f"task {quote(entry.key)}: ")
        if not entry.key or "\0" in entry.key:
            self.report(here, entry, "the name of a task must not be empty nor contain the character NUL")
        elif len(entry.key.encode()) > _MAX_NAME_BYTES:
            self.report(here, entry, f"the name of a task may have {_MAX_NAME_BYTES} bytes at most")
        if entry.value.null:
            return TaskDef(entry.key), _Needs()
        if not isinstance(entry.value, MapNode):
            self.report(here, entry.value, f"a task must be a map, not {describe(entry.value)}")
            return TaskDef(entry.key), _Needs()
        good = self.values(TASK, entry.value, here).good
        needs = good.pop("depends_on", _Needs())
        return TaskDef(entry.key, depends_on=tuple(needs.nodes), **good), needs

    def _handler(self, key: Key, node: Node, where: Where) -> TaskDef | None:
        if not isinstance(node, MapNode):
            raise self.wrong(where, node, f"{key.name} must be a map, not {describe(node)}")
        good = self.values(HANDLER, node, Where(where.key, f"{where.prefix}{key.name}: ")).good
        return TaskDef(ON_ERROR, **good) if good.get("script") else None


def _child(node: Node | None, key: str) -> Node | None:
    return node.get(key) if isinstance(node, MapNode) else None


def _value_or(entry: Entry, key: str) -> Node | Entry:
    value = entry.value.get(key) if isinstance(entry.value, MapNode) else None
    return entry if value is None or value.null else value


def _path(names: Sequence[str]) -> str:
    """Return a cycle as text, its middle left out if it is long."""
    shown = [name if len(name) <= 80 else name[:79] + "…" for name in names]
    if len(shown) > _SHOWN_PATH:
        half = _SHOWN_PATH // 2
        shown = [*shown[:half], f"({len(shown) - 2 * half} more)", *shown[-half:]]
    return " → ".join(shown)
