"""The guess at the first line that looks like an error."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunner_trio.http.pages.errors import first_error

FOUND = [
    "Error: no such file",
    "E   ValueError: 3",
    "Traceback (most recent call last):",
    "FATAL: out of memory",
    "thread 'main' panicked at src/main.rs",
    "make: *** [all] Error 2",
    "\x1b[1;31merror\x1b[0m: expected one of",
    "--- FAIL: test failed",
    "1 failed, 0 errors",
    "Segmentation fault (core dumped)",
]
PASSED = [
    "0 errors, 0 failures",
    "no errors",
    "terrorist",
    "errors: 0",
    "failed=0",
    "mirrored",
    "ok",
    "",
    "without failures",
]


@pytest.mark.parametrize("line", FOUND)
def test_a_line_that_looks_like_an_error_is_found(line) -> None:
    assert first_error(f"one\ntwo\n{line}\nerror again\n".encode()) == 2
    assert first_error(line.encode()) == 0


@pytest.mark.parametrize("line", PASSED)
def test_a_line_that_tells_of_no_error_is_passed_over(line) -> None:
    assert first_error(f"{line}\n{line}".encode()) is None
    assert first_error(f"{line}\nerror".encode()) == 1


@given(st.binary())
def test_whatever_is_written_the_line_is_one_of_those_there(data) -> None:
    found = first_error(data)
    assert found is None or 0 <= found <= data.count(b"\n")
