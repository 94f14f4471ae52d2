"""Logs for systemd's journal, over a socket of our own in its place."""

import io
import logging
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from prunner_trio.daemon.journald import JournalHandler, PrefixFormatter, journal_handler

pytestmark = pytest.mark.real


@contextmanager
def journal(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(path))
        sock.settimeout(10)
        yield sock


def record(message: str, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("prunner_trio.x", logging.WARNING, "f.py", 1, message, (), None)
    vars(made).update(extra)
    return made


@contextmanager
def stderr_in(folder: Path) -> Iterator[tuple[int, dict[str, str]]]:
    with tempfile.TemporaryFile(dir=folder) as file:
        there = os.fstat(file.fileno())
        yield file.fileno(), {"JOURNAL_STREAM": f"{there.st_dev}:{there.st_ino}"}


def test_a_message_has_a_priority_and_its_facts_as_fields(tmp_path: Path) -> None:
    with journal(tmp_path / "j") as sock, stderr_in(tmp_path) as (fd, environ):
        handler = journal_handler(environ, fd, str(tmp_path / "j"))
        assert handler is not None
        handler.handle(record("job ended", job="1-2", pipeline="build", state="done"))
        lines = sock.recv(100_000).decode().splitlines()
        handler.close()
    assert "MESSAGE=job ended job=1-2 pipeline=build state=done" in lines
    assert {"PRIORITY=4", "SYSLOG_IDENTIFIER=prunner-trio", "PRUNNER_JOB=1-2", "PRUNNER_PIPELINE=build"} <= set(lines)


@pytest.mark.parametrize("stream", ["", "1:2", "nonsense"])
def test_a_stderr_that_leads_elsewhere_gets_the_usual_lines(tmp_path: Path, stream: str) -> None:
    with journal(tmp_path / "j"), stderr_in(tmp_path) as (fd, _):
        assert journal_handler({"JOURNAL_STREAM": stream}, fd, str(tmp_path / "j")) is None
        assert journal_handler({}, fd, str(tmp_path / "j")) is None


def test_without_its_socket_lines_have_a_prefix(tmp_path: Path) -> None:
    with stderr_in(tmp_path) as (fd, environ):
        handler = journal_handler(environ, fd, str(tmp_path / "nobody"))
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(written := io.StringIO())
    handler.handle(record("job ended"))
    assert isinstance(handler.formatter, PrefixFormatter)
    assert written.getvalue() == "<4>job ended\n"


def test_a_journal_that_was_started_anew_is_found_again(tmp_path: Path) -> None:
    with journal(tmp_path / "j"):
        handler = JournalHandler(str(tmp_path / "j"))
    (tmp_path / "j").unlink()
    handler.handle(record("lost"))
    with journal(tmp_path / "j") as sock:
        handler.handle(record("found"))
        assert b"MESSAGE=found\n" in (message := sock.recv(100_000))
        assert b"PRUNNER_DROPPED_BEFORE=1\n" in message
        handler.handle(record("and more"))
        assert b"DROPPED" not in sock.recv(100_000)
    handler.close()


def test_a_journal_that_does_not_read_holds_up_nobody_for_ever(tmp_path: Path) -> None:
    with journal(tmp_path / "j") as sock:
        handler = JournalHandler(str(tmp_path / "j"))
        sent = 0
        while not handler.dropped:
            handler.handle(record("x" * 10_000))
            sent += 1
        for _ in range(10):
            handler.handle(record("x" * 10_000))
        assert handler.dropped == 11
        for _ in range(sent - 1):
            sock.recv(100_000)
        handler.handle(record("here again"))
        assert b"PRUNNER_DROPPED_BEFORE=11\n" in sock.recv(100_000)
    handler.close()
