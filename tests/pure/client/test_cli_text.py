"""Text from elsewhere on a terminal: nothing in it is obeyed but colors, and it fits."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunner_trio.cli.log_lines import LogLines, prefix
from prunner_trio.cli.moments import age, seconds_of, span
from prunner_trio.cli.text import fit, plain, shown_line, width_of

OBEYED = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200e\u200f]")
ANY = st.text(st.characters(codec="utf-8") | st.sampled_from("\x1b[31mA\r\t\u202e\x9b漢é\u0301👩\u200d🚀"))


@given(ANY)
def test_a_plain_text_has_nothing_that_a_terminal_obeys(text: str) -> None:
    assert not OBEYED.search(plain(text).replace("\t", ""))
    assert "\t" not in plain(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("grün 漢字 \u00a0x", "grün 漢字 \u00a0x"),
        ("a\x1b[2Jb", "a␛[2Jb"),
        ("a\nb\x7f\x9b", "a␊b␡\\x9b"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("👩\u200d🚀", "👩\u200d🚀"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_is_obeyed_becomes_visible_and_the_rest_stays(text: str, shown: str) -> None:
    assert plain(text) == shown


@given(ANY, st.booleans())
def test_a_line_of_a_log_has_nothing_but_colors_and_tabs(line: str, colors: bool) -> None:
    shown = shown_line(line, colors=colors)
    rest = re.sub(r"\x1b\[[0-9;:]*m", "", shown)
    assert not OBEYED.search(rest.replace("\t", ""))
    assert colors or shown == rest


@pytest.mark.parametrize(
    ("line", "colored", "without"),
    [
        ("\x1b[1;31mred\x1b[0m", "\x1b[1;31mred\x1b[0m\x1b[0m", "red"),
        ("\x1b[38:2:1:2:3mx", "\x1b[38:2:1:2:3mx\x1b[0m", "x"),
        ("a\x1b]0;title\x07b", "a␛]0;title␇b", "a␛]0;title␇b"),
        ("10%\r50%\r100%\r", "100%", "100%"),
        ("a\tb", "a\tb", "a\tb"),
        ("dos\r", "dos", "dos"),
    ],
)
def test_colors_stay_or_go_and_nothing_leaks_into_the_next_line(line: str, colored: str, without: str) -> None:
    assert shown_line(line, colors=True) == colored
    assert shown_line(line, colors=False) == without


@given(ANY.map(plain), st.integers(0, 30))
def test_a_text_is_fitted_to_the_column(text: str, width: int) -> None:
    assert width_of(fit(text, width)) == width
    if width_of(text) <= width:
        assert fit(text, width, pad=False) == text


def test_wide_letters_and_marks_are_counted_as_terminals_do() -> None:
    assert width_of("漢字") == 4
    assert width_of("e\u0301") == 1
    assert fit("漢字漢字", 5) == "漢字…"
    assert fit("漢字漢字", 6) == "漢字… "
    assert fit("abcdef", 4) == "abc…"
    assert fit("\x1b[31mabcdef\x1b[0m", 4) == "\x1b[31mabc…\x1b[0m"
    assert fit("\x1b[31mab\x1b[0m", 4) == "\x1b[31mab\x1b[0m  "


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0.0, "0.0s"),
        (3.14, "3.1s"),
        (12.4, "12s"),
        (59.6, "1m00s"),
        (185.0, "3m05s"),
        (3599.7, "1h00m"),
        (7440.0, "2h04m"),
        (86400 * 3 + 7200.0, "3d02h"),
    ],
)
def test_a_duration_has_two_units_at_most(seconds: float | None, text: str) -> None:
    assert span(seconds) == text


def test_an_age_is_never_negative() -> None:
    then = seconds_of("2026-01-02T03:04:05.500Z")
    assert age("2026-01-02T03:04:05.500Z", then - 3) == "0s"
    assert age("2026-01-02T03:04:05.500Z", then + 9) == "9s"
    assert age("2026-01-02T03:04:05.500Z", then + 90) == "1m30s"
    assert age(None, then) == "-"


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=4))
def test_lines_for_programs_are_the_bytes_of_the_log_however_they_come(data: bytes, cuts: list[int]) -> None:
    lines, found, last = LogLines(terminal=False, colors=False), [], 0
    for cut in sorted({*(cut for cut in cuts if cut < len(data)), len(data)}):
        found += lines.feed(data[last:cut])
        last = cut
    found += lines.end()
    assert found == (data.removesuffix(b"\n").split(b"\n") if data else [])


def test_a_line_that_never_ends_is_shown_in_parts() -> None:
    lines = LogLines(terminal=False, colors=False)
    assert [len(line) for line in lines.feed(b"x" * 70_000)] == [70_000]


def test_lines_for_a_terminal_do_no_harm() -> None:
    lines = LogLines(terminal=True, colors=False)
    assert lines.feed(b"\x1b[2Jx\xff\n\x1b[32mok\n") == ["␛[2Jx\ufffd".encode(), b"ok"]


def test_the_name_of_a_task_stands_in_front_if_there_are_others() -> None:
    assert prefix("a", ["a"]) == ""
    assert [prefix(task, ["a", "漢字"]) for task in ("a", "漢字")] == ["a    | ", "漢字 | "]
    assert prefix("x\ny", ["x\ny", "z"]) == "x␊y | "
