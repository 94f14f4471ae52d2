"""A data directory on a disk that fills up: a small file system in memory, which only the daemon sees."""

import contextlib
import json
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.storm.machine import PROGRAM, Daemon, wait_for

pytestmark = pytest.mark.whole

DEFINITIONS = {
    "quick": {"concurrency": 20, "tasks": {"t": {"script": ["echo quick"]}}},
    "hold": {"tasks": {"t": {"script": ["echo begun; while [ ! -e go ]; do sleep 0.02; done"]}}},
    "floods": {"tasks": {"t": {"script": ["head -c 20000000 /dev/zero; true"]}}},
}
NAMESPACE = ["unshare", "--mount", "--map-root-user"]
MOUNT = 'mkdir -p .prunner && mount -t tmpfs -o size=3m,mode=0700 small .prunner && exec "$@"'


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    command = [*NAMESPACE, "sh", "-c", MOUNT, "sh"]
    tried = subprocess.run([*command, "true"], cwd=tmp_path, capture_output=True, text=True)
    if tried.returncode != 0:
        pytest.skip(f"cannot mount a small file system: {tried.stderr.strip()}")
    (tmp_path / "pipelines.yml").write_text(json.dumps({"pipelines": DEFINITIONS}))
    one = Daemon(tmp_path, uuid.uuid4().hex, program=(*command, str(PROGRAM)))
    yield one.start()
    one.close()


def disk(daemon: Daemon) -> Path:
    return Path(f"/proc/{daemon.pid}/root{daemon.folder}/.prunner")


def fill(daemon: Daemon) -> None:
    with contextlib.suppress(OSError), open(disk(daemon) / "filler", "ab", buffering=0) as filler:
        while filler.write(bytes(4096)):
            pass


def schedule_until_refused(daemon: Daemon) -> tuple[list[str], str]:
    """Return who was accepted, since the store has some room of its own, and why the first was not."""
    accepted: list[str] = []
    while True:
        fill(daemon)
        status, body = daemon.ask("POST", "/pipelines/schedule", {"pipeline": "quick"})
        if status != 202:
            assert status == 503
            return accepted, body["error"]
        accepted.append(body["jobId"])
        assert len(accepted) < 5000


def test_a_full_disk_refuses_new_jobs_and_loses_none(daemon: Daemon) -> None:
    over = daemon.end(daemon.schedule("quick"))
    held = daemon.schedule("hold")
    wait_for(lambda: daemon.output(held) == "begun\n", "the task to begin")
    accepted, why = schedule_until_refused(daemon)
    assert "full" in why
    assert "store.db" in why
    assert daemon.detail(over["id"]) == over
    (daemon.folder / "go").touch()
    schedule_until_refused(daemon)
    assert daemon.process is not None
    assert daemon.process.poll() is None
    (disk(daemon) / "filler").unlink()
    assert not daemon.end(held)["errored"]
    assert not daemon.end(daemon.schedule("quick"))["errored"]
    for job in accepted:
        assert daemon.end(job)["completed"]
    assert daemon.detail(over["id"]) == over
    assert daemon.stop() == 0


def test_logs_that_fill_the_disk_end_there_and_take_nothing_else_along(daemon: Daemon) -> None:
    flooding = daemon.schedule("floods")
    wait_for(lambda: refused(daemon), "a full disk")
    jobs = [path for path in (disk(daemon) / "logs").iterdir() if flooding in path.name]
    for path in jobs[0].iterdir() if jobs[0].is_dir() else jobs:
        with open(path, "r+b") as log:
            log.truncate()
    assert not daemon.end(flooding)["canceled"]
    assert not daemon.end(daemon.schedule("quick"))["errored"]
    assert daemon.stop() == 0


def refused(daemon: Daemon) -> bool:
    return bool(daemon.ask("POST", "/pipelines/schedule", {"pipeline": "quick"})[0] == 503)
