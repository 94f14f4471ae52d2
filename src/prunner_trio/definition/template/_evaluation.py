"""From trees and data to text.

The evaluation keeps note of the node it works on, because Go's errors name it, and it counts what it does: a template
comes from a file somebody may get wrong, and must not be able to fill the memory or keep the daemon busy for long.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum, auto
from typing import Final, cast

import attrs

from prunner_trio.definition.template._errors import Fault, TemplateError
from prunner_trio.definition.template._formatting import plain_text
from prunner_trio.definition.template._functions import FUNCTIONS, Builtin
from prunner_trio.definition.template._limits import Limits
from prunner_trio.definition.template._literals import quote_string
from prunner_trio.definition.template._nodes import (
    Action,
    Break,
    Chain,
    Command,
    Dot,
    Field,
    Function,
    If,
    Invoke,
    Literal,
    Nil,
    Node,
    Operand,
    Pipe,
    Range,
    Text,
    Tree,
    Variable,
    With,
)
from prunner_trio.definition.template._values import Kind, byte_length, is_true, kind, sorted_items, type_name

__all__ = ["evaluate"]

STEPS_PER_CALL = 4
"""What the call of a function costs; measured against a text or an iteration, which cost one step."""

CHARS_PER_STEP = 64
"""How many characters a function may read or write for the price of one step."""


class _Flow(Enum):
    """How a sequence of nodes ended."""

    NEXT = auto()
    BREAK = auto()
    CONTINUE = auto()


class _Missing(Enum):
    """Stands for the value from the previous stage of a pipeline where there is none; null is a value."""

    MISSING = auto()


MISSING: Final = _Missing.MISSING

_Shown = Operand | Command | Action | Invoke


def evaluate(name: str, text: str, trees: Mapping[str, Tree], data: object, limits: Limits) -> str:
    """Execute the tree called `name`, parsed from `text`, with `data` as its dot; raise `TemplateError`."""
    evaluation = _Evaluation(name, text, trees, limits, variables=[("$", data)])
    return evaluation.run(data)


@attrs.define(eq=False)
class _Evaluation:
    _name: str
    _text: str
    _trees: Mapping[str, Tree]
    _limits: Limits
    _variables: list[tuple[str, object]]
    _at: _Shown | None = None
    _tree: str = attrs.field(init=False)
    _parts: list[str] = attrs.field(factory=list, init=False)
    _size: int = attrs.field(default=0, init=False)
    _steps: int = attrs.field(default=0, init=False)
    _depth: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self._tree = self._name

    def run(self, data: object) -> str:
        try:
            self._walk(self._trees[self._name].nodes, data)
        except Fault as fault:
            raise self._error(str(fault)) from fault
        except RecursionError as exc:
            # The limits make this impossible for templates; data may be nested as deep as its sender liked.
            raise self._error("the data is nested too deeply") from exc
        return "".join(self._parts)

    def _error(self, message: str) -> TemplateError:
        if self._at is None:
            return TemplateError(f"template: {self._name}: {message}", 1)
        before = self._text[: self._at.pos]
        line = before.count("\n") + 1
        column = byte_length(before[before.rfind("\n") + 1 :])
        place = f"{self._name}:{line}:{column}: executing {quote_string(self._tree)} at <{self._at}>"
        return TemplateError(f"template: {place}: {message}", line, column)

    # Limits

    def _spend(self, steps: int) -> None:
        self._steps += steps
        if self._steps > self._limits.steps:
            raise self._error(f"the template takes more than {self._limits.steps} steps")

    def _write(self, text: str) -> None:
        self._size += len(text)
        if self._size > self._limits.output:
            raise self._error(f"the output is longer than {self._limits.output} characters")
        self._parts.append(text)

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > self._limits.depth:
            raise self._error(f"exceeded maximum template depth ({self._limits.depth})")

    # Nodes

    def _walk(self, nodes: Sequence[Node], dot: object) -> _Flow:
        self._enter()
        flow = _Flow.NEXT
        for node in nodes:
            self._spend(1)
            flow = self._step(node, dot)
            if flow is not _Flow.NEXT:
                break
        self._depth -= 1
        return flow

    def _step(self, node: Node, dot: object) -> _Flow:
        match node:
            case Text():
                self._write(node.text)
            case Action():
                self._print(node, dot)
            case Invoke():
                self._invoke(node, dot)
            case If() | With():
                return self._condition(node, dot)
            case Range():
                return self._range(node, dot)
            case _:
                return _Flow.BREAK if isinstance(node, Break) else _Flow.CONTINUE
        return _Flow.NEXT

    def _print(self, node: Action, dot: object) -> None:
        self._at = node
        value = self._pipeline(node.pipe, dot)
        if not node.pipe.names:
            self._at = node
            self._write(plain_text(value))

    def _condition(self, node: If | With, dot: object) -> _Flow:
        mark = len(self._variables)
        body, inner = node.otherwise, dot
        for clause in node.clauses:
            value = self._pipeline(clause.pipe, dot)
            if is_true(value):
                body, inner = clause.body, value if isinstance(node, With) else dot
                break
        flow = self._walk(body, inner)
        del self._variables[mark:]
        return flow

    def _range(self, node: Range, dot: object) -> _Flow:
        outer = len(self._variables)
        value = self._pipeline(node.pipe, dot)
        mark = len(self._variables)
        flow = _Flow.NEXT
        if self._length(value, node.pipe):
            for index, item in self._items(value):
                self._spend(1)
                self._assign(node.pipe, index, item)
                ended = self._walk(node.body, item)
                del self._variables[mark:]
                if ended is _Flow.BREAK:
                    break
        else:
            flow = self._walk(node.otherwise, dot)
        del self._variables[outer:]
        return flow

    def _length(self, value: object, pipe: Pipe) -> int:
        """Return how often to iterate, or refuse to."""
        match kind(value):
            case Kind.NIL:
                return 0
            case Kind.INT:
                if len(pipe.names) > 1:
                    raise self._error(f"can't use {plain_text(value)} to iterate over more than one variable")
                return max(0, cast("int", value))
            case Kind.LIST | Kind.MAP:
                return len(cast("Sequence[object]", value))
            case _:
                raise self._error(f"range can't iterate over {plain_text(value)}")

    def _items(self, value: object) -> Iterable[tuple[object, object]]:
        match kind(value):
            case Kind.INT:
                return ((None, number) for number in range(cast("int", value)))
            case Kind.MAP:
                items = sorted_items(value)
                self._spend(len(items))
                return items
            case _:
                return enumerate(cast("Sequence[object]", value))

    def _assign(self, pipe: Pipe, index: object, item: object) -> None:
        """Give the variables of a range, which the pipeline has declared, their values of this iteration."""
        if not pipe.names:
            return
        values = (index, item) if len(pipe.names) > 1 else (item,)
        for offset, (name, value) in enumerate(zip(pipe.names, values, strict=True)):
            if pipe.assigns:
                self._set(name, value)
            else:
                self._variables[offset - len(pipe.names)] = (name, value)

    def _invoke(self, node: Invoke, dot: object) -> None:
        self._at = node
        tree = self._trees.get(node.name)
        if tree is None:
            raise self._error(f"template {quote_string(node.name)} not defined")
        argument = self._pipeline(node.pipe, dot) if node.pipe else None
        # A template sees no variables but its own.
        kept = self._variables, self._at, self._tree
        self._variables, self._tree = [("$", argument)], tree.name
        self._walk(tree.nodes, argument)
        self._variables, self._at, self._tree = kept

    # Variables

    def _find(self, name: str) -> int:
        for position in range(len(self._variables) - 1, -1, -1):
            if self._variables[position][0] == name:
                return position
        raise self._error(f"undefined variable: {name}")

    def _set(self, name: str, value: object) -> None:
        self._variables[self._find(name)] = (name, value)

    # Pipelines

    def _pipeline(self, pipe: Pipe, dot: object) -> object:
        self._enter()
        self._at = pipe
        value: object = MISSING
        for command in pipe.commands:
            self._spend(1)
            value = self._command(command, dot, value)
        for name in pipe.names:
            if pipe.assigns:
                self._set(name, value)
            else:
                self._variables.append((name, value))
        self._depth -= 1
        return value

    def _command(self, command: Command, dot: object, piped: object) -> object:
        first, *arguments = command.words
        given = bool(arguments) or piped is not MISSING
        match first:
            case Function():
                return self._function(first, command, arguments, dot, piped)
            case Field() | Chain() | Variable():
                return self._operand(first, dot, given=given)
            case Pipe():
                self._refuse_arguments(first, given=given)
                return self._pipeline(first, dot)
        self._at = first
        self._refuse_arguments(first, given=given)
        if isinstance(first, Nil):
            raise self._error("nil is not a command")
        return self._operand(first, dot)

    def _refuse_arguments(self, operand: Operand, *, given: bool) -> None:
        if given:
            raise self._error(f"can't give argument to non-function {operand}")

    def _operand(self, operand: Operand, dot: object, *, given: bool = False) -> object:
        """Evaluate an operand; `given` says that there are arguments, which only functions take."""
        self._at = operand
        match operand:
            case Dot():
                return dot
            case Nil():
                return None
            case Literal():
                return operand.value
            case Field():
                return self._members(dot, operand.path, given=given)
            case Variable():
                value = self._variables[self._find(operand.name)][1]
                self._refuse_arguments(operand, given=given and not operand.path)
                return self._members(value, operand.path, given=given)
            case Chain():
                return self._members(self._operand(operand.base, dot), operand.path, given=given)
            case Function():
                return self._function(operand, operand, [], dot, MISSING)
            case _:
                return self._pipeline(operand, dot)

    def _members(self, value: object, path: Sequence[str], *, given: bool) -> object:
        for position, name in enumerate(path, start=1):
            value = self._member(value, name, given=given and position == len(path))
        return value

    def _member(self, value: object, name: str, *, given: bool) -> object:
        match kind(value):
            case Kind.MAP:
                if given:
                    raise self._error(f"{name} is not a method but has arguments")
                members = cast("Mapping[object, object]", value)
                if name not in members:
                    raise self._error(f"map has no entry for key {quote_string(name)}")
                return members[name]
            case Kind.NIL:
                raise self._error(f"nil pointer evaluating interface {{}}.{name}")
            case _:
                raise self._error(f"can't evaluate field {name} in type {type_name(value)}")

    # Functions

    def _function(
        self, node: Function, shown: Function | Command, arguments: Sequence[Operand], dot: object, piped: object
    ) -> object:
        self._at = node
        function = FUNCTIONS[node.name]
        self._check_count(function, len(arguments), piped)
        if function.name in ("and", "or"):
            return self._logic(arguments, dot, piped, until=function.name == "or")
        values: list[object] = []
        for argument in arguments:
            value = self._operand(argument, dot)
            if function.wants_format and not values:
                self._check_format(argument, value)
            values.append(value)
        if piped is not MISSING:
            if function.wants_format and not values:
                self._check_format(None, piped)
            values.append(piped)
        return self._call(function, values, shown)

    def _check_count(self, function: Builtin, written: int, piped: object) -> None:
        count = written + (piped is not MISSING)
        if function.variadic:
            if count < function.least:
                raise self._error(
                    f"wrong number of args for {function.name}: want at least {function.least} got {written}"
                )
        elif count != function.least:
            raise self._error(f"wrong number of args for {function.name}: want {function.least} got {count}")

    def _check_format(self, argument: Operand | None, value: object) -> None:
        if isinstance(value, str):
            return
        if isinstance(argument, Literal):
            raise self._error(f"expected string; found {argument}")
        if isinstance(argument, Nil):
            raise self._error("cannot assign nil to string")
        if value is None:
            raise self._error("invalid value; expected string")
        raise self._error(f"wrong type for value; expected string; got {type_name(value)}")

    def _logic(self, arguments: Sequence[Operand], dot: object, piped: object, *, until: bool) -> object:
        value: object = None
        for argument in arguments:
            value = self._operand(argument, dot)
            if is_true(value) is until:
                return value
        return value if piped is MISSING else piped

    def _call(self, function: Builtin, values: Sequence[object], shown: Function | Command) -> object:
        length = sum(len(value) for value in values if isinstance(value, str))
        self._spend(STEPS_PER_CALL + length // CHARS_PER_STEP)
        try:
            result = function.call(values)
        except Fault as fault:
            self._at = shown
            raise self._error(f"error calling {function.name}: {fault}") from fault
        if isinstance(result, str | list):
            self._spend(len(result) // CHARS_PER_STEP)
            if isinstance(result, str) and len(result) > self._limits.output:
                raise self._error(f"a string is longer than {self._limits.output} characters")
        return result
