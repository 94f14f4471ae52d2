"""What may stand at the place of the cursor: from the program's table. Pure, but for what `known` looks up."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from prunner_trio.cli.flags import Command, Flag, Kind, Program

__all__ = ["Candidate", "Known", "complete"]

Known = Callable[[str, Sequence[str]], Iterable["Candidate"]]
"""Looks up what only a daemon or a directory knows, by the name of an operand or value, such as ``JOB``; the words that
stand before tell of which daemon, and of which job."""

SHELLS = ("bash", "zsh", "fish")


class Candidate(NamedTuple):
    """A word that fits, and what it means; may be empty."""

    word: str
    meaning: str = ""


def complete(program: Program, words: Sequence[str], known: Known) -> list[Candidate]:
    """Return what fits to the last word, which may be empty; the name of the program is not among the words."""
    *before, last = words or ("",)
    command, rest = _command(program, before)
    flags = _flags(program, command)
    if last.startswith("-") and "=" in last:
        name, _, begun = last.partition("=")
        flag = flags.get(name.lstrip("-"))
        found = [] if flag is None else _values(flag, begun, before, known)
        return [Candidate(f"{name}={each.word}", each.meaning) for each in found]
    if rest and (flag := _awaits_value(flags, rest)) is not None:
        return _values(flag, last, before, known)
    if last.startswith("-"):
        every = [Candidate(f"--{flag.name}", flag.doc) for flag in _unique(flags)]
        return _fitting(last, [*every, Candidate("--help", "show help")])
    if command is None:
        return _fitting(last, _next_words(program, before))
    return _operand(command, flags, rest, last, before, known)


def _command(program: Program, before: Sequence[str]) -> tuple[Command | None, list[str]]:
    """Return the command that stands before the cursor, and the words behind it or, without one, all words."""
    flags = _flags(program, None)
    places = _operands(flags, before)
    by_name = {command.name: command for command in program.commands}
    for length in (2, 1):
        if len(places) >= length and (found := by_name.get(" ".join(before[place] for place in places[:length]))):
            return found, list(before[places[length - 1] + 1 :])
    return None, list(before)


def _flags(program: Program, command: Command | None) -> dict[str, Flag]:
    if command is None:
        flags = program.flags
    else:
        flags = (*command.flags, *(flag for flag in program.flags if flag.name in command.shared))
    return {name: flag for flag in flags for name in (flag.name, flag.short) if name}


def _unique(flags: dict[str, Flag]) -> list[Flag]:
    return list({flag.name: flag for flag in flags.values()}.values())


def _awaits_value(flags: dict[str, Flag], words: Sequence[str]) -> Flag | None:
    """Return the flag whose value comes next, if the last word is one."""
    if not words[-1].startswith("-") or "=" in words[-1]:
        return None
    flag = flags.get(words[-1].removeprefix("-").removeprefix("-"))
    return None if flag is None or flag.kind is Kind.SWITCH else flag


def _operands(flags: dict[str, Flag], words: Sequence[str]) -> list[int]:
    """Return the places of the words that are neither flags nor their values."""
    found, skip = [], False
    for index, word in enumerate(words):
        if skip:
            skip = False
        elif word.startswith("-"):
            skip = _awaits_value(flags, [word]) is not None
        else:
            found.append(index)
    return found


def _next_words(program: Program, before: Sequence[str]) -> list[Candidate]:
    places = _operands(_flags(program, None), before)
    given = [before[place] for place in places]
    found = {"help": "show help"} if not given else {}
    for command in program.commands:
        names = command.name.split()
        if names[: len(given)] == given and len(names) > len(given):
            found.setdefault(names[len(given)], command.doc)
    if given == ["help"]:
        found = {command.name.split()[0]: command.doc for command in program.commands}
    return [Candidate(word, meaning) for word, meaning in found.items()]


def _operand(
    command: Command, flags: dict[str, Flag], rest: Sequence[str], last: str, before: Sequence[str], known: Known
) -> list[Candidate]:
    names = (*command.operands, *command.optional)
    place = len(_operands(flags, rest))
    if place >= len(names):
        return []
    if names[place] == "SHELL":
        return _fitting(last, map(Candidate, SHELLS))
    return _fitting(last, known(names[place], before))


def _values(flag: Flag, begun: str, before: Sequence[str], known: Known) -> list[Candidate]:
    front, comma, part = begun.rpartition(",") if flag.kind is Kind.LIST else ("", "", begun)
    if flag.kind is Kind.SWITCH:
        found: Iterable[Candidate] = map(Candidate, ("true", "false"))
    elif flag.choices:
        found = map(Candidate, flag.choices)
    else:
        found = known(flag.value, before)
    return [Candidate(f"{front}{comma}{each.word}", each.meaning) for each in _fitting(part, found)]


def _fitting(begun: str, candidates: Iterable[Candidate]) -> list[Candidate]:
    return [candidate for candidate in candidates if candidate.word.startswith(begun)]
