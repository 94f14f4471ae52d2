"""Finding and reading definition files on a real disk."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunner_trio.definition import load_definitions
from prunner_trio.errors import InvalidDefinition, Problem

pytestmark = pytest.mark.real

DEFAULT = "**/pipelines.{yml,yaml}"


def write(base: Path, **files: str) -> None:
    for path, name in files.items():
        target = base / path.replace("__", "/").replace("_yml", ".yml").replace("_yaml", ".yaml")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(f"pipelines: {{{name}: }}\n", "utf-8")


def names(pattern: str, base: Path) -> list[str]:
    return list(load_definitions(pattern, base).pipelines)


def problems(pattern: str, base: Path) -> list[Problem]:
    with pytest.raises(InvalidDefinition) as caught:
        load_definitions(pattern, base)
    return list(caught.value.problems)


PATTERNS = {
    DEFAULT: ["deep", "hidden", "top", "yaml"],
    "**/pipelines.yml": ["deep", "hidden", "top"],
    "pipelines.yml": ["top"],
    "/pipelines.yml": ["top"],
    "./pipelines.yml": ["top"],
    "*.yml": ["other", "top"],
    "a/**/*.yml": ["deep"],
    "a/b/c/pipelines.yml": ["deep"],
    "a/*/c/*.yml": ["deep"],
    "a/*.yml": [],
    "{a/b/c/pipelines,other}.yml": ["deep", "other"],
    "[op]*.yml": ["other", "top"],
    "pipelines.??ml": ["yaml"],
    "nothing.yml": [],
    "missing/*.yml": [],
    "": [],
    "{": [],
    "[": [],
}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_pattern_says_which_files_are_read(pattern: str, tmp_path: Path) -> None:
    write(tmp_path, pipelines_yml="top", pipelines_yaml="yaml", other_yml="other", a__b__c__pipelines_yml="deep")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "pipelines.yml").write_text("pipelines: {hidden: }")
    assert names(pattern, tmp_path) == PATTERNS[pattern]


def test_files_are_named_relative_to_the_base(tmp_path: Path) -> None:
    write(tmp_path, pipelines_yml="top", a__b__pipelines_yml="deep")
    found = load_definitions(DEFAULT, tmp_path)
    assert found.files == ("a/b/pipelines.yml", "pipelines.yml")
    assert found.pipelines["deep"].file == "a/b/pipelines.yml"


def test_a_pattern_may_lead_out_of_the_base(tmp_path: Path) -> None:
    write(tmp_path, other__x_yml="x")
    (tmp_path / "base").mkdir()
    assert names("../other/*.yml", tmp_path / "base") == ["x"]


def test_folders_with_the_name_of_a_file_are_passed_over(tmp_path: Path) -> None:
    write(tmp_path, pipelines_yml__x__pipelines_yml="inner")
    assert names(DEFAULT, tmp_path) == ["inner"]


def test_the_logs_in_a_data_directory_are_not_looked_through(tmp_path: Path) -> None:
    write(tmp_path, data__logs__job__pipelines_yml="inside", data__pipelines_yml="beside", logs__pipelines_yml="other")
    assert names(DEFAULT, tmp_path) == ["beside", "inside", "other"]
    for name in ("lock", "store.db"):
        (tmp_path / "data" / name).touch()
    assert names(DEFAULT, tmp_path) == ["beside", "other"]


def test_links_to_folders_are_followed(tmp_path: Path) -> None:
    write(tmp_path, elsewhere__pipelines_yml="linked")
    base = tmp_path / "base"
    base.mkdir()
    (base / "link").symlink_to(tmp_path / "elsewhere")
    assert load_definitions(DEFAULT, base).files == ("link/pipelines.yml",)


def test_what_can_be_reached_in_several_ways_is_read_once_under_its_own_name(tmp_path: Path) -> None:
    write(tmp_path, z__pipelines_yml="real")
    (tmp_path / "a").symlink_to(tmp_path / "z")
    (tmp_path / "z" / "loop").symlink_to(tmp_path)
    (tmp_path / "pipelines.yaml").symlink_to(tmp_path / "z" / "pipelines.yml")
    (tmp_path / "z" / "pipelines.yaml").symlink_to("pipelines.yml")
    assert names(DEFAULT, tmp_path) == ["real"]
    assert load_definitions("z/*", tmp_path).files == ("z/pipelines.yml",)


def test_links_in_a_circle_do_no_harm(tmp_path: Path) -> None:
    write(tmp_path, pipelines_yml="a")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "up").symlink_to(tmp_path)
        (tmp_path / name / "other").symlink_to(tmp_path / "one")
    (tmp_path / "self").symlink_to("self")
    assert names(DEFAULT, tmp_path) == ["a"]


def test_a_missing_base_is_a_problem(tmp_path: Path) -> None:
    (problem,) = problems(DEFAULT, tmp_path / "not-there")
    assert problem.file == str(tmp_path / "not-there")
    assert problem.message == "the directory cannot be read: No such file or directory"


def test_a_base_that_is_a_file_is_a_problem(tmp_path: Path) -> None:
    write(tmp_path, pipelines_yml="a")
    (problem,) = problems(DEFAULT, tmp_path / "pipelines.yml")
    assert problem.message == "the directory cannot be read: Not a directory"


@pytest.mark.parametrize("pattern", ["{1..100000}.yml", "{a,b}" * 20, "a\0/*.yml"])
def test_a_pattern_that_cannot_be_used_is_a_problem(pattern: str, tmp_path: Path) -> None:
    (problem,) = problems(pattern, tmp_path)
    assert problem.file == pattern
    assert problem.message.startswith("the pattern for definition files cannot be used: ")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_a_problem_beside_those_of_others(tmp_path: Path) -> None:
    write(tmp_path, pipelines_yml="a", b__pipelines_yml="a: {}, x")
    (tmp_path / "pipelines.yml").chmod(0)
    (problem,) = problems(DEFAULT, tmp_path)
    assert (problem.file, problem.line) == ("pipelines.yml", 0)
    assert problem.message == "cannot be read: Permission denied"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_folder_is_passed_over(tmp_path: Path) -> None:
    write(tmp_path, pipelines_yml="a", closed__pipelines_yml="b")
    (tmp_path / "closed").chmod(0)
    try:
        assert names(DEFAULT, tmp_path) == ["a"]
    finally:
        (tmp_path / "closed").chmod(0o700)


def test_a_link_that_leads_nowhere_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "pipelines.yml").symlink_to("gone")
    (tmp_path / "pipelines.yaml").symlink_to("pipelines.yaml")
    assert [problem.message.partition(":")[0] for problem in problems(DEFAULT, tmp_path)] == ["cannot be read"] * 2


def test_a_named_pipe_is_a_problem_and_blocks_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipelines.yml")
    (problem,) = problems(DEFAULT, tmp_path)
    assert "not a regular file" in problem.message


def test_all_problems_of_all_files_come_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_bytes(b"pipelines: {\xff: }")
    (tmp_path / "b.yml").write_text("pipelines: [")
    (tmp_path / "c.yml").write_text("pipelines: {p: {concurrency: -1}}")
    (tmp_path / "d.yml").symlink_to("gone")
    assert [problem.file for problem in problems("*.yml", tmp_path)] == ["a.yml", "b.yml", "c.yml", "d.yml"]


def test_bytes_that_are_no_utf_8_are_named(tmp_path: Path) -> None:
    (tmp_path / "pipelines.yml").write_bytes("a: ü".encode() + b"\xfc")
    (problem,) = problems(DEFAULT, tmp_path)
    assert problem.message == "decoding YAML: the byte 0xfc at 5 is not UTF-8"
    assert problem.hint == "save it as UTF-8"


def test_utf_16_is_refused_and_a_byte_order_mark_is_fine(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_bytes("pipelines: {a: }".encode("utf-16"))
    (tmp_path / "b.yml").write_bytes("pipelines: {b: }".encode("utf-8-sig"))
    assert [problem.file for problem in problems("*.yml", tmp_path)] == ["a.yml"]
    assert names("b.yml", tmp_path) == ["b"]


def test_a_huge_file_is_refused_without_being_read_whole(tmp_path: Path) -> None:
    with (tmp_path / "pipelines.yml").open("wb") as file:
        file.truncate(1 << 40)
    (problem,) = problems(DEFAULT, tmp_path)
    assert "longer than 4 MiB" in problem.message


def test_a_file_name_that_is_no_utf_8_can_be_shown(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"f\xff")
    folder.mkdir()
    (folder / "pipelines.yml").write_text("- a")
    (problem,) = problems(DEFAULT, tmp_path)
    assert problem.file.encode("utf-8") == b"f\\xff/pipelines.yml"


@given(st.binary(max_size=100))
def test_any_bytes_are_text_or_a_problem(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    base = tmp_path_factory.mktemp("bytes")
    (base / "pipelines.yml").write_bytes(content)
    try:
        files = set(load_definitions(DEFAULT, base).files)
    except InvalidDefinition as exc:
        files = {problem.file for problem in exc.problems}
    assert files == {"pipelines.yml"}
