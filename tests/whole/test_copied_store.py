"""A copy of a data directory, as a power cut or a backup leaves it, used beside the daemon that has the original."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.processes import cgroup_works
from tests.storm.machine import Daemon, living, wait_for

pytestmark = pytest.mark.whole

DEFINITIONS = {
    "hold": {
        "kill_timeout": "100ms",
        "tasks": {"t": {"script": ["trap '' INT TERM; echo begun; (setsid sleep 84.7 &); sleep 84.7; :"]}},
    },
    "again": {
        "on_daemon_crash": "requeue",
        "tasks": {"t": {"script": ["echo begun; while [ ! -e go ]; do sleep 0.02; done"]}},
    },
}


ALL = [
    "group",
    "subreaper",
    pytest.param("cgroup", marks=pytest.mark.skipif(not cgroup_works(), reason="needs a writable cgroup v2 directory")),
]


@pytest.fixture
def daemons(tmp_path: Path) -> Iterator[list[Daemon]]:
    made = []
    for name in ("original", "copy"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "pipelines.yml").write_text(json.dumps({"pipelines": DEFINITIONS}))
        made.append(Daemon(tmp_path / name, uuid.uuid4().hex))
    yield made
    for daemon in made:
        daemon.close()


def begin(daemon: Daemon, pipeline: str) -> str:
    job = daemon.schedule(pipeline)
    wait_for(lambda: daemon.output(job) == "begun\n", "the task to begin")
    return job


@pytest.mark.parametrize("containment", ALL)
def test_a_daemon_on_a_copy_leaves_the_processes_of_the_original_alone(daemons: list[Daemon], containment: str) -> None:
    original, copy = daemons
    original.words = copy.words = ("--containment", containment)
    original.start()
    held, repeated = begin(original, "hold"), begin(original, "again")
    original.copy_data(copy.folder / ".prunner")
    before = living(original.mark, "-")
    copy.start()
    wait_for(lambda: copy.ask("GET", f"/job/detail?id={held}")[1]["canceled"], "the end of the interrupted job")
    (copy.folder / "go").touch()
    wait_for(lambda: copy.ask("GET", f"/job/detail?id={repeated}")[1]["completed"], "the job that begins again")
    assert copy.stop() == 0
    assert [process for process in before if not process.alive and process.line != "sleep 0.02"] == []
    assert not any(original.ask("GET", f"/job/detail?id={job}")[1]["completed"] for job in (held, repeated))
    (original.folder / "go").touch()
    done = wait_for(lambda: (job := original.jobs()[repeated])["completed"] and job, "the end of the original")
    assert not done["errored"]


def test_survivors_are_found_although_the_data_directory_was_renamed(daemons: list[Daemon]) -> None:
    first, second = daemons
    first.start()
    job = begin(first, "hold")
    first.kill()
    (first.folder / ".prunner").rename(second.folder / ".prunner")
    second.start()
    wait_for(lambda: second.ask("GET", f"/job/detail?id={job}")[1]["canceled"], "the end of the interrupted job")
    assert living(first.mark, "-") == []
