"""Drawings over time: the critical path, the axis, the timeline, the latest runs."""

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.pure.pages.looks import BAD, GOOD, RUN, WAIT

from prunner_trio.http.pages.drawing import Bar, Run, critical_path, sparkline, timeline
from prunner_trio.http.pages.drawing.axis import mark_text, marks
from prunner_trio.model import State, TaskView


def task(name, needs=(), started=None, ended=None) -> TaskView:
    return TaskView(name, State.DONE, tuple(needs), started, ended)


def test_the_critical_path_goes_back_from_the_last_end_through_the_need_that_ended_last() -> None:
    tasks = [
        task("quick", (), 0, 1),
        task("slow", (), 0, 5),
        task("side", ("quick",), 1, 4),
        task("join", ("quick", "slow"), 5, 9),
        task("never", ("join",)),
    ]
    assert critical_path(tasks, now=20) == ("slow", "join")


def test_a_task_that_runs_counts_as_if_it_ended_now() -> None:
    tasks = [task("done", (), 0, 5), task("runs", (), 1)]
    assert critical_path(tasks, now=6) == ("runs",)
    assert critical_path(tasks, now=4) == ("done",)


def test_there_is_no_critical_path_before_the_first_start() -> None:
    assert critical_path([task("a"), task("b", ("a",))], now=3) == ()


TIMES = st.floats(0, 1000)


@given(st.lists(st.tuples(st.lists(st.integers(0, 30), max_size=3), TIMES, st.none() | TIMES), max_size=12))
def test_each_task_on_the_critical_path_needs_the_one_before_it(rows) -> None:
    tasks = [
        task(str(i), {str(need) for need in needs if need < i}, start, None if took is None else start + took)
        for i, (needs, start, took) in enumerate(rows)
    ]
    path = critical_path(tasks, now=2000)
    by_name = {each.name: each for each in tasks}
    assert all(before in by_name[after].depends_on for before, after in pairwise(path))
    assert bool(path) == bool(tasks)


@given(st.floats(1e-3, 1e8), st.integers(2, 12))
def test_marks_are_round_equally_far_apart_and_not_too_many(length, most) -> None:
    found = marks(length, most)
    assert found[0] == 0
    assert len(found) <= most + 1
    assert found[-1] <= length * (1 + 1e-6)
    steps = [b - a for a, b in pairwise(found)]
    assert all(step == pytest.approx(steps[0]) for step in steps)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0"), (0.05, "50 ms"), (15, "15 s"), (60, "1 min"), (90, "1 min 30 s"), (5400, "1 h 30 min"), (172800, "2 d")],
)
def test_a_mark_is_told_in_its_largest_units(seconds, text) -> None:
    assert mark_text(seconds) == text


def rects(drawing: str, kind: str) -> list[tuple[float, float]]:
    return [
        (float(x), float(width))
        for x, width in re.findall(rf'<rect class="{kind}" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', drawing)
    ]


def test_a_bar_has_a_thin_part_for_waiting_and_a_thick_one_for_running() -> None:
    drawing = timeline([Bar("a", GOOD, waits=100, starts=102, ends=110)], now=500, title="t")
    [(wait_x, wait_width)], [(run_x, run_width)] = rects(drawing, "waits"), rects(drawing, "runs")
    assert wait_x + wait_width == pytest.approx(run_x, abs=0.2)
    assert run_width == pytest.approx(4 * wait_width, abs=0.5)


def test_what_goes_on_reaches_until_now_and_what_has_not_begun_has_no_bar() -> None:
    bars = [Bar("a", GOOD, starts=0, ends=4), Bar("b", RUN, starts=4), Bar("c", WAIT)]
    drawing = timeline(bars, now=8, title="t")
    (_, first), (_, second) = rects(drawing, "runs")
    assert first == pytest.approx(second, abs=0.2)
    assert rects(drawing, "waits") == []
    assert "<title>c: waiting</title>" in drawing


def test_a_task_that_waited_and_never_ran_shows_its_wait() -> None:
    drawing = timeline([Bar("a", GOOD, starts=0, ends=4), Bar("b", WAIT, waits=2)], now=6, title="t")
    [(_, width)] = rects(drawing, "waits")
    [(_, other)] = rects(drawing, "runs")
    assert width == pytest.approx(other, abs=0.2)


def test_the_axis_begins_with_the_first_bar_and_the_time_after_the_end_of_a_job_is_not_shown() -> None:
    drawing = timeline([Bar("a", GOOD, starts=1000, ends=1007)], now=9e9, title="t")
    assert [mark for mark in (">0<", ">1 s<", ">7 s<") if mark in drawing] == [">0<", ">1 s<", ">7 s<"]
    assert ">10 s<" not in drawing


def test_the_critical_path_is_underlined_and_told() -> None:
    bars = [Bar("a", GOOD, starts=0, ends=4, href="x"), Bar("b", GOOD, starts=0, ends=2)]
    drawing = timeline(bars, now=4, title="t", critical=["a"])
    assert drawing.count('class="path"') == 1
    assert "a: done, on the critical path" in drawing
    assert "on the critical path: a</desc>" in drawing


@given(st.text(min_size=1), st.text(), st.text(min_size=1), st.text(min_size=1))
def test_whatever_users_write_is_text_and_nothing_else(name, title, lasted, href) -> None:
    def shape(bar: Bar, title: str) -> list[tuple[str, list[str]]]:
        root = ElementTree.fromstring(timeline([bar], now=3, title=title))
        return [(element.tag, sorted(element.attrib)) for element in root.iter()]

    given_ = Bar(name, GOOD, starts=0, ends=1, lasted=lasted, href=href)
    assert shape(given_, title) == shape(Bar("a", GOOD, starts=0, ends=1, lasted="b", href="c"), "d")


def test_an_empty_timeline_can_be_drawn() -> None:
    assert ElementTree.fromstring(timeline([], now=0, title="t")).tag == "svg"
    assert "style" not in timeline([Bar("a", RUN, starts=0)], now=0, title="t", critical="a")


def heights(drawing: str) -> list[float]:
    return [float(height) for height in re.findall(r'<rect [^>]*height="([\d.]+)"', drawing)]


def test_runs_are_bars_as_high_as_they_took_long() -> None:
    drawing = sparkline([Run(GOOD, 1, "1 s"), Run(GOOD, 4, "4 s"), Run(GOOD, 0, "0 s")])
    short, long, none = heights(drawing)
    assert none < short < long


def test_a_failed_run_is_told_by_more_than_its_color() -> None:
    drawing = sparkline([Run(GOOD, 1, "1 s"), Run(BAD, 2, "2.0 s")])
    good, bad = re.findall(r'<g class="(?:good|bad)">.*?</g>', drawing)
    assert "<path" not in good
    assert "<path" in bad
    assert "<title>failed, 2.0 s</title>" in bad


def test_the_runs_are_told_as_a_sentence() -> None:
    drawing = sparkline([Run(GOOD, 1, "1 s"), Run(GOOD, 1, "1 s"), Run(BAD, 2, "2.0 s")])
    label = ElementTree.fromstring(drawing).get("aria-label")
    assert label == "The latest 3 runs: 2 done, 1 failed. The last one failed after 2.0 s."


def test_no_runs_are_no_drawing_and_runs_of_no_duration_are_one() -> None:
    assert sparkline([]) == ""
    assert heights(sparkline([Run(GOOD, 0, "0 s")] * 3)) == [3, 3, 3]
