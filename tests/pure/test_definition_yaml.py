"""YAML text as nodes: places, scalars as written, merges, and files made to hurt."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from prunner_trio.definition import yaml_nodes
from prunner_trio.definition.yaml_nodes import ListNode, MapNode, Node, TextNode, place_of, read_nodes
from prunner_trio.errors import Problem


@pytest.fixture(params=["SafeLoader", "CSafeLoader"], autouse=True)
def _either_parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    loader = getattr(yaml, request.param, None)
    if loader is None:
        pytest.skip("PyYAML was built without libyaml")
    monkeypatch.setattr(yaml_nodes, "_LOADER", loader)


def read(text: str) -> Node:
    node, problems = read_nodes(text, "f.yml")
    assert problems == []
    assert node is not None
    return node


def only_problem(text: str) -> Problem:
    _, problems = read_nodes(text, "f.yml")
    assert len(problems) == 1, problems
    assert problems[0].file == "f.yml"
    assert problems[0].message.startswith("decoding YAML: ")
    return problems[0]


def plain(node: Node) -> object:
    if isinstance(node, MapNode):
        return {entry.key: plain(entry.value) for entry in node.entries}
    if isinstance(node, ListNode):
        return [plain(item) for item in node.items]
    return node.text


@pytest.mark.parametrize(
    "text", ["yes", "no", "on", "012", "0x1F", "1e3", "1.10", "1:30", "2024-01-01", "true", "null", "~", "=", ".inf"]
)
def test_a_scalar_keeps_its_text(text: str) -> None:
    assert plain(read(f"{text}: {text}\n")) == {text: text}


def test_only_a_plain_scalar_can_mean_more_than_its_text() -> None:
    node = read("[1, '1', \"1\", !!str 1, ! 1]\n")
    assert isinstance(node, ListNode)
    assert [isinstance(item, TextNode) and item.plain for item in node.items] == [True, False, False, False, False]


@pytest.mark.parametrize(("text", "null"), [("", True), ("~", True), ("null", True), ("''", False), ("nil", False)])
def test_null_is_told_from_an_empty_text(text: str, null: bool) -> None:
    node = read(f"a: {text}\n")
    assert isinstance(node, MapNode)
    assert node.entries[0].value.null is null


def test_nodes_know_their_places_in_characters() -> None:
    node = read("a: 1\nüü: {b: ✓}\n")
    assert isinstance(node, MapNode)
    second = node.entries[1]
    assert (second.line, second.column) == (2, 1)
    assert (second.value.line, second.value.column) == (2, 5)
    assert isinstance(second.value, MapNode)
    assert (second.value.entries[0].line, second.value.entries[0].column) == (2, 6)


def test_a_byte_order_mark_in_front_is_no_text() -> None:
    node = read("\ufeffa: 1\n")
    assert isinstance(node, MapNode)
    assert (node.entries[0].key, node.entries[0].column) == ("a", 1)


MERGES = {
    "x: &x {a: 1, b: 2}\ny: {<<: *x}\n": {"a": "1", "b": "2"},
    "x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}\n": {"b": "3", "a": "1"},
    "x: &x {a: 1, b: 2}\ny: {b: 3, <<: *x}\n": {"b": "3", "a": "1"},
    "x: &x {a: 1}\nz: &z {a: 2, c: 3}\ny: {<<: [*x, *z]}\n": {"a": "1", "c": "3"},
    "x: &x {a: 1}\nz: &z {<<: *x, c: 3}\ny: {<<: *z}\n": {"c": "3", "a": "1"},
    "y: {<<: {a: 1}}\n": {"a": "1"},
    "y: {'<<': {a: 1}}\n": {"<<": {"a": "1"}},
}


@pytest.mark.parametrize(("text", "merged"), MERGES.items())
def test_merge_keys_give_way_to_what_is_written(text: str, merged: object) -> None:
    node = read(text)
    assert isinstance(node, MapNode)
    found = node.get("y")
    assert found is not None
    assert plain(found) == merged


def test_an_alias_stands_for_what_was_named_last() -> None:
    assert plain(read("[&a 1, *a, &a 2, *a]")) == ["1", "1", "2", "2"]


PROBLEMS = {
    "": (0, "empty"),
    "# nothing\n": (0, "empty"),
    "a: [": (0, ""),
    "a: 1\n--- \nb: 2\n": (2, "more than one document"),
    "a: 1\nb: 2\na: 3\n": (3, 'the key "a" is there twice, first in line 1'),
    "x: 1\na: *nope\n": (2, "has no anchor before it"),
    "x: &x {a: *x}\n": (1, "stands within what it names"),
    "x: &x\n  <<: *x\n": (2, "stands within what it names"),
    "x: 1\n<<: 3\n": (2, "<< can only merge"),
    "<<: [{a: 1}, b]\n": (1, "<< can only merge"),
    "x: !foo 1\n": (1, "the tag !foo"),
    "x: !!binary aGk=\n": (1, "the tag"),
    "x: !!python/object/apply:os.getcwd []\n": (1, "the tag"),
    "a: 1\n? [b]\n: c\n": (2, "a key must be a text"),
    "a: b\x00\n": (1, "U+0000"),
    "a: 1\nb: \x1b[31m\n": (2, "U+001B"),
    "a: b\ufeff\n": (1, "U+FEFF"),
    "a: \ud800\n": (1, "U+D800"),
    "a:\n\t- b\n": (2, "cannot start any token"),
    "a: b: c\n": (1, "mapping values are not allowed"),
    "a: @b\n": (1, "cannot start any token"),
    "%YAML 3.0\n---\na: 1\n": (1, "incompatible YAML document"),
}


@pytest.mark.parametrize("text", PROBLEMS)
def test_what_cannot_be_read_is_one_problem_with_its_line(text: str) -> None:
    line, words = PROBLEMS[text]
    problem = only_problem(text)
    assert words in problem.message
    assert not line or problem.line == line


@pytest.mark.parametrize("text", ['a: "\\ud800"\n', 'a: "\\UFFFFFFFF"\n', 'a: "\\U00110000"\n'])
def test_an_escape_that_is_no_character_is_a_problem(text: str) -> None:
    assert only_problem(text).message


HINTS = {"a:\n\t- b\n": "spaces, not with tabs", "a: b: c\n": "quotes", "a: @b\n": "if it begins with @"}


@pytest.mark.parametrize(("text", "words"), HINTS.items())
def test_common_mistakes_come_with_what_to_do(text: str, words: str) -> None:
    assert words in only_problem(text).hint


def test_a_tree_of_aliases_that_grows_without_end_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    assert "aliases written out" in only_problem("\n".join(lines)).message


def test_maps_merged_into_one_another_count_each_time() -> None:
    lines = ["a0: &a0 {" + ", ".join(f"k{n}: 1" for n in range(1000)) + "}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 30)]
    assert "aliases written out" in only_problem("\n".join(lines)).message


@pytest.mark.parametrize("text", ["[" * 5000, "{a: " * 5000, "- " * 5000 + "x", "? " * 5000 + "x"])
def test_deep_nesting_is_refused(text: str) -> None:
    assert "more than 100 levels" in only_problem(text).message


def test_nesting_made_of_aliases_counts_too() -> None:
    lines = ["a0: &a0 x"] + [f"a{n}: &a{n} [[[*a{n - 1}]]]" for n in range(1, 60)]
    assert "more than 100 levels" in only_problem("\n".join(lines)).message


def test_a_hundred_levels_are_fine() -> None:
    read("[" * 99 + "x" + "]" * 99)


def test_a_huge_file_is_refused() -> None:
    assert "longer than 4 MiB" in only_problem("# " + "x" * yaml_nodes.MAX_BYTES).message


def test_places_count_every_kind_of_line_end() -> None:
    text = "a\nb\r\nc\rd"
    assert [place_of(text, text.index(letter)) for letter in "abcd"] == [(1, 1), (2, 1), (3, 1), (4, 1)]


YAMLISH = st.text(alphabet="ab01:-,[]{}&*!?|>'\"%@`#~<\n\t \\.=ü\x00", max_size=60)


@given(YAMLISH | st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: raw.decode("latin-1")))
def test_any_text_gives_nodes_or_problems(text: str) -> None:
    node, problems = read_nodes(text, "f.yml")
    assert node is not None or problems
