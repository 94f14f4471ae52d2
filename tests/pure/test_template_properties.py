"""What holds for every template and every value."""

import shlex
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from prunner_trio.definition.template import Limits, TemplateError, render

ANY_TEXT = st.text(st.characters(exclude_categories=()))
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4)
)
SPACES = st.text(" \t\r\n", max_size=4)

WORDS = r"""
{{ }} {{- -}} if else end range with define template block break continue nil true false . .x .l .m.k .nope $ $v
:= = , | ( ) print printf println len index slice eq lt and or not html js urlquery call default quote toJson
"a" "%d%s%v" "%5.2f%*d" "%[2]q" `r` 'c' 0 1 -1 0x1F 1.5 1e3 1e999 1i /* */ \ \x " ' ` @ é
{{end}} {{else}} {{if {{range {{with {{.x}} {{define {{template {{$v {{break}} {{continue}}
"""
FRAGMENTS = st.sampled_from([*WORDS.split(), "\n"])
ACTIONS = st.lists(FRAGMENTS, max_size=6).map(lambda words: "{{" + " ".join(words) + "}}")
TEMPLATES = st.lists(FRAGMENTS | st.just(" ") | ACTIONS | st.text(max_size=2), max_size=15).map("".join)


@given(ANY_TEXT.filter(lambda text: "{{" not in text))
def test_text_without_actions_is_returned_as_it_is(text: str) -> None:
    assert render(text, {"x": 1}) == text


@given(ANY_TEXT, SPACES)
def test_a_string_comes_out_as_itself(value: str, space: str) -> None:
    assert render(f"{space}{{{{.x}}}}{space}", {"x": value}) == space + value + space


@given(st.integers())
def test_integers_keep_their_digits(number: int) -> None:
    for template in ("{{.x}}", "{{print .x}}", '{{printf "%d" .x}}', '{{printf "%.0f" .x}}', "{{toJson .x}}"):
        assert render(template, {"x": number}) == str(number)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_come_out_as_the_same_float(number: float) -> None:
    for template in ("{{.x}}", '{{printf "%g" .x}}', "{{toJson .x}}"):
        assert float(render(template, {"x": number})) == number


@given(ANY_TEXT)
def test_a_quoted_string_is_one_word_for_a_shell(value: str) -> None:
    assert shlex.split(render("{{quote .x}}", {"x": value})) == [value]


@given(st.lists(ANY_TEXT))
def test_a_quoted_list_is_as_many_words_as_it_has_items(values: list[str]) -> None:
    assert shlex.split(render("{{quote .x}}", {"x": values})) == values


@given(VALUES)
def test_a_quoted_value_is_the_text_it_prints_as(value: object) -> None:
    shown = value if isinstance(value, list) else [value]
    words = shlex.split(render("{{quote .x}}", {"x": value}))
    assert (
        words == [render("{{.}}" if item is None else "{{print .x}}", {"x": item}) for item in shown] or None in shown
    )
    assert len(words) == len(shown)


def printed(value: object) -> str:
    """Print a value within another by the rules of Go, as short as they can be said."""
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{printed(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(map(printed, value)) + "]"
    if value is None:
        return "<nil>"
    return str(value).lower() if isinstance(value, bool) else str(value)


NESTED = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
)


@given(st.lists(NESTED) | st.dictionaries(st.text(max_size=3), NESTED))
def test_nested_values_print_as_go_prints_them(value: object) -> None:
    assert render("{{.x}}", {"x": value}) == printed(value)
    assert render('{{printf "%v" .x}}', {"x": value}) == printed(value)


@given(st.text(max_size=5), SPACES, SPACES, st.booleans(), st.booleans())
def test_trim_markers_take_the_white_space_on_their_side_only(
    text: str, before: str, after: str, left: bool, right: bool
) -> None:
    around = text.replace("{", "").strip(" \t\r\n")
    action = ("{{- " if left else "{{ ") + ".x" + (" -}}" if right else " }}")
    rendered = render(around + before + action + after + around, {"x": "v"})
    assert rendered == around + ("" if left else before) + "v" + ("" if right else after) + around


@given(st.dictionaries(st.text(), st.integers()))
def test_range_visits_a_map_in_the_order_of_its_keys(value: dict[str, int]) -> None:
    visited = render("{{range $k, $v := .x}}{{quote $k}} {{$v}} {{end}}", {"x": value})
    assert shlex.split(visited) == [text for key in sorted(value) for text in (key, str(value[key]))]


@given(TEMPLATES, VALUES)
def test_every_text_renders_or_is_refused(text: str, value: object) -> None:
    data = {"x": value, "l": ["a", 1, None], "m": {"k": value}}
    with suppress(TemplateError):
        assert isinstance(render(text, data, limits=Limits(output=10_000, steps=5_000)), str)


@given(ANY_TEXT.map(lambda text: "{{" + text + "}}"))
def test_every_action_renders_or_is_refused(text: str) -> None:
    with suppress(TemplateError):
        assert isinstance(render(text, {"x": 1}, limits=Limits(output=10_000, steps=5_000)), str)


@given(
    VALUES,
    st.sampled_from("vsdqxXtfgGeEcUbobTpwz!"),
    st.text("#0+- ", max_size=3),
    st.sampled_from(["", "7", ".3", "9.2"]),
)
def test_every_verb_prints_something_for_every_value(value: object, verb: str, flags: str, size: str) -> None:
    template = f'{{{{printf "%{flags}{size}{verb}" .x}}}}'
    assert isinstance(render(template, {"x": value}), str)
