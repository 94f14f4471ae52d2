"""From entries to shell text, without a shell."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunner_trio.definition.script import ShellText, compile_script, quote, shell_shows


def compiled(*entries: str, shell: str = "bash", keep_going: bool = False) -> ShellText:
    return compile_script(entries, shell=shell, keep_going=keep_going, cwd="/work dir")


@pytest.mark.parametrize("entries", [(), ("",), ("", "  \n"), ("# only a comment", "\t# another\n\n# and one more")])
def test_a_script_without_commands_is_nothing_to_do(entries: tuple[str, ...]) -> None:
    assert compiled(*entries) == ShellText((), None, None)


@pytest.mark.parametrize("entry", ["#" * 200 + "\nx", "\r", "\u00a0", "# a\n# b\nx", "x # a"])
def test_what_only_looks_blank_is_left_to_the_shell(entry: str) -> None:
    assert f"eval {quote(entry)};" in (compiled(entry).script or "")


@pytest.mark.parametrize("shell", ["bash", "sh", "dash", "/bin/sh", "/opt/bin/bash", "zsh"])
def test_the_shell_is_called_as_it_was_named_and_messages_carry_its_name(shell: str) -> None:
    text = compiled("echo a", shell=shell)
    assert text.argv[:2] == (shell, "-c")
    assert text.argv[3] == shell.rpartition("/")[2]


@given(st.lists(st.text(min_size=1), min_size=1))
def test_no_text_of_a_script_is_among_the_arguments(entries: list[str]) -> None:
    assert compiled(*entries).argv in ((), compiled("echo").argv)


def test_a_script_does_not_show_in_messages_about_it() -> None:
    assert "secret" not in repr(compiled("echo secret | cat"))


SIMPLE = {
    "/bin/true": ("/bin/true",),
    "  make   all \n": ("make", "all"),
    "make -j2 'a b' x='1 2'": ("make", "-j2", "a b", "x=1 2"),
    "sleep 71.1": ("sleep", "71.1"),
    "./run.sh --to=a,b c:d e@f 5%": ("./run.sh", "--to=a,b", "c:d", "e@f", "5%"),
    "python3 -c 'print(\"a\"); import os  # $HOME'": ("python3", "-c", 'print("a"); import os  # $HOME'),
    "git commit -m 'it''s'": ("git", "commit", "-m", "its"),
    "cp 'a\nb' ''": ("cp", "a\nb", ""),
    "/bin/echo a": ("/bin/echo", "a"),
}

NOT_SIMPLE = [
    "echo a",
    "true",
    "cd /",
    "exec make",
    "time make",
    "! make",
    "env",
    "/usr/bin/env",
    "printenv PATH",
    "A=1 make",
    "=make",
    "%1",
    "-x",
    "'make' all",
    "make $HOME",
    "make `date`",
    "make ~",
    "make a=~",
    "make *.c",
    "make a?",
    "make [ab]",
    "make {a,b}",
    "make a\\ b",
    'make "a b"',
    "make # comment",
    "make > log",
    "make 2>&1",
    "make < in",
    "make &",
    "make; make",
    "make\nmake",
    "make | cat",
    "make && make",
    "(make)",
    "{ make; }",
    "if make",
    "make 'open",
    "make $'a'",
    "make ^a",
    "make ü",
    "make\ta\rb",
    "make !$",
]


@pytest.mark.parametrize("entry", SIMPLE)
@pytest.mark.parametrize("shell", ["bash", "sh", "/bin/dash"])
def test_one_plain_command_needs_no_shell(entry: str, shell: str) -> None:
    text = compiled(entry, shell=shell)
    assert text.simple == SIMPLE[entry]
    assert list(text.simple or ()) == shlex.split(entry)
    assert text.script is not None


@pytest.mark.parametrize("entry", NOT_SIMPLE)
def test_what_a_shell_may_understand_is_left_to_the_shell(entry: str) -> None:
    assert compiled(entry).simple is None


@given(st.text(st.sampled_from("ab/.' \t\n$`\\\"*?[]{}~#&|;<>()!=%-"), min_size=1, max_size=12))
def test_a_command_that_needs_no_shell_means_what_posix_says(entry: str) -> None:
    simple = compiled(entry).simple
    if simple is not None:
        assert list(simple) == shlex.split(entry)
        assert not set('$`\\"*?[]{}~#&|;<>()!') & set("".join(entry.split("'")[::2]))


def test_blank_entries_do_not_make_a_command_less_simple() -> None:
    assert compiled("", "make all", "# done").simple == ("make", "all")
    assert compiled("make all", "make install").simple is None


def test_an_unknown_shell_always_has_its_say() -> None:
    assert compiled("make all", shell="zsh").simple is None


@pytest.mark.parametrize(
    ("env", "shows"),
    [
        ({}, False),
        ({"PATH": "/bin"}, False),
        ({"BASH_ENV": "x"}, True),
        ({"ENV": "x"}, True),
        ({"BASH_FUNC_f%%": "()"}, True),
    ],
)
def test_start_up_files_and_functions_in_the_environment_call_for_a_shell(env: dict[str, str], shows: bool) -> None:
    assert shell_shows(env) is shows


@given(st.text())
def test_a_quoted_text_is_one_word(text: str) -> None:
    assert shlex.split(quote(text)) == [text]


@given(st.lists(st.text(min_size=1).filter(lambda text: text.strip("\n\t ")), min_size=2, max_size=5))
def test_every_entry_is_in_the_text_as_one_quoted_word(entries: list[str]) -> None:
    script = compiled(*[f"x{entry}" for entry in entries]).script
    assert script is not None
    for entry in entries:
        assert f"eval {quote('x' + entry)};" in script
