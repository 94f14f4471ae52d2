"""docs/cli.md says of the commands what --help says of them."""

from pathlib import Path

import pytest

from prunner_trio.cli.flags import command_help
from prunner_trio.cli.reference import filled, parts
from prunner_trio.cli.status import EXITS
from prunner_trio.cli.table import PROGRAM

DOCUMENT = Path(__file__).parents[2] / "docs" / "cli.md"


def test_the_document_is_made_from_the_table() -> None:
    """If this fails: python -m prunner_trio.cli.reference docs/cli.md."""
    text = DOCUMENT.read_text(encoding="utf-8")
    assert filled(text, parts(PROGRAM)) == text


def test_a_document_without_the_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="substring"):
        filled("nothing", parts(PROGRAM))


def test_every_command_flag_and_exit_status_is_in_it() -> None:
    made = parts(PROGRAM)
    for command in PROGRAM.commands:
        assert f"\n#### {command.name}\n" in made["commands"]
        for flag in command.flags:
            assert f"--{flag.name}" in made["commands"]
            assert f"--{flag.name}" in command_help(PROGRAM, command, "prunner-trio")
    for status, _ in EXITS:
        assert f"\n| {status} |" in made["exit statuses"]
