"""A template can do no harm: neither to the memory and the time of the daemon, nor to its Python."""

import inspect
import sys
from collections.abc import Callable

import pytest

from prunner_trio.definition.template import Limits, TemplateError, parse, render

SMALL = Limits(output=1000, steps=2000)


def refusal(template: str, data: dict[str, object] | None = None, limits: Limits = SMALL) -> str:
    with pytest.raises(TemplateError) as caught:
        render(template, data or {}, limits=limits)
    return str(caught.value)


def test_the_defaults_are_generous() -> None:
    assert Limits() == Limits(output=16 * 1024 * 1024, steps=10_000_000, depth=150)


@pytest.mark.parametrize(
    "template",
    [
        "{{range 1000000000}}{{end}}",
        "{{range 1000000000}}{{if eq . 3}}{{end}}{{end}}",
        "{{range $i := 1000000000}}{{$x := $i}}{{end}}",
        '{{define "t"}}{{end}}{{range 1000000000}}{{template "t"}}{{end}}',
        '{{$x := printf "%900d" 1}}{{range 1000000000}}{{$y := len $x}}{{end}}',
        "{{range 1000}}{{range $.m}}{{break}}{{end}}{{end}}",
    ],
)
def test_endless_work_is_refused(template: str) -> None:
    data: dict[str, object] = {"m": {str(number): number for number in range(1000)}}
    assert "the template takes more than 2000 steps" in refusal(template, data)


@pytest.mark.parametrize("template", ["{{range 1000}}xxxx{{end}}", "{{.x}}{{.x}}", "{{.l}}"])
def test_endless_output_is_refused(template: str) -> None:
    data: dict[str, object] = {"x": "x" * 600, "l": ["x" * 600] * 2}
    assert "the output is longer than 1000 characters" in refusal(template, data)


def test_text_before_the_first_action_counts_as_output() -> None:
    assert refusal("x" * 1001 + "{{.x}}") == "template: interpolate: the output is longer than 1000 characters"


def test_a_string_cannot_grow_without_being_printed() -> None:
    template = '{{$x := "abc"}}{{range 60}}{{$x = print $x $x}}{{end}}'
    assert "a string is longer than 1000 characters" in refusal(template)


def test_output_as_long_as_the_limit_is_allowed() -> None:
    assert render("{{.x}}", {"x": "x" * 1000}, limits=SMALL) == "x" * 1000


def test_templates_that_call_themselves_for_ever_are_refused() -> None:
    assert "exceeded maximum template depth" in refusal('{{define "t"}}{{template "t"}}{{end}}{{template "t"}}')


def test_templates_may_follow_a_deep_list_by_calling_themselves() -> None:
    tree: object = None
    for name in range(40):
        tree = {"name": str(name), "next": tree}
    template = '{{define "t"}}{{if .}}{{.name}} {{template "t" .next}}{{end}}{{end}}{{template "t" .tree}}'
    assert render(template, {"tree": tree}).split() == [str(name) for name in range(39, -1, -1)]


@pytest.mark.parametrize(
    ("nest", "message"),
    [
        (lambda depth: "{{" + "(" * depth + "1" + ")" * depth + "}}", "max expression depth exceeded"),
        (lambda depth: "{{" + "(print " * depth + "1" + ")" * depth + "}}", "max expression depth exceeded"),
        (lambda depth: "{{if 1}}" * depth + "1" + "{{end}}" * depth, "blocks are nested too deeply"),
        (lambda depth: "{{range 1}}" * depth + "1" + "{{end}}" * depth, "blocks are nested too deeply"),
        (lambda depth: "{{with 0}}{{else}}" * depth + "{{end}}" * depth, "nested too deeply"),
        (
            lambda depth: "".join(f'{{{{block "{n}" 1}}}}' for n in range(depth)) + "{{end}}" * depth,
            "nested too deeply",
        ),
    ],
)
def test_nesting_has_an_end_but_a_distant_one(nest: Callable[[int], str], message: str) -> None:
    parse(nest(98))
    for depth in (101, 100_000):
        with pytest.raises(TemplateError, match=message):
            parse(nest(depth))


def test_what_may_be_nested_can_be_rendered() -> None:
    assert render("{{range 1}}" * 49 + "{{" + "(print " * 50 + "1" + ")" * 50 + "}}" + "{{end}}" * 49, {}) == "1"


def test_a_chain_of_else_if_is_no_nesting() -> None:
    template = (
        "{{if eq .x 0}}0" + "".join(f"{{{{else if eq .x {n}}}}}{n}" for n in range(1, 3000)) + "{{else}}none{{end}}"
    )
    assert render(template, {"x": 2999}) == "2999"
    assert render(template, {"x": -1}) == "none"


def test_parsing_with_little_stack_left_is_refused_and_not_a_recursion_error() -> None:
    template = "{{if 1}}" * 90 + "{{end}}" * 90

    def deeper(levels: int) -> None:
        if levels:
            return deeper(levels - 1)
        with pytest.raises(TemplateError, match="the template is nested too deeply"):
            parse(template)
        return None

    deeper(sys.getrecursionlimit() - len(inspect.stack(context=0)) - 120)


@pytest.mark.parametrize(
    "template", ["{{.x}}", "{{toJson .x}}", "{{quote .x}}", '{{printf "%d" .x}}', "{{len (print .x)}}"]
)
def test_data_nested_too_deeply_is_refused(template: str) -> None:
    data: object = 1
    for _ in range(100_000):
        data = [data]
    assert "the data is nested too deeply" in refusal(template, {"x": data})
    # Taken apart level by level, because older interpreters free deep values recursively.
    while isinstance(data, list):
        data = data.pop()


def test_a_number_too_long_to_print_is_refused() -> None:
    assert "a number of more than" in refusal("{{.x}}", {"x": 10**5000})
    assert "a number of more than" in refusal("{{index .l .x}}", {"x": 10**5000, "l": []})
    assert refusal("{{range .x}}{{end}}", {"x": 10**5000}).endswith("steps")


class Trap:
    """An object of the program that found its way into the data."""

    secret = "secret"

    def method(self) -> str:
        return "called"

    def __call__(self) -> str:
        return "called"

    def __len__(self) -> int:
        return 3

    def __str__(self) -> str:
        return "called"


@pytest.mark.parametrize(
    "template",
    [
        "{{.x}}",
        "{{.x.secret}}",
        "{{.x.method}}",
        "{{call .x}}",
        "{{call .x.method}}",
        "{{len .x}}",
        "{{index .x 0}}",
        "{{slice .x}}",
        "{{print .x}}",
        '{{printf "%s" .x}}',
        '{{printf "%T" .x}}',
        "{{eq .x .x}}",
        "{{lt .x 1}}",
        "{{not .x}}",
        "{{if .x}}{{end}}",
        "{{with .x}}{{end}}",
        "{{range .x}}{{end}}",
        "{{or .x 1}}",
        "{{quote .x}}",
        "{{toJson .x}}",
        "{{html .x}}",
        "{{default 1 .x}}",
    ],
)
def test_objects_that_are_no_json_are_refused_wherever_they_are_used(template: str) -> None:
    assert "Trap" in refusal(template, {"x": Trap()})


@pytest.mark.parametrize("value", ["text", 5, 1.5, True, None, [1], {"a": 1}])
@pytest.mark.parametrize("name", ["__class__", "__len__", "keys", "upper", "append", "real", "__dict__"])
def test_members_of_python_values_are_out_of_reach(value: object, name: str) -> None:
    with pytest.raises(TemplateError):
        render(f"{{{{.x.{name}}}}}", {"x": value})


def test_maps_whose_keys_are_no_strings_are_refused() -> None:
    assert "maps with keys of type int" in refusal("{{.x}}", {"x": {1: 2, "a": 3}})
    assert "maps with keys of type int" in refusal("{{range .x}}{{end}}", {"x": {1: 2}})
