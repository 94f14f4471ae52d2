"""A prunner-trio that is installed where every user can read it, and the service made of it. Runs inside of `box`."""

import contextlib
import functools
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
import yaml
from tests.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
PREFIX = Path("/opt/prunner-trio")
PROGRAM = PREFIX / "bin" / "prunner-trio"
UNITS = Path("/etc/systemd/system")
APP = Path("/srv/app")
STATE = Path("/var/lib/prunner-trio")
SYSTEM_PYTHON = Path("/usr/bin/python3")
PORT = 9009
PATIENCE = 30.0
NOT_NEEDED = (
    "pip*",
    "mypy*",
    "*mypyc*",
    "ruff*",
    "hypothesis*",
    "_hypothesis*",
    "pytest*",
    "_pytest",
    "coverage*",
    "*.pth",
)

DEFINITIONS = """
pipelines:
  quick: {tasks: {t: {script: [echo quick]}}}
  who: {tasks: {t: {script: ["id -u; pwd; env | sort"]}}}
  hold: {concurrency: 3, tasks: {t: {script: ["echo begun; while [ ! -e go ]; do sleep 0.02; done"]}}}
  one: {tasks: {t: {script: ["echo begun; while [ ! -e go ]; do sleep 0.02; done"]}}}
  obey: {tasks: {t: {script: ["echo begun; sleep 84.25"]}}}
  again:
    on_daemon_crash: requeue
    tasks: {t: {script: ["echo begun; while [ ! -e go ]; do sleep 0.02; done"]}}
  keep: {orphans: keep, tasks: {t: {script: ["setsid sleep 84.25 >/dev/null 2>&1 & echo $!"]}}}
  ignore:
    kill_timeout: 500ms
    tasks: {t: {script: ["trap '' INT TERM; echo begun; while :; do sleep 84.25; done"]}}
  resist:
    kill_timeout: 1h
    tasks: {t: {script: ["trap '' INT TERM; echo begun; while :; do sleep 84.25; done"]}}
  hide:
    kill_timeout: 500ms
    tasks:
      t:
        script:
          - (setsid env -i PATH=/usr/bin:/bin sh hide.sh "$STATE_DIRECTORY/hidden" &)
          - while [ ! -e "$STATE_DIRECTORY/hidden" ]; do sleep 0.02; done; echo begun; sleep 84.25
"""

HIDE = """
trap '' INT TERM
echo $$ >"$1.new"
mv "$1.new" "$1"
exec sleep 84.25
"""
"""A process of a task that leaves its session, its parents and its environment, and ignores what can be ignored."""


def call(*words: str | Path, succeed: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [str(word) for word in words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=2 * PATIENCE
    )
    assert not succeed or done.returncode == 0, done.stdout + done.stderr
    return done


def sleepers() -> list[int]:
    """The processes that tasks of these tests leave behind if they can."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if b"84.25" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found


@functools.cache
def unit(*flags: str) -> str:
    """Return what the command prints; it takes most of the time of an installation."""
    return call(PROGRAM, "systemd-unit", "--path", APP, *flags).stdout


class Service:
    """The service under the box's systemd."""

    name = "prunner-trio.service"

    def install(self, *flags: str, **options: str) -> None:
        """Install the unit that the command prints, and a drop-in with `options`."""
        if "dynamic" in flags:
            call("userdel", "prunner-trio", succeed=False)  # or systemd would take it
            APP.chmod(0o777)
        else:
            call(
                "useradd",
                "--system",
                "--home-dir",
                STATE,
                "--shell",
                "/usr/sbin/nologin",
                "prunner-trio",
                succeed=False,
            )
            shutil.chown(APP, "prunner-trio", "prunner-trio")
        (UNITS / self.name).write_text(unit(*flags))
        (UNITS / "prunner-trio.socket").write_text(unit(*flags, "--socket"))
        folder = UNITS / f"{self.name}.d"
        folder.mkdir(exist_ok=True)
        settings = {"RestartSec": "100ms", **options}
        lines = "".join(f"{key}={value}\n" for key, value in settings.items())
        (folder / "test.conf").write_text(f"[Unit]\nStartLimitIntervalSec=0\n[Service]\n{lines}")
        self.ctl("daemon-reload")

    def start(self, *flags: str, **options: str) -> "Service":
        self.install(*flags, **options)
        self.ctl("start", self.name)
        return self

    def ctl(self, *words: str) -> None:
        call("systemctl", *words)

    def show(self, name: str) -> str:
        return call("systemctl", "show", "-P", name, self.name).stdout.strip()

    @property
    def pid(self) -> int:
        return int(self.show("MainPID"))

    def status_becomes(self, text: str) -> None:
        wait_for(lambda: text in self.show("StatusText"), f"the status {text!r}, not {self.show('StatusText')!r}")

    def restarted(self, times: int) -> None:
        wait_for(
            lambda: int(self.show("NRestarts")) >= times and self.show("ActiveState") == "active",
            f"restart {times}: {self.journal()}",
        )

    def processes(self) -> list[int]:
        """Return all processes in the service's control group and those below it."""
        group = Path("/sys/fs/cgroup") / self.show("ControlGroup").lstrip("/")
        return [int(pid) for file in group.rglob("cgroup.procs") for pid in file.read_text().split()]

    def freeze(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def journal(self, *words: str) -> str:
        return (
            call("journalctl", "--sync", succeed=False).stdout
            + call("journalctl", "-u", self.name, "-o", "cat", *words).stdout
        )

    def fields(self, *words: str) -> list[dict[str, Any]]:
        call("journalctl", "--sync", succeed=False)
        done = call("journalctl", "-o", "json", *words, succeed=False)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        secret = yaml.safe_load((STATE / "config.yml").read_text())["jwt_secret"]
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=PATIENCE)
        with contextlib.closing(connection):
            token = jwt.encode({"sub": "tester"}, secret)
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or "null")

    def schedule(self, pipeline: str) -> str:
        status, body = self.ask("POST", "/pipelines/schedule", {"pipeline": pipeline})
        assert status == 202, body
        return str(body["jobId"])

    def detail(self, job: str) -> dict[str, Any]:
        status, body = self.ask("GET", f"/job/detail?id={job}")
        assert status == 200
        return dict(body)

    def output(self, job: str) -> str:
        return str(self.ask("GET", f"/job/logs?id={job}&task=t")[1]["stdout"])

    def begun(self, pipeline: str) -> str:
        job = self.schedule(pipeline)
        wait_for(lambda: "begun" in self.output(job), f"{pipeline} to begin")
        return job

    def ended(self, job: str) -> dict[str, Any]:
        return dict(wait_for(lambda: (d := self.detail(job)) and (d["completed"] or d["canceled"]) and d, "the end"))

    def run(self, pipeline: str) -> str:
        job = self.schedule(pipeline)
        assert self.ended(job)["completed"], self.detail(job)
        return self.output(job)

    def remove(self) -> None:
        (APP / "go").touch()
        call("systemctl", "stop", "prunner-trio.socket", self.name, succeed=False)
        call("systemctl", "reset-failed", succeed=False)
        for place in (*UNITS.glob("prunner-trio*"), STATE, Path("/var/lib/private/prunner-trio")):
            if place.is_dir() and not place.is_symlink():
                shutil.rmtree(place)
            else:
                place.unlink(missing_ok=True)
        call("systemctl", "daemon-reload")


def make_installation() -> None:
    call(SYSTEM_PYTHON, "-m", "venv", "--without-pip", PREFIX)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    packages = PREFIX / "lib" / version / "site-packages"
    for folder in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        shutil.copytree(folder, packages, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*NOT_NEEDED))
    shutil.copytree(ROOT / "src" / "prunner_trio", packages / "prunner_trio", dirs_exist_ok=True)
    PROGRAM.write_text(f"#!{PREFIX}/bin/python3\nimport sys\nfrom prunner_trio.cli import entry\nsys.exit(entry())\n")
    PROGRAM.chmod(0o755)
    call(PREFIX / "bin" / "python3", "-m", "compileall", "-q", packages / "prunner_trio")


@pytest.fixture(scope="session")
def installation() -> None:
    if os.environ.get("container") != "box":  # noqa: SIM112 - the name is systemd's
        pytest.skip("these run inside of a box: tests/systemd/box -- python -m pytest tests/systemd")
    ours = "{}.{}".format(*sys.version_info[:2])
    theirs = call(SYSTEM_PYTHON, "-c", "import sys; print('{}.{}'.format(*sys.version_info[:2]))").stdout.strip()
    if theirs != ours:
        pytest.skip(f"the packages of this environment are for Python {ours} and {SYSTEM_PYTHON} is {theirs}")
    make_installation()


@pytest.fixture
def service(installation: None) -> Iterator[Service]:
    shutil.rmtree(APP, ignore_errors=True)
    APP.mkdir(parents=True)
    (APP / "pipelines.yml").write_text(DEFINITIONS)
    (APP / "hide.sh").write_text(HIDE)
    one = Service()
    yield one
    one.remove()
    assert wait_for(lambda: not sleepers(), f"the end of {sleepers()}")
