"""Where templates do other than Go on purpose, and what they have that Go has not."""

import json
from enum import IntEnum
from types import MappingProxyType
from typing import Any

import pytest

from prunner_trio.definition.template import TemplateError, parse, render
from prunner_trio.definition.template._functions import FUNCTIONS
from prunner_trio.errors import PrunnerError


def refusal(template: str, data: dict[str, object]) -> TemplateError:
    with pytest.raises(TemplateError) as caught:
        render(template, data)
    return caught.value


@pytest.mark.parametrize(
    ("template", "value", "output"),
    [
        ("{{.x}}", 12345678, "12345678"),
        ("{{.x}}", 123456789012345678901234567890, "123456789012345678901234567890"),
        ("{{.x}}", -98765432, "-98765432"),
        ("{{.x}}", [21000000, {"n": 9007199254740993}], "[21000000 map[n:9007199254740993]]"),
        ('{{printf "%d" .x}}', 123456789012345678901, "123456789012345678901"),
        ('{{printf "%.0f" .x}}', 12345678901234567890, "12345678901234567890"),
        ('{{printf "%.2f" .x}}', -9007199254740993, "-9007199254740993.00"),
        ('{{printf "%f|%8.1f|%e|%g|%G" .x .x .x .x .x}}', 5, "5.000000|     5.0|5.000000e+00|5|5"),
        ('{{printf "%g %e" .x .x}}', 10**400, "+Inf +Inf"),
        ('{{printf "%g" .x}}', -(10**400), "-Inf"),
        ("{{.x}}", 1.0, "1"),
        ("{{.x}}", 12345678.5, "12345678.5"),
        ("{{.x}}", 1e20, "100000000000000000000"),
        ("{{.x}}", 1.5e20, "150000000000000000000"),
        ("{{.x}}", 1e21, "1e+21"),
        ("{{.x}}", -1.25e22, "-1.25e+22"),
        ("{{.x}}", 0.0001, "0.0001"),
        ("{{.x}}", 0.00001, "1e-05"),
        ("{{.x}}", 5e-324, "5e-324"),
        ("{{.x}}", -0.0, "-0"),
        ("{{.x}}", float("inf"), "+Inf"),
        ("{{.x}}", float("-inf"), "-Inf"),
        ("{{.x}}", float("nan"), "NaN"),
        ('{{printf "%+v|%5v|%05v|% f" .x .x .x .x}}', float("nan"), "NaN|  NaN|  NaN| NaN"),
        ('{{printf "%+f" .x}}', float("nan"), "+NaN"),
        ('{{printf "%.3v" .x}}', 123456.0, "1.23e+05"),
        ('{{printf "%#.3g" .x}}', 1.0, "1.00"),
        ('{{printf "%x %b" .x .x}}', 1.5, "%!x(float64=1.5) %!b(float64=1.5)"),
        ('{{printf "%p" .x}}', [1], "%!p([]interface {}=[1])"),
        ('{{printf "%p" .x}}', {"a": 1}, "%!p(map[string]interface {}=map[a:1])"),
        ('{{printf "%#v" .x}}', [None], "[]interface {}{interface {}(nil)}"),
        ('{{printf "%1000001d" .x}}', 1, "%!(NOVERB)%!(EXTRA int=1)"),
    ],
)
def test_numbers_keep_their_digits(template: str, value: object, output: str) -> None:
    assert render(template, {"x": value}) == output


@pytest.mark.parametrize(
    ("template", "output"),
    [
        ("{{eq .x 5}} {{eq .x 5.0}} {{eq .f 1}} {{eq 1 1.0}} {{ne .x 5.5}}", "true true true true true"),
        ("{{lt .x 5.5}} {{le .x 5.0}} {{gt .x 4.5}} {{ge .f 2}} {{eq .x 1 2 5.0}}", "true true true false true"),
    ],
)
def test_numbers_compare_as_numbers_however_they_are_written(template: str, output: str) -> None:
    assert render(template, {"x": 5, "f": 1.0}) == output


def test_a_number_of_the_data_can_be_an_index_and_a_count() -> None:
    assert render("{{index .l .i}}{{range .i}}.{{end}}", {"l": ["a", "b", "c"], "i": 2}) == "c.."


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{.s.y}}", "can't evaluate field y in type string"),
        ("{{.n.y}}", "can't evaluate field y in type int"),
        ("{{.l.y}}", "can't evaluate field y in type []interface {}"),
        ('{{define "t"}}{{.y}}{{end}}{{template "t"}}', "nil pointer evaluating interface {}.y"),
        ("{{index .l 3}}", "index out of range: 3"),
        ('{{index "" 0}}', "index out of range: 0"),
        ("{{call .s}}", "non-function of type string"),
        ("{{printf .nil}}", "invalid value; expected string"),
        ("{{slice .l 0 3 2}}", "invalid slice index: 3 > 2"),
        ("{{len nil}}", "len of nil pointer"),
        ("{{1i}}", "complex numbers are not supported: 1i"),
        ("{{1+2i}}", "complex numbers are not supported: 1+2i"),
        ("{{9223372036854775808}}", 'integer overflow: "9223372036854775808"'),
        ("{{" + "9" * 5000 + "}}", "integer overflow"),
    ],
)
def test_these_errors_say_more_than_those_of_go(template: str, message: str) -> None:
    assert message in str(refusal(template, {"s": "a", "n": 1, "l": [1, 2, 3], "nil": None}))


def test_strings_are_text_and_not_bytes() -> None:
    assert render('{{len .x}} {{slice .x 0 1}} {{slice .x 0 2}} {{"\\xff"}}', {"x": "üx"}) == "3 \ufffd ü \ufffd"


@pytest.mark.parametrize("value", ["{{.y}}", "{{ broken", "{{", "{{if}}", "a }} b", '{{printf "x"}}', "{{/*"])
def test_values_are_never_parsed(value: str) -> None:
    assert (
        render("<{{.x}}{{range .l}}{{.}}{{end}}>", {"x": value, "l": [value], "y": "evaluated"}) == f"<{value}{value}>"
    )


@pytest.mark.parametrize(
    ("value", "output"),
    [
        ("", "d"),
        ([], "d"),
        ({}, "d"),
        (False, "d"),
        (0, "0"),
        (0.0, "0"),
        (None, "<no value>"),
        ("v", "v"),
        (True, "true"),
    ],
)
def test_default_replaces_what_is_empty_or_false_but_not_zero_and_not_null(value: object, output: str) -> None:
    assert render('{{.x | default "d"}}', {"x": value}) == output
    assert render('{{default "d" .x}}', {"x": value}) == output


def test_an_optional_variable_is_written_with_index_and_or() -> None:
    template = '{{or (index . "x") "d"}}'
    assert render(template, {}) == "d"
    assert render(template, {"x": None}) == "d"
    assert render(template, {"x": "v"}) == "v"


@pytest.mark.parametrize(
    ("value", "output"),
    [
        ("plain", "plain"),
        ("a b", "'a b'"),
        ("it's; $(rm)", "'it'\"'\"'s; $(rm)'"),
        ("", "''"),
        ("~", "'~'"),
        (5, "5"),
        (12345678, "12345678"),
        (True, "true"),
        (None, "'<no value>'"),
        (["a b", "c", 3, ""], "'a b' c 3 ''"),
        ([], ""),
        ([["a", "b"]], "'[a b]'"),
        ({"a": 1}, "'map[a:1]'"),
        ("{{.x}}", "'{{.x}}'"),
    ],
)
def test_quote_makes_one_word_of_a_value_and_one_of_each_item_of_a_list(value: object, output: str) -> None:
    assert render("{{quote .x}}", {"x": value}) == output
    assert render("{{.x | quote}}", {"x": value}) == output


@pytest.mark.parametrize(
    ("value", "output"),
    [
        ({"b": [1, 2.5, None, True], "a": "é\"'"}, '{"a":"é\\"\'","b":[1,2.5,null,true]}'),
        (12345678901234567890, "12345678901234567890"),
        ("<&>", '"<&>"'),
        ([], "[]"),
        (MappingProxyType({"a": ()}), '{"a":[]}'),
    ],
)
def test_to_json_writes_compact_json_with_sorted_keys(value: object, output: str) -> None:
    assert render("{{toJson .x}}", {"x": value}) == output
    json.loads(output)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1: 2, "a": 3}, [object()]])
def test_to_json_refuses_what_json_cannot_hold(value: object) -> None:
    assert "error calling toJson: " in str(refusal("{{toJson .x}}", {"x": value}))


@pytest.mark.parametrize("name", ["and", "or"])
def test_and_and_or_cannot_be_called_with_all_arguments_evaluated(name: str) -> None:
    with pytest.raises(RuntimeError):
        FUNCTIONS[name].call([True, True])


@pytest.mark.parametrize("name", ["upper", "trim", "env", "b64enc", "toYaml", "join", "include"])
def test_there_are_no_other_functions(name: str) -> None:
    expected = f'template: interpolate:1: function "{name}" not defined'
    assert str(refusal(f"{{{{{name} .x}}}}", {"x": 1})) == expected


def test_an_error_of_execution_carries_its_place() -> None:
    error = refusal("a\nbé {{.nope}}", {})
    expected = 'template: interpolate:2:6: executing "interpolate" at <.nope>: map has no entry for key "nope"'
    assert str(error) == expected
    assert (error.line, error.column) == (2, 6)
    assert isinstance(error, PrunnerError)


def test_an_error_of_parsing_carries_its_line() -> None:
    with pytest.raises(TemplateError, match="unclosed action") as caught:
        parse("a\nb\n{{")
    assert (caught.value.line, caught.value.column) == (3, None)


def test_a_parsed_template_can_be_rendered_again_and_again() -> None:
    template = parse("{{$x := .x}}{{range $x}}{{.}}{{end}}")
    assert template.render({"x": ["a"]}) == "a"
    assert template.render({"x": ["b", "c"]}) == "bc"


def test_rendering_leaves_the_data_alone() -> None:
    data: dict[str, Any] = {"l": [3, 1, 2], "m": {"b": 1, "a": 2}}
    render("{{$l := slice .l 1}}{{range $l = .l}}{{end}}{{range .m}}{{end}}{{.}}", data)
    assert data == {"l": [3, 1, 2], "m": {"b": 1, "a": 2}}
    assert list(data["m"]) == ["b", "a"]


def test_relatives_of_the_json_types_are_taken_for_what_they_are() -> None:
    class Level(IntEnum):
        HIGH = 3

    data = MappingProxyType({"m": MappingProxyType({"a": ("x", Level.HIGH)})})
    assert render("{{.m.a}} {{len .m}} {{index .m.a 1}}", data) == "[x 3] 1 3"


@pytest.mark.parametrize(
    ("template", "output"),
    [
        ('{{printf "%q" .x}}', '"\\ud800"'),
        ("{{len .x}}", "3"),
        ("{{.x}}", "\ud800"),
        ("{{slice .x 0 3}}", "\ud800"),
        ("{{urlquery .x}}", "%ED%A0%80"),
    ],
)
def test_half_a_surrogate_pair_does_no_harm(template: str, output: str) -> None:
    assert render(template, {"x": "\ud800"}) == output
