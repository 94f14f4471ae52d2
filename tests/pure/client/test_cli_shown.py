"""Jobs, tasks and pipelines as tables, lines, summaries and pictures."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunner_trio.cli.frame import choice, depths, frame
from prunner_trio.cli.moments import seconds_of
from prunner_trio.cli.rows import (
    audit_table,
    event_line,
    job_fields,
    job_table,
    pipeline_fields,
    pipeline_table,
    queue_table,
    queued_fields,
    tab_line,
    table,
    task_note,
    task_table,
)
from prunner_trio.cli.status import EXITS, exit_status, failed_status
from prunner_trio.cli.summary import summary
from prunner_trio.cli.text import width_of
from prunner_trio.client import Job, Kind, Occurrence, Pipeline, Task
from prunner_trio.client.shapes import Deed, QueuedJob
from prunner_trio.http.v1.models import Outcome

ID = "0123abcd-0000-4000-8000-000000000000"
START, END = "2026-01-02T03:04:05.000Z", "2026-01-02T03:04:17.000Z"
NOW = seconds_of(START) + 60


def a_task(name: str, state: str = "done", *needs: str, **more: Any) -> Task:
    begun = state not in ("waiting", "skipped")
    over = begun and state != "running"
    task: dict[str, Any] = {
        "name": name,
        "state": state,
        "reason": "",
        "needs": list(needs),
        "allow_failure": False,
        "started": START if begun else None,
        "ended": END if over else None,
        "duration": 12.0 if over else None,
        "exit_code": {"done": 0, "error": 3}.get(state),
    }
    return Task(**(task | more))  # type: ignore[typeddict-item]


def a_job(*tasks: Task, state: str = "done", **more: Any) -> Job:
    begun, over = state != "waiting", state in ("done", "error", "canceled")
    job: dict[str, Any] = {
        "id": ID,
        "number": 1,
        "pipeline": "site",
        "state": state,
        "outcome": {"done": "succeeded", "error": "failed", "canceled": "canceled"}.get(state),
        "reason": "",
        "user": "jane",
        "partition": "",
        "variables": {},
        "attempt": 1,
        "created": START,
        "started": START if begun else None,
        "ended": END if over else None,
        "waited": 0.0,
        "duration": 12.0 if over else None,
        "waiting": None if begun else {"text": "position 1 of 1"},
        "error": "",
        "tasks": list(tasks),
    }
    return Job(**(job | more))  # type: ignore[typeddict-item]


@pytest.mark.parametrize("width", [26, 40, 60])
def test_the_id_of_a_job_stays_whole_on_a_narrow_terminal(width: int) -> None:
    job = a_job(pipeline="a-long-name-of-a-pipeline", state="error", reason="second: exit status 3")
    lines = job_table([job], width, NOW, colors=False)
    assert lines[1].startswith("0123abcd  ")
    assert all(width_of(line) <= width for line in lines)


def test_a_table_has_columns_under_their_heads() -> None:
    lines = job_table([a_job(), a_job(state="waiting", user="")], 100, NOW, colors=False)
    assert lines == [
        "JOB       PIPELINE  STATE        USER  AGE    TOOK",
        "0123abcd  site      ✓ succeeded  jane  1m00s  12s",
        "0123abcd  site      · waiting    -     1m00s  -     position 1 of 1",
    ]


def test_the_color_of_a_row_tells_its_state_and_so_does_a_sign() -> None:
    lines = job_table([a_job(state="error")], 100, NOW, colors=True)
    assert lines[1].startswith("\x1b[31m")
    assert lines[1].endswith("\x1b[0m")
    assert "✗ failed" in lines[1]


CELLS = st.text(st.sampled_from("abc 漢é"), max_size=40)


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=4), st.integers(10, 90))
def test_no_line_of_a_table_is_wider_than_the_terminal(rows: list[tuple[str, str, str]], width: int) -> None:
    assert all(width_of(line) <= width for line in table(("A", "B", "C"), rows, width))


def test_in_a_pipe_every_field_has_its_place_and_a_name_cannot_add_one() -> None:
    line = tab_line(job_fields(a_job(state="running", user="a\tb\nc")))
    assert line.split("\t") == [ID, "site", "running", "", "a␉b␊c", START, "", ""]


def test_tasks_tell_their_reason_or_what_they_need() -> None:
    tasks = [a_task("a", "error", reason="exit status 3"), a_task("b", "waiting", "a")]
    assert task_table(tasks, 100, NOW, colors=False)[1:] == [
        "✗ a   failed   12s   3     exit status 3",
        "· b   waiting  -           ← a",
    ]


def test_a_task_that_was_taken_over_names_the_job_that_ran_it() -> None:
    (line,) = task_table([a_task("a", from_job=ID)], 100, NOW, colors=False)[1:]
    assert line == "✓ a   succeeded  12s   0     run by job 0123abcd"


def test_who_waits_is_shown_with_the_reason() -> None:
    job: Any = {"id": ID, "number": 1, "pipeline": "site", "user": "", "partition": "", "created": START}
    job["waiting"] = {"reason": "slots", "position": 1, "text": "position 1 of 1: 1 of 1 slots are taken"}
    assert queue_table([QueuedJob(**job)], 100, NOW) == [
        "JOB       PIPELINE  USER  WAITS  FOR",
        "0123abcd  site      -     1m00s  position 1 of 1: 1 of 1 slots are taken",
    ]
    assert queued_fields(job) == (ID, "site", 1, "slots", "", START, "position 1 of 1: 1 of 1 slots are taken")


def test_an_audit_is_a_table_of_deeds() -> None:
    deeds = [
        Deed(at=START, action="scheduled", by="jane", detail=""),
        Deed(at=END, action="task_canceled", by="", detail="a\nb"),
    ]
    assert audit_table(deeds, 100) == [
        "WHEN                      ACTION         BY",
        "2026-01-02T03:04:05.000Z  scheduled      jane",
        "2026-01-02T03:04:17.000Z  task canceled  -     a␊b",
    ]


def test_the_end_of_a_task_is_a_sentence() -> None:
    assert task_note(a_task("a")) == "a succeeded after 12s"
    assert task_note(a_task("a", "error")) == "a failed after 12s: exit status 3"
    canceled = a_task("a", "canceled", reason="stopped: user")
    assert task_note(canceled) == "a canceled after 12s: canceled"
    by_jane = a_job(canceled, stop={"reason": "user", "at": END, "by": "jane"})
    assert task_note(canceled, by_jane) == "a canceled after 12s: canceled by jane"
    stopped = a_task("a", "canceled", reason="stopped: fail_fast")
    assert task_note(stopped) == "a canceled after 12s: stopped because another task failed"


def a_pipeline(*states: str) -> Pipeline:
    ends: list[Any] = [
        {"id": ID, "state": s, "outcome": s, "started": START, "ended": END, "duration": 12.0} for s in states
    ]
    return Pipeline(
        name="site",
        file="",
        schedulable=True,
        running=1,
        waiting=2,
        concurrency=3,
        last=ends[-1] if ends else None,
        ends=ends,
    )


def test_a_pipeline_shows_its_latest_results_the_newest_at_the_right() -> None:
    assert pipeline_table([a_pipeline("error", "done"), a_pipeline()], 100, NOW, colors=False)[1:] == [
        "site      1/3      2        ✗✓       12s   48s ago",
        "site      1/3      2        -        -     -",
    ]
    assert tab_line(pipeline_fields(a_pipeline("done"))) == f"site\t1\t3\t2\tdone\t12.0\t{END}"
    assert tab_line(pipeline_fields(a_pipeline())) == "site\t1\t3\t2\t\t\t"


def test_a_pause_stands_for_the_slots_also_in_a_plain_line() -> None:
    paused = Pipeline(**{**a_pipeline(), "paused": {"at": START, "by": "jane"}})  # type: ignore[typeddict-item]
    assert tab_line(pipeline_fields(paused)) == "site\t1\tpaused\t2\t\t\t"


def test_an_event_is_a_line() -> None:
    event = Occurrence(seq=1, at=START, job=ID, pipeline="site", task="a", state="done", reason="")
    assert event_line(event, terminal=True) == "03:04:05.000 0123abcd ✓ site/a succeeded"
    assert event_line(event, terminal=False) == f"{START}\t{ID}\tsite\ta\tdone\t"


def test_the_summary_has_counts_the_slowest_and_the_last_words_of_each_failure() -> None:
    job = a_job(
        a_task("a", duration=1.0),
        a_task("b", "error", duration=5.0, ended="2026-01-02T03:04:09.000Z"),
        a_task("c", "error", ended="2026-01-02T03:04:08.000Z", reason="exit status 3"),
        a_task("d", "error", allow_failure=True),
        a_task("e", "canceled", duration=2.0),
        state="error",
        reason="c: exit status 3",
    )
    tails = {"b": [f"line {n}" for n in range(9)], "c": ["\x1b[2Jx"]}
    assert summary(job, tails, colors=False) == [
        "c failed: exit status 3",
        "  | ␛[2Jx",
        "b failed (exit status 3)",
        *(f"  | line {n}" for n in range(4, 9)),
        "site 0123abcd failed after 12s",
        "tasks: 1 succeeded, 3 failed, 1 canceled; slowest: c 12s",
    ]
    assert summary(job, {"c": ["x"]}, colors=False, told=True) == [
        "the end of what c wrote:",
        "  | x",
        "site 0123abcd failed after 12s",
        "tasks: 1 succeeded, 3 failed, 1 canceled; slowest: c 12s",
    ]


def test_the_summary_of_a_job_that_never_ran_says_why() -> None:
    job = a_job(a_task("a", "waiting"), state="canceled", started=None, duration=None, reason="canceled by jane")
    assert summary(job, {}, colors=False) == ["site 0123abcd canceled: canceled by jane", "tasks: 1 waiting"]


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_outcome_has_an_exit_status_that_is_documented(outcome: Outcome) -> None:
    state = {"succeeded": "done", "failed": "error", "timed_out": "error", "internal": "error"}.get(outcome, "canceled")
    status = exit_status(a_job(state=state, outcome=outcome.value))
    assert status in dict(EXITS)
    assert (status == 0) == (outcome is Outcome.SUCCEEDED)
    assert (status == 12) == (state == "canceled")


@pytest.mark.parametrize("kind", list(Kind))
def test_every_failure_has_an_exit_status_that_is_documented(kind: Kind) -> None:
    assert failed_status(kind) in dict(EXITS)
    assert failed_status(kind) != 0


# ----------------------------------------------------------------------------------------------------------- pictures

GRAPH = [
    a_task("build"),
    a_task("links", "error", reason="exit status 1"),
    a_task("pack", "running", "build"),
    a_task("publish", "waiting", "pack", "links"),
]


def test_a_picture_shows_the_graph_the_progress_and_the_end_of_a_log() -> None:
    job = a_job(*GRAPH, state="running")
    assert frame(job, "pack", ["one", "\x1b[2Jtwo"], (70, 14), NOW, colors=False) == [
        "site 0123abcd  ▶ running  1m00s  by jane",
        "████████████░░░░░░░░░░░░ 2/4  1 waiting, 1 running, 1 succeeded, 1 fa…",
        "",
        "  ✓ build            12s",
        "  ✗ links            12s  exit status 1",
        "›   ▶ pack         1m00s  ← build",
        "      · publish        -  ← pack, links",
        "── pack " + "─" * 62,
        "one",
        "␛[2Jtwo",
        "",
        "",
        "",
        "↑ ↓ task   q leave, the job goes on",
    ]


TASKS = st.lists(st.sampled_from(GRAPH), max_size=30).map(
    lambda tasks: [Task(**(task | {"name": f"{task['name']}{n}"})) for n, task in enumerate(tasks)]  # type: ignore[typeddict-item]
)


@given(TASKS, st.integers(1, 90), st.integers(1, 40), st.lists(CELLS, max_size=50), st.booleans(), st.data())
def test_a_picture_fits_the_terminal_whatever_its_size(
    tasks: list[Task], width: int, height: int, log: list[str], colors: bool, data: st.DataObject
) -> None:
    import re

    job = a_job(*tasks, state="running")
    selected = data.draw(st.sampled_from([task["name"] for task in tasks])) if tasks else ""
    lines = frame(job, selected, log, (width, height), NOW, colors=colors)
    assert len(lines) == height
    shown = [re.sub(r"\x1b\[[0-9;:]*m", "", line) for line in lines]
    assert all(width_of(line) <= width for line in shown)
    if tasks and height >= 9 and width > 20:
        assert sum(line.startswith("›") for line in shown) == 1


def test_the_log_worth_looking_at_is_that_of_a_running_task_then_of_a_failed_one() -> None:
    assert choice(a_job(*GRAPH)) == "pack"
    assert choice(a_job(*GRAPH[:2])) == "links"
    assert choice(a_job(a_task("a", started="2026-01-02T03:04:06.000Z"), a_task("b"))) == "a"
    assert choice(a_job(a_task("a", "waiting"))) == "a"
    assert choice(a_job()) == ""


def test_a_task_stands_behind_all_that_it_needs() -> None:
    assert depths(GRAPH) == {"build": 0, "links": 0, "pack": 1, "publish": 2}
