"""The generated part of docs/cli.md, from the same table as `--help`.

`python -m prunner_trio.cli.reference docs/cli.md` writes it anew.
"""

import re
import sys
from pathlib import Path

from prunner_trio.cli.flags import Command, Flag, Kind, Program, flag_facts, usage_of
from prunner_trio.cli.remote_table import DAEMON_FLAGS
from prunner_trio.cli.status import EXITS
from prunner_trio.cli.table import PROGRAM

__all__ = ["filled", "parts"]

_HEAD = "<!-- made from the program's own table: {} -->\n"
_TAIL = "<!-- end: {} -->\n"


def parts(program: Program) -> dict[str, str]:
    """Return the generated parts of the document by name."""
    return {
        "commands": _index(program) + "".join(f"\n{_section(command)}" for command in program.commands),
        "exit statuses": _exits(),
    }


def filled(document: str, made: dict[str, str]) -> str:
    """Return a document with its parts between their marks.

    Raises:
        ValueError: the marks of a part are not there.
    """
    for name, text in made.items():
        head, tail = _HEAD.format(name), _TAIL.format(name)
        start, end = document.index(head) + len(head), document.index(tail)
        document = f"{document[:start]}\n{text}\n{document[end:]}"
    return document


def _index(program: Program) -> str:
    lines = ["| command | |", "|---|---|"]
    lines += [f"| `{usage_of(command)}` | {_cell(command.doc)} |" for command in program.commands]
    return "\n".join([*lines, "| `help [COMMAND]` | the same as `--help` |"]) + "\n"


def _section(command: Command) -> str:
    lines = [f"#### {command.name}", "", f"{command.doc[0].upper()}{command.doc[1:]}.", ""]
    if command.details:
        lines += [*command.details.strip().splitlines(), ""]
    lines += ["```sh", *command.example.splitlines(), "```"]
    own = [flag for flag in command.flags if flag not in DAEMON_FLAGS]
    if own:
        lines += ["", "| flag | |", "|---|---|", *map(_flag, own)]
    also = [*(flag.name for flag in command.flags if flag in DAEMON_FLAGS), *command.shared]
    if also:
        lines += ["", f"Takes {', '.join(f'`--{name}`' for name in also)} as well."]
    return "\n".join(lines) + "\n"


def _flag(flag: Flag) -> str:
    title = f"`--{flag.name}" + ("" if flag.kind is Kind.SWITCH else f" {flag.value}") + "`"
    if flag.short:
        title += f", `-{flag.short}`"
    facts = flag_facts(flag)
    choices = f"; one of {', '.join(flag.choices)}" if flag.choices else ""
    return f"| {title} | {_cell(flag.doc)}{choices}{f' ({_cell(facts)})' if facts else ''} |"


def _exits() -> str:
    lines = ["| exit status | what it means |", "|---|---|", *(f"| {status} | {text} |" for status, text in EXITS)]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return re.sub(r"([|*])", r"\\\1", text)


def main() -> None:
    """Fill in the document that the first argument names."""
    path = Path(sys.argv[1])
    path.write_text(filled(path.read_text(encoding="utf-8"), parts(PROGRAM)), encoding="utf-8")


if __name__ == "__main__":
    main()
