"""The daemon as the first process of a container: signals that have no default action, and everybody's orphans.

As container runtimes do it, the process has a session of its own.
"""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from tests.waiting import wait_for

pytestmark = pytest.mark.whole

PROGRAM = Path(sys.executable).with_name("prunner-trio")
SECRET = "a-secret-of-the-tests-0123456789"
PATIENCE = 30.0
NAMESPACE = ["unshare", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"]
IF_NOT_ROOT = ["--user", "--map-root-user"]

DEFINITIONS = """
pipelines:
  orphans:
    tasks:
      t:
        script:
          - for i in 1 2 3 4 5; do (setsid sh -c 'sleep 0.01 & exec sleep 84.5' &); done
          - echo "$PPID"
  hold: {tasks: {t: {script: ["(setsid sleep 84.5 &) ; echo begun; sleep 84.5"]}}}
"""


def namespace() -> list[str]:
    return NAMESPACE if os.geteuid() == 0 else [*NAMESPACE, *IF_NOT_ROOT]


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class Container:
    """A daemon that is process 1 of a PID namespace."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "stderr"
        (folder / "pipelines.yml").write_text(DEFINITIONS)
        with open(self.log, "wb") as log:
            self.outer = subprocess.Popen(
                [*namespace(), "setsid", PROGRAM, "--address", "127.0.0.1:0", "--jwt-secret", SECRET],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stderr=log,
                env={name: value for name, value in os.environ.items() if not name.startswith("PRUNNER_")},
            )
        wait_for(lambda: "message=ready" in self.said() or self.outer.poll() is not None, "the daemon")
        assert self.outer.poll() is None, self.said()
        self.port = int(self.said().split("address=127.0.0.1:")[1].split()[0])
        (self.pid,) = children(self.outer.pid)

    def said(self) -> str:
        return self.log.read_text()

    def ask(self, method: str, path: str, body: object = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Authorization": f"Bearer {jwt.encode({}, SECRET)}"})
            return json.loads(connection.getresponse().read())

    def schedule(self, pipeline: str) -> str:
        return str(self.ask("POST", "/pipelines/schedule", {"pipeline": pipeline})["jobId"])

    def output(self, job: str) -> str:
        return str(self.ask("GET", f"/job/logs?id={job}&task=t")["stdout"])

    def close(self) -> None:
        self.outer.kill()
        self.outer.wait()


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Container]:
    if subprocess.run([*namespace(), "true"], capture_output=True).returncode != 0:
        pytest.skip("PID namespaces cannot be made here")
    one = Container(tmp_path)
    yield one
    one.close()


def test_it_is_the_first_process_and_reaps_the_orphans_of_tasks(container: Container) -> None:
    job = container.schedule("orphans")
    wait_for(lambda: container.ask("GET", f"/job/detail?id={job}")["completed"], "the job to be completed")
    assert container.output(job) == "1\n"
    wait_for(lambda: children(container.pid) == [], "the end of all children, zombies too")


def test_it_reaps_orphans_of_programs_that_others_started_beside_it(container: Container) -> None:
    if os.geteuid() != 0:
        pytest.skip("entering a PID namespace takes root")
    fifo = container.log.with_name("fifo")
    os.mkfifo(fifo)
    enter = ["nsenter", "--target", str(container.pid), "--pid", "--mount"]
    subprocess.run([*enter, "sh", "-c", f"cat '{fifo}' &"], timeout=PATIENCE, check=True, stdin=subprocess.DEVNULL)
    wait_for(lambda: children(container.pid), "the orphan")
    fifo.write_bytes(b"")
    wait_for(lambda: children(container.pid) == [], "the end of the orphan")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_reach_it_and_end_everything(container: Container, number: signal.Signals) -> None:
    job = container.schedule("hold")
    wait_for(lambda: "begun" in container.output(job), "the task to begin")
    os.kill(container.pid, number)
    if number is signal.SIGINT:
        wait_for(lambda: "draining" in container.said(), "the drain")
        os.kill(container.pid, number)
    assert container.outer.wait(PATIENCE) == 0
    assert "message=ended" in container.said()
    assert f"job={job}" in container.said().rpartition('message="job')[2]
