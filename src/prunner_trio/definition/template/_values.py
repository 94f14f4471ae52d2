"""The values a template can meet: those of JSON, and nothing else.

Everything that looks at a value asks `kind` first. An object that is none of these kinds is refused there, which is
why no template can reach an attribute or a method of a Python object.
"""

from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import cast

from prunner_trio.definition.template._errors import Fault

__all__ = ["Kind", "byte_length", "from_utf8", "is_true", "kind", "sorted_items", "to_utf8", "type_name"]


class Kind(Enum):
    """The kinds of JSON values; whole numbers and others are told apart to keep the digits of the former."""

    NIL = auto()
    BOOL = auto()
    INT = auto()
    FLOAT = auto()
    STRING = auto()
    LIST = auto()
    MAP = auto()


_EXACT_TYPES: dict[type, Kind] = {
    type(None): Kind.NIL,
    bool: Kind.BOOL,
    int: Kind.INT,
    float: Kind.FLOAT,
    str: Kind.STRING,
    list: Kind.LIST,
    dict: Kind.MAP,
}

# Their subclasses and relatives, such as enumerations and read-only mappings.
_TYPES: tuple[tuple[type | tuple[type, ...], Kind], ...] = (
    (int, Kind.INT),
    (float, Kind.FLOAT),
    (str, Kind.STRING),
    ((list, tuple), Kind.LIST),
    (Mapping, Kind.MAP),
)

_GO_NAMES = {
    Kind.NIL: "<nil>",
    Kind.BOOL: "bool",
    Kind.INT: "int",
    Kind.FLOAT: "float64",
    Kind.STRING: "string",
    Kind.LIST: "[]interface {}",
    Kind.MAP: "map[string]interface {}",
}


def kind(value: object) -> Kind:
    """Say what sort of value this is; raise `Fault` for an object that JSON does not have."""
    exact = _EXACT_TYPES.get(type(value))
    if exact is not None:
        return exact
    for types, result in _TYPES:
        if isinstance(value, types):
            return result
    raise Fault(f"values of type {type(value).__name__} cannot be used in a template")


def type_name(value: object) -> str:
    """Name the type of a value as Go's messages do."""
    return _GO_NAMES[kind(value)]


def is_true(value: object) -> bool:
    """Tell whether `if` takes its first branch: null, false, 0 and everything empty do not count as true."""
    match kind(value):
        case Kind.NIL:
            return False
        case Kind.LIST | Kind.MAP | Kind.STRING:
            return len(cast("Sequence[object]", value)) > 0
        case _:
            return bool(value)


def sorted_items(value: object) -> list[tuple[str, object]]:
    """Return the members of a map in the order of their keys, which is the order in which Go prints and ranges."""
    mapping = cast("Mapping[object, object]", value)
    for key in mapping:
        if not isinstance(key, str):
            raise Fault(f"maps with keys of type {type(key).__name__} cannot be used in a template")
    return sorted(cast("Mapping[str, object]", mapping).items(), key=lambda item: item[0])


def to_utf8(text: str) -> bytes:
    """Encode a string as Go holds it; half of a surrogate pair, which JSON can smuggle in, is kept."""
    return text.encode("utf-8", "surrogatepass")


def from_utf8(data: bytes) -> str:
    """Decode what `to_utf8` made, or a part of it; bytes that are no text become U+FFFD."""
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace")


def byte_length(text: str) -> int:
    """Count the UTF-8 bytes of a string, which is its length in Go."""
    return len(text) if text.isascii() else len(to_utf8(text))
