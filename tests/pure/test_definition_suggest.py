"""What a mistyped name was meant to be."""

import pytest

from prunner_trio.definition.suggest import closest

KEYS = ["script", "depends_on", "env", "allow_failure", "timeout", "kill_timeout"]
MEANT = {
    "scripts": "script",
    "scrip": "script",
    "SCRIPT": "script",
    "dependsOn": "depends_on",
    "depends-on": "depends_on",
    "depend_on": "depends_on",
    "allowfailures": "allow_failure",
    "time_out": "timeout",
    "killtimeout": "kill_timeout",
    "banana": None,
    "": None,
    "_": None,
    "script" * 20: None,
}


@pytest.mark.parametrize("word", MEANT)
def test_a_word_is_taken_for_the_key_most_like_it_or_none(word: str) -> None:
    assert closest(word, KEYS) == MEANT[word]


def test_of_equals_the_first_by_name_is_meant() -> None:
    assert closest("bat", ["cat", "bar", "hat"]) == "bar"


def test_long_candidates_are_passed_over() -> None:
    assert closest("script", ["script" * 20]) is None
    assert closest("script", ["script" * 20, "scripts"]) == "scripts"


def test_without_candidates_nothing_is_meant() -> None:
    assert closest("script", []) is None
