"""What `quote` writes, read by a real shell."""

import subprocess

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from prunner_trio.definition.template import render

pytestmark = pytest.mark.real

# What an argument of a program can hold: no NUL, and text that has an UTF-8 form.
WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)))


def shell(script: str) -> str:
    return subprocess.run(["sh", "-c", script], check=True, capture_output=True, timeout=30).stdout.decode()


@settings(max_examples=40, deadline=None)
@given(WORDS)
@example("")
@example('it\'s "$HOME" `id` $(id) \\ \n ; & | < > * ? ~ ! # {a,b}')
@example("-n")
@example("\n\n")
def test_a_shell_reads_a_quoted_string_as_it_was(value: str) -> None:
    assert shell(render("printf %s {{quote .x}}", {"x": value})) == value


@settings(max_examples=20, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=5))
def test_a_shell_reads_a_quoted_list_as_one_word_per_item(values: list[str]) -> None:
    assert shell(render("printf '%s\\0' {{quote .x}}", {"x": values})).split("\0")[:-1] == values
