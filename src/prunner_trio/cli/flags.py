"""Go-style flags from a table: parsing, environment variables, defaults, help texts. Pure.

The values here are named tuples and not attrs classes, as elsewhere: importing attrs takes longer than all the rest of
``--help``.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import NamedTuple

__all__ = [
    "Command",
    "Flag",
    "Kind",
    "Parsed",
    "Program",
    "UsageError",
    "Values",
    "command_help",
    "flag_facts",
    "parse",
    "program_help",
    "usage_of",
]

_TRUE = frozenset({"1", "t", "T", "true", "True", "TRUE"})
_FALSE = frozenset({"0", "f", "F", "false", "False", "FALSE"})
_COLUMN = 28
_LIKENESS = 0.7
"""Of what was typed and what may be meant; with less, short words are like many that have nothing to do with them."""


class UsageError(Exception):
    """The command line cannot be understood.

    Attributes:
        hint: what to try instead; may be empty.
        command: the command whose part of the line it is; empty: none yet.
    """

    command = ""

    def __init__(self, message: str, hint: str = "") -> None:
        self.message = message
        self.hint = hint
        super().__init__(message)


class Kind(Enum):
    """How the value of a flag is read."""

    SWITCH = "switch"
    """`--watch`, `--watch=false`; never takes the next word."""
    TEXT = "text"
    LIST = "list"
    """May be repeated, and each value may be a list with commas."""
    REPEATED = "repeated"
    """May be repeated; commas mean nothing."""


class Flag(NamedTuple):
    """One flag.

    Attributes:
        name: without dashes.
        default: as it would be written on the command line.
        variable: the environment variable that stands in for a missing flag; empty: none.
        short: a second name of one letter; empty: none.
        value: what the help calls its value.
        check: raises ``ValueError`` with what is allowed if the value cannot be used.
        choices: the only values that there are; of a list, for each of its parts. Empty: any value.
    """

    name: str
    doc: str
    kind: Kind = Kind.TEXT
    default: str = ""
    variable: str = ""
    short: str = ""
    value: str = "VALUE"
    check: Callable[[str], object] | None = None
    choices: tuple[str, ...] = ()


class Command(NamedTuple):
    """One command.

    Attributes:
        name: one word or two.
        doc: one line, no period.
        example: at least one line that runs as written.
        operands: the names of its operands, all of which must be given.
        optional: the names of operands that may follow.
        flags: those that only this command has.
        shared: the names of the program's flags that it uses; it takes them behind its name as well.
        details: whole paragraphs for its help.
    """

    name: str
    doc: str
    example: str
    operands: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    flags: tuple[Flag, ...] = ()
    shared: tuple[str, ...] = ()
    details: str = ""


class Program(NamedTuple):
    """The whole table."""

    doc: str
    flags: tuple[Flag, ...]
    commands: tuple[Command, ...]


class Values:
    """The values of all flags in use, by name, each checked already."""

    def __init__(self, given: Mapping[str, tuple[str, ...]]) -> None:
        self._given = given

    def text(self, name: str) -> str:
        """Return the value of a flag that may be given once; the last one counts."""
        given = self._given[name]
        return given[-1] if given else ""

    def switch(self, name: str) -> bool:
        """Return whether a switch is on."""
        return self.text(name) in _TRUE

    def list(self, name: str) -> tuple[str, ...]:
        """Return all values of a flag that may be repeated."""
        return self._given[name]


class Parsed(NamedTuple):
    """A command line that was understood.

    Attributes:
        command: None stands for the daemon.
        help: the help was asked for; then there are neither values nor operands.
    """

    command: Command | None
    values: Values
    operands: tuple[str, ...]
    help: bool = False


def parse(program: Program, arguments: Sequence[str], environ: Mapping[str, str]) -> Parsed:
    """Understand a command line: flags win over variables, variables over defaults.

    Flags of the program stand in front of the command; behind it stand its own flags and those of the program that it
    uses, in any order with its operands. ``--`` ends the flags.

    Raises:
        UsageError: an unknown flag, command or operand, or a value of the wrong form.
    """
    given: dict[str, list[str]] = {}
    rest, wants_help = _read_flags(program.flags, arguments, given)
    if not rest:
        return _finish(program, None, given, (), environ, wants_help)
    if rest[0] == "help":
        command = _find_command(program, rest[1:])[0] if rest[1:] else None
        return Parsed(command, Values({}), (), help=True)
    command, rest = _find_command(program, rest)
    shared = tuple(flag for flag in program.flags if flag.name in command.shared)
    operands: list[str] = []
    try:
        while rest:
            rest, asked = _read_flags((*command.flags, *shared), rest, given, operands)
            wants_help = wants_help or asked
        return _finish(program, command, given, tuple(operands), environ, wants_help)
    except UsageError as exc:
        exc.command = command.name
        raise


def _finish(
    program: Program,
    command: Command | None,
    given: Mapping[str, Sequence[str]],
    operands: tuple[str, ...],
    environ: Mapping[str, str],
    wants_help: bool,
) -> Parsed:
    if wants_help:
        return Parsed(command, Values({}), (), help=True)
    if command is None:
        in_use = program.flags
    else:
        in_use = (*command.flags, *(flag for flag in program.flags if flag.name in command.shared))
        _check_operands(command, operands)
    values = {flag.name: _resolve(flag, given.get(flag.name), environ) for flag in in_use}
    return Parsed(command, Values(values), operands)


def _check_operands(command: Command, operands: tuple[str, ...]) -> None:
    if len(operands) < len(command.operands):
        raise UsageError(
            f"{command.name} needs {' '.join(command.operands[len(operands) :])}",
            f"such as {command.example.splitlines()[0]}",
        )
    most = len(command.operands) + len(command.optional)
    if len(operands) > most:
        raise UsageError(f"{command.name} does not know what to do with {operands[most]!r}")


def _find_command(program: Program, words: Sequence[str]) -> tuple[Command, list[str]]:
    by_name = {command.name: command for command in program.commands}
    for length in (2, 1):
        if found := by_name.get(" ".join(words[:length])):
            return found, list(words[length:])
    longer = [command for command in program.commands if command.name.split()[0] == words[0]]
    if longer and (len(words) == 1 or words[1].startswith("-")):
        if any(word.lstrip("-") in ("help", "h") for word in words[1:]):
            return longer[0], ["--help"]
        raise UsageError(f"{words[0]} needs a command: {', '.join(c.name.split()[1] for c in longer)}")
    typed = " ".join(words[:2]) if longer else words[0]
    raise UsageError(f"unknown command {typed!r}", _did_you_mean(typed, [*by_name, "help"]))


def _read_flags(
    flags: Sequence[Flag], words: Sequence[str], given: dict[str, list[str]], operands: list[str] | None = None
) -> tuple[list[str], bool]:
    """Read flags into `given`; return what follows them and whether help was asked for.

    Without `operands` the first word that is no flag ends it; with them, such words are gathered there.
    """
    known = {name: flag for flag in flags for name in (flag.name, flag.short) if name}
    rest = list(words)
    wants_help = False
    while rest:
        word = rest.pop(0)
        if word == "--":
            if operands is None:
                return rest, wants_help
            operands.extend(rest)
            return [], wants_help
        if not word.startswith("-") or word == "-":
            if operands is None:
                return [word, *rest], wants_help
            operands.append(word)
            continue
        name, equals, value = word.removeprefix("-").removeprefix("-").partition("=")
        flag = known.get(name)
        if flag is None:
            if name in ("help", "h"):
                wants_help = True
                continue
            raise UsageError(f"unknown flag {word.split('=')[0]}", _did_you_mean(name, [f.name for f in flags], "--"))
        if not equals:
            if flag.kind is Kind.SWITCH:
                value = "true"
            elif rest:
                value = rest.pop(0)
            else:
                raise UsageError(f"flag --{flag.name} needs a value")
        _check(flag, value, f"flag --{flag.name}")
        given.setdefault(flag.name, []).append(value)
    return [], wants_help


def _resolve(flag: Flag, given: Sequence[str] | None, environ: Mapping[str, str]) -> tuple[str, ...]:
    if given is None:
        text = environ.get(flag.variable) if flag.variable else None
        if text is not None and (text or flag.kind is Kind.LIST):
            _check(flag, text, f"variable {flag.variable}")
            given = [text]
        else:
            given = [flag.default] if flag.default else []
    if flag.kind is Kind.LIST:
        return tuple(part.strip() for text in given for part in text.split(",") if part.strip())
    return tuple(given)


def _check(flag: Flag, value: str, place: str) -> None:
    if flag.kind is Kind.SWITCH and value not in _TRUE | _FALSE:
        raise UsageError(f"{place}: {value!r} is neither true nor false")
    if flag.choices:
        for part in (part.strip() for part in (value.split(",") if flag.kind is Kind.LIST else (value,))):
            if part not in flag.choices and (part or flag.kind is not Kind.LIST):
                hint = _did_you_mean(part, flag.choices)
                raise UsageError(f"{place}: {part!r} is none of {', '.join(flag.choices)}", hint)
    if flag.check is not None:
        try:
            flag.check(value)
        except ValueError as exc:
            raise UsageError(f"{place}: {exc}") from exc


def _did_you_mean(typed: str, known: Sequence[str], prefix: str = "") -> str:
    import difflib

    close = difflib.get_close_matches(typed, known, n=1, cutoff=_LIKENESS)
    return f"did you mean {prefix}{close[0]}?" if close else ""


# ------------------------------------------------------------------------------------------------------------- help


def program_help(program: Program, name: str) -> str:
    """Return the help of the program, under the name by which it was called."""
    width = max(len(command.name) for command in program.commands) + 3
    lines = [
        f"{name}: {program.doc}",
        "",
        "Usage:",
        f"  {name} [flags]                    run the daemon in the foreground",
        f"  {name} [flags] COMMAND ...        run a command; {name} COMMAND --help tells more",
        "",
        "Commands:",
        *(f"  {command.name.ljust(width)}{command.doc}" for command in program.commands),
        f"  {'help'.ljust(width)}show this text, or with a command behind it that command's",
        "",
        "Flags (a flag wins over its variable; -x is the same as --x):",
        *(line for flag in program.flags for line in _flag_lines(flag)),
        *_entry("--help, -h", ["show this text"]),
    ]
    return "\n".join(lines) + "\n"


def command_help(program: Program, command: Command, name: str) -> str:
    """Return the help of one command, under the name by which the program was called."""
    shared = [flag for flag in program.flags if flag.name in command.shared]
    flags = [*command.flags, *shared]
    usage = " ".join([name, usage_of(command), *(["[flags]"] if flags else [])])
    lines = [f"{command.doc[0].upper()}{command.doc[1:]}.", "", "Usage:", f"  {usage}"]
    if command.details:
        lines += ["", *command.details.strip().splitlines()]
    lines += ["", "Example:", *(f"  {line}" for line in command.example.replace("prunner-trio", name).splitlines())]
    if flags:
        lines += ["", "Flags:", *(line for flag in flags for line in _flag_lines(flag))]
    return "\n".join(lines) + "\n"


def usage_of(command: Command) -> str:
    """Return a command with its operands, those in brackets that may be left out."""
    return " ".join([command.name, *command.operands, *(f"[{name}]" for name in command.optional)])


def _flag_lines(flag: Flag) -> list[str]:
    title = f"--{flag.name}" + (f", -{flag.short}" if flag.short else "")
    if flag.kind is not Kind.SWITCH:
        title += f" {flag.value}"
    return _entry(title, [flag.doc, *([f"({facts})"] if (facts := flag_facts(flag)) else [])])


def flag_facts(flag: Flag) -> str:
    """Return what else there is to know of a flag, with commas between."""
    facts = []
    if flag.variable:
        facts.append(f"variable {flag.variable}")
    if flag.default or (flag.kind is Kind.SWITCH and flag.variable):
        facts.append(f"default {flag.default or 'false'}")
    if flag.kind in (Kind.LIST, Kind.REPEATED):
        facts.append("may be repeated")
    return ", ".join(facts)


def _entry(title: str, texts: Sequence[str]) -> list[str]:
    first = f"  {title}"
    lines = [f"{first.ljust(_COLUMN)}{texts[0]}"] if len(first) < _COLUMN else [first, " " * _COLUMN + texts[0]]
    return lines + [" " * _COLUMN + text for text in texts[1:]]
