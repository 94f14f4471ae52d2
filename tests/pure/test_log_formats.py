"""One event is one line of the log, whatever is in it."""

import json
import logging
import math
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunner_trio.daemon.logs import HumanFormatter, JsonFormatter, LogfmtFormatter, add_context
from prunner_trio.execution.context import about, working_for
from prunner_trio.model import JobId

PAIR = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|[^\s"]+)(?: |$)')


def record(message: str, level: int = logging.INFO, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("prunner_trio.x", level, "f.py", 1, message, (), None)
    made.created, made.msecs = 1767323045.5, 500.0
    vars(made).update(extra)
    return made


def logfmt(message: str, level: int = logging.INFO, **extra: object) -> str:
    return LogfmtFormatter().format(record(message, level, **extra))


def test_a_line_has_time_level_message_and_facts_in_this_order() -> None:
    assert (
        logfmt("job started", job="1-2", pipeline="a b")
        == 'timestamp=2026-01-02T03:04:05.500Z level=info message="job started" job=1-2 pipeline="a b"'
    )


@pytest.mark.parametrize(
    ("level", "word"),
    [
        (logging.DEBUG, "debug"),
        (logging.INFO, "info"),
        (logging.WARNING, "warning"),
        (logging.ERROR, "error"),
        (logging.CRITICAL, "fatal"),
    ],
)
def test_levels_have_prunners_names(level: int, word: str) -> None:
    assert f" level={word} " in logfmt("m", level)


def test_facts_that_are_empty_or_none_are_left_out() -> None:
    assert logfmt("m", job="", task=None, number=0).endswith("message=m number=0")


@pytest.mark.parametrize(
    ("message", "written"),
    [
        ("one", "one"),
        ("", '""'),
        ("a b", '"a b"'),
        ("a=b", '"a=b"'),
        ('say "x"', '"say \\"x\\""'),
        ("back\\slash", '"back\\\\slash"'),
        ("two\nlines\r\t", '"two\\nlines\\r\\t"'),
        ("\x1b[31mred\x07", '"\\x1b[31mred\\x07"'),
        ("\u2028\ud800", '"\\u2028\\ud800"'),
        ("ünï", "ünï"),
    ],
)
def test_texts_are_quoted_where_needed(message: str, written: str) -> None:
    assert logfmt(message).endswith(f"message={written}")


@given(message=st.text(), value=st.text())
def test_nothing_breaks_out_of_its_line_or_its_quotes(message: str, value: str) -> None:
    line = logfmt(message, fact=value)
    assert len(line.splitlines()) == 1
    assert "".join(match.group() for match in PAIR.finditer(line)) == line
    line.encode()


@given(message=st.text(), value=st.text())
def test_a_terminal_gets_no_control_characters_but_our_colors(message: str, value: str) -> None:
    line = HumanFormatter().format(record(message, fact=value))
    plain = re.sub(r"\x1b\[[0-9;]*m", "", line)
    assert re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", plain) is None


def test_a_traceback_is_a_fact_in_logfmt_and_readable_on_a_terminal() -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        failed = record("internal error", logging.ERROR)
        failed.exc_info = sys.exc_info()
    line = LogfmtFormatter().format(failed)
    assert "\n" not in line
    assert 'exception="Traceback' in line
    assert "ValueError: broken" in line
    assert HumanFormatter().format(failed).count("\n") >= 2


def test_the_human_form_shows_level_message_and_facts() -> None:
    plain = re.sub(r"\x1b\[[0-9;]*m", "", HumanFormatter().format(record("job started", job="1-2")))
    assert re.fullmatch(r"\d\d:\d\d:\d\d info    job started job=1-2", plain)


def as_json(message: str, level: int = logging.INFO, **extra: object) -> dict[str, object]:
    line = JsonFormatter().format(record(message, level, **extra))
    assert len(line.splitlines()) == 1
    found = json.loads(line)
    assert isinstance(found, dict)
    return found


def test_a_json_line_has_time_level_message_and_facts() -> None:
    assert as_json("job started", logging.WARNING, job="1-2", count=3, ok=True, share=0.5, empty="", none=None) == {
        "timestamp": "2026-01-02T03:04:05.500Z",
        "level": "warning",
        "message": "job started",
        "job": "1-2",
        "count": 3,
        "ok": True,
        "share": 0.5,
    }


def test_a_fact_takes_the_place_of_neither_time_nor_level() -> None:
    made = record("m")
    vars(made).update(level="none", timestamp="never")
    assert json.loads(JsonFormatter().format(made)) == as_json("m")


def test_what_json_cannot_hold_becomes_text() -> None:
    line = as_json("m", endless=math.inf, many=[1], path=b"x")
    assert (line["endless"], line["many"], line["path"]) == ("inf", "[1]", "b'x'")


@given(message=st.text(), value=st.text(min_size=1))
def test_json_gives_back_whatever_went_in(message: str, value: str) -> None:
    line = JsonFormatter().format(record(message, fact=value))
    assert line.isascii()
    assert len(line.splitlines()) == 1
    assert json.loads(line)["message"] == message
    assert json.loads(line)["fact"] == value


def test_a_traceback_is_a_field_of_the_json() -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        failed = record("internal error", logging.ERROR)
        failed.exc_info = sys.exc_info()
    assert "ValueError: broken" in json.loads(JsonFormatter().format(failed))["exception"]


def test_a_message_from_within_a_task_has_its_job_and_its_task() -> None:
    with working_for(JobId("1-2"), "p"):
        with working_for(JobId("1-2"), "p", "t"):
            inner = record("m")
            add_context(inner)
        outer = record("m")
        add_context(outer)
    outside = record("m")
    add_context(outside)
    assert LogfmtFormatter().format(inner).endswith("message=m job=1-2 pipeline=p task=t")
    assert LogfmtFormatter().format(outer).endswith("message=m job=1-2 pipeline=p")
    assert LogfmtFormatter().format(outside).endswith("message=m")
    assert about() == {}


def test_a_message_about_another_job_keeps_its_own_facts() -> None:
    with working_for(JobId("1-2"), "p", "t"):
        other = record("m", job="3-4", pipeline="q")
        add_context(other)
    assert LogfmtFormatter().format(other).endswith("message=m job=3-4 pipeline=q")
