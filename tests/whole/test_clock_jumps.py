"""The wall clock is set back or forward while the daemon runs: time-outs and delays take as long as they say.

Only the daemon sees the other time: it is started by a line of Python that puts a clock in the place of `time.time`
which a file can shift.
"""

import json
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.storm.machine import Daemon, boot_time, wait_for

pytestmark = pytest.mark.whole

SHIFTED = """
import time
real = time.time
def shifted():
    with open("shift") as file:
        return real() + float(file.read())
time.time = shifted
from prunner_trio.cli import entry
entry()
"""

SLEEP = "trap '' INT TERM; echo begun; while :; do sleep 0.05; done"
DEFINITIONS = {
    "times out": {"timeout": "1s", "kill_timeout": "500ms", "tasks": {"t": {"script": [SLEEP]}}},
    "deaf": {"kill_timeout": "1s", "tasks": {"t": {"script": [SLEEP]}}},
    "adopted": {
        "on_daemon_crash": "adopt",
        "timeout": "5s",
        "kill_timeout": "500ms",
        "tasks": {"t": {"script": [SLEEP]}},
    },
    "later": {"start_delay": "1500ms", "tasks": {"t": {"script": ["read -r up rest </proc/uptime; echo $up"]}}},
}
HOUR = 3600.0


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    (tmp_path / "pipelines.yml").write_text(json.dumps({"pipelines": DEFINITIONS}))
    shift(tmp_path, 0.0)
    one = Daemon(tmp_path, uuid.uuid4().hex, program=(sys.executable, "-c", SHIFTED))
    yield one.start()
    one.close()


def shift(folder: Path, seconds: float) -> None:
    """Set the clock, in one step: a clock is never half-written."""
    (folder / "next").write_text(str(seconds))
    (folder / "next").rename(folder / "shift")


@pytest.mark.parametrize("hours", [-1, 1])
def test_time_outs_and_delays_under_way_do_not_follow_the_wall_clock(daemon: Daemon, hours: int) -> None:
    asked = boot_time()
    later, late, deaf = (daemon.schedule(name) for name in ("later", "times out", "deaf"))
    wait_for(lambda: daemon.output(late) == daemon.output(deaf) == "begun\n", "the tasks to begin")
    daemon.ask("POST", f"/job/cancel?id={deaf}")
    shift(daemon.folder, hours * HOUR)
    shifted = daemon.detail(daemon.schedule("later"))["created"]
    assert shifted != daemon.detail(later)["created"]
    assert daemon.end(late)["lastError"] == "timed out after 1s"
    assert daemon.end(deaf)["canceled"]
    daemon.end(later)
    assert float(daemon.output(later)) >= asked + 1.5 - 0.011  # /proc/uptime is cut to hundredths
    assert boot_time() - asked < HOUR / 2


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_delay_across_a_restart_follows_the_wall_clock_but_is_never_longer_than_it_says(
    daemon: Daemon, hours: int
) -> None:
    later = daemon.schedule("later")
    daemon.kill()
    shift(daemon.folder, hours * HOUR)
    down = boot_time()
    daemon.start()
    assert not daemon.end(later)["canceled"]
    assert boot_time() - down < HOUR / 2
    if hours < 0:
        assert float(daemon.output(later)) >= down + 1.5 - 0.011


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_time_out_across_a_restart_does_not_follow_the_wall_clock(daemon: Daemon, hours: int) -> None:
    began = boot_time()
    job = daemon.schedule("adopted")
    wait_for(lambda: daemon.output(job) == "begun\n", "the task to begin")
    daemon.kill()
    shift(daemon.folder, hours * HOUR)
    daemon.start()
    assert daemon.end(job)["lastError"] == "timed out after 5s"
    assert boot_time() - began >= 5
    assert boot_time() - began < HOUR / 2
