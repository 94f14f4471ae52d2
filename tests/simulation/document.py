"""Writes the tables of docs/invariants.md, so that they say what is checked and not what once was."""

import re
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
        text = _section(name).sub(lambda match, table=table: f"{match[1]}{table}\n{match[3]}", text)
    PATH.write_text(text)


def written(name: str) -> str:
    """Return the table that is in the document now.

    Raises:
        LookupError: there is none of this name.
    """
    match = _section(name).search(PATH.read_text())
    if match is None:
        raise LookupError(f"{PATH} has no table of {name}")
    return match[2]


def _section(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {name} -->\n)(.*?)\n?(<!-- end of {name} -->)", re.DOTALL)
