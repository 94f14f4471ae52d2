"""Descriptors and processes that the daemon runs short of, and gets back: nothing is lost, and what fails says why."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.storm.machine import PROGRAM, Daemon, NoAnswer, living, wait_for

pytestmark = pytest.mark.whole

DEFINITIONS = {
    "quick": {"concurrency": 20, "tasks": {"t": {"script": ["echo quick; exit 0"]}}},
    "forget": {"retention_count": 1, "tasks": {"t": {"script": ["echo quick; exit 0"]}}},
    "hold": {"concurrency": 5, "tasks": {"t": {"script": ["echo begun; while [ ! -e go ]; do sleep 0.02; done"]}}},
    "wide": {"tasks": {f"t{number}": {"script": ["sleep 0.1; exit 0"]} for number in range(300)}},
}
SOME_USER = 54321
BECOME = ("setpriv", f"--reuid={SOME_USER}", f"--regid={SOME_USER}", "--clear-groups")
FORGETFUL = """
import trio._core._thread_cache as cache
cache.IDLE_TIMEOUT = 0.01
from prunner_trio.cli import entry
entry()
"""
"""A daemon that gives a thread back as soon as it has nothing to do, as the real one does after 10 s."""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    (tmp_path / "pipelines.yml").write_text(json.dumps({"pipelines": DEFINITIONS}))
    one = Daemon(tmp_path, uuid.uuid4().hex)
    yield one
    one.close()
    for process in living(one.mark, "-"):
        os.kill(process.pid, signal.SIGKILL)


def answers(daemon: Daemon) -> bool:
    try:
        return bool(daemon.ask("GET", "/pipelines")[0] == 200)
    except NoAnswer:
        return False


def highest_descriptor(daemon: Daemon) -> int:
    return max(int(name) for name in os.listdir(f"/proc/{daemon.pid}/fd"))


def test_http_answers_while_300_tasks_share_256_descriptors(daemon: Daemon) -> None:
    daemon.program = ("prlimit", "--nofile=256", str(PROGRAM))
    daemon.start()
    job = daemon.schedule("wide")
    while not (found := daemon.detail(job))["completed"]:
        assert answers(daemon)
        assert daemon.end(daemon.schedule("quick"))["tasks"][0]["status"] == "done"
    assert {task["status"] for task in found["tasks"]} == {"done"}


def test_descriptors_that_are_taken_away_from_a_daemon_at_work_lose_nothing(daemon: Daemon) -> None:
    daemon.start()
    held = [daemon.schedule("hold") for _ in range(3)]
    wait_for(lambda: all(daemon.output(job) == "begun\n" for job in held), "the tasks to begin")
    over = daemon.end(daemon.schedule("quick"))
    before = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
    accepted: list[str] = []
    for room in (8, 6, 4, 3, 2, 1, 0):
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (highest_descriptor(daemon) + 1 + room, before[1]))
        for _ in range(4):
            try:
                status, body = daemon.ask("POST", "/pipelines/schedule", {"pipeline": "quick"}, timeout=2)
            except NoAnswer:
                continue
            assert status in (202, 503)
            accepted += [body["jobId"]] if status == 202 else []
    (daemon.folder / "go").touch()
    assert daemon.process is not None
    assert daemon.process.poll() is None
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, before)
    wait_for(lambda: answers(daemon), "an answer")
    assert [daemon.end(job)["errored"] for job in held] == [False] * 3
    assert accepted
    for job in map(daemon.end, accepted):
        task = job["tasks"][0]
        assert task["status"] == "done" or "Too many open files" in task["error"]
    assert not daemon.end(daemon.schedule("quick"))["errored"]
    assert daemon.detail(over["id"]) == over
    assert daemon.stop() == 0


@pytest.fixture
def of_another_user(daemon: Daemon) -> Iterator[Daemon]:
    """The daemon as a user of whom there are no other processes, and whose number of them is limited: root's is not."""
    if os.geteuid() != 0 or subprocess.run([*BECOME, str(PROGRAM), "--version"], capture_output=True).returncode != 0:
        pytest.skip("takes root, and a program that other users can run")
    with tempfile.TemporaryDirectory() as name:  # that of pytest is closed to others
        shutil.copy(daemon.folder / "pipelines.yml", name)
        os.chmod(name, 0o777)
        daemon.folder, daemon.program = Path(name), (*BECOME, sys.executable, "-c", FORGETFUL)
        yield daemon
        daemon.close()


def limit_processes(daemon: Daemon, number: str) -> None:
    """Set the soft limit of a daemon that runs already, as its own user may."""
    subprocess.run([*BECOME, "prlimit", f"--pid={daemon.pid}", f"--nproc={number}:"], check=True)


def threads(daemon: Daemon) -> int:
    return len(os.listdir(f"/proc/{daemon.pid}/task"))


def test_a_process_that_cannot_be_started_is_an_error_of_its_task_alone(of_another_user: Daemon) -> None:
    daemon = of_another_user.start()
    hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    held = daemon.schedule("hold")
    wait_for(lambda: daemon.output(held) == "begun\n", "the task to begin")
    limit_processes(daemon, "1")
    descriptors = len(os.listdir(f"/proc/{daemon.pid}/fd"))
    wait_for(lambda: threads(daemon) == 2, "the end of threads without work")  # beside the loop, the store's own stays
    failed = [daemon.end(daemon.schedule("forget")) for _ in range(3)]
    assert {job["tasks"][0]["error"] for job in failed} == {"cannot start bash: Resource temporarily unavailable"}
    assert len(os.listdir(f"/proc/{daemon.pid}/fd")) <= descriptors + 2  # a connection that is just being closed
    assert daemon.output(held) == "begun\n"
    assert not daemon.detail(held)["completed"]
    limit_processes(daemon, "unlimited" if hard == resource.RLIM_INFINITY else str(hard))
    assert not daemon.end(daemon.schedule("quick"))["errored"]
    (daemon.folder / "go").touch()
    assert not daemon.end(held)["errored"]
    assert daemon.stop() == 0
