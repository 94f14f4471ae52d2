"""How fields become variables of a type, which events and branches count, and where the secret is looked for."""

import pytest

from prunner_trio.definition import HookKind, IncomingHook, VariableType
from prunner_trio.definition.incoming import convert, event_matches, pattern_matches, secret_variable

STRING, INTEGER, NUMBER, BOOLEAN = (
    VariableType.STRING,
    VariableType.INTEGER,
    VariableType.NUMBER,
    VariableType.BOOLEAN,
)


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ([1], VariableType.ANY, [1]),
        ("x", STRING, "x"),
        (5, STRING, "5"),
        (True, STRING, "true"),
        (" 42 ", INTEGER, 42),
        ("-7", INTEGER, -7),
        (42.0, INTEGER, 42),
        (42, INTEGER, 42),
        ("4.5", NUMBER, 4.5),
        ("1e3", NUMBER, 1000.0),
        ("4", NUMBER, 4),
        (4.5, NUMBER, 4.5),
        ("true", BOOLEAN, True),
        ("false", BOOLEAN, False),
        (False, BOOLEAN, False),
    ],
)
def test_a_value_becomes_the_type(value: object, kind: VariableType, expected: object) -> None:
    found = convert(value, kind)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("value", "kind", "shown"),
    [
        ("x", INTEGER, '"x"'),
        ("4.5", INTEGER, '"4.5"'),
        (4.5, INTEGER, "4.5"),
        (True, INTEGER, "true"),
        ("٤", INTEGER, '"٤"'),
        ("1_0", INTEGER, '"1_0"'),
        ("1e999", NUMBER, '"1e999"'),
        ("nan", NUMBER, '"nan"'),
        (False, NUMBER, "false"),
        ("yes", BOOLEAN, '"yes"'),
        (1, BOOLEAN, "1"),
        ([1], STRING, "a list"),
        ({}, BOOLEAN, "an object"),
        ("x" * 100, INTEGER, '"' + "x" * 58 + "…"),
    ],
)
def test_what_does_not_fit_is_refused(value: object, kind: VariableType, shown: str) -> None:
    with pytest.raises(ValueError, match=f"must be of type {kind.value}, but is ") as told:
        convert(value, kind)
    assert str(told.value).endswith(f"but is {shown}")


@pytest.mark.parametrize(
    ("pattern", "branch", "fits"),
    [
        ("main", "main", True),
        ("main", "mainly", False),
        ("release/*", "release/1.0", True),
        ("release/*", "release/1/0", False),
        ("release/**", "release/1/0", True),
        ("**/fix", "a/b/fix", True),
        ("v?", "v1", True),
        ("v?", "v/", False),
        ("v.", "v1", False),
        ("[ab]", "a", False),
        ("*", "", True),
        ("a*", "a\nb", True),
    ],
)
def test_patterns_of_branches(pattern: str, branch: str, fits: bool) -> None:
    assert pattern_matches(pattern, branch) is fits


@pytest.mark.parametrize(
    ("events", "event", "action", "fits"),
    [
        ((), "anything", "", True),
        (("push",), "push", "", True),
        (("push",), "release", "published", False),
        (("release",), "release", "published", True),
        (("release.published",), "release", "published", True),
        (("release.published",), "release", "created", False),
        (("release.published",), "release", "", False),
        (("push",), "", "", False),
    ],
)
def test_events_that_start_a_job(events: tuple[str, ...], event: str, action: str, fits: bool) -> None:
    assert event_matches(IncomingHook("h", HookKind.GENERIC, events=events), event, action) is fits


def test_the_variable_of_the_secret_has_the_name_of_the_hook_unless_something_else_is_said() -> None:
    assert secret_variable("My-site_2") == "PRUNNER_HOOK_SECRET_MY_SITE_2"
    assert IncomingHook("site", HookKind.GITHUB).variable == "PRUNNER_HOOK_SECRET_SITE"
    assert IncomingHook("site", HookKind.GITHUB, secret_env="PRUNNER_HOOK_SECRET").variable == "PRUNNER_HOOK_SECRET"
    assert IncomingHook("site", HookKind.GITHUB, secret_file="x").variable == ""
