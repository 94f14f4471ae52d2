"""The service of one user, under a service manager of their own."""

import os
import pwd
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

PROGRAM = "/opt/prunner-trio/bin/prunner-trio"
MANAGER = """
[Service]
Type=notify
User=jane
RuntimeDirectory=user-of-the-tests
RuntimeDirectoryMode=0700
Environment=XDG_RUNTIME_DIR=/run/user-of-the-tests DBUS_SESSION_BUS_ADDRESS=
ExecStart=/lib/systemd/systemd --user --unit=default.target
Delegate=yes
KillMode=mixed
"""

Jane = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def jane(installation: None) -> Iterator[Jane]:
    unit = Path("/etc/systemd/system/user-of-the-tests.service")
    unit.write_text(MANAGER)
    subprocess.run(["useradd", "--create-home", "jane"], check=True)
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    subprocess.run(["systemctl", "start", unit.name], check=True, timeout=60)
    home = pwd.getpwnam("jane").pw_dir
    env = {"XDG_RUNTIME_DIR": "/run/user-of-the-tests", "HOME": home, "PATH": os.environ["PATH"]}

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*words],
            user="jane",
            group="jane",
            cwd=home,
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )

    yield call
    subprocess.run(["systemctl", "stop", unit.name], check=True, timeout=60)
    subprocess.run(["userdel", "--remove", "jane"], check=True, stderr=subprocess.DEVNULL)
    unit.unlink()


def test_a_user_runs_it_without_root(jane: Jane) -> None:
    home = Path(pwd.getpwnam("jane").pw_dir)
    jane("mkdir", "-p", "app", ".config/systemd/user")
    jane("sh", "-c", "echo 'pipelines: {quick: {tasks: {t: {script: [echo quick]}}}}' > app/pipelines.yml")
    unit = ".config/systemd/user/prunner-trio.service"
    jane("sh", "-c", f"{PROGRAM} systemd-unit --user --path app --address 127.0.0.1:9010 > {unit}")
    jane("systemctl", "--user", "daemon-reload")
    jane("systemctl", "--user", "enable", "--now", "prunner-trio")
    shown = dict[str, Any](
        line.split("=", 1)
        for line in jane(
            "systemctl", "--user", "show", "prunner-trio", "-p", "ActiveState,StatusText,MainPID,ControlGroup"
        ).stdout.splitlines()
    )
    assert shown["ActiveState"] == "active"
    assert shown["StatusText"] == "listening on 127.0.0.1:9010"
    daemon = Path("/proc") / shown["MainPID"]
    assert daemon.stat().st_uid == home.stat().st_uid
    leaves = Path("/sys/fs/cgroup") / shown["ControlGroup"].lstrip("/")
    assert list(leaves.glob("prunner.*")), "its place for the control groups of tasks"
    jane("systemctl", "--user", "stop", "prunner-trio")
    assert not daemon.exists()
