"""The functions a template can call: those of Go, prunner's `default`, and our `quote` and `toJson`.

All of them are pure, take and return JSON values only, and raise `Fault` for arguments that do not fit.
"""

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Final, cast
from urllib.parse import quote_plus

import attrs

from prunner_trio.definition.template._errors import Fault
from prunner_trio.definition.template._formatting import NO_VALUE, format_value, plain_text, sprint, sprintln
from prunner_trio.definition.template._formatting import Spec as PrintSpec
from prunner_trio.definition.template._printf import sprintf
from prunner_trio.definition.template._values import (
    Kind,
    byte_length,
    from_utf8,
    is_true,
    kind,
    to_utf8,
    type_name,
)

__all__ = ["FUNCTIONS", "Builtin"]


@attrs.frozen
class Builtin:
    """A function: its name, what it does with its arguments, and how many it takes.

    Attributes:
        call: takes the values of the arguments; not called for `and` and `or`, which the evaluation knows because they
            do not look at arguments they do not need.
        least: the smallest number of arguments.
        variadic: whether there may be more.
        wants_format: whether the first argument must be a string.
    """

    name: str
    call: Callable[[Sequence[object]], object]
    least: int
    variadic: bool = False
    wants_format: bool = False


# Comparison. Numbers compare as numbers, whichever way they are written; Go refuses to compare 1 with 1.0.

_NUMBERS = frozenset({Kind.INT, Kind.FLOAT})
_BASIC = _NUMBERS | {Kind.BOOL, Kind.STRING}


def _comparable_kind(value: object) -> Kind | None:
    found = kind(value)
    if found in _NUMBERS:
        return Kind.FLOAT
    return found if found in _BASIC else None


def _incompatible(left: object, right: object) -> Fault:
    return Fault(f"incompatible types for comparison: {type_name(left)} and {type_name(right)}")


def _equal(left: object, right: object) -> bool:
    left_kind, right_kind = _comparable_kind(left), _comparable_kind(right)
    if left is None or right is None:
        return left is right
    if left_kind is not right_kind:
        raise _incompatible(left, right)
    if left_kind is not None:
        return left == right
    if kind(left) is not kind(right):
        shown = format_value(left, "s", PrintSpec()), type_name(left), type_name(right), plain_text(right)
        raise Fault("non-comparable types {}: {}, {}: {}".format(*shown))
    raise Fault(f"non-comparable type {format_value(right, 's', PrintSpec())}: {type_name(right)}")


def _eq(args: Sequence[object]) -> bool:
    if len(args) == 1:
        raise Fault("missing argument for comparison")
    return any(_equal(args[0], other) for other in args[1:])


def _less(left: object, right: object) -> bool:
    left_kind, right_kind = _comparable_kind(left), _comparable_kind(right)
    if left_kind is None or right_kind is None:
        raise Fault("invalid type for comparison")
    if left_kind is not right_kind:
        raise _incompatible(left, right)
    if left_kind is Kind.BOOL:
        raise Fault("invalid type for comparison")
    return cast("float", left) < cast("float", right)


def _less_or_equal(left: object, right: object) -> bool:
    return _less(left, right) or _equal(left, right)


# Parts of values


def _len(args: Sequence[object]) -> int:
    (value,) = args
    match kind(value):
        case Kind.STRING:
            return byte_length(cast("str", value))
        case Kind.LIST | Kind.MAP:
            return len(cast("Sequence[object]", value))
        case Kind.NIL:
            raise Fault("len of nil pointer")
        case _:
            raise Fault(f"len of type {type_name(value)}")


def _position(index: object, largest: int) -> int:
    match kind(index):
        case Kind.INT:
            position = cast("int", index)
        case Kind.NIL:
            raise Fault("cannot index slice/array with nil")
        case _:
            raise Fault(f"cannot index slice/array with type {type_name(index)}")
    if not 0 <= position <= largest:
        raise Fault(f"index out of range: {format_value(position, 'd', PrintSpec())}")
    return position


def _index(args: Sequence[object]) -> object:
    item, *indexes = args
    if item is None:
        raise Fault("index of untyped nil")
    for index in indexes:
        item = _index_once(item, index)
    return item


def _index_once(item: object, index: object) -> object:
    match kind(item):
        case Kind.NIL:
            raise Fault("index of nil pointer")
        case Kind.STRING:
            return _element(to_utf8(cast("str", item)), index)
        case Kind.LIST:
            return _element(cast("Sequence[object]", item), index)
        case Kind.MAP:
            if kind(index) is Kind.NIL:
                raise Fault("value is nil; should be of type string")
            if kind(index) is not Kind.STRING:
                raise Fault(f"value has type {type_name(index)}; should be string")
            return cast("Mapping[object, object]", item).get(index)
        case _:
            raise Fault(f"can't index item of type {type_name(item)}")


def _element(items: Sequence[object], index: object) -> object:
    return items[_position(index, len(items) - 1)]


def _slice(args: Sequence[object]) -> object:
    item, *indexes = args
    if item is None:
        raise Fault("slice of untyped nil")
    if len(indexes) > 3:
        raise Fault(f"too many slice indexes: {len(indexes)}")
    match kind(item):
        case Kind.STRING:
            if len(indexes) == 3:
                raise Fault("cannot 3-index slice a string")
            data = to_utf8(cast("str", item))
            start, end = _bounds(len(data), indexes)
            return from_utf8(data[start:end])
        case Kind.LIST:
            items = cast("Sequence[object]", item)
            start, end = _bounds(len(items), indexes)
            return items[start:end]
        case _:
            raise Fault(f"can't slice item of type {type_name(item)}")


def _bounds(length: int, indexes: Sequence[object]) -> tuple[int, int]:
    positions = [_position(index, length) for index in indexes]
    start, end, capacity = (*positions, *(0, length, length)[len(positions) :])
    if start > end:
        raise Fault(f"invalid slice index: {start} > {end}")
    if end > capacity:
        raise Fault(f"invalid slice index: {end} > {capacity}")
    return start, end


# Truth


def _default(args: Sequence[object]) -> object:
    substitute, value = args
    # Only what is empty or false gives way: 0 is a number somebody chose, and null stays null, as in prunner.
    if kind(value) in (Kind.STRING, Kind.LIST, Kind.MAP, Kind.BOOL) and not is_true(value):
        return substitute
    return value


def _unreachable(args: Sequence[object]) -> object:
    raise RuntimeError(f"and/or were called with {len(args)} evaluated arguments")


# Text for other languages

_HTML = str.maketrans({'"': "&#34;", "'": "&#39;", "&": "&amp;", "<": "&lt;", ">": "&gt;", "\0": "\ufffd"})
_JS = {char: f"\\u{ord(char):04X}" for char in "<>&="} | {"\\": r"\\", "'": r"\'", '"': r"\""}


def _joined(args: Sequence[object]) -> str:
    return sprint([NO_VALUE if arg is None else arg for arg in args])


def _js_char(char: str) -> str:
    if char in _JS:
        return _JS[char]
    if char < " " or (char > "\x7f" and not char.isprintable()):
        return f"\\u{ord(char):04X}"
    return char


def _html(args: Sequence[object]) -> str:
    return _joined(args).translate(_HTML)


def _js(args: Sequence[object]) -> str:
    return "".join(map(_js_char, _joined(args)))


def _urlquery(args: Sequence[object]) -> str:
    return quote_plus(to_utf8(_joined(args)))


def _quote(args: Sequence[object]) -> str:
    (value,) = args
    if kind(value) is Kind.LIST:
        items = cast("Sequence[object]", value)
        return " ".join(shlex.quote(format_value(item, "v", PrintSpec())) for item in items)
    return shlex.quote(plain_text(value))


def _to_json(args: Sequence[object]) -> str:
    (value,) = args
    try:
        return json.dumps(
            value,
            ensure_ascii=False,
            allow_nan=False,
            separators=(",", ":"),
            sort_keys=True,
            default=_mapping_as_dict,
        )
    except (TypeError, ValueError) as exc:
        raise Fault(str(exc)) from exc


def _mapping_as_dict(value: object) -> object:
    kind(value)  # Refuses everything but the mappings that are no dict, the one kind json does not know.
    return dict(cast("Mapping[object, object]", value))


def _call(args: Sequence[object]) -> object:
    if args[0] is None:
        raise Fault("call of nil")
    raise Fault(f"non-function of type {type_name(args[0])}")


_ALL = (
    Builtin("and", _unreachable, 1, variadic=True),
    Builtin("call", _call, 1, variadic=True),
    Builtin("default", _default, 2),
    Builtin("eq", _eq, 1, variadic=True),
    Builtin("ge", lambda args: not _less(args[0], args[1]), 2),
    Builtin("gt", lambda args: not _less_or_equal(args[0], args[1]), 2),
    Builtin("html", _html, 0, variadic=True),
    Builtin("index", _index, 1, variadic=True),
    Builtin("js", _js, 0, variadic=True),
    Builtin("le", lambda args: _less_or_equal(args[0], args[1]), 2),
    Builtin("len", _len, 1),
    Builtin("lt", lambda args: _less(args[0], args[1]), 2),
    Builtin("ne", lambda args: not _equal(args[0], args[1]), 2),
    Builtin("not", lambda args: not is_true(args[0]), 1),
    Builtin("or", _unreachable, 1, variadic=True),
    Builtin("print", sprint, 0, variadic=True),
    Builtin("printf", lambda args: sprintf(cast("str", args[0]), args[1:]), 1, variadic=True, wants_format=True),
    Builtin("println", sprintln, 0, variadic=True),
    Builtin("quote", _quote, 1),
    Builtin("slice", _slice, 1, variadic=True),
    Builtin("toJson", _to_json, 1),
    Builtin("urlquery", _urlquery, 0, variadic=True),
)

FUNCTIONS: Final[Mapping[str, Builtin]] = {function.name: function for function in _ALL}
"""All functions by name."""
