"""Go's printf: finds the verbs of a format and pairs them with arguments."""

from collections.abc import Sequence

import attrs

from prunner_trio.definition.template._formatting import Spec, format_value
from prunner_trio.definition.template._values import type_name

__all__ = ["sprintf"]

LARGEST_NUMBER = 1_000_000
"""Go's limit for widths and precisions."""

_FLAGS = {"#": "sharp", "0": "zero", "+": "plus", "-": "minus", " ": "space"}


def sprintf(form: str, args: Sequence[object]) -> str:
    """Format as Go does; what does not fit becomes part of the result, as in ``%!d(MISSING)``."""
    return _Printf(form, args).run()


@attrs.define(eq=False)
class _Printf:
    _form: str
    _args: Sequence[object]
    _parts: list[str] = attrs.Factory(list)
    _pos: int = 0
    _arg: int = 0
    _reordered: bool = False
    _index_is_good: bool = True
    _after_index: bool = False

    def run(self) -> str:
        while True:
            percent = self._form.find("%", self._pos)
            if percent < 0:
                self._parts.append(self._form[self._pos :])
                break
            self._parts.append(self._form[self._pos : percent])
            self._pos = percent + 1
            self._verb()
        if not self._reordered and self._arg < len(self._args):
            self._parts.append(f"%!(EXTRA {', '.join(map(_described, self._args[self._arg :]))})")
        return "".join(self._parts)

    def _verb(self) -> None:
        self._index_is_good, self._after_index = True, False
        flags = self._flags()
        self._index()
        width = self._width(flags)
        precision = self._precision()
        if not self._after_index:
            self._index()
        verb = self._char()
        self._pos += 1
        if not verb:
            self._parts.append("%!(NOVERB)")
        elif verb == "%":
            self._parts.append("%")
        elif not self._index_is_good:
            self._parts.append(f"%!{verb}(BADINDEX)")
        elif self._arg >= len(self._args):
            self._parts.append(f"%!{verb}(MISSING)")
        else:
            self._parts.append(format_value(self._args[self._arg], verb, _spec(verb, flags, width, precision)))
            self._arg += 1

    def _char(self) -> str:
        return self._form[self._pos : self._pos + 1]

    def _flags(self) -> set[str]:
        flags: set[str] = set()
        while self._char() in _FLAGS:
            flags.add(_FLAGS[self._char()])
            self._pos += 1
        return flags

    def _index(self) -> None:
        """Read ``[2]``, which chooses the argument, if it is there."""
        self._after_index = self._char() == "["
        if not self._after_index:
            return
        self._reordered = True
        close = self._form.find("]", self._pos)
        if close < 0:
            self._index_is_good = self._after_index = False
            self._pos += 1
            return
        digits = self._form[self._pos + 1 : close]
        self._pos = close + 1
        is_number = digits.isascii() and digits.isdigit() and len(digits) <= len(str(LARGEST_NUMBER))
        if is_number and 1 <= int(digits) <= len(self._args):
            self._arg = int(digits) - 1
        else:
            self._index_is_good, self._after_index = False, is_number

    def _width(self, flags: set[str]) -> int | None:
        if self._char() == "*":
            width = self._number_of_argument()
            if width is None:
                self._parts.append("%!(BADWIDTH)")
            elif width < 0:
                width = -width
                flags.add("minus")
                flags.discard("zero")
            return width
        width = self._number()
        if self._after_index and width is not None:
            self._index_is_good = False
        return width

    def _precision(self) -> int | None:
        if self._char() != "." or self._pos + 1 >= len(self._form):
            return None
        self._pos += 1
        if self._after_index:
            self._index_is_good = False
        self._index()
        if self._char() == "*":
            precision = self._number_of_argument()
            if precision is None or precision < 0:
                self._parts.append("%!(BADPREC)")
                return None
            return precision
        return self._number() or 0

    def _number(self) -> int | None:
        start = self._pos
        while self._char() and self._char() in "0123456789":
            self._pos += 1
        digits = self._form[start : self._pos]
        if not digits:
            return None
        if len(digits) > len(str(LARGEST_NUMBER)) or int(digits) > LARGEST_NUMBER:
            # Go gives up on the whole rest of the format.
            self._pos = len(self._form)
            return None
        return int(digits)

    def _number_of_argument(self) -> int | None:
        self._pos += 1
        self._after_index = False
        if self._arg >= len(self._args):
            return None
        number = self._args[self._arg]
        self._arg += 1
        if isinstance(number, bool) or not isinstance(number, int) or abs(number) > LARGEST_NUMBER:
            return None
        return number


def _spec(verb: str, flags: set[str], width: int | None, precision: int | None) -> Spec:
    go_syntax = verb == "v" and "sharp" in flags
    if verb == "v":
        flags -= {"sharp", "plus"}
    return Spec(
        sharp="sharp" in flags,
        zero="zero" in flags,
        plus="plus" in flags,
        minus="minus" in flags,
        space="space" in flags,
        go_syntax=go_syntax,
        width=width,
        precision=precision,
    )


def _described(value: object) -> str:
    text = format_value(value, "v", Spec())
    return text if value is None else f"{type_name(value)}={text}"
