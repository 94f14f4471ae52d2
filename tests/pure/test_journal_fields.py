"""What systemd's journal gets of a message."""

import logging
import struct
import sys
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunner_trio.daemon.journald import PrefixFormatter, encode_fields
from prunner_trio.daemon.logs import PlainFormatter


def decoded(message: bytes) -> dict[str, str]:
    fields = {}
    while message:
        line, _, rest = message.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if equals:
            message = rest
        else:
            (size,) = struct.unpack("<Q", rest[:8])
            value, message = rest[8 : 8 + size], rest[8 + size + 1 :]
            assert rest[8 + size : 8 + size + 1] == b"\n"
        fields[name.decode()] = value.decode()
    return fields


@given(st.dictionaries(st.from_regex(r"\A[A-Z][A-Z0-9_]{0,20}\Z"), st.text(st.characters(exclude_categories=["Cs"]))))
def test_values_come_through_whatever_is_in_them(fields: Mapping[str, str]) -> None:
    assert decoded(encode_fields(fields)) == fields


def test_what_no_encoding_has_is_escaped_and_what_no_datagram_holds_is_cut() -> None:
    assert decoded(encode_fields({"A": "\ud800"})) == {"A": "\\ud800"}
    assert len(encode_fields({"A": "x" * 1_000_000})) < 64 * 1024


def record(level: int, message: str = "job ended", **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("prunner_trio.x", level, "f.py", 1, message, (), None)
    vars(made).update(extra)
    return made


def test_a_line_has_the_message_and_the_facts_and_no_time() -> None:
    assert PlainFormatter().format(record(logging.INFO, job="1-2", state="a b")) == 'job ended job=1-2 state="a b"'
    assert PlainFormatter().format(record(logging.INFO, "one\ntwo\x1b")) == "one\\ntwo\\x1b"


@pytest.mark.parametrize(
    ("level", "prefix"),
    [
        (logging.DEBUG, "<7>"),
        (logging.INFO, "<6>"),
        (logging.WARNING, "<4>"),
        (logging.ERROR, "<3>"),
        (logging.CRITICAL, "<2>"),
    ],
)
def test_each_line_has_its_priority_in_front_also_those_of_a_traceback(level: int, prefix: str) -> None:
    made = record(level)
    try:
        raise ValueError("broken")
    except ValueError:
        made.exc_info = sys.exc_info()
    written = PrefixFormatter().format(made).split("\n")
    assert written[0] == f"{prefix}job ended"
    assert written[-1] == f"{prefix}ValueError: broken"
    assert all(line.startswith(prefix) for line in written)
