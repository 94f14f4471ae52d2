"""What the keys of a pipeline say together: whether they fit one another, and the machine."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice

import attrs

from prunner_trio.definition import graph
from prunner_trio.definition.check_parts import Values, Where, quote
from prunner_trio.definition.check_values import FLAGS, ValueReader
from prunner_trio.definition.incoming import IncomingHook
from prunner_trio.definition.pipeline import OnDaemonCrash, Orphans, QueueStrategy, TaskDef
from prunner_trio.definition.suggest import closest
from prunner_trio.definition.yaml_nodes import Entry, MapNode, Node, TextNode

__all__ = ["Needs", "Together"]

_MAX_CYCLES = 50
_MAX_COMPARISONS = 20_000
"""Of names for "did you mean", per file: a file of nothing but mistakes must not take minutes."""
_SHOWN_PATH = 12


@attrs.frozen
class _Copied:
    """A key with which the output goes through the daemon."""

    name: str
    nobody: str
    instead: str = ""

    def when_kept(self) -> tuple[str, str]:
        """Return the problem with `orphans: keep`, and what to write."""
        message = (
            f"{self.name} cannot go with orphans: keep, since nobody would {self.nobody} what those who are kept write"
        )
        return message, f"write {self.instead}, or orphans: wait" if self.instead else "write orphans: wait"

    def when_adopted(self) -> tuple[str, str]:
        """Return the problem with `on_daemon_crash: adopt`, and what to write."""
        message = (
            f"{self.name} cannot go with on_daemon_crash: adopt, since nobody would {self.nobody} what a task writes "
            "while no daemon is there"
        )
        return message, f"write {self.instead}" if self.instead else "write on_daemon_crash: requeue"


_LOG_LIMIT = _Copied("log_limit", "read", "log_limit: none")
_SECRETS = _Copied("secrets", "mask")


@attrs.frozen
class Needs:
    """What one task depends on, and where each stands."""

    nodes: Mapping[str, TextNode] = attrs.field(factory=dict)


@attrs.define(eq=False, kw_only=True)
class Together(ValueReader):
    """Judges over what is good by itself, and may not fit the rest of its pipeline or this machine.

    Attributes:
        lacking: returns the limits that cannot be enforced where the pipelines are to run, and why.
        hook_owners: by the names of all hooks so far, where they were declared.
    """

    lacking: Callable[[], Mapping[str, str]]
    hook_owners: dict[str, str]
    _comparisons: int = 0

    def closest(self, word: str, candidates: Iterable[str]) -> str | None:
        """Return the candidate that somebody may have meant, if there is one."""
        some = list(islice(candidates, max(0, _MAX_COMPARISONS - self._comparisons)))
        self._comparisons += len(some)
        return closest(word, some)

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
            if isinstance(flag, TextNode) and flag.plain and flag.text in FLAGS:
                optional = FLAGS[flag.text]
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

    def _check_copied(
        self, tasks: Mapping[str, tuple[TaskDef, Needs]], values: Values, pipeline: MapNode, where: Where
    ) -> None:
        """Report what needs somebody who reads the output, of processes that may outlive whoever does."""
        below, all_tasks = where.below("tasks"), pipeline.get("tasks")
        # A look into the map for each task would be a walk each time, and the work quadratic.
        nodes = {entry.key: entry.value for entry in all_tasks.entries} if isinstance(all_tasks, MapNode) else {}
        places = [
            (task, nodes.get(name), below.below(name, f"task {quote(name)}: ")) for name, (task, _) in tasks.items()
        ]
        if (handler := values.good.get("on_error")) is not None:
            places.append((handler, pipeline.get("on_error"), where.below("on_error", "on_error: ")))
        adopted = values.good.get("on_daemon_crash") is OnDaemonCrash.ADOPT
        reported: list[Node] = []
        for task, node, here in places:
            if not adopted and (task.orphans or values.good.get("orphans")) is not Orphans.KEEP:
                continue
            limit = values.good.get("log_limit") if task.log_limit is None else task.log_limit
            for key, own, given in (
                (_LOG_LIMIT, task.log_limit is not None, limit),
                (_SECRETS, bool(task.secrets), task.secrets or values.good.get("secrets")),
            ):
                if not given:
                    continue
                name = key.name if own or task.orphans is None else "orphans"
                at, place = _child(node, name), here.below(name)
                if at is None or at.null:  # both are the pipeline's
                    at, place = pipeline.get(key.name), where.below(key.name)
                if at is not None and not any(at is other for other in reported):
                    reported.append(at)
                    self.report(place, at, *(key.when_adopted() if adopted else key.when_kept()))

    def _order(self, tasks: Mapping[str, tuple[TaskDef, Needs]], where: Where) -> Sequence[str]:
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
