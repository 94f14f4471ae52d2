"""The image of the example, built with Podman in a store of its own, and daemons in containers made of it."""

import contextlib
import http.client
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from tests.waiting import wait_for

from . import base

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 30.0
TOOLS = ("podman", "runc", "conmon", "dpkg-query")
IMAGE = "localhost/prunner-trio"
CGROUPS = Path("/sys/fs/cgroup")

DEFINITIONS = """
pipelines:
  quick: {tasks: {t: {script: [echo quick]}}}
  who: {tasks: {t: {script: ['id -u; id -un; echo "$PPID"; pwd']}}}
  obey: {tasks: {t: {script: ["echo begun; sleep 84.75"]}}}
  hold: {tasks: {t: {script: ["echo begun; while [ ! -e go ]; do sleep 0.02; done"]}}}
  ignore:
    kill_timeout: 500ms
    tasks: {t: {script: ["trap '' INT TERM; echo begun; while :; do sleep 84.75; done"]}}
  orphans:
    tasks:
      t: {script: ["for i in 1 2 3; do (setsid sh -c 'sleep 0.01 & exec sleep 84.75' &); done"]}
  hide:
    tasks:
      t:
        script:
          - (setsid env -i /bin/sh -c "trap '' INT TERM; echo begun; exec sleep 84.75" &)
          - exec sleep 84.75
"""


def sleepers() -> list[int]:
    """The processes that tasks of these tests leave behind if they can."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if b"84.75" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found


@attrs.frozen
class Podman:
    """Podman with everything that it would share with the machine in one directory."""

    folder: Path

    def __call__(self, *words: str | Path, succeed: bool = True, timeout: float = 2 * PATIENCE) -> str:
        (self.folder / "containers.conf").write_text("[containers]\ndefault_ulimits = []\n")
        kind = subprocess.check_output(["stat", "-f", "-c", "%T", self.folder], text=True).strip()
        options = {
            "root": self.folder / "store",
            "runroot": self.folder / "run",
            "tmpdir": self.folder / "tmp",
            "storage-driver": "vfs" if kind in ("overlayfs", "tmpfs") else "overlay",
            "runtime": "runc",
            "runtime-flag": f"root={self.folder / 'oci'}",
            "cgroup-manager": "cgroupfs",
            "events-backend": "file",
            "log-level": "error",
        }
        done = subprocess.run(
            ["podman", *(f"--{name}={value}" for name, value in options.items()), *map(str, words)],
            env={**os.environ, "CONTAINERS_CONF": str(self.folder / "containers.conf")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            cwd=ROOT,
        )
        assert not succeed or done.returncode == 0, done.stdout
        return done.stdout

    def clean_up(self) -> None:
        """Remove all containers, images and volumes, and every mount."""
        self("rm", "--force", "--all", "--time", "0", succeed=False)
        self("rmi", "--force", "--all", succeed=False)
        self("volume", "rm", "--force", "--all", succeed=False)
        mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        for mount in reversed([place for place in mounts if Path(place).is_relative_to(self.folder)]):
            subprocess.run(["umount", mount], check=True)
        shutil.rmtree(self.folder)


def groups() -> set[Path]:
    """Return the control groups of containers; Podman leaves them behind, empty."""
    parents = CGROUPS.rglob("libpod_parent")
    return {group for parent in parents for group in (parent, *parent.rglob("*")) if group.is_dir()}


def why_not() -> str:
    """Why images cannot be built here; empty if they can."""
    if os.geteuid() != 0:
        return "it takes root"
    if absent := [tool for tool in TOOLS if shutil.which(tool) is None]:
        packages = "podman runc conmon"
        return f"no {', '.join(absent)}; on Debian: apt-get install --no-install-recommends {packages}"
    if absent := base.missing_packages():
        return f"the image is made of packages of this machine: apt-get install {' '.join(absent)}"
    theirs = subprocess.check_output(
        ["/usr/bin/python3", "-c", "import sys; print('{}.{}'.format(*sys.version_info))"], text=True
    ).strip()
    ours = "{}.{}".format(*sys.version_info)
    return "" if ours == theirs else f"this is Python {ours} and that of the packages is {theirs}"


@pytest.fixture(scope="session")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    if reason := why_not():
        pytest.skip(f"no images can be made here: {reason}")
    folder = tmp_path_factory.mktemp("podman")
    before = groups()
    one = Podman(folder)
    try:
        base.write_base(folder / "base.tar")
        one("import", "--quiet", folder / "base.tar", "localhost/base")
        wheels = [sys.executable, "-m", "pip", "wheel", "--quiet", "--wheel-dir", folder / "wheels", ROOT, "hatchling"]
        subprocess.run(wheels, check=True, timeout=300, stdin=subprocess.DEVNULL)
        arguments = ("BASE=localhost/base", "TOOLS=", "PIP_NO_INDEX=1", "PIP_FIND_LINKS=/wheels")
        one(
            *("build", "--network=none", "--pull-never", "--volume", f"{folder / 'wheels'}:/wheels:ro"),
            *(word for argument in arguments for word in ("--build-arg", argument)),
            *("--tag", IMAGE, "--file", "examples/container/Containerfile", "."),
            timeout=300,
        )
        yield one
    finally:
        one.clean_up()
        for group in sorted(groups() - before, reverse=True):
            with contextlib.suppress(FileNotFoundError):  # two names of one hierarchy
                group.rmdir()


@attrs.define(eq=False)
class Daemon:
    """A container with the daemon."""

    podman: Podman
    name: str
    token: str = ""
    port: int = 0

    @property
    def pid(self) -> int:
        """Its process 1, as the host sees it."""
        return int(self.podman("inspect", "--format", "{{.State.Pid}}", self.name))

    @property
    def exit_code(self) -> int:
        return int(self.podman("inspect", "--format", "{{.State.ExitCode}}", self.name))

    def children(self) -> list[int]:
        """All children of process 1, zombies too."""
        return [int(word) for word in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def processes(self) -> list[int]:
        """All processes in the container, as the host sees them."""
        inside = os.readlink(f"/proc/{self.pid}/ns/pid")
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if os.readlink(folder / "ns" / "pid") == inside:
                    found.append(int(folder.name))
        return found

    def log(self) -> str:
        return self.podman("logs", self.name)

    def run_in_it(self, *words: str) -> str:
        return self.podman("exec", self.name, *words)

    def ready(self) -> "Daemon":
        wait_for(lambda: "message=ready" in self.log(), f"the daemon: {self.log()}")
        self.port = int(self.log().split("address=127.0.0.1:")[1].split()[0])
        config = "/var/lib/prunner-trio/config.yml"
        self.token = self.run_in_it("prunner-trio", "--config", config, "token", "--sub", "jane").strip()
        return self

    def ask(self, method: str, path: str, body: object = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Authorization": f"Bearer {self.token}"})
            return json.loads(connection.getresponse().read() or "null")

    def schedule(self, pipeline: str) -> str:
        return str(self.ask("POST", "/pipelines/schedule", {"pipeline": pipeline})["jobId"])

    def output(self, job: str) -> str:
        return str(self.ask("GET", f"/job/logs?id={job}&task=t")["stdout"])

    def detail(self, job: str) -> dict[str, Any]:
        return dict(self.ask("GET", f"/job/detail?id={job}"))

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


@attrs.define(eq=False)
class Place:
    """A volume and a directory with definitions, and the containers that use them one after the other."""

    podman: Podman
    app: Path
    volume: str
    made: list[Daemon] = attrs.field(factory=list)

    def new(self, *options: str) -> Daemon:
        """Begin a container as the example says, but in the network of the host, with a port that is free."""
        one = Daemon(self.podman, f"{self.volume}-{len(self.made)}")
        volumes = ("-v", f"{self.volume}:/var/lib/prunner-trio", "-v", f"{self.app}:/srv/app")
        words = ("--detach", "--name", one.name, "--stop-timeout", "40", "--network", "host", *volumes, *options)
        self.podman("run", *words, IMAGE, "--address", "127.0.0.1:0")
        self.made.append(one)
        return one

    def start(self, *options: str) -> Daemon:
        return self.new(*options).ready()


@pytest.fixture
def place(podman: Podman, tmp_path: Path) -> Iterator[Place]:
    app = tmp_path / "app"
    app.mkdir()
    app.chmod(0o755)
    (app / "pipelines.yml").write_text(DEFINITIONS)
    one = Place(podman, app, "data")
    try:
        yield one
    finally:
        for daemon in one.made:
            podman("rm", "--force", "--time", "0", daemon.name)
        podman("volume", "rm", "--force", one.volume)
    assert wait_for(lambda: not sleepers(), f"the end of {sleepers()}")
