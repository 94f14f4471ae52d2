"""A daemon that finds its store damaged: it starts all the same, serves what can be had, and says what is lost."""

import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.storm.machine import PROGRAM, Daemon, wait_for

pytestmark = pytest.mark.whole

PAGE = 4096


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    definitions = {
        "p": {"tasks": {"t": {"script": ["echo said"]}}},
        "later": {"start_delay": "1h", "queue_limit": 9, "tasks": {"t": {"script": ["true"]}}},
    }
    (tmp_path / "pipelines.yml").write_text(json.dumps({"pipelines": definitions}))
    daemon = Daemon(tmp_path, uuid.uuid4().hex)
    yield daemon
    daemon.close()


def schedule(daemon: Daemon, pipeline: str) -> str:
    status, body = daemon.ask("POST", "/pipelines/schedule", {"pipeline": pipeline})
    assert status == 202, body
    return str(body["jobId"])


def check(daemon: Daemon) -> "subprocess.CompletedProcess[str]":
    env = {key: value for key, value in os.environ.items() if not key.startswith("PRUNNER_")}
    words = [PROGRAM, "store", "check", "--data", daemon.folder / ".prunner"]
    return subprocess.run(words, env=env, capture_output=True, text=True, timeout=60)


def damage_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(bytes(PAGE))


def test_a_daemon_recovers_its_store_says_so_and_serves(daemon: Daemon) -> None:
    daemon.start()
    done, waiting = schedule(daemon, "p"), schedule(daemon, "later")
    wait_for(lambda: daemon.jobs()[done]["completed"], "the end of the job")
    assert daemon.stop() == 0
    damage_header(daemon.folder / ".prunner" / "store.db")
    assert check(daemon).returncode == 1

    daemon.start()
    assert "the store was damaged; going on with what could be read" in daemon.said()
    assert "broken off" not in daemon.said()
    jobs = daemon.jobs()
    assert jobs[done]["completed"]
    assert not jobs[waiting]["canceled"]
    assert daemon.ask("GET", f"/job/logs?id={done}&task=t")[1]["stdout"] == "said\n"
    new = schedule(daemon, "p")
    wait_for(lambda: daemon.jobs()[new]["completed"], "the end of a new job")
    checked = check(daemon)
    assert checked.returncode == 0, checked
    (report,) = (daemon.folder / ".prunner").glob("store.db.damaged-*.txt")
    assert f"earlier damage: see {report}\n" in checked.stdout
    assert "\n2 jobs were taken over." in report.read_text()
    assert daemon.stop() == 0

    daemon.start()
    assert "damaged" not in daemon.said()


def test_a_daemon_that_is_killed_in_the_middle_of_its_work_finds_no_damage(daemon: Daemon) -> None:
    jobs = []
    for _ in range(3):
        daemon.start()
        assert "damaged" not in daemon.said()
        jobs += [schedule(daemon, "p") for _ in range(5)]
        daemon.kill()
    daemon.start()
    assert daemon.jobs().keys() >= set(jobs)
    assert check(daemon).returncode == 0
    assert not list((daemon.folder / ".prunner").glob("*damaged*"))
