"""What the benchmark makes of what it has measured: statistics, comparisons, files, the table."""

import json
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import command
from benchmarks.definitions import jobs, lanes, makefile
from benchmarks.measure import Bench, Curve, Figure, Measure, Outcome, Points, Skipped
from benchmarks.metrics import containment, histogram
from benchmarks.page import BEGIN, END, NO_FIGURES, block, pictures, replaced
from benchmarks.parts import timing
from benchmarks.plot import Axis, Line, plot
from benchmarks.registry import MEASURES
from benchmarks.results import Result, Results, UnfitFile, load, merged, save
from benchmarks.rows import Row, number, rows, table
from benchmarks.scale.sizes import sizes
from benchmarks.series import bucket_quantile, change, percentile, same, slope, spread
from prunner_trio import load_definitions

MACHINE = {"cores": "2", "python": "3.11.7"}


def measure(*figures: Figure, name: str = "chain", reference: str = "make, the same graph") -> Measure:
    return Measure(name, "service", "some work", figures, lambda bench: Outcome(), reference)


def result(values: dict[str, list[float]], references: dict[str, list[float]] | None = None, **rest: object) -> Result:
    return Result(False, "2026-01-02", values, references or {}, **rest)  # type: ignore[arg-type]


def only_row(figure: Figure, found: Result, before: Result | None = None) -> Row:
    baseline = Results("d", MACHINE, {"chain": before}) if before is not None else None
    (row,) = rows([measure(figure)], Results("d", MACHINE, {"chain": found}), baseline)
    return row


# ------------------------------------------------------------------------------------------------------ statistics


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1), (0.5, 5), (0.51, 6), (0.99, 10), (1.0, 10)])
def test_a_percentile_is_a_value_that_came(share: float, expected: float) -> None:
    assert percentile([10, 9, 8, 7, 6, 5, 4, 3, 2, 1], share) == expected
    assert percentile([7], share) == 7


def test_spread_change_and_whether_two_series_can_be_told_apart() -> None:
    assert spread([3, 1, 2]) == (1, 2, 3)
    assert change(3, 2) == 0.5
    assert change(3, 0) is None
    assert same([1, 3], [2, 4])
    assert same([1, 2], [2, 3])
    assert not same([3, 4], [1, 2])


def test_a_slope_is_that_of_the_straight_line() -> None:
    assert slope([(0, 5), (10, 25), (20, 45)]) == 2
    assert slope([(1, 5), (1, 7)]) == 0


def test_a_quantile_of_buckets_lies_evenly_within_its_bucket() -> None:
    buckets = [(1.0, 50.0), (2.0, 90.0), (4.0, 100.0), (float("inf"), 101.0)]
    assert bucket_quantile(buckets, 25 / 101) == pytest.approx(0.5)
    assert bucket_quantile(buckets, 95 / 101) == pytest.approx(3.0)
    assert bucket_quantile(buckets, 1.0) == 4.0  # nothing is known of what is beyond
    assert bucket_quantile([(1.0, 0.0), (float("inf"), 0.0)], 0.99) == 0
    assert bucket_quantile([(1.0, 0.0), (2.0, 10.0)], 0.5) == 1.5
    assert bucket_quantile([], 0.5) == 0


def test_a_histogram_is_read_since_an_earlier_scrape() -> None:
    before = 'x_bucket{le="0.5"} 3.0\nx_bucket{le="+Inf"} 4.0\nx_count 4.0\n'
    after = 'x_bucket{le="0.5"} 5.0\nx_bucket{le="+Inf"} 9.0\nxx_bucket{le="0.5"} 1.0\n'
    assert histogram(after, "x", before) == [(0.5, 2.0), (float("inf"), 5.0)]
    assert histogram(after, "y") == []


def test_the_means_of_containment_are_read_from_the_metrics() -> None:
    assert containment('prunner_build_info{containment="cgroup",version="1"} 1.0\n') == "cgroup"
    assert containment('prunner_build_info{version="1"} 1.0\n') == ""
    assert containment(None) == ""


# ---------------------------------------------------------------------------------------------------------- timing


def test_rounds_have_so_many_repetitions_that_a_clock_can_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def work() -> None:
        nonlocal now
        now += timing.ENOUGH / 100

    monkeypatch.setattr(timing.time, "perf_counter", lambda: now)
    monkeypatch.setattr(timing.time, "process_time", lambda: now / 2)
    found = timing.repeat(work)
    assert found.wall == pytest.approx([timing.ENOUGH / 100] * timing.ROUNDS)
    assert found.cpu == pytest.approx([timing.ENOUGH / 200] * timing.ROUNDS)
    assert now >= timing.ROUNDS * timing.ENOUGH
    outcome = Outcome()
    found.into(outcome, "x", 1e3, 10)
    assert outcome.rounds["x"] == pytest.approx([timing.ENOUGH / 1000 * 1e3] * timing.ROUNDS)
    assert set(outcome.rounds) == {"x", "x cpu"}


# ------------------------------------------------------------------------------------------------------------ rows


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.01234, "0.0123"), (0.5, "0.500"), (1.234, "1.23"), (12.34, "12.3"), (3, "3"), (1234.5, "1,234")],
)
def test_numbers_have_three_digits_that_matter(value: float, text: str) -> None:
    assert number(value) == text


def test_a_row_shows_the_median_its_range_and_its_ratio() -> None:
    row = only_row(Figure("task", "ms", "a task"), result({"task": [3.0, 1.0, 2.0]}, {"task": [0.5, 0.5, 0.4]}))
    assert (row.value, row.range, row.ratio) == ("2 ms", "1 – 3", "4 × make")
    assert (row.goal, row.met, row.baseline, row.change) == ("", "", "", "")


@pytest.mark.parametrize(
    ("figure", "met"),
    [
        (Figure("task", "ms", "", goal=2.0), "yes"),
        (Figure("task", "ms", "", goal=1.9), "no"),
        (Figure("task", "ms", "", more=True, goal=2.0), "yes"),
        (Figure("task", "ms", "", more=True, goal=2.1), "no"),
        (Figure("task", "ms", "", ratio_goal=4.0), "yes"),
        (Figure("task", "ms", "", goal=2.0, ratio_goal=3.9), "no"),
        (Figure("task", "ms", ""), ""),
    ],
)
def test_a_goal_is_met_if_both_the_figure_and_its_ratio_are_good_enough(figure: Figure, met: str) -> None:
    assert only_row(figure, result({"task": [2.0]}, {"task": [0.5]})).met == met


def test_a_ratio_that_cannot_be_had_is_not_judged() -> None:
    row = only_row(Figure("task", "ms", "", ratio_goal=1.0), result({"task": [2.0]}))
    assert (row.ratio, row.goal, row.met) == ("", "≤ 1 × make", "")


def test_a_change_says_whether_the_ranges_overlap() -> None:
    figure = Figure("task", "ms", "")
    assert only_row(figure, result({"task": [2.0, 3.0]}), result({"task": [1.0, 1.0]})).change == "+150 %"
    assert only_row(figure, result({"task": [1.0, 3.0]}), result({"task": [2.0, 6.0]})).change == "-50 % ~"
    fact = Figure("task", "ms", "", fact=True)
    assert only_row(fact, result({"task": [2.0]}), result({"task": [1.0]})).change == ""


def test_quick_figures_meet_no_goals_and_have_no_other_baseline() -> None:
    quick = Result(True, "2026-01-02", {"task": [2.0]})
    row = only_row(Figure("task", "ms", "", goal=3.0), quick, result({"task": [1.0]}))
    assert (row.goal, row.met, row.baseline, row.change) == ("", "", "", "")


def test_the_table_names_a_measure_once_leaves_out_empty_columns_and_shows_trouble() -> None:
    measures = [
        measure(Figure("task", "ms", ""), Figure("lag", "ms", "")),
        measure(name="logs"),
    ]
    found = {
        "chain": result({"task": [2.0], "lag": [10.5]}),
        "logs": Result(False, "2026-01-02", trouble="skipped: no head"),
    }
    text = table(list(rows(measures, Results("d", MACHINE, found))))
    assert text.splitlines() == [
        "measure  figure",
        "chain    task       2 ms",
        "         lag     10.5 ms",
        "logs     skipped: no head",
    ]


# ----------------------------------------------------------------------------------------------------------- files


def test_results_come_back_from_their_file_with_a_line_for_each_series(tmp_path: Path) -> None:
    found = result({"task": [1.0, 2.0]}, {"task": [0.5]}, curves={"memory": [(10.0, 1.5), (100.0, 2.0)]})
    path = tmp_path / "figures.json"
    save(Results("d 1", MACHINE, {"chain": found}), path)
    assert load(path) == Results("d 1", MACHINE, {"chain": found})
    assert '        "task": [1.0, 2.0]\n' in path.read_text()


def test_more_digits_than_matter_are_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    save(Results("d", MACHINE, {"chain": result({"task": [1.23456789]})}), path)
    assert load(path).measures["chain"].values == {"task": [1.2346]}


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"format": 1}', json.dumps({"format": 99})])
def test_another_file_is_refused_with_its_name(text: str, tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    path.write_text(text)
    with pytest.raises(UnfitFile, match=r"figures\.json"):
        load(path)


def test_runs_add_up_and_curves_are_those_of_the_last() -> None:
    first = result({}).with_run(Outcome({"a": 1.0}, {"a": 4.0}, {"c": [(1.0, 1.0)]}))
    second = first.with_run(Outcome({"a": 3.0}, {"a": 4.0}, {"c": [(1.0, 2.0)]}, rounds={"b": [5.0, 6.0]}))
    assert second.values == {"a": [1.0, 3.0], "b": [5.0, 6.0]}
    assert second.curves == {"c": [(1.0, 2.0)]}
    assert second.ratio("a") == 0.5
    assert second.ratio("b") is None


def test_new_figures_replace_those_of_their_measure_alone_and_trouble_replaces_none() -> None:
    older = Results("d 1", MACHINE, {"chain": result({"task": [1.0]}), "fan": result({"task": [2.0]})})
    trouble = Result(False, "2026-01-03", trouble="failed: it did")
    newer = Results("d 2", MACHINE, {"chain": result({"task": [5.0]}), "fan": trouble, "logs": trouble})
    both = merged(older, newer)
    assert both.daemon == "d 2"
    assert both.measures["chain"].values == {"task": [5.0]}
    assert both.measures["fan"].values == {"task": [2.0]}
    assert both.measures["logs"] is trouble


def test_figures_of_another_machine_do_not_stay_beside_new_ones() -> None:
    older = Results("d", {"cores": "64"}, {"fan": result({"task": [2.0]})})
    newer = Results("d", MACHINE, {"chain": result({"task": [5.0]})})
    assert merged(older, newer) == newer


# ------------------------------------------------------------------------------------------------ plots and the page

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize(
    ("values", "low", "high", "ticks", "log"),
    [
        ([10, 10_000], 10, 10_000, (10, 100, 1000, 10_000), True),
        ([0.03, 4], 0.01, 10, (0.01, 0.1, 1, 10), True),
        ([1.1, 1.3], 0, 1.4, (0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4), False),
        ([0.0, 5.0], 0, 5, (0, 1, 2, 3, 4, 5), False),
        ([0.0], 0, 1, (0, 1), False),
        ([], 0, 1, (0, 1), False),
    ],
)
def test_an_axis_goes_by_powers_if_its_values_do(
    values: list[float], low: float, high: float, ticks: tuple[float, ...], log: bool
) -> None:
    axis = Axis.over(values)
    assert (axis.low, axis.high, axis.log) == (pytest.approx(low), pytest.approx(high), log)
    assert axis.ticks == pytest.approx(ticks)
    assert axis.place(axis.low) == 0
    assert axis.place(axis.high) == 1
    assert axis.place(axis.high * 10) == 1
    assert axis.place(0) == 0


def points_of(picture: str) -> list[list[tuple[float, float]]]:
    lines = ElementTree.fromstring(picture).iter(f"{SVG}polyline")
    return [
        [(float(x), float(y)) for x, y in (each.split(",") for each in line.attrib["points"].split())] for line in lines
    ]


def test_a_plot_has_a_line_for_each_series_in_the_order_of_its_sizes() -> None:
    lines = [Line("a & b", [(10, 1.0), (100, 1.1), (1000, 1.2)]), Line("flat", [(10, 0.5), (1000, 0.5)])]
    picture = plot(lines, "tasks <1>", "ms")
    rising, flat = points_of(picture)
    assert [x for x, _ in rising] == sorted(x for x, _ in rising)
    assert rising[0][1] > rising[1][1] > rising[2][1]  # in SVG, up is less
    assert rising[1][0] - rising[0][0] == pytest.approx(rising[2][0] - rising[1][0], abs=0.2)
    assert flat[0][1] == flat[1][1] > rising[0][1]
    texts = {text.text for text in ElementTree.fromstring(picture).iter(f"{SVG}text")}
    assert {"a & b", "flat", "tasks <1>", "ms", "10", "100", "1,000"} <= texts


def test_sizes_at_equal_steps_are_at_equal_steps_in_the_plot() -> None:
    ((*points,),) = points_of(plot([Line("memory", [(at * 500.0, 50.0) for at in range(1, 101)])], "jobs", "MB"))
    steps = {round(after[0] - before[0]) for before, after in pairwise(points)}
    assert len(points) == 100
    assert steps == {round((points[-1][0] - points[0][0]) / 99)}


GROWN = Measure(
    "grown",
    "scale",
    "some work",
    (Figure("task", "ms", "a task", goal=2.0), Figure("share", "%", "of a processor")),
    lambda bench: Outcome(),
    "make, the same graph",
    (Curve("a", "tasks", "ms", "ours"), Curve("b", "tasks", "ms", "make"), Curve("c", "tasks", "%", "of a processor")),
)


def test_the_page_shows_goals_figures_and_a_picture_for_each_unit() -> None:
    curves: dict[str, Points] = {name: [(10.0, 1.0), (100.0, 2.0)] for name in ("a", "b", "c")}
    found = result({"task": [1.0], "share": [5.0]}, {"task": [0.5]}, curves=curves, load=0.2)
    results = Results("d 1", MACHINE, {"grown": found})
    text = block([GROWN], results)
    assert text.startswith(BEGIN)
    assert text.endswith(END)
    assert "Measured 2026-01-02 with d 1, on this machine: cores 2, python 3.11.7." in text
    assert "load from other programs was 0.2 at most" in text
    assert "| [grown](#grown): a task | 1 ms | 2 × make | ≤ 2 ms | yes |" in text
    assert "Some work. Beside it: make, the same graph." in text
    assert "| share | of a processor | 5 % |" in text
    assert set(pictures([GROWN], results)) == {"grown-ms.svg", "grown-share.svg"}
    for name in pictures([GROWN], results):
        assert f"(images/performance/{name})" in text
    assert len(points_of(pictures([GROWN], results)["grown-ms.svg"])) == 2


def test_the_page_says_what_was_not_measured_and_that_small_sizes_are_none() -> None:
    trouble = Result(True, "2026-01-02", trouble="skipped: too few descriptors")
    text = block([GROWN], Results("d 1", MACHINE, {"grown": trouble}))
    assert "Not measured, skipped: too few descriptors." in text
    assert "no measurement" in text
    assert "### Goals" not in text
    assert pictures([GROWN], Results("d 1", MACHINE, {"grown": trouble})) == {}


def test_only_what_is_between_the_markers_is_replaced() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    new = block([GROWN], None)
    assert replaced(page, new) == f"before\n{new}\nafter\n"
    assert NO_FIGURES in new
    for broken in ("no markers", f"{END} {BEGIN}"):
        with pytest.raises(ValueError, match="there is no"):
            replaced(broken, new)


def test_writing_the_page_brings_pictures_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page, folder = tmp_path / "performance.md", tmp_path / "images" / "performance"
    folder.mkdir(parents=True)
    (folder / "old-ms.svg").write_text("of a measure that is no more")
    page.write_text(f"before\n{BEGIN}\n{END}\n", encoding="utf-8")
    points = [(10.0, 1.0), (100.0, 2.0)]
    found = result({"task": [1.0]}, curves={"task": points, "make": points})
    save(Results("d 1", MACHINE, {"tasks": found}), tmp_path / "figures.json")
    monkeypatch.setattr(command, "PAGE", page)
    monkeypatch.setattr(command, "ROOT", tmp_path)
    assert command.main(["--page", "--baseline", str(tmp_path / "figures.json")]) == 0
    assert [path.name for path in folder.iterdir()] == ["tasks-ms.svg"]
    assert page.read_text(encoding="utf-8").startswith(f"before\n{BEGIN}\n\nMeasured 2026-01-02")


def test_the_page_and_its_pictures_show_the_stored_figures() -> None:
    root = Path(__file__).parents[2]
    stored = root / "benchmarks" / "baseline.json"
    results = load(stored) if stored.exists() else None
    page = (root / "docs" / "performance.md").read_text(encoding="utf-8")
    assert replaced(page, block(MEASURES, results)) == page, "run scripts/bench --page"
    folder = root / "docs" / "images" / "performance"
    there = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.svg")}
    assert there == pictures(MEASURES, results), "run scripts/bench --page"


# ------------------------------------------------------------------------------------------------------------ work


def test_sizes_go_by_powers_of_ten_up_to_the_last_one() -> None:
    assert sizes(1000) == [10, 100, 1000]
    assert sizes(500, first=1) == [1, 10, 100, 500]
    assert sizes(5) == [5]


def test_lanes_are_chains_side_by_side() -> None:
    assert lanes(3, 1) == [("t00000", None), ("t00001", "t00000"), ("t00002", "t00001")]
    assert [needs for _, needs in lanes(3, 3)] == [None, None, None]
    assert [needs for _, needs in lanes(4, 2)] == [None, None, "t00000", "t00001"]


def test_definitions_and_makefile_are_the_same_graph(tmp_path: Path) -> None:
    graph = lanes(4, 2)
    (tmp_path / "pipelines.yml").write_text(jobs(graph, "concurrency: 3"))
    pipeline = load_definitions("pipelines.yml", tmp_path).get("c")
    assert pipeline is not None
    assert pipeline.concurrency == 3
    assert {(task.name, *task.depends_on) for task in pipeline.tasks} == {
        (name, needs) if needs else (name,) for name, needs in graph
    }
    rules = makefile(graph).splitlines()
    assert rules[0] == "all: t00000 t00001 t00002 t00003"
    assert "t00003: t00001" in rules
    assert rules.count("\t@/bin/true") == 4


def test_flags_of_ours_are_not_given_to_other_daemons() -> None:
    bench = Bench(("other",), own=False, quick=True)
    with pytest.raises(Skipped, match="--containment group: only prunner-trio"):
        bench.daemon("", "--containment", "group")
    assert bench.size(1000, 10) == 10


def test_measures_and_their_figures_have_names_of_their_own() -> None:
    assert len({measure.name for measure in MEASURES}) == len(MEASURES)
    for each in MEASURES:
        assert len({figure.name for figure in each.figures}) == len(each.figures)
        assert len({curve.name for curve in each.curves}) == len(each.curves)
        assert each.reference or not any(figure.ratio_goal for figure in each.figures)
