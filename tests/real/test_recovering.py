"""What a service manager and the log hear while a daemon reads a damaged store."""

import socket
import time
from pathlib import Path

import pytest

from prunner_trio.daemon import recovering
from prunner_trio.daemon.notify import Notifier

pytestmark = pytest.mark.real


def test_the_manager_is_asked_for_more_time_as_long_as_a_recovery_gets_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 0.0
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        heard = recovering.Recovering(Notifier(str(tmp_path / "notify")))
        begin = time.monotonic()
        monkeypatch.setattr("prunner_trio.daemon.recovering.time.monotonic", lambda: now)
        for passed in (1, 6, 7, 12):
            now = begin + passed
            heard("reading pages", passed, 20)
        signs = [manager.recv(1000).decode() for _ in range(2)]
        with pytest.raises(BlockingIOError):
            manager.recv(1000)
    assert signs == ["EXTEND_TIMEOUT_USEC=60000000\nSTATUS=recovering a damaged store: reading pages"] * 2
    assert [(record.message, vars(record)["done"], vars(record)["of"]) for record in caplog.records] == [
        ("recovering a damaged store", 6, 20),
        ("recovering a damaged store", 12, 20),
    ]
