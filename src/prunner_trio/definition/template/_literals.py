"""Go's literals: how strings, characters and numbers are read from a template, and how text is quoted."""

import re

from prunner_trio.definition.template._errors import Fault
from prunner_trio.definition.template._values import from_utf8, to_utf8

__all__ = ["can_backquote", "quote_rune", "quote_string", "read_char", "read_number", "read_string"]

MAX_RUNE = 0x10FFFF
REPLACEMENT = 0xFFFD

_SIMPLE_ESCAPES = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92}
_ESCAPE = re.compile(r"([abfnrtv\\'\"])|x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})")

_INT = re.compile(r"([+-]?)(?:0[xX]((?:_?[0-9a-fA-F])+)|0[bB]((?:_?[01])+)|0[oO]?((?:_?[0-7])+)|(0|[1-9](?:_?[0-9])*))")
_DIGITS = "[0-9](?:_?[0-9])*"
_HEX_DIGITS = "[0-9a-fA-F](?:_?[0-9a-fA-F])*"
_FLOAT = re.compile(rf"[+-]?(?:{_DIGITS}(?:\.(?:{_DIGITS})?)?|\.{_DIGITS})(?:[eE][+-]?{_DIGITS})?")
_HEX_FLOAT = re.compile(
    rf"[+-]?0[xX](?:_?{_HEX_DIGITS}(?:\.(?:{_HEX_DIGITS})?)?|\.{_HEX_DIGITS})[pP][+-]?{_DIGITS}",
)

_NAMED = {7: r"\a", 8: r"\b", 12: r"\f", 10: r"\n", 13: r"\r", 9: r"\t", 11: r"\v", 92: r"\\"}


def read_string(source: str) -> str:
    """Return the text of a quoted or back-quoted literal; raise `Fault` if an escape is wrong."""
    body = source[1:-1]
    if source[0] == "`":
        return body.replace("\r", "")
    if "\\" not in body:
        return body
    # Escapes may give single bytes of a character ("\xc3\xbc"), so the text is put together as bytes.
    parts = bytearray()
    at = 0
    while at < len(body):
        unit, at = _next_unit(body, at, '"')
        parts += unit if isinstance(unit, bytes) else to_utf8(chr(unit))
    return from_utf8(bytes(parts))


def read_char(source: str) -> int:
    """Return the code point of a character literal; raise `Fault` if it is none."""
    if len(source) < 3:
        raise Fault("invalid syntax")
    unit, end = _next_unit(source, 1, "'")
    if end != len(source) - 1:
        raise Fault(f"malformed character constant: {source}")
    return unit[0] if isinstance(unit, bytes) else unit


def _next_unit(text: str, at: int, quote: str) -> tuple[int | bytes, int]:
    """Read one character or escape: a code point, or the byte that an octal or \\x escape stands for."""
    if text[at] != "\\":
        return ord(text[at]), at + 1
    found = _ESCAPE.match(text, at + 1)
    if not found:
        raise Fault("invalid syntax")
    simple, hexadecimal, octal, short, long = found.groups()
    end = found.end()
    if simple:
        if simple in "'\"":
            if simple != quote:
                raise Fault("invalid syntax")
            return ord(simple), end
        return _SIMPLE_ESCAPES[simple], end
    if hexadecimal or octal:
        byte = int(hexadecimal, 16) if hexadecimal else int(octal, 8)
        if byte > 0xFF:
            raise Fault("invalid syntax")
        return bytes([byte]), end
    rune = int(short or long, 16)
    if not _is_rune(rune):
        raise Fault("invalid syntax")
    return rune, end


def read_number(source: str) -> int | float:
    """Return the value of a number literal; raise `Fault` if it is none or too large for Go's int64 or float64."""
    whole = _INT.fullmatch(source)
    if whole:
        sign, hexadecimal, binary, octal, decimal = whole.groups()
        digits, base = next((d, b) for d, b in ((hexadecimal, 16), (binary, 2), (octal, 8), (decimal, 10)) if d)
        digits = digits.replace("_", "")
        # 64 digits hold every int64 in every base; more would only cost time.
        number = int(sign + digits, base) if len(digits) <= 64 else 1 << 64
        if not -(1 << 63) <= number < 1 << 63:
            raise Fault(f"integer overflow: {quote_string(source)}")
        return number
    if source.endswith("i"):
        raise Fault(f"complex numbers are not supported: {source}")
    number_or_none = _read_float(source)
    if number_or_none is None or number_or_none in (float("inf"), float("-inf")):
        raise Fault(f"illegal number syntax: {quote_string(source)}")
    if not set(source) & set(".eEpP"):
        raise Fault(f"integer overflow: {quote_string(source)}")
    return number_or_none


def _read_float(source: str) -> float | None:
    try:
        if _FLOAT.fullmatch(source):
            return float(source)
        if _HEX_FLOAT.fullmatch(source):
            return float.fromhex(source.replace("_", ""))
    except OverflowError:
        return None
    return None


def quote_string(text: str, *, ascii_only: bool = False) -> str:
    """Quote text as a Go string literal, the way %q does."""
    return '"' + "".join(_quoted(ord(char), '"', ascii_only) for char in text) + '"'


def quote_rune(rune: int, *, ascii_only: bool = False) -> str:
    """Quote a code point as a Go character literal; what is no character becomes U+FFFD."""
    return "'" + _quoted(rune if _is_rune(rune) else REPLACEMENT, "'", ascii_only) + "'"


def _quoted(rune: int, quote: str, ascii_only: bool) -> str:
    char = chr(rune)
    if char == quote:
        return "\\" + quote
    if rune in _NAMED:
        return _NAMED[rune]
    if char.isprintable() and (rune < 0x80 or not ascii_only):
        return char
    if rune < 0x20 or rune == 0x7F:
        return f"\\x{rune:02x}"
    return f"\\u{rune:04x}" if rune < 0x10000 else f"\\U{rune:08x}"


def can_backquote(text: str) -> bool:
    """Tell whether text fits between back quotes unchanged."""
    return all((char >= " " or char == "\t") and char not in "`\x7f\ufeff" for char in text)


def _is_rune(number: int) -> bool:
    return 0 <= number <= MAX_RUNE and not 0xD800 <= number <= 0xDFFF
