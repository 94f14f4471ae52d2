"""What a token allows, read off its claims."""

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunner_trio.http.rights import EVERYTHING, Rights, Role, challenge, rights_of

READ, RUN, ADMIN = Role
NAMES = st.text("ab/[]!*?-.\\\n", max_size=6)


@pytest.mark.parametrize(
    ("scope", "role"),
    [
        ("read", READ),
        ("run", RUN),
        ("admin", ADMIN),
        ("read run", RUN),
        ("admin read", ADMIN),
        ("openid email  run", RUN),
        (["read", "run"], RUN),
        (["admin"], ADMIN),
        (["other", "read"], READ),
        ("", None),
        ("other", None),
        ("Read", None),
        ("ADMIN", None),
        ("admin,read", None),
        ("prunner:admin", None),
        ([], None),
        ([""], None),
        (["read run"], None),
        (["read", 1], None),
        ([["admin"]], None),
        ({"admin": True}, None),
        (None, None),
        (True, None),
        (3, None),
    ],
)
def test_the_highest_role_that_is_named_counts(scope: object, role: Role | None) -> None:
    rights = rights_of({"scope": scope})
    assert (rights.role, rights.restricted) == (role, False)
    assert [need for need in Role if rights.allows(need)] == [
        need for need in Role if role is not None and need <= role
    ]


def test_a_token_without_the_claims_may_do_everything() -> None:
    assert rights_of({"sub": "jane", "iat": 1}) == EVERYTHING
    assert EVERYTHING.allows(ADMIN)
    assert EVERYTHING.sees("")


@pytest.mark.parametrize("pipelines", ["build", "*", None, True, 1, {"build": 1}, ["build", 1], [["build"]], [None]])
def test_pipelines_that_are_no_list_of_texts_give_no_rights(pipelines: object) -> None:
    rights = rights_of({"pipelines": pipelines, "scope": "admin"})
    assert not rights.allows(READ)
    assert not rights.sees("build")
    assert "malformed" in rights.refusal(READ)


@pytest.mark.parametrize(
    ("patterns", "seen", "hidden"),
    [
        ([], [], ["", "a", "*"]),
        (["build"], ["build"], ["Build", "builds", "rebuild", "build\n", ""]),
        (["web-*", "docs"], ["web-", "web-a/b", "docs"], ["web", "docs-", "doc"]),
        (["?", "[ab]c", "[!ab]d"], ["x", "ac", "cd"], ["", "cc", "ad", "xx"]),
        (["a.b", "(x|y)"], ["a.b", "(x|y)"], ["axb", "x", "y"]),
        (["*"], ["", "a", "a\nb"], []),
    ],
)
def test_patterns_choose_by_the_whole_name(patterns: list[str], seen: list[str], hidden: list[str]) -> None:
    rights = rights_of({"pipelines": patterns})
    assert rights.restricted
    assert rights.allows(ADMIN)
    assert [name for name in seen + hidden if rights.sees(name)] == seen


@given(st.lists(NAMES, max_size=4), NAMES)
def test_a_name_is_seen_exactly_if_one_pattern_matches(patterns: list[str], name: str) -> None:
    assert Rights(READ, tuple(patterns)).sees(name) == any(fnmatchcase(name, pattern) for pattern in patterns)


def test_rights_are_the_same_if_role_and_patterns_are() -> None:
    assert (
        len({Rights(READ, ("a",)), Rights(READ, ("a",)), Rights(RUN, ("a",)), Rights(READ, ("b",)), Rights(READ)}) == 4
    )


def test_a_refusal_names_what_is_needed_and_what_there_is() -> None:
    assert Rights(READ).refusal(RUN) == "this needs a token whose `scope` has 'run' or more; yours has 'read'"
    assert "it has none of read, run, admin" in Rights(None).refusal(READ)
    assert challenge(RUN) == (b"www-authenticate", b'Bearer error="insufficient_scope", scope="run"')
