"""How a template is known, and what can go wrong with one."""

from prunner_trio.errors import PrunnerError

__all__ = ["LEFT", "Fault", "TemplateError"]

LEFT = "{{"
"""What every action begins with; a text without it is no template."""


class TemplateError(PrunnerError):
    """A template cannot be parsed or rendered; the text of the error is the one Go's text/template would give.

    Attributes:
        line: 1-based line of the template.
        column: offset in UTF-8 bytes from the start of the line, as Go counts; None if only the line is known.
    """

    def __init__(self, message: str, line: int, column: int | None = None) -> None:
        self.line = line
        self.column = column
        super().__init__(message)


class Fault(Exception):
    """A value or an argument does not fit.

    Raised by the code that knows values but not where the template asked for them; the evaluation turns it into a
    `TemplateError` with the place. It never leaves the package.
    """
