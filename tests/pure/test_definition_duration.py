"""Durations in Go's form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunner_trio.definition import format_duration, parse_duration

PARSED = {
    "0": 0.0,
    "+0": 0.0,
    "0s": 0.0,
    "5s": 5.0,
    "+5s": 5.0,
    "-5s": -5.0,
    "1h30m": 5400.0,
    "1.5h": 5400.0,
    ".5s": 0.5,
    "1.s": 1.0,
    "0h0m0.25s": 0.25,
    "250ms": 0.25,
    "3us": 3e-6,
    "3µs": 3e-6,
    "3μs": 3e-6,
    "7ns": 7e-9,
    "48h": 172800.0,
    "1m1m": 120.0,
}


@pytest.mark.parametrize(("text", "seconds"), PARSED.items())
def test_a_duration_is_read_as_go_reads_it(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


REFUSED = {
    "": "not a duration",
    "-": "not a duration",
    "s": "not a duration",
    ".s": "not a duration",
    "1h-5m": "unknown unit",
    "5": "no unit",
    "1h5": "no unit",
    "5d": 'unknown unit "d"',
    "5 s": "unknown unit",
    "1e3s": "unknown unit",
    "٣s": "not a duration",
    "infs": "not a duration",
    "3000000h": "too long",
    "1" * 101 + "s": "not a duration",
}


@pytest.mark.parametrize(("text", "words"), REFUSED.items())
def test_what_is_no_duration_is_refused_with_a_reason(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_duration(text)


FORMATTED = {
    0.0: "0s",
    1e-10: "0s",
    7e-9: "7ns",
    3.5e-6: "3.5µs",
    0.25: "250ms",
    1.5: "1.5s",
    60.0: "1m0s",
    3600.0: "1h0m0s",
    5400.0: "1h30m0s",
    -90.0: "-1m30s",
    172800.25: "48h0m0.25s",
}


@pytest.mark.parametrize(("seconds", "text"), FORMATTED.items())
def test_a_duration_is_printed_as_go_prints_it(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_time_is_not_printed(seconds: float) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        format_duration(seconds)


@given(st.integers(-(10**15), 10**15))
def test_what_was_printed_reads_back_the_same(nanoseconds: int) -> None:
    seconds = nanoseconds / 1_000_000_000
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.text(alphabet="0123456789.+-hmsunµd e", max_size=30) | st.text(max_size=20))
def test_any_text_is_a_duration_or_a_value_error(text: str) -> None:
    try:
        seconds = parse_duration(text)
    except ValueError:
        return
    assert abs(seconds) < 2**63 / 1e9 + 1
