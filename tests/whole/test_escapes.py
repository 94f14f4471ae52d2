"""Through HTTP on the daemon: whatever the programs of a task do to hide, a cancel leaves nothing of them."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jwt
import pytest
import trio
from tests import waiting
from tests.processes import cgroup_works, sleeping

from prunner_trio.launch import Containment, open_launcher

pytestmark = pytest.mark.whole

PROGRAM = Path(sys.executable).with_name("prunner-trio")
SECRET = "a-secret-of-the-tests-0123456789"
PATIENCE = 60.0

HIDE = "env -i /usr/bin/setsid /bin/sleep TOKEN"
SCRIPTS = {
    "background": "sleep TOKEN & sleep TOKEN",
    "no interrupt": "sh -c 'trap \"\" INT; sleep TOKEN; :' & sleep TOKEN",
    "nothing at all": "sh -c 'trap \"\" INT TERM HUP; while :; do sleep TOKEN; done' & sleep TOKEN",
    "own session": "setsid sleep TOKEN & sleep TOKEN",
    "double fork": "(setsid sh -c 'sleep TOKEN; :' &) ; sleep TOKEN",
    "emptied environment": f"({HIDE} &); sleep TOKEN",
    "stopped": "sleep TOKEN & until grep -q sleep /proc/$!/comm; do :; done; kill -STOP $!; kill -STOP $$",
    "closed output": "exec >&- 2>&-; sleep TOKEN & sleep TOKEN",
    "flooded output": "while :; do echo flood; done & sleep TOKEN & sleep TOKEN",
    "fork storm": f"f() {{ i=0; while [ $i -lt 150 ]; do ({HIDE} &); i=$((i+1)); done; }}; f & f; wait; sleep TOKEN",
}
LEFT = {"leaves one": f"({HIDE} &); sleep 0.1", "leaves its output open": "sleep TOKEN & sleep 0.1"}


def namespaces_work() -> bool:
    async def main() -> bool:
        try:
            async with open_launcher(Containment.PIDNS):
                return True
        except RuntimeError:
            return False

    return trio.run(main)


def means(name: str, *more: object) -> Any:
    """Return a parameter, skipped where the machine does not offer the means."""
    lacks = {"cgroup": lambda: not cgroup_works(), "pidns": lambda: not namespaces_work()}.get(name, lambda: False)
    return pytest.param(name, *more, marks=pytest.mark.skipif(lacks(), reason=f"this machine does not offer {name}"))


ALL = [means("group"), means("subreaper"), means("pidns"), means("cgroup")]


wait_for = partial(waiting.wait_for, seconds=PATIENCE)


def living(token: str) -> int:
    return len(sleeping(token))


class Daemon:
    """One daemon, whose tasks all sleep for a number of seconds that nobody else does."""

    def __init__(self, folder: Path, *words: str, definitions: str, descriptors: int | None = None) -> None:
        (folder / "pipelines.yml").write_text(definitions)
        self.log = folder / "stderr"
        limit = [] if descriptors is None else ["prlimit", f"--nofile={descriptors}"]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [*limit, str(PROGRAM), "--address", "127.0.0.1:0", "--jwt-secret", SECRET, *words],
                cwd=folder,
                env={key: value for key, value in os.environ.items() if not key.startswith("PRUNNER_")},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        ready = wait_for(lambda: [x for x in self.log.read_text().splitlines() if "message=ready" in x], "the start")[0]
        self.port = int(ready.split("address=")[1].split()[0].rpartition(":")[2])

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)) as connection:
            text = None if body is None else json.dumps(body)
            token = jwt.encode({"sub": "tester"}, SECRET)
            connection.request(method, path, text, {"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    def schedule(self, pipeline: str) -> str:
        status, body = self.ask("POST", "/pipelines/schedule", {"pipeline": pipeline})
        assert status == 202, body
        return str(body["jobId"])

    def detail(self, job: str) -> dict[str, Any]:
        return dict(self.ask("GET", f"/job/detail?id={job}")[1])

    def end(self, job: str) -> dict[str, Any]:
        return dict(wait_for(lambda: (found := self.detail(job))["completed"] and found, "the end of the job"))

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def zombies(self) -> int:
        count = 0
        for name in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
                count += fields[0] == "Z" and int(fields[1]) == self.process.pid
        return count

    def close(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(20)
        self.process.kill()
        self.process.wait()


@pytest.fixture
def token() -> Iterator[str]:
    token = f"95{uuid.uuid4().int % 10**9:09}.5"
    yield token
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if token.encode() in Path(f"/proc/{name}/cmdline").read_bytes():
                os.kill(int(name), signal.SIGKILL)


def pipelines(scripts: dict[str, str], token: str) -> str:
    found = {
        name: {"kill_timeout": "600ms", "tasks": {"t": {"script": [script.replace("TOKEN", token)]}}}
        for name, script in scripts.items()
    }
    return json.dumps({"pipelines": found})


@pytest.mark.parametrize("containment", ALL)
@pytest.mark.parametrize("limit", ["none", "64Ki"])
def test_a_cancel_leaves_nothing_of_any_kind_of_escape(
    tmp_path: Path, token: str, containment: str, limit: str
) -> None:
    everything = {**SCRIPTS, **LEFT, "neighbor": f"({HIDE.replace('TOKEN', '9TOKEN')} &); exec sleep 9TOKEN"}
    words = ("--containment", containment, "--log-limit", limit)
    daemon = Daemon(tmp_path, *words, definitions=pipelines(everything, token))
    try:
        neighbor = daemon.schedule("neighbor")
        wait_for(lambda: living(f"9{token}") == 2, "the neighbor")
        for name in LEFT:
            assert not daemon.end(daemon.schedule(name))["errored"]
            assert living(token) == 2, name
        for name in SCRIPTS:
            job = daemon.schedule(name)
            expected = {"fork storm": 301, "stopped": 1}.get(name, 2)
            wait_for(lambda: living(token) == 2 + expected, f"the processes of {name!r}")  # noqa: B023
            assert daemon.ask("POST", f"/job/cancel?id={job}")[0] == 200
            assert daemon.end(job)["canceled"]
            assert living(token) == living(f"9{token}") == 2, name
        assert daemon.zombies() == 0
        assert not daemon.detail(neighbor)["completed"]
    finally:
        daemon.close()
    assert living(token) == 0


@pytest.mark.parametrize(
    ("containment", "after_cancel", "after_end"),
    [means("group", 1, 1), means("subreaper", 1, 0), means("pidns", 0, 0), means("cgroup", 0, 0)],
)
def test_who_takes_off_every_sign_is_ended_by_the_kernel_or_not_before_the_daemon_ends(
    tmp_path: Path, token: str, containment: str, after_cancel: int, after_end: int
) -> None:
    shed = "(ulimit -Sx unlimited; env -i /usr/bin/setsid /bin/sleep TOKEN &); sleep 9TOKEN"
    definitions = pipelines({"shed": shed, "neighbor": "exec sleep 8888.5"}, token)
    daemon = Daemon(tmp_path, "--containment", containment, definitions=definitions)
    try:
        daemon.schedule("neighbor")
        job = daemon.schedule("shed")
        wait_for(lambda: living(token) == 2, "the processes")
        assert daemon.ask("POST", f"/job/cancel?id={job}")[0] == 200
        assert daemon.end(job)["canceled"]
        assert living(token) == after_cancel
    finally:
        daemon.close()
    assert living(token) == after_end


@pytest.mark.skipif(not namespaces_work(), reason="may not make namespaces")
def test_with_namespaces_a_definition_that_keeps_processes_is_refused(tmp_path: Path) -> None:
    definitions = {"pipelines": {"p": {"orphans": "keep", "tasks": {"t": {"script": ["true"]}}}}}
    (tmp_path / "pipelines.yml").write_text(json.dumps(definitions))
    done = subprocess.run(
        [PROGRAM, "--containment", "pidns", "--address", "127.0.0.1:0", "--jwt-secret", SECRET],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 1
    assert "orphans: keep is not possible here: with --containment pidns all processes of a task end" in done.stderr


@pytest.mark.skipif(not namespaces_work(), reason="may not make namespaces")
@pytest.mark.parametrize("flags", [(), ("--handover",)])
def test_with_namespaces_the_log_says_from_the_start_that_a_handover_stops_tasks(
    tmp_path: Path, flags: tuple[str, ...]
) -> None:
    daemon = Daemon(tmp_path, "--containment", "pidns", *flags, definitions=pipelines({}, ""))
    daemon.close()
    assert ('level=warning message="a handover will stop all tasks' in daemon.log.read_text()) == bool(flags)


def test_the_log_says_what_was_chosen(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, definitions=pipelines({}, ""))
    daemon.close()
    said = daemon.log.read_text()
    assert ("containment=cgroup" in said) == cgroup_works()
    assert ("a better containment is not possible here" in said) == (not cgroup_works())


@pytest.mark.parametrize("limit", ["none", "64Ki"])
def test_300_parallel_tasks_under_a_limit_of_256_descriptors_are_held_back(tmp_path: Path, limit: str) -> None:
    tasks = {f"t{number}": {"script": [f"echo {number}; sleep 0.2; exit 0"]} for number in range(300)}
    definitions = json.dumps({"pipelines": {"wide": {"tasks": tasks}, "small": {"tasks": {"t": {"script": ["echo"]}}}}})
    daemon = Daemon(tmp_path, "--log-limit", limit, definitions=definitions, descriptors=256)
    try:
        job, highest = daemon.schedule("wide"), 0
        while not (found := daemon.detail(job))["completed"]:
            highest = max(highest, daemon.descriptors())
        assert {task["status"] for task in found["tasks"]} == {"done"}
        assert not found["errored"]
        assert highest < 256
        assert not daemon.end(daemon.schedule("small"))["errored"]
        assert daemon.process.poll() is None
    finally:
        daemon.close()
    assert "Too many open files" not in daemon.log.read_text()


@pytest.mark.parametrize("containment", ALL)
def test_descriptors_and_zombies_are_flat_over_2000_tasks(tmp_path: Path, containment: str) -> None:
    tasks = {f"t{number}": {"script": ["(setsid true &); exit 0" if number % 2 else "true"]} for number in range(100)}
    definitions = json.dumps({"pipelines": {"p": {"concurrency": 1, "tasks": tasks}}})
    daemon = Daemon(tmp_path, "--containment", containment, definitions=definitions)
    try:
        daemon.end(daemon.schedule("p"))
        before = daemon.descriptors()
        for _ in range(20):
            assert not daemon.end(daemon.schedule("p"))["errored"]
        assert daemon.zombies() == 0
        assert daemon.descriptors() <= before + 2  # a connection or two that is just being closed
    finally:
        daemon.close()
