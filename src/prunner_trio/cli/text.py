"""Text from elsewhere as a terminal may see it, and its width there. Pure.

Names and logs come from people and programs. On a terminal they may have colors, if they are in a log, and nothing
else that a terminal would obey.
"""

import re
import unicodedata

__all__ = ["fit", "plain", "shown_line", "width_of"]

_COLOR = re.compile(r"(\x1b\[[0-9;:]*m)")
_KEPT = "\u200d\u200c\ufe0e\ufe0f\u00ad"
"""Not printable to Python, and yet part of ordinary text: joiners of emoji and of Persian, soft hyphens."""


def plain(text: str) -> str:
    """Return text with everything visible that a terminal would obey: control characters, and changes of direction."""
    return text if text.isprintable() else "".join(map(_visible, text))


def _visible(character: str) -> str:
    if character.isprintable() or character in _KEPT or unicodedata.category(character) == "Zs":
        return character
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def shown_line(line: str, *, colors: bool) -> str:
    """Return one line of a log for a terminal.

    Of a line that was written over and over, such as a bar of progress, the last state counts. Tabs stay. Colors stay
    with `colors`, and end with the line; else they are left out.
    """
    line = line.rstrip("\r")
    if "\r" in line:
        line = line.rpartition("\r")[2]
    if "\x1b" not in line:
        return _parts(line)
    parts = _COLOR.split(line)
    kept = [(part if colors else "") if index % 2 else _parts(part) for index, part in enumerate(parts)]
    shown = "".join(kept)
    return f"{shown}\x1b[0m" if colors and len(parts) > 1 else shown


def _parts(text: str) -> str:
    return text if text.isprintable() else "\t".join(map(plain, text.split("\t")))


def width_of(text: str) -> int:
    """Return how many columns a text without control characters takes."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(character: str) -> int:
    if character in _KEPT or unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def fit(text: str, width: int, *, pad: bool = True) -> str:
    """Return text in so many columns: cut, with an ellipsis, or filled with blanks. Colors take no room."""
    shown, room, cut = [], width, False
    whole = width_of(_COLOR.sub("", text))
    limit = width if whole <= width else max(0, width - 1)
    for index, part in enumerate(_COLOR.split(text)):
        if index % 2:
            shown.append(part)
            continue
        for character in part:
            columns = _columns(character)
            if width - room + columns > limit:
                cut = True
                break
            shown.append(character)
            room -= columns
        if cut:
            break
    if cut and width > 0:
        shown.append("…")
        room -= 1
        if "\x1b" in text:
            shown.append("\x1b[0m")
    return "".join(shown) + (" " * room if pad else "")
