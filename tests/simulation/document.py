"""Writes the tables of docs/invariants.md, so that they say what is checked and not what once was."""

from collections.abc import Mapping
from pathlib import Path

from tests.simulation.invariants import INVARIANTS

__all__ = ["PATH", "invariants", "mutants", "write", "written"]

PATH = Path(__file__).resolve().parents[2] / "docs" / "invariants.md"


def invariants() -> str:
    """Return the table of all invariants."""
    return "\n".join(
        ["| name | promise |", "|---|---|", *(f"| {name} | {text} |" for name, text in INVARIANTS.items())]
    )


def mutants(found: Mapping[str, tuple[int, str]]) -> str:
    """Return the table of all mutants.

    Args:
        found: how many runs it took, and which invariant did not hold.
    """
    rows = [f"| {mutant} | {invariant} | {runs} |" for mutant, (runs, invariant) in found.items()]
    return "\n".join(["| what is broken | what does not hold | runs |", "|---|---|---|", *rows])


def write(found: Mapping[str, tuple[int, str]]) -> None:
    """Put both tables in the place of the old ones."""
    text = PATH.read_text()
    for name, table in (("invariants", invariants()), ("mutants", mutants(found))):
        start, end = _place(name, text)
        text = f"{text[:start]}{table}\n{text[end:]}"
    PATH.write_text(text)


def written(name: str) -> str:
    """Return the table that is in the document now.

    Raises:
        ValueError: there is no place for it.
    """
    text = PATH.read_text()
    start, end = _place(name, text)
    return text[start:end].strip()


def _place(name: str, text: str) -> tuple[int, int]:
    begin = f"<!-- {name} -->\n"
    return text.index(begin) + len(begin), text.index(f"<!-- end of {name} -->")
