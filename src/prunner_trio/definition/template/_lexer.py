"""From text to tokens: finds the actions between ``{{`` and ``}}``, trims around them, and splits them into words."""

import re
from enum import Enum, auto

import attrs

from prunner_trio.definition.template._errors import LEFT
from prunner_trio.definition.template._literals import quote_string

__all__ = ["KEYWORDS", "Kind", "Lexer", "Token", "describe_char"]

RIGHT = "}}"
COMMENT_START = "/*"
COMMENT_END = "*/"
SPACES = " \t\r\n"
TRIM_MARKER_LENGTH = 2

KEYWORDS = frozenset(
    {"block", "break", "continue", "define", "else", "end", "if", "range", "template", "with"},
)


class Kind(Enum):
    """The kinds of tokens."""

    TEXT = auto()
    LEFT_DELIM = auto()
    RIGHT_DELIM = auto()
    SPACE = auto()
    KEYWORD = auto()
    IDENTIFIER = auto()
    FIELD = auto()
    VARIABLE = auto()
    DOT = auto()
    NIL = auto()
    BOOL = auto()
    CHAR_CONSTANT = auto()
    NUMBER = auto()
    STRING = auto()
    RAW_STRING = auto()
    LEFT_PAREN = auto()
    RIGHT_PAREN = auto()
    PIPE = auto()
    ASSIGN = auto()
    DECLARE = auto()
    OTHER = auto()
    ERROR = auto()
    EOF = auto()


@attrs.frozen
class Token:
    """One piece of a template: its text, its offset in characters, and the line (1-based) it starts on."""

    kind: Kind
    text: str
    pos: int
    line: int

    def __str__(self) -> str:
        """Describe the token the way Go's messages do."""
        if self.kind is Kind.ERROR:
            return self.text
        if self.kind in (Kind.KEYWORD, Kind.DOT, Kind.NIL):
            return f"<{self.text}>"
        if len(self.text) > 10:
            return quote_string(self.text[:10]) + "..."
        return quote_string(self.text)


_SCAN = {
    '"': (Kind.STRING, re.compile(r'"(?:[^"\\\n]|\\[^\n])*"'), "unterminated quoted string"),
    "'": (Kind.CHAR_CONSTANT, re.compile(r"'(?:[^'\\\n]|\\[^\n])*'"), "unterminated character constant"),
    "`": (Kind.RAW_STRING, re.compile(r"`[^`]*`"), "unterminated raw quoted string"),
}
# Accepts more than numbers, on purpose: what is wrong with one is said by whoever converts it.
_NUMBER = re.compile(
    r"[+-]?(?:0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]*)?"
    r"|0[oO][0-7_]*(?:\.[0-7_]*)?"
    r"|0[bB][01_]*(?:\.[01_]*)?"
    r"|[0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]*)?)i?"
)
_WORD_KINDS = {"nil": Kind.NIL, "true": Kind.BOOL, "false": Kind.BOOL}


def describe_char(char: str) -> str:
    """Describe a character as ``U+002D '-'``."""
    shown = f" '{char}'" if char.isprintable() else ""
    return f"U+{ord(char):04X}{shown}"


@attrs.define(eq=False)
class Lexer:
    """Hands out the tokens of one template, one at a time; after an error or the end, only EOF.

    Tokens are made on demand, because an error in the text must not hide one that the parser finds before it.
    """

    text: str
    _pos: int = 0
    _line: int = 1
    _counted: int = 0
    _in_action: bool = False
    _parens: int = 0

    def next(self) -> Token:
        """Return the next token."""
        return self._action_token() if self._in_action else self._text_token()

    def _token(self, kind: Kind, start: int, end: int) -> Token:
        self._pos = end
        return Token(kind, self.text[start:end], start, self._line_at(start))

    def _line_at(self, pos: int) -> int:
        self._line += self.text.count("\n", self._counted, pos)
        self._counted = pos
        return self._line

    def _error(self, start: int, message: str) -> Token:
        line = self._line_at(start)
        self.text, self._pos, self._counted, self._in_action = "", 0, 0, False
        return Token(Kind.ERROR, message, start, line)

    def _skip_spaces(self, pos: int) -> int:
        while pos < len(self.text) and self.text[pos] in SPACES:
            pos += 1
        return pos

    # Text, comments and delimiters

    def _text_token(self) -> Token:
        while True:
            start = self._pos
            delim = self.text.find(LEFT, start)
            if delim < 0:
                return self._token(Kind.TEXT if start < len(self.text) else Kind.EOF, start, len(self.text))
            trimmed = self._is_trim_marker_after(delim + len(LEFT))
            end = start + len(self.text[start:delim].rstrip(SPACES)) if trimmed else delim
            if end > start:
                token = self._token(Kind.TEXT, start, end)
                self._pos = delim
                return token
            inside = delim + len(LEFT) + (TRIM_MARKER_LENGTH if trimmed else 0)
            if not self.text.startswith(COMMENT_START, inside):
                token = self._token(Kind.LEFT_DELIM, delim, delim + len(LEFT))
                self._pos, self._in_action, self._parens = inside, True, 0
                return token
            error = self._skip_comment(inside)
            if error:
                return error

    def _skip_comment(self, start: int) -> Token | None:
        end = self.text.find(COMMENT_END, start + len(COMMENT_START))
        if end < 0:
            return self._error(start, "unclosed comment")
        end += len(COMMENT_END)
        delim = self._right_delim_at(end)
        if delim is None:
            return self._error(start, "comment ends before closing delimiter")
        self._pos = self._after_right_delim(delim, trimmed=delim > end)
        return None

    def _is_trim_marker_after(self, pos: int) -> bool:
        return self.text[pos : pos + 1] == "-" and self.text[pos + 1 : pos + 2] in tuple(SPACES)

    def _right_delim_at(self, pos: int) -> int | None:
        """Return where the ``}}`` starts if one, possibly with a trim marker before it, is at this place."""
        if self.text.startswith(RIGHT, pos):
            return pos
        marker = self.text[pos : pos + TRIM_MARKER_LENGTH]
        if marker[:1] in tuple(SPACES) and marker[1:] == "-" and self.text.startswith(RIGHT, pos + TRIM_MARKER_LENGTH):
            return pos + TRIM_MARKER_LENGTH
        return None

    def _after_right_delim(self, delim: int, *, trimmed: bool) -> int:
        end = delim + len(RIGHT)
        return self._skip_spaces(end) if trimmed else end

    # Inside an action

    def _action_token(self) -> Token:
        start = self._pos
        delim = self._right_delim_at(start)
        if delim is not None:
            if self._parens:
                return self._error(start, "unclosed left paren")
            token = self._token(Kind.RIGHT_DELIM, delim, delim + len(RIGHT))
            self._pos, self._in_action = self._after_right_delim(delim, trimmed=delim > start), False
            return token
        if start >= len(self.text):
            return self._error(start, "unclosed action")
        char = self.text[start]
        following = self.text[start + 1 : start + 2]
        if char in SPACES:
            return self._space(start)
        if char in _SCAN:
            return self._quoted(start, char)
        if char == "$" or (char == "." and following and not "0" <= following <= "9"):
            return self._name(start, Kind.VARIABLE if char == "$" else Kind.FIELD)
        if char in "+-.0123456789":
            return self._number(start)
        if _is_word_char(char):
            return self._word(start)
        return self._punctuation(start, char, following)

    def _space(self, start: int) -> Token:
        end = self._skip_spaces(start)
        # The last space of a run may belong to a trim marker; alone it is one and was recognized before.
        if end - start > 1 and self._right_delim_at(end - 1) == end - 1 + TRIM_MARKER_LENGTH:
            end -= 1
        return self._token(Kind.SPACE, start, end)

    def _quoted(self, start: int, quote: str) -> Token:
        kind, pattern, complaint = _SCAN[quote]
        found = pattern.match(self.text, start)
        if not found:
            return self._error(start, complaint)
        return self._token(kind, start, found.end())

    def _number(self, start: int) -> Token:
        end = self._number_end(start)
        is_complex = end < len(self.text) and self.text[end] in "+-"
        if is_complex:
            # Only an imaginary part may follow. The parser refuses complex numbers, but as one word.
            end = self._number_end(end)
        if end < len(self.text) and _is_word_char(self.text[end]):
            return self._error(start, f"bad number syntax: {quote_string(self.text[start : end + 1])}")
        if is_complex and self.text[end - 1] != "i":
            return self._error(start, f"bad number syntax: {quote_string(self.text[start:end])}")
        return self._token(Kind.NUMBER, start, end)

    def _number_end(self, start: int) -> int:
        found = _NUMBER.match(self.text, start)
        return found.end() if found else start

    def _name(self, start: int, kind: Kind) -> Token:
        end = self._word_end(start + 1)
        if not self._is_terminator(end):
            return self._error(start, f"bad character {describe_char(self.text[end])}")
        if kind is Kind.FIELD and end == start + 1:
            kind = Kind.DOT
        return self._token(kind, start, end)

    def _word(self, start: int) -> Token:
        end = self._word_end(start)
        if not self._is_terminator(end):
            return self._error(start, f"bad character {describe_char(self.text[end])}")
        word = self.text[start:end]
        if word in KEYWORDS:
            return self._token(Kind.KEYWORD, start, end)
        return self._token(_WORD_KINDS.get(word, Kind.IDENTIFIER), start, end)

    def _punctuation(self, start: int, char: str, following: str) -> Token:
        if char == ":":
            if following != "=":
                return self._error(start, "expected :=")
            return self._token(Kind.DECLARE, start, start + 2)
        if char == "(":
            self._parens += 1
            return self._token(Kind.LEFT_PAREN, start, start + 1)
        if char == ")":
            if not self._parens:
                return self._error(start, "unexpected right paren")
            self._parens -= 1
            return self._token(Kind.RIGHT_PAREN, start, start + 1)
        if char in "=|":
            return self._token(Kind.ASSIGN if char == "=" else Kind.PIPE, start, start + 1)
        if char.isascii() and char.isprintable():
            return self._token(Kind.OTHER, start, start + 1)
        return self._error(start, f"unrecognized character in action: {describe_char(char)}")

    def _word_end(self, pos: int) -> int:
        while pos < len(self.text) and _is_word_char(self.text[pos]):
            pos += 1
        return pos

    def _is_terminator(self, pos: int) -> bool:
        return pos >= len(self.text) or self.text[pos] in " \t\r\n.,|:()" or self.text.startswith(RIGHT, pos)


def _is_word_char(char: str) -> bool:
    return char == "_" or char.isalpha() or char.isdecimal()
