"""What a program has written for a terminal, as HTML: its colors as classes, and of the rest only its characters."""

import re
from collections.abc import Sequence
from html import escape

import attrs
from markupsafe import Markup

__all__ = ["PLAIN", "Pen", "last_state", "nearest", "paint", "visible"]

_ESCAPE = re.compile(
    r"\x1b(?:"
    r"\[(?P<numbers>[0-?]*+)[ -/]*+(?P<final>[@-~]?)"  # a control sequence; of these, only colors count
    r"|\](?:[^\x07\x1b]*+(?:\x07|\x1b\\))?"  # titles, links; one without an end hides nothing
    r"|[PX^_](?:[^\x1b]*+\x1b\\)?"
    r"|[ -/]*+[0-~]"
    r")?"
)
_UNPRINTED = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
_LEVELS = (0, 95, 135, 175, 215, 255)


@attrs.frozen
class Pen:
    """How the next characters look.

    Attributes:
        ink: one of 256 colors; None: that of the page.
        ground: likewise.
    """

    ink: int | None = None
    ground: int | None = None
    bold: bool = False
    dim: bool = False
    italic: bool = False
    underline: bool = False
    strike: bool = False
    inverse: bool = False

    @property
    def classes(self) -> str:
        """The classes of a span for it; empty if it is plain."""
        words = [word for word in _STYLES if getattr(self, word)]
        if self.ink is not None:
            words.append(f"f{self.ink}")
        if self.ground is not None:
            words.append(f"on b{self.ground}")
        return " ".join(words)


PLAIN = Pen()
_STYLES = ("bold", "dim", "italic", "underline", "strike", "inverse")
_ON = {1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "inverse", 9: "strike", 21: "underline"}
_OFF = {22: ("bold", "dim"), 23: ("italic",), 24: ("underline",), 27: ("inverse",), 29: ("strike",)}


def paint(line: str, pen: Pen = PLAIN) -> tuple[Markup, Pen]:
    """Return a line as HTML, and the pen for the next one. `line` has no line break in it.

    Of a line that was written over (progress bars do so, with carriage returns) the last state counts.
    """
    start, position = last_state(line), 0
    parts = []
    for match in _ESCAPE.finditer(line):
        parts.append(_span(line[max(start, position) : match.start()], pen))
        position = match.end()
        if match["final"] == "m":
            pen = _changed(pen, match["numbers"])
    parts.append(_span(line[max(start, position) :], pen))
    return Markup("".join(parts)), pen


def last_state(line: str) -> int:
    """Return where the last state of a line begins: behind the last carriage return that has something behind it."""
    end = len(line)
    while end > 0 and line[end - 1] == "\r":
        end -= 1
    return line.rfind("\r", 0, end) + 1


def visible(text: str) -> str:
    """Return a text with control characters, and those that turn the direction of writing, as signs."""
    return _UNPRINTED.sub(_sign, text)


def nearest(red: int, green: int, blue: int) -> int:
    """Return the one of the 256 colors that is closest; of equals, that of the color cube."""
    wanted = (red, green, blue)
    cube = [_level(value) for value in wanted]
    gray = min(23, max(0, round((sum(wanted) / 3 - 8) / 10)))
    of_cube = _miss(wanted, [_LEVELS[index] for index in cube])
    of_gray = _miss(wanted, [8 + 10 * gray] * 3)
    return 232 + gray if of_gray < of_cube else 16 + 36 * cube[0] + 6 * cube[1] + cube[2]


def _level(value: int) -> int:
    return min(range(6), key=lambda index: abs(_LEVELS[index] - value))


def _miss(wanted: Sequence[int], got: Sequence[int]) -> int:
    return sum((a - b) ** 2 for a, b in zip(wanted, got, strict=True))


def _changed(pen: Pen, numbers: str) -> Pen:
    """Return a pen after a sequence that selects how characters look; what is not known changes nothing."""
    fields = numbers.split(";")
    index = 0
    while index < len(fields):
        field = fields[index]
        code = _number(field.partition(":")[0])
        if code in (38, 48, 58):
            color, taken = _color(fields[index:])
            index += taken
            if color is not None and code != 58:
                pen = attrs.evolve(pen, ink=color) if code == 38 else attrs.evolve(pen, ground=color)
            continue
        index += 1
        pen = _plainly_changed(pen, 24 if field == "4:0" else code)
    return pen


def _plainly_changed(pen: Pen, code: int | None) -> Pen:
    if code == 0:
        return PLAIN
    if code is None:
        return pen
    if code in _ON:
        return attrs.evolve(pen, **{_ON[code]: True})
    if code in _OFF:
        return attrs.evolve(pen, **dict.fromkeys(_OFF[code], False))
    if 30 <= code <= 39:
        return attrs.evolve(pen, ink=code - 30 if code < 38 else None)
    if 40 <= code <= 49:
        return attrs.evolve(pen, ground=code - 40 if code < 48 else None)
    if 90 <= code <= 97:
        return attrs.evolve(pen, ink=code - 82)
    if 100 <= code <= 107:
        return attrs.evolve(pen, ground=code - 92)
    return pen


def _color(fields: Sequence[str]) -> tuple[int | None, int]:
    """Return the color that some fields name, and how many of them do; None if they name none."""
    if ":" in fields[0]:  # all in one field; before red there may be one for the color space
        _, kind, *rest = fields[0].split(":")
        return _named(kind, rest[-3:] if kind == "2" else rest), 1
    kind = fields[1] if len(fields) > 1 else ""
    count = {"5": 1, "2": 3}.get(kind, 0)
    return _named(kind, fields[2 : 2 + count]), min(len(fields), 2 + count)


def _named(kind: str, values: Sequence[str]) -> int | None:
    numbers = [number for value in values if (number := _number(value)) is not None and number < 256]
    if kind == "5" and len(numbers) >= 1:
        return numbers[0]
    return nearest(*numbers) if kind == "2" and len(numbers) == 3 else None


def _number(text: str) -> int | None:
    if not text:
        return 0
    return int(text) if len(text) <= 4 and text.isascii() and text.isdigit() else None


def _span(text: str, pen: Pen) -> str:
    inner = escape(visible(text.rstrip("\r")))
    classes = pen.classes
    return f'<span class="{classes}">{inner}</span>' if classes and inner else inner


def _sign(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
