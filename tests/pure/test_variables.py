"""Variables: what is allowed, and their form in the environment."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunner_trio.definition.variables import checked_variables, variable_env
from prunner_trio.errors import InvalidVariable

text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=10,
)


@given(st.dictionaries(text, values))
def test_json_values_pass_unchanged_and_are_copied(variables):
    checked = checked_variables(variables)
    assert checked == variables
    assert json.loads(json.dumps(checked)) == variables


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


BAD = {
    "nan": ({"x": float("nan")}, "is not a finite number"),
    "infinity": ({"x": [float("-inf")]}, "is not a finite number"),
    "nul": ({"x": {"y": "a\0b"}}, "contains a NUL character"),
    "nul in a name": ({"x\0": 1}, "contains a NUL character"),
    "half a surrogate": ({"x": "\ud800"}, "contains half a surrogate pair"),
    "object": ({"x": object()}, "is a object, which is no JSON value"),
    "bytes": ({"x": b"x"}, "is a bytes, which is no JSON value"),
    "number as a key": ({"x": {1: 2}}, "has a key that is no text but a int"),
    "too many digits": ({"x": [-(10**4300)]}, "is a number of more than 4300 digits"),
    "too deep": ({"x": nested(200)}, "is nested deeper than 100 levels"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_no_task_could_be_given_is_refused(name):
    variables, message = BAD[name]
    with pytest.raises(InvalidVariable, match=message):
        checked_variables(variables)


@pytest.mark.parametrize(
    ("variables", "env"),
    [
        ({"name": "a b"}, {"PRUNNER_VAR_NAME": "a b"}),
        ({"my-key.x": "v"}, {"PRUNNER_VAR_MY_KEY_X": "v"}),
        ({"n": 12345678901234567890}, {"PRUNNER_VAR_N": "12345678901234567890"}),
        ({"f": 1.5, "t": True, "o": False, "z": None}, {
            "PRUNNER_VAR_F": "1.5",
            "PRUNNER_VAR_T": "true",
            "PRUNNER_VAR_O": "false",
            "PRUNNER_VAR_Z": "",
        }),
        ({"l": [1, "ü"]}, {"PRUNNER_VAR_L": '[1, "ü"]'}),
        ({"A": "first", "a": "second"}, {"PRUNNER_VAR_A": "first"}),
        ({"long": "x" * 200_000, "b": "kept"}, {"PRUNNER_VAR_B": "kept"}),
    ],
)  # fmt: skip
def test_form_in_the_environment(variables, env):
    assert variable_env(variables).env == env


def test_what_is_left_out_is_told():
    found = variable_env({"A": 1, "a": 2, "long": "x" * 200_000})
    assert found.left_out == (
        "PRUNNER_VAR_A is the variable 'A': 'a' would have the same name",
        "PRUNNER_VAR_LONG is not set: 200000 bytes are too long for the environment",
    )


def test_many_variables_leave_room_for_the_rest_of_the_environment():
    env = variable_env({f"v{n:06}": "x" for n in range(90_000)}).env
    assert 10_000 < len(env) < 30_000
    assert list(env) == sorted(env)
    assert sum(len(name) + len(value) + 10 for name, value in env.items()) <= 512 * 1024


@given(st.dictionaries(text, values))
def test_every_variable_makes_a_valid_environment_string(variables):
    for name, value in variable_env(variables).env.items():
        assert name.startswith("PRUNNER_VAR_")
        assert "=" not in name
        assert "\0" not in name + value
        (name + value).encode()
