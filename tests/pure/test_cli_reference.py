"""docs/cli.md says of the commands what --help says of them."""

import re
from pathlib import Path

import pytest

from prunner_trio.cli.flags import Kind, command_help
from prunner_trio.cli.reference import filled, parts
from prunner_trio.cli.status import EXITS
from prunner_trio.cli.table import PROGRAM

DOCUMENT = Path(__file__).parents[2] / "docs" / "cli.md"


def test_the_document_is_made_from_the_table() -> None:
    """If this fails: python -m prunner_trio.cli.reference docs/cli.md."""
    text = DOCUMENT.read_text(encoding="utf-8")
    assert filled(text, parts(PROGRAM)) == text


def test_the_table_of_the_daemon_has_every_flag_with_its_variable_and_default() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    written = re.findall(r"^\| `--([a-z-]+)[^|]*\| ([^|]*)\| ([^|]*)\|.*\|$", text, re.MULTILINE)
    rows = {name: (variable.strip(" `"), default.strip(" `")) for name, variable, default in written}
    switch = {True: "false", False: ""}
    for flag in PROGRAM.flags:
        default = flag.default or switch[flag.kind is Kind.SWITCH and bool(flag.variable)]
        assert rows.get(flag.name) == (flag.variable, default), flag.name


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
