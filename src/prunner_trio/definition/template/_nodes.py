"""What a parsed template consists of.

`pos` is an offset in characters into the template. The text form of a node is the one Go shows in its messages
(``executing "interpolate" at <.x | printf "%s">``).
"""

from __future__ import annotations

import attrs

from prunner_trio.definition.template._literals import quote_string

__all__ = [
    "Action",
    "Break",
    "Chain",
    "Clause",
    "Command",
    "Continue",
    "Dot",
    "Field",
    "Function",
    "If",
    "Invoke",
    "Literal",
    "Nil",
    "Node",
    "Operand",
    "Pipe",
    "Range",
    "Text",
    "Tree",
    "Variable",
    "With",
]


@attrs.frozen
class Dot:
    """The current value, ``.``."""

    pos: int

    def __str__(self) -> str:
        return "."


@attrs.frozen
class Nil:
    """The word ``nil``."""

    pos: int

    def __str__(self) -> str:
        return "nil"


@attrs.frozen
class Literal:
    """A constant, with the text it was written as."""

    pos: int
    source: str
    value: str | bool | int | float

    def __str__(self) -> str:
        return self.source


@attrs.frozen
class Field:
    """A chain of members of the current value, ``.a.b``."""

    pos: int
    path: tuple[str, ...]

    def __str__(self) -> str:
        return "".join(f".{name}" for name in self.path)


@attrs.frozen
class Variable:
    """A variable, possibly with members, ``$x.a``; the name includes the dollar sign."""

    pos: int
    name: str
    path: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ".".join((self.name, *self.path))


@attrs.frozen
class Function:
    """The name of a function."""

    pos: int
    name: str

    def __str__(self) -> str:
        return self.name


@attrs.frozen
class Chain:
    """Members of the result of something else, ``(index .x 0).a``."""

    pos: int
    base: Pipe | Function
    path: tuple[str, ...]

    def __str__(self) -> str:
        base = f"({self.base})" if isinstance(self.base, Pipe) else str(self.base)
        return ".".join((base, *self.path))


@attrs.frozen
class Command:
    """One stage of a pipeline: an operand, or a function with its arguments."""

    pos: int
    words: tuple[Operand, ...]

    def __str__(self) -> str:
        return " ".join(f"({word})" if isinstance(word, Pipe) else str(word) for word in self.words)


@attrs.frozen
class Pipe:
    """A pipeline, with the variables it declares (or, if `assigns`, gives a new value)."""

    pos: int
    assigns: bool
    names: tuple[str, ...]
    commands: tuple[Command, ...]

    def __str__(self) -> str:
        target = ", ".join(self.names) + (" = " if self.assigns else " := ") if self.names else ""
        return target + " | ".join(str(command) for command in self.commands)


Operand = Dot | Nil | Literal | Field | Variable | Function | Chain | Pipe


@attrs.frozen
class Text:
    """Text outside of actions."""

    pos: int
    text: str


@attrs.frozen
class Action:
    """A pipeline whose result is printed."""

    pos: int
    pipe: Pipe

    def __str__(self) -> str:
        return f"{{{{{self.pipe}}}}}"


@attrs.frozen
class Break:
    """``{{break}}``."""

    pos: int


@attrs.frozen
class Continue:
    """``{{continue}}``."""

    pos: int


@attrs.frozen
class Clause:
    """A condition and what it guards."""

    pipe: Pipe
    body: tuple[Node, ...]


@attrs.frozen
class If:
    """``if``, all its ``else if``, and ``else``."""

    pos: int
    clauses: tuple[Clause, ...]
    otherwise: tuple[Node, ...]


@attrs.frozen
class With:
    """``with``, all its ``else with``, and ``else``."""

    pos: int
    clauses: tuple[Clause, ...]
    otherwise: tuple[Node, ...]


@attrs.frozen
class Range:
    """``range`` and its ``else``."""

    pos: int
    pipe: Pipe
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...]


@attrs.frozen
class Invoke:
    """``{{template "name" pipeline}}``."""

    pos: int
    name: str
    pipe: Pipe | None

    def __str__(self) -> str:
        argument = f" {self.pipe}" if self.pipe else ""
        return f"{{{{template {quote_string(self.name)}{argument}}}}}"


Node = Text | Action | Break | Continue | If | With | Range | Invoke


@attrs.frozen
class Tree:
    """One named template."""

    name: str
    nodes: tuple[Node, ...]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing but white space, so that another definition may take its place."""
        return all(isinstance(node, Text) and not node.text.strip() for node in self.nodes)
