"""How values are printed: Go's %v, and the other verbs with their flags.

Differs from Go where its habit to hold every JSON number as a float would show: whole numbers keep all their digits,
floats get an exponent only from 1e21 on (Go: from 1e+06 on), and whole numbers accept the verbs for floats.
"""

import sys
from collections.abc import Sequence
from decimal import Decimal
from typing import cast

import attrs

from prunner_trio.definition.template._errors import Fault
from prunner_trio.definition.template._literals import can_backquote, quote_rune, quote_string
from prunner_trio.definition.template._values import Kind, kind, sorted_items, to_utf8, type_name

__all__ = ["NO_VALUE", "Spec", "format_value", "plain_text", "sprint", "sprintln"]

NO_VALUE = "<no value>"
"""How null prints when an action prints it directly; elsewhere it is ``<nil>``."""

NIL = "<nil>"

_BASES = {"b": 2, "o": 8, "O": 8, "x": 16, "X": 16, "d": 10, "v": 10}
_FLOAT_VERBS = "eEfFgG"
# The exponents between which floats are written without an "e".
_SMALLEST_EXPONENT = -4
_LARGEST_OF_V = 20
_LARGEST_OF_G = 5


@attrs.frozen
class Spec:
    """The flags, width and precision of one verb of a format; None where none is given."""

    sharp: bool = False
    zero: bool = False
    plus: bool = False
    minus: bool = False
    space: bool = False
    go_syntax: bool = False
    width: int | None = None
    precision: int | None = None


_PLAIN = Spec()
_UNSIGNED_64 = (1 << 64) - 1


def plain_text(value: object) -> str:
    """Print a value as an action does."""
    if isinstance(value, str):
        return str(value)
    return NO_VALUE if value is None else format_value(value, "v", _PLAIN)


def sprint(values: Sequence[object]) -> str:
    """Print values one after the other, with a space between two that are no strings."""
    parts: list[str] = []
    for position, value in enumerate(values):
        if position and not isinstance(value, str) and not isinstance(values[position - 1], str):
            parts.append(" ")
        parts.append(format_value(value, "v", _PLAIN))
    return "".join(parts)


def sprintln(values: Sequence[object]) -> str:
    """Print values with spaces between them and a newline at the end."""
    return " ".join(format_value(value, "v", _PLAIN) for value in values) + "\n"


def format_value(value: object, verb: str, spec: Spec) -> str:
    """Format one value for one verb; a verb that does not fit gives Go's ``%!d(string=hi)``."""
    if value is None:
        return _pad(NIL, spec) if verb in "vT" else f"%!{verb}({NIL})"
    if verb == "T":
        return _pad(_truncate(type_name(value), spec), spec)
    return _format(value, verb, spec)


def _format(value: object, verb: str, spec: Spec) -> str:
    match kind(value):
        case Kind.NIL:
            return "interface {}(nil)" if spec.go_syntax else NIL
        case Kind.BOOL:
            text = _pad("true" if value else "false", spec) if verb in "tv" else None
        case Kind.INT:
            text = _int(cast("int", value), verb, spec)
        case Kind.FLOAT:
            text = _float(cast("float", value), verb, spec)
        case Kind.STRING:
            text = _string(cast("str", value), verb, spec)
        case Kind.LIST:
            return _list(cast("Sequence[object]", value), verb, spec)
        case _:
            return _map(value, verb, spec)
    return _bad_verb(value, verb, spec) if text is None else text


def _bad_verb(value: object, verb: str, spec: Spec) -> str:
    return f"%!{verb}({type_name(value)}={_format(value, 'v', spec)})"


def _list(values: Sequence[object], verb: str, spec: Spec) -> str:
    if verb == "p":
        return _bad_verb(values, verb, spec)
    items = (_format(value, verb, spec) for value in values)
    if spec.go_syntax:
        return f"{type_name(values)}{{{', '.join(items)}}}"
    return f"[{' '.join(items)}]"


def _map(value: object, verb: str, spec: Spec) -> str:
    if verb == "p":
        return _bad_verb(value, verb, spec)
    items = (f"{_format(key, verb, spec)}:{_format(item, verb, spec)}" for key, item in sorted_items(value))
    if spec.go_syntax:
        return f"{type_name(value)}{{{', '.join(items)}}}"
    return f"map[{' '.join(items)}]"


# Strings


def _string(text: str, verb: str, spec: Spec) -> str | None:
    if verb == "s" or (verb == "v" and not spec.go_syntax):
        return _pad(_truncate(str(text), spec), spec)
    if verb in ("q", "v"):
        text = _truncate(text, spec)
        if spec.sharp and can_backquote(text):
            return _pad(f"`{text}`", spec)
        return _pad(quote_string(text, ascii_only=spec.plus), spec)
    if verb in ("x", "X"):
        return _pad(_hex(to_utf8(text)[: spec.precision], verb, spec), spec)
    return None


def _hex(data: bytes, verb: str, spec: Spec) -> str:
    prefix = "0x" if spec.sharp and data else ""
    text = prefix + (data.hex(" ").replace(" ", " " + prefix) if spec.space else data.hex())
    return text.upper() if verb == "X" else text


def _truncate(text: str, spec: Spec) -> str:
    return text[: spec.precision]


def _pad(text: str, spec: Spec) -> str:
    if not spec.width:
        return text
    if spec.minus:
        return text.ljust(spec.width)
    return text.rjust(spec.width, "0" if spec.zero else " ")


def _pad_with_spaces(text: str, spec: Spec) -> str:
    return _pad(text, attrs.evolve(spec, zero=False))


# Whole numbers


def _int(number: int, verb: str, spec: Spec) -> str | None:
    if verb in _BASES:
        return _integer(number, verb, spec)
    match verb:
        case "c":
            return _pad(_char(number), spec)
        case "q":
            return _pad(quote_rune(number, ascii_only=spec.plus), spec)
        case "U":
            return _unicode(number & _UNSIGNED_64, spec)
        case _ if verb in _FLOAT_VERBS:
            return _decimal(_int_as_float(number, verb, spec), spec)
    return None


def _integer(number: int, verb: str, spec: Spec) -> str:
    sign = _sign(number < 0, spec)
    if spec.precision == 0 and number == 0:
        return _pad_with_spaces("", spec)
    digits = _digits(abs(number), _BASES[verb])
    if spec.precision is not None:
        digits = digits.zfill(spec.precision)
    elif spec.zero and not spec.minus and spec.width:
        digits = digits.zfill(spec.width - len(sign))
    if spec.sharp:
        digits = _with_prefix(digits, verb)
    if verb == "O":
        digits = "0o" + digits
    return _pad_with_spaces(sign + (digits.upper() if verb == "X" else digits), spec)


def _with_prefix(digits: str, verb: str) -> str:
    match _BASES[verb]:
        case 2:
            return "0b" + digits
        case 8:
            return digits if digits.startswith("0") else "0" + digits
        case 16:
            return "0x" + digits
        case _:
            return digits


def _digits(number: int, base: int) -> str:
    if base != 10:
        return format(number, {2: "b", 8: "o", 16: "x"}[base])
    try:
        return str(number)
    except ValueError as exc:
        # Python refuses to spell numbers of more than some 4300 digits.
        raise Fault(f"a number of more than {sys.get_int_max_str_digits()} digits cannot be printed") from exc


def _sign(negative: bool, spec: Spec) -> str:
    if negative:
        return "-"
    if spec.plus:
        return "+"
    return " " if spec.space else ""


def _char(number: int) -> str:
    if 0 <= number <= sys.maxunicode and not 0xD800 <= number <= 0xDFFF:
        return chr(number)
    return "\ufffd"


def _unicode(number: int, spec: Spec) -> str:
    text = "U+" + f"{number:X}".zfill(max(4, spec.precision or 0))
    if spec.sharp and number <= sys.maxunicode and chr(number).isprintable():
        text += f" '{chr(number)}'"
    return _pad_with_spaces(text, spec)


def _int_as_float(number: int, verb: str, spec: Spec) -> str:
    if verb in ("f", "F"):
        # By hand, because a float has no room for more than some 16 digits.
        places = 6 if spec.precision is None else spec.precision
        return ("-" if number < 0 else "") + _digits(abs(number), 10) + ("." + "0" * places if places else "")
    try:
        return _float_text(float(number), verb, spec)
    except OverflowError:
        return "-Inf" if number < 0 else "+Inf"


# Floats


def _float(number: float, verb: str, spec: Spec) -> str | None:
    if verb != "v" and verb not in _FLOAT_VERBS:
        return None
    return _decimal(_float_text(number, verb, spec), spec)


def _float_text(number: float, verb: str, spec: Spec) -> str:
    if number != number:
        return "NaN"
    if number in (float("inf"), float("-inf")):
        return "-Inf" if number < 0 else "+Inf"
    if spec.precision is None and verb in "vgG":
        text = _shortest(number, _LARGEST_OF_V if verb == "v" else _LARGEST_OF_G)
        return text.upper() if verb == "G" else text
    precision = 6 if spec.precision is None else spec.precision
    return format(number, f"{'#' if spec.sharp else ''}.{precision}{'g' if verb == 'v' else verb}")


def _shortest(number: float, largest: int) -> str:
    """Write the fewest digits that give the same float again; exponents up to `largest` go without an ``e``."""
    sign, digits, exponent = Decimal(repr(number)).as_tuple()
    text = "".join(map(str, digits)).rstrip("0") or "0"
    point = len(digits) + cast("int", exponent) if any(digits) else 1
    if _SMALLEST_EXPONENT <= point - 1 <= largest:
        body = _plain_notation(text, point)
    else:
        fraction = "." + text[1:] if len(text) > 1 else ""
        body = f"{text[0]}{fraction}e{point - 1:+03d}"
    return "-" + body if sign else body


def _plain_notation(digits: str, point: int) -> str:
    if point <= 0:
        return "0." + "0" * -point + digits
    if len(digits) <= point:
        return digits.ljust(point, "0")
    return digits[:point] + "." + digits[point:]


def _decimal(text: str, spec: Spec) -> str:
    """Give the text of a float its sign and its width."""
    sign, unsigned = (text[0], text[1:]) if text[0] in "+-" else ("+", text)
    if sign == "+" and spec.space and not spec.plus:
        sign = " "
    if unsigned == "NaN":
        return _pad_with_spaces(sign + unsigned if spec.plus or spec.space else unsigned, spec)
    if unsigned == "Inf":
        return _pad_with_spaces(sign + unsigned, spec)
    if not spec.plus and sign == "+":
        return _pad(unsigned, spec)
    if spec.zero and not spec.minus and spec.width:
        return sign + unsigned.zfill(spec.width - 1)
    return _pad(sign + unsigned, spec)
