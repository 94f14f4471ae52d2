"""Amounts of bytes, as they are written and as they are shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunner_trio.definition.size import format_size, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4096", 4096),
        ("1K", 1000),
        ("1Ki", 1024),
        ("64Mi", 67_108_864),
        ("1.5G", 1_500_000_000),
        ("1.5Gi", 1_610_612_736),
        ("0.001Ki", 1),
        ("2T", 2_000_000_000_000),
        ("0", 0),
    ],
)
def test_a_size_is_read(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "M", "-1", "1 M", "1.M", ".5M", "1e3", "1k", "1MB", "1MiB", "9999999999T", "1_0", "٣"]
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"size|unit|large"):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (1, "1 byte"), (1500, "1500 bytes"), (64 << 20, "64 MiB"), (10**7, "10 MB"), (2000, "2 kB")],
)
def test_a_size_is_shown_in_the_largest_unit_that_fits(size: int, text: str) -> None:
    assert format_size(size) == text


@given(st.integers(0, 2**62))
def test_what_is_shown_is_exact(size: int) -> None:
    number, _, unit = format_size(size).partition(" ")
    if unit in ("byte", "bytes"):
        assert int(number) == size
    else:
        assert parse_size(number + unit.removesuffix("B").replace("k", "K")) == size
