"""The graph of tasks: order, cycles, pictures."""

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunner_trio.definition import PipelineDef, TaskDef, cycles, order, to_dot, to_svg, to_text

GRAPHS = st.dictionaries(
    st.sampled_from("abcdefghij"), st.lists(st.sampled_from("abcdefghij"), max_size=4), min_size=1
).map(lambda graph: {name: [need for need in needs if need in graph] for name, needs in graph.items()})
ACYCLIC = GRAPHS.map(lambda graph: {name: [need for need in needs if need < name] for name, needs in graph.items()})


def pipeline(**needs: list[str]) -> PipelineDef:
    return PipelineDef("p", tuple(TaskDef(name, depends_on=tuple(needs[name])) for name in order(needs)))


def test_tasks_that_are_free_at_the_same_time_are_ordered_by_name() -> None:
    tasks = {
        "z_first": [],
        "b_mid": ["z_first"],
        "a_mid": ["z_first"],
        "a_last": ["a_mid", "b_mid"],
        "m_free": [],
    }
    assert order(tasks) == ("m_free", "z_first", "a_mid", "b_mid", "a_last")


def test_a_task_that_has_become_free_comes_before_later_names() -> None:
    assert order({"a": [], "b": ["a"], "z": []}) == ("a", "b", "z")


@given(ACYCLIC, st.randoms())
def test_every_task_comes_once_and_after_all_it_depends_on(graph, random) -> None:
    found = order(graph)
    assert sorted(found) == sorted(graph)
    assert all(found.index(need) < found.index(name) for name, needs in graph.items() for need in needs)
    shuffled = list(graph.items())
    random.shuffle(shuffled)
    assert order(dict(shuffled)) == found


@pytest.mark.parametrize("graph", [{"a": ["a"]}, {"a": ["b"], "b": ["a"]}, {"a": ["ghost"]}])
def test_there_is_no_order_for_what_can_never_start(graph) -> None:
    with pytest.raises(ValueError, match="cycle"):
        order(graph)


CYCLES = {
    "itself": ({"a": ["a"]}, [("a", "a")]),
    "two": ({"a": ["b"], "b": ["a"]}, [("a", "b", "a")]),
    "behind a tail": ({"a": ["b"], "b": ["c"], "c": ["b"]}, [("b", "c", "b")]),
    "two cycles": ({"a": ["b"], "b": ["a"], "x": ["y"], "y": ["x"]}, [("a", "b", "a"), ("x", "y", "x")]),
    "none": ({"a": ["b", "c"], "b": ["c"], "c": []}, []),
    "not a task": ({"a": ["ghost"]}, []),
}


@pytest.mark.parametrize("name", CYCLES)
def test_cycles_are_shown_as_paths(name: str) -> None:
    graph, expected = CYCLES[name]
    assert list(cycles(graph)) == expected


@given(GRAPHS)
def test_there_is_an_order_exactly_if_there_is_no_cycle(graph) -> None:
    found = list(cycles(graph))
    for path in found:
        assert path[0] == path[-1]
        assert all(need in graph[name] for name, need in pairwise(path))
    if found:
        with pytest.raises(ValueError, match="cycle"):
            order(graph)
    else:
        assert len(order(graph)) == len(graph)


def test_ten_thousand_tasks_in_a_row_need_no_stack() -> None:
    tasks = {f"t{n}": [f"t{n - 1}"] if n else [] for n in range(10_000)}
    assert order(tasks)[-1] == "t9999"
    assert next(cycles({**tasks, "t0": ["t9999"]}))[0] == "t0"
    assert to_svg(pipeline(**tasks)).count("<rect") == 10_000


def test_the_text_shows_what_each_task_depends_on() -> None:
    shown = to_text(
        PipelineDef("p", pipeline(build=[], lint=[], test=["build", "lint"]).tasks, on_error=TaskDef("on_error"))
    )
    assert shown == "p\n  build\n  lint\n  test   ← build, lint\n  on_error  ← any failure\n"


def test_dot_has_an_arrow_for_each_dependency() -> None:
    shown = to_dot(PipelineDef("p", pipeline(build=[], test=["build"]).tasks, on_error=TaskDef("on_error")))
    assert '  "build" -> "test";\n' in shown
    assert '  "on_error" [style=dashed];\n' in shown
    assert shown.startswith('digraph "p" {\n')
    assert shown.endswith("}\n")


def test_svg_puts_a_task_right_of_all_it_depends_on() -> None:
    root = ElementTree.fromstring(to_svg(pipeline(a=[], b=["a"], c=["a", "b"])))
    left = {}
    for group in root.iter("{http://www.w3.org/2000/svg}g"):
        title, rect, _ = group
        left[title.text] = int(rect.get("x"))
    assert left["a"] < left["b"] < left["c"]
    assert len(re.findall("marker-end", ElementTree.tostring(root, "unicode"))) == 3


def test_svg_draws_the_handler_apart() -> None:
    root = ElementTree.fromstring(to_svg(PipelineDef("p", on_error=TaskDef("on_error"))))
    assert [rect.get("class") for rect in root.iter("{http://www.w3.org/2000/svg}rect")] == ["handler"]


HOSTILE = ['"', "\\", "<b>&amp;</b>", "a\nb", "\x1b[31m", "]]>", "ünï", "x" * 100, "{a|b}", "\ufffe"]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_cannot_break_out_of_a_picture(name: str) -> None:
    drawn = PipelineDef(name, (TaskDef(name), TaskDef("z", depends_on=(name,))))
    titles = [title.text for title in ElementTree.fromstring(to_svg(drawn)).iter("{http://www.w3.org/2000/svg}title")]
    assert len(titles) == 3
    dot = to_dot(drawn)
    assert len(dot.splitlines()) == 7
    assert all(len(re.findall(r'(?<!\\)(?:\\\\)*"', line)) % 2 == 0 for line in dot.splitlines())
    text = to_text(drawn)
    assert len(text.splitlines()) == 3
    assert "\x1b" not in text
