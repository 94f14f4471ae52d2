"""One event is one line of the log, whatever is in it."""

import logging
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunner_trio.daemon.logs import HumanFormatter, LogfmtFormatter

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
