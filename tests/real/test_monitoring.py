"""What is exported, what docs/metrics.md says of it, and what the dashboard and the alerts ask for: the same names."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from prunner_trio.metrics import CATALOG, Family, Kind, Metrics
from prunner_trio.metrics.exposition import render
from prunner_trio.metrics.histogram import Histogram

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "monitoring"
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \|([\w, ]*)\| (.+) \|$", re.MULTILINE)
NAME = re.compile(r"\b(?:prunner|process)_\w+")


def exported() -> dict[str, str]:
    """Return the kinds of all metrics by name."""
    text = render(Metrics(clock=lambda: 0.0).families(), "")[1].decode()
    return dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE))


def queries() -> Iterator[tuple[str, str]]:
    """Yield every query of the example with its place."""
    dashboard = json.loads((EXAMPLE / "dashboard.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield f"dashboard: {panel['title']}", target["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield f"dashboard: ${variable['name']}", variable["definition"]
    for group in yaml.safe_load((EXAMPLE / "alerts.yml").read_text())["groups"]:
        for rule in group["rules"]:
            yield f"alert: {rule['alert']}", rule["expr"]


def series(kinds: dict[str, str]) -> dict[str, str]:
    """Return the names that queries may use, with their metrics."""
    names = {name: name for name, kind in kinds.items() if kind != "histogram"}
    ends = ("_bucket", "_sum", "_count")
    return names | {name + end: name for name, kind in kinds.items() if kind == "histogram" for end in ends}


def test_the_documentation_has_every_metric_with_its_kind_and_labels_and_no_other() -> None:
    rows = ROW.findall((ROOT / "docs" / "metrics.md").read_text())
    assert {name: kind for name, kind, _, _ in rows} == exported()
    labels = {name: tuple(filter(None, text.strip().split(", "))) for name, _, text, _ in rows if name in CATALOG}
    assert labels == {name: metric.labels for name, metric in CATALOG.items()}


@pytest.mark.parametrize(("place", "query"), list(queries()), ids=[place for place, _ in queries()])
def test_what_the_example_asks_for_exists(place: str, query: str) -> None:
    names = NAME.findall(query)
    assert names or "up{" in query, place
    assert set(names) <= set(series(exported())), place
    assert query.count("(") == query.count(")")
    used = {label for group in re.findall(r"\bby \(([^)]*)\)", query) for label in re.split(r",\s*", group)}
    known = {"le", "instance"} | {label for metric in CATALOG.values() for label in metric.labels}
    assert used <= known, place


def test_the_dashboard_shows_every_metric_of_ours_and_none_of_its_panels_lies_over_another() -> None:
    known = series(exported())
    shown = {known[name] for place, query in queries() if place.startswith("dashboard") for name in NAME.findall(query)}
    assert set(CATALOG) <= shown
    panels = json.loads((EXAMPLE / "dashboard.json").read_text())["panels"]
    cells: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        own = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not own & cells, panel["title"]
        assert at["x"] + at["w"] <= 24
        cells |= own
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_the_scrape_configuration_sends_a_token_and_finds_the_rules() -> None:
    config = yaml.safe_load((EXAMPLE / "prometheus.yml").read_text())
    (scrape,) = config["scrape_configs"]
    assert scrape["metrics_path"] == "/metrics"
    assert scrape["authorization"]["type"] == "Bearer"
    assert [(EXAMPLE / name).exists() for name in config["rule_files"]] == [True]


@pytest.mark.parametrize(
    ("accept", "parse", "content_type"),
    [
        ("", parse_text, "text/plain"),
        ("application/openmetrics-text; version=1.0.0", parse_openmetrics, "application/openmetrics-text"),
    ],
)
def test_prometheus_understands_what_is_exported_in_both_forms(accept: str, parse: Any, content_type: str) -> None:
    name = 'a "b"\n\\'
    histogram = Histogram((0.5, 1.0))
    for value in (0.2, 0.7, 9.0):
        histogram.observe(value)
    families = [
        Family(CATALOG["prunner_jobs_finished_total"], [((name, "done"), 3)]),
        Family(CATALOG["prunner_task_duration_seconds"], [((name,), histogram.now())]),
        Family(CATALOG["prunner_jobs_running"], [((name,), 2)]),
    ]
    said, body = render(families, accept)
    assert said.startswith(content_type)
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parse(body.decode())
        for sample in family.samples
    }
    pipeline = ("pipeline", name)
    assert samples["prunner_jobs_finished_total", (("outcome", "done"), pipeline)] == 3
    assert samples["prunner_jobs_running", (pipeline,)] == 2
    buckets = [samples["prunner_task_duration_seconds_bucket", (("le", le), pipeline)] for le in ("0.5", "1.0", "+Inf")]
    assert buckets == [1, 2, 3]
    assert samples["prunner_task_duration_seconds_count", (pipeline,)] == 3
    assert samples["prunner_task_duration_seconds_sum", (pipeline,)] == 9.9


def test_counters_and_only_they_end_in_total_and_times_are_in_seconds() -> None:
    for name, metric in CATALOG.items():
        assert name.startswith("prunner_")
        assert name.endswith("_total") == (metric.kind is Kind.COUNTER)
        assert bool(metric.bounds) == (metric.kind is Kind.HISTOGRAM)
        assert list(metric.bounds) == sorted(set(metric.bounds))
