"""What a shell offers at the place of the cursor."""

from collections.abc import Sequence

import pytest

from prunner_trio.cli.completing import Candidate, complete
from prunner_trio.cli.flags import Kind
from prunner_trio.cli.table import PROGRAM

ASKED: list[tuple[str, tuple[str, ...]]] = []


def known(name: str, before: Sequence[str]) -> list[Candidate]:
    ASKED.append((name, tuple(before)))
    return {
        "PIPELINE": [Candidate("build"), Candidate("site")],
        "JOB": [Candidate("latest"), Candidate("0123abcd")],
        "TASK": [Candidate("compile"), Candidate("compress")],
    }.get(name, [])


def offered(*words: str) -> list[str]:
    return [candidate.word for candidate in complete(PROGRAM, words, known)]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["tri"], ["trigger"]),
        (["sto"], ["store"]),
        (["store", ""], ["check", "backup", "export"]),
        (["help", "wa"], ["wait", "watch"]),
        (["trigger", ""], ["build", "site"]),
        (["trigger", "s"], ["site"]),
        (["trigger", "site", ""], []),
        (["trigger", "-v", "a=b", "s"], ["site"]),
        (["trigger", "--wait", "s"], ["site"]),
        (["show", ""], ["latest", "0123abcd"]),
        (["--address", "a:1", "show", "l"], ["latest"]),
        (["logs", "latest", "--task", "comp"], ["compile", "compress"]),
        (["logs", "latest", "--task=compi"], ["--task=compile"]),
        (["logs", "--stream", "std"], ["stdout", "stderr"]),
        (["jobs", "--state", "er"], ["error"]),
        (["jobs", "--state", "error,can"], ["error,canceled"]),
        (["jobs", "--state=done,w"], ["--state=done,waiting"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
        (["cancel", "--wa"], ["--wait"]),
        (["cancel", "--he"], ["--help"]),
        (["nonsense", ""], []),
        (["--containment", "c"], ["cgroup"]),
        (["--watch=f"], ["--watch=false"]),
    ],
)
def test_words_and_values_are_offered_where_they_may_stand(words: list[str], found: list[str]) -> None:
    assert offered(*words) == found


def test_every_command_and_every_flag_is_offered_with_its_meaning() -> None:
    first = {candidate.word: candidate.meaning for candidate in complete(PROGRAM, [""], known)}
    assert set(first) == {command.name.split()[0] for command in PROGRAM.commands} | {"help"}
    for command in PROGRAM.commands:
        flags = {each.word: each.meaning for each in complete(PROGRAM, [*command.name.split(), "--"], known)}
        assert {f"--{flag.name}": flag.doc for flag in command.flags}.items() <= flags.items()
        assert "--help" in flags


def test_nothing_is_asked_of_a_daemon_that_the_table_knows() -> None:
    ASKED.clear()
    offered("tri")
    offered("jobs", "--state", "")
    offered("cancel", "--")
    assert ASKED == []


def test_what_a_daemon_is_asked_comes_with_the_words_before() -> None:
    ASKED.clear()
    offered("--address", "a:1", "logs", "site", "--task", "")
    assert ASKED == [("TASK", ("--address", "a:1", "logs", "site", "--task"))]


def test_switches_of_the_table_never_take_the_next_word() -> None:
    for command in PROGRAM.commands:
        if command.operands == ("JOB",):
            for flag in command.flags:
                if flag.kind is Kind.SWITCH:
                    assert offered(command.name, f"--{flag.name}", "l") == ["latest"]
