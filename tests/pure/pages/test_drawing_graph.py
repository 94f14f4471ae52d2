"""The graph as a drawing: columns respect dependencies, nothing overlaps, and names stay text."""

import re
from itertools import combinations, pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.pure.pages.looks import BAD, GOOD, RUN, WAIT

from prunner_trio.http.pages.drawing import Node, graph
from prunner_trio.http.pages.drawing.graph import MOST_PLACES
from prunner_trio.http.pages.drawing.layout import arrange

LETTERS = "abcdefghijklmnop"
ACYCLIC = st.dictionaries(st.sampled_from(LETTERS), st.lists(st.sampled_from(LETTERS), max_size=4), min_size=1).map(
    lambda found: {name: tuple(need for need in needs if need < name) for name, needs in found.items()}
)


def parsed(drawing: str) -> ElementTree.Element:
    return ElementTree.fromstring(drawing)


def layout_of(needs):
    found = arrange(tuple(needs.items()), 10_000)
    assert found is not None
    return found


def edges_of(needs):
    return {(need, name) for name, wanted in needs.items() for need in wanted if need in needs}


@given(ACYCLIC)
def test_every_task_stands_in_one_column_right_of_all_it_needs(needs) -> None:
    columns = layout_of(needs).columns
    column_of = {name: index for index, column in enumerate(columns) for name in column}
    assert sorted(name for column in columns for name in column) == sorted(needs)
    assert all(column_of[need] < column_of[name] for need, name in edges_of(needs))
    assert all(columns)


@given(ACYCLIC)
def test_what_stands_in_one_column_has_its_distance(needs) -> None:
    layout = layout_of(needs)
    for index, column in enumerate(layout.columns):
        rows = [layout.rows[name] for name in column]
        assert all(below - above >= 1 - 1e-9 for above, below in pairwise(rows))
        column_of = {name: at for at, names in enumerate(layout.columns) for name in names}
        passing = [
            way[index - column_of[need] - 1]
            for (need, name), way in layout.ways.items()
            if column_of[need] < index < column_of[name]
        ]
        assert all(abs(box - edge) >= 0.7 - 1e-9 for box in rows for edge in passing), "an edge runs through a box"
        assert all(abs(one - other) >= 0.4 - 1e-9 for one, other in combinations(passing, 2))


@given(ACYCLIC)
def test_every_dependency_has_one_way_with_a_place_in_each_column_that_it_passes(needs) -> None:
    layout = layout_of(needs)
    column_of = {name: index for index, names in enumerate(layout.columns) for name in names}
    assert set(layout.ways) == edges_of(needs)
    assert all(len(way) == column_of[name] - column_of[need] - 1 for (need, name), way in layout.ways.items())
    heights = [*layout.rows.values(), *(height for way in layout.ways.values() for height in way)]
    assert min(heights) == pytest.approx(0)
    assert max(heights) == pytest.approx(layout.height)


@given(ACYCLIC, st.randoms())
def test_the_same_graph_is_drawn_the_same_in_whatever_order_it_is_given(needs, random) -> None:
    shuffled = list(needs.items())
    random.shuffle(shuffled)
    arrange.cache_clear()
    first = layout_of(needs)
    arrange.cache_clear()
    assert layout_of(dict(shuffled)) == first


def test_two_chains_are_drawn_without_a_crossing_and_straight() -> None:
    needs = {"a1": (), "b1": (), "z2": ("a1",), "y2": ("b1",), "a3": ("y2",), "b3": ("z2",)}
    layout = layout_of(needs)
    assert layout.rows["a1"] == layout.rows["z2"] == layout.rows["b3"]
    assert layout.rows["b1"] == layout.rows["y2"] == layout.rows["a3"]


def test_a_need_that_is_no_task_is_passed_over() -> None:
    assert layout_of({"a": ("ghost",)}).columns == (("a",),)


def test_a_cycle_cannot_be_drawn() -> None:
    with pytest.raises(ValueError, match="cycle"):
        arrange((("a", ("b",)), ("b", ("a",))), 100)


BOX = re.compile(r'<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"')


@settings(max_examples=60)
@given(ACYCLIC, st.booleans())
def test_no_box_overlaps_another_one_and_all_lie_within_the_drawing(needs, stateless) -> None:
    nodes = [Node(name, wanted, None if stateless else GOOD) for name, wanted in needs.items()]
    drawing = graph([*nodes, Node("on_error", (), None if stateless else BAD, handler=True)], title="t")
    found = [tuple(map(float, match)) for match in BOX.findall(drawing)]
    assert len(found) == len(needs) + 1
    for (x, y, w, h), (x2, y2, w2, h2) in combinations(found, 2):
        assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y
    width, height = float(parsed(drawing).get("width")), float(parsed(drawing).get("height"))
    assert all(x >= 0 and y >= 0 and x + w <= width and y + h <= height for x, y, w, h in found)


@given(st.text(min_size=1), st.text(), st.text(), st.text())
def test_whatever_users_write_is_text_and_nothing_else(name, title, note, href) -> None:
    plain = graph([Node("a", (), GOOD, "b", href="c")], title="d")
    drawing = graph([Node(name, (), GOOD, note or "b", href=href or "c")], title=title)
    shape = [(element.tag, sorted(element.attrib)) for element in parsed(plain).iter()]
    assert [(element.tag, sorted(element.attrib)) for element in parsed(drawing).iter()] == shape


def test_nothing_in_it_needs_a_style_of_its_own() -> None:
    drawing = graph([Node("a", (), RUN, "1 s", since=3.0), Node("b", ("a",), WAIT, href="x")], title="t", critical="ab")
    assert "style" not in drawing
    assert "<script" not in drawing


def test_a_state_is_told_by_a_sign_and_a_word_too() -> None:
    drawing = graph([Node("a", (), BAD, "2 s", href="jobs/1/a")], title="Job 7")
    assert "✗ failed · 2 s" in drawing
    assert "<title>a: failed</title>" in drawing
    link = parsed(drawing).find("a")
    assert link is not None
    assert link.get("href") == "jobs/1/a"


def test_the_title_and_what_it_shows_are_there_for_those_who_cannot_see_it() -> None:
    drawing = parsed(graph([Node("a", (), GOOD), Node("b", ("a",), RUN)], title="Job 7", ident="g7"))
    about = {element.get("id"): element.text for element in drawing if element.get("id")}
    assert about == {"g7-title": "Job 7", "g7-about": "2 tasks in 2 layers: 1 done, 1 running"}
    assert drawing.get("aria-labelledby") == "g7-title g7-about"


def test_the_start_of_what_runs_is_there_for_a_script_that_counts() -> None:
    assert 'class="counting" data-since="12.500">since</tspan>' in graph(
        [Node("a", (), RUN, "since", since=12.5)], title="t"
    )


def test_the_critical_path_is_marked_on_boxes_and_edges() -> None:
    nodes = [Node("a", (), GOOD), Node("b", ("a",), GOOD), Node("c", ("a", "b"), GOOD)]
    drawing = graph(nodes, title="t", critical=["a", "b"])
    assert drawing.count('class="node good critical"') == 2
    assert drawing.count('class="edge critical"') == 1
    assert "<title>b: done, on the critical path</title>" in drawing


def test_a_graph_of_200_tasks_is_drawn_whole() -> None:
    nodes = [Node(f"t{i}", (f"t{i // 3}",) if i else (), GOOD) for i in range(200)]
    assert len(BOX.findall(graph(nodes, title="t"))) == 200


def test_a_larger_one_is_drawn_with_one_box_per_layer_and_the_worst_state_of_each() -> None:
    wide = [Node(f"w{i}", ("first",), BAD if i < 2 else GOOD) for i in range(MOST_PLACES)]
    drawing = graph([Node("first", (), GOOD), *wide, Node("last", ("w0",), WAIT)], title="t")
    assert len(BOX.findall(drawing)) == 3
    assert f"2: {MOST_PLACES} tasks" in drawing
    assert f"✗ failed · 2 of {MOST_PLACES}" in drawing
    assert f"{MOST_PLACES + 2} tasks in 3 layers" in drawing


def test_a_pipeline_of_nothing_but_a_handler_can_be_drawn() -> None:
    assert len(BOX.findall(graph([Node("on_error", handler=True)], title="t"))) == 1
    assert parsed(graph([], title="t")).tag == "svg"


def test_its_description_counts_in_the_right_number():
    assert "1 task in 1 layer<" in graph([Node("a")], title="t")
    assert "2 tasks in 2 layers<" in graph([Node("a"), Node("b", ("a",))], title="t")
    assert "2 tasks in 1 layer<" in graph([Node("a"), Node("b")], title="t")
