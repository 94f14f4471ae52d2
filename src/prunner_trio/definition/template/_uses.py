"""Which members of its data a template names: read off the tree, without executing it.

Within `with` and `range` the dot is something else, so only `$.name` counts there.
"""

from collections.abc import Iterator, Sequence

from prunner_trio.definition.template._nodes import (
    Action,
    Chain,
    Command,
    Dot,
    Field,
    Function,
    If,
    Invoke,
    Literal,
    Node,
    Operand,
    Pipe,
    Range,
    Variable,
    With,
)

__all__ = ["uses"]

_ROOT = "$"


def uses(nodes: Sequence[Node], *, dot: bool = True) -> Iterator[str]:
    """Yield the names of members of the data; some may come more than once.

    Args:
        dot: the dot is the data.
    """
    for node in nodes:
        match node:
            case Action(pipe=pipe):
                yield from _of_pipe(pipe, dot)
            case If(clauses=clauses, otherwise=otherwise):
                for clause in clauses:
                    yield from _of_pipe(clause.pipe, dot)
                    yield from uses(clause.body, dot=dot)
                yield from uses(otherwise, dot=dot)
            case With(clauses=clauses, otherwise=otherwise):
                for clause in clauses:
                    yield from _of_pipe(clause.pipe, dot)
                    yield from uses(clause.body, dot=False)
                yield from uses(otherwise, dot=dot)
            case Range(pipe=pipe, body=body, otherwise=otherwise):
                yield from _of_pipe(pipe, dot)
                yield from uses(body, dot=False)
                yield from uses(otherwise, dot=dot)
            case Invoke(pipe=Pipe() as pipe):
                yield from _of_pipe(pipe, dot)
            case _:
                pass


def _of_pipe(pipe: Pipe, dot: bool) -> Iterator[str]:
    for command in pipe.commands:
        yield from _indexed(command, dot)
        for word in command.words:
            yield from _of_word(word, dot)


def _of_word(word: Operand, dot: bool) -> Iterator[str]:
    match word:
        case Field(path=(name, *_)) if dot:
            yield name
        case Variable(name=variable, path=(name, *_)) if variable == _ROOT:
            yield name
        case Pipe():
            yield from _of_pipe(word, dot)
        case Chain(base=Pipe() as base):
            yield from _of_pipe(base, dot)
        case _:
            pass


def _indexed(command: Command, dot: bool) -> Iterator[str]:
    """Yield the name in `index . "name"`: the way to members whose name is no word."""
    match command.words:
        case (Function(name="index"), Dot(), Literal(value=str(name)), *_) if dot:
            yield name
        case (Function(name="index"), Variable(name="$", path=()), Literal(value=str(name)), *_):
            yield name
        case _:
            pass
