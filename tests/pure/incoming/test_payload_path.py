"""Paths into a payload: which there are, what they find, and what is said when they find nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunner_trio.definition.payload_path import Absent, find, parse_path

PAYLOAD = {
    "ref": "refs/heads/main",
    "head_commit": None,
    "commits": [{"id": "a1", "author": {"name": "Jane"}}, {"id": "b2", "author": {}}],
    "a.b": {"c d": 5, '"': False},
    "n": 0,
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("ref", "refs/heads/main"),
        ("n", 0),
        ("commits[0].author.name", "Jane"),
        ("commits[-1].id", "b2"),
        ('["a.b"]["c d"]', 5),
        ('["a.b"]["\\""]', False),
        ('["commits"][1]["id"]', "b2"),
        ('["ref"]', "refs/heads/main"),
    ],
)
def test_a_path_leads_to_a_field(path: str, expected: object) -> None:
    assert find(parse_path(path), PAYLOAD) == expected


@pytest.mark.parametrize(
    ("path", "place", "reason"),
    [
        ("reff", ("reff",), "is missing"),
        ("head_commit", ("head_commit",), "is null"),
        ("head_commit.id", ("head_commit",), "is null"),
        ("commits[1].author.name", ("commits", 1, "author", "name"), "is missing"),
        ("commits[2].id", ("commits", 2), "is missing, since the list has 2 entries"),
        ("commits[-3]", ("commits", -3), "is missing, since the list has 2 entries"),
        ("commits.id", ("commits", "id"), "is missing, since a list has no members"),
        ("ref[0]", ("ref", 0), "is missing, since a string is no list"),
        ("n.x", ("n", "x"), "is missing, since a number has no members"),
        ('["a.b"][0]', ("a.b", 0), "is missing, since an object is no list"),
        ('["a.b"]["\\""].x', ("a.b", '"', "x"), "is missing, since a boolean has no members"),
    ],
)
def test_where_a_path_ends_is_told(path: str, place: tuple[object, ...], reason: str) -> None:
    with pytest.raises(Absent) as told:
        find(parse_path(path), PAYLOAD)
    assert (told.value.steps, told.value.reason) == (place, reason)


@pytest.mark.parametrize("path", ["@branch", "@delivery", "@event", "@hook"])
def test_a_fact_is_one_step(path: str) -> None:
    assert parse_path(path) == (path,)


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("", "is empty"),
        ("a..b", "lacks a name at character 3"),
        (".a", "lacks a name at character 1"),
        ("$.a", "lacks a name at character 1"),
        ("a.", "lacks a name at character 3"),
        ("a b", "has ' ' at character 2"),
        ("a[x]", "has '[' at character 2"),
        ("a[1", "has '[' at character 2"),
        ("a[1]b", "has 'b' at character 5"),
        ("[0].a", "begins with a place in a list"),
        ('["a', "that does not end"),
        ('["a".b', "lacks a ] at character 5"),
        ("@sender", "there are @branch, @delivery, @event, @hook"),
        ("a" + ".a" * 40, "more than 32 steps"),
    ],
)
def test_what_is_no_path_is_refused(path: str, problem: str) -> None:
    with pytest.raises(ValueError, match=r"(is|has|lacks|begins) ") as told:
        parse_path(path)
    assert problem in str(told.value)


@given(st.text(max_size=40))
def test_any_text_is_a_path_or_is_refused(text: str) -> None:
    try:
        steps = parse_path(text)
    except ValueError:
        return
    with pytest.raises(Absent):
        find(steps, {})
