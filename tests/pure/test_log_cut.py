"""What is kept of an output that is longer than its log may be."""

import itertools
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from prunner_trio.definition.size import MIN_LOG_LIMIT
from prunner_trio.output.cut import Cut

NOTICE = re.compile(rb"prunner-trio: log limit of (.*) reached, (\d+) bytes left out here\n")
LIMITS = st.integers(MIN_LOG_LIMIT, 3 * MIN_LOG_LIMIT) | st.sampled_from([4096, 10_000, 1 << 16, 1 << 20])


def fed(limit: int, *pieces: bytes) -> bytes:
    cut = Cut(limit)
    return b"".join([*(cut.feed(piece) for piece in pieces), cut.finish()])


def parts(limit: int, whole: bytes) -> tuple[bytes, int, bytes]:
    """The beginning, the number of bytes left out, and the end."""
    out = fed(limit, whole)
    (notice,) = NOTICE.finditer(out)
    beginning, left_out, end = out[: notice.start()], int(notice[2]), out[notice.end() :]
    added = left_out + len(beginning) + len(end) - len(whole)  # a line break in front of the notice
    assert added in (0, 1), "the number of bytes left out is wrong"
    if added:
        assert beginning.endswith(b"\n")
        beginning = beginning[:-1]
        assert not beginning.endswith(b"\n")
    return beginning, left_out, end


LINES = st.lists(st.text("ab€ü😀 ", max_size=300), max_size=60).map(lambda lines: "\n".join(lines).encode())
TEXTS = st.tuples(LINES, st.integers(1, 60)).map(lambda drawn: drawn[0] * drawn[1])
BYTES = st.tuples(st.binary(max_size=300), st.integers(1, 400)).map(lambda drawn: drawn[0] * drawn[1])


@given(LIMITS, TEXTS | BYTES)
def test_what_comes_out_is_a_beginning_a_notice_and_an_end_within_the_limit(limit: int, whole: bytes) -> None:
    out = fed(limit, whole)
    assert len(out) <= limit
    if len(whole) <= limit:
        assert out == whole
    else:
        beginning, left_out, end = parts(limit, whole)
        assert whole.startswith(beginning)
        assert whole.endswith(end)
        assert left_out > 0
        assert len(beginning) > limit * 0.45
        assert len(end) > min(1 << 16, limit // 4) * 0.7


@given(LIMITS, TEXTS | BYTES, st.lists(st.integers(0, 120_000), max_size=20))
@example(4096, b"\n" * 5000, list(range(0, 5000, 7)))
@example(4096, b"x" * 5000, list(range(5000)))
@example(4096, b"x" * 2207 + b"\n" + b"y" * 5000, [2207, 2208, 2209])
def test_it_does_not_matter_in_which_pieces_the_output_comes(limit: int, whole: bytes, places: list[int]) -> None:
    edges = [0, *sorted(place for place in places if place < len(whole)), len(whole)]
    pieces = [whole[start:end] for start, end in itertools.pairwise(edges)]
    assert fed(limit, *pieces) == fed(limit, whole)


@given(LIMITS, TEXTS)
@example(5000, "€".encode() * 4000)
@example(5001, "😀".encode() * 4000)
@example(5002, "ü".encode() * 4000)
def test_no_character_is_split(limit: int, whole: bytes) -> None:
    whole.decode()
    fed(limit, whole).decode()


@given(LIMITS, st.lists(st.integers(0, 240), min_size=1, max_size=40), st.integers(1, 100))
def test_lines_stay_whole_where_they_are_not_too_long(limit: int, lengths: list[int], times: int) -> None:
    whole = b"".join(b"x" * length + b"\n" for length in lengths) * times
    if len(whole) > limit:
        beginning, _, end = parts(limit, whole)
        assert beginning.endswith(b"\n")
        assert whole[: -len(end)].endswith(b"\n")


@pytest.mark.parametrize("limit", [4096, 5000, 100_000, 1 << 20])
@pytest.mark.parametrize("end", [b"", b"\n", "€".encode()])
def test_exactly_at_the_limit_nothing_is_left_out(limit: int, end: bytes) -> None:
    whole = b"x" * (limit - len(end)) + end
    assert fed(limit, whole) == whole
    assert b"left out here" in fed(limit, whole + b"x")


@pytest.mark.parametrize("limit", [4096, 1 << 20, 2**63 - 1])
def test_the_notice_fits_even_if_all_numbers_are_long(limit: int) -> None:
    cut = Cut(limit)
    cut._left_out = 2**63 - 1
    cut._rest = bytearray(b"x" * 10)
    cut._line_over = False
    assert len(cut.finish()) <= 128 + 10


def test_the_notice_has_a_line_of_its_own_and_names_limit_and_loss() -> None:
    lines = fed(10 * 1024, b"x" * 20_000).decode().splitlines()
    assert len(lines) == 3
    left_out = 20_000 - len(lines[0]) - len(lines[2])
    assert lines[1] == f"prunner-trio: log limit of 10 KiB reached, {left_out} bytes left out here"


def test_most_of_the_beginning_comes_out_at_once() -> None:
    cut = Cut(1 << 20)
    assert cut.feed(b"no line") == b"no line"
    assert cut.feed(b" yet") == b" yet"
    assert cut.finish() == b""


@pytest.mark.parametrize("limit", [4096, 1 << 30])
def test_memory_is_bounded_whatever_comes(limit: int) -> None:
    cut = Cut(limit)
    cut._out = max(0, limit - (1 << 20))  # as if most of it were written
    for _ in range(100):
        cut.feed(b"x" * 65_536)
        assert len(cut._rest) < 75_000
