"""Dotenv files with prunner's rules, on python-dotenv's parser.

What differs from python-dotenv's own ``dotenv_values``: ``KEY: value`` is understood, ``${NAME}`` sees the names set
above it in the same file and nothing else, single quotes keep it as it is, and a line that cannot be understood is an
error.
"""

import io
import re
from collections.abc import Iterable
from pathlib import Path

from dotenv.parser import Binding, Reader, parse_binding

from prunner_trio.errors import PrunnerError

__all__ = ["InvalidDotenv", "parse_dotenv", "read_dotenv_files"]

_YAML_STYLE = re.compile(r"\s*(?:export[^\S\r\n]+)?[\w.]+[^\S\r\n]*(:)")
_NAME = re.compile(r"[\w.]+")
_REFERENCE = re.compile(r"\\\$|\$\{([A-Z0-9_]+)\}|\$([A-Z0-9_]+)")
_SINGLE_QUOTED = re.compile(r"[^=]*=[^\S\r\n]*'")


class InvalidDotenv(PrunnerError):
    """A dotenv file cannot be understood or read."""

    def __init__(self, file: str, line: int, problem: str) -> None:
        self.file = file
        self.line = line
        self.problem = problem
        super().__init__(f"loading env file {file}{f':{line}' if line else ''}: {problem}")


def read_dotenv_files(files: Iterable[str], folder: Path) -> dict[str, str]:
    """Read dotenv files relative to `folder`; later files win, missing ones are ignored.

    Raises:
        InvalidDotenv: a file is broken or cannot be read.
    """
    found: dict[str, str] = {}
    for file in files:
        try:
            content = (folder / file).read_bytes()
        except FileNotFoundError:
            continue
        except OSError as exc:
            raise InvalidDotenv(file, 0, exc.strerror or str(exc)) from exc
        try:
            text = content.decode()
        except UnicodeDecodeError as exc:
            raise InvalidDotenv(file, content.count(b"\n", 0, exc.start) + 1, "not a text in UTF-8") from exc
        found |= parse_dotenv(text, file)
    return found


def parse_dotenv(text: str, file: str = ".env") -> dict[str, str]:
    """Understand the text of one dotenv file.

    Raises:
        InvalidDotenv: with the line of the first problem.
    """
    values: dict[str, str] = {}
    reader = Reader(io.StringIO(text))
    while reader.has_next():
        if yaml_style := _YAML_STYLE.match(reader.string, reader.position.chars):
            colon = yaml_style.start(1)
            reader.string = f"{reader.string[:colon]}={reader.string[colon + 1 :]}"
        binding = parse_binding(reader)
        if problem := _problem(binding):
            blank = len(binding.original.string) - len(binding.original.string.lstrip())
            above = binding.original.string[:blank].count("\n")
            raise InvalidDotenv(file, binding.original.line + above, problem)
        if binding.key is not None and binding.value is not None:
            values[binding.key] = _expand(binding, values)
    return values


def _problem(binding: Binding) -> str:
    if binding.error:
        return "expected NAME=value; is a quote left open?"
    if binding.key is None:
        return ""
    if not _NAME.fullmatch(binding.key):
        return f"{binding.key!r} is not the name of a variable"
    if binding.value is None:
        return f"{binding.key} has no value; write {binding.key}= for an empty one"
    return "the value contains a null character" if "\0" in binding.value else ""


def _expand(binding: Binding, values: dict[str, str]) -> str:
    value = binding.value or ""
    if "$" not in value or _SINGLE_QUOTED.match(binding.original.string):
        return value

    def replacement(match: re.Match[str]) -> str:
        name = match.group(1) or match.group(2)
        return values.get(name, "") if name else "$"

    return _REFERENCE.sub(replacement, value)
