"""On a machine without control groups, limits are refused where they are written, or left out where that is allowed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.whole

PROGRAM = Path(sys.executable).with_name("prunner-trio")
WITHOUT = 'umount -l -a -t cgroup,cgroup2 && exec "$@"'


def unmounted(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the program where no control groups are mounted, in a mount namespace of its own."""
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", WITHOUT, "sh", str(PROGRAM), *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def can_unmount(folder: Path) -> bool:
    check = ["unshare", "--mount", "sh", "-c", WITHOUT, "sh", "true"]
    return os.geteuid() == 0 and subprocess.run(check, capture_output=True, check=False).returncode == 0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    if not can_unmount(tmp_path):
        pytest.skip("needs the right to unmount control groups in a namespace")
    return tmp_path


def write(folder: Path, more: str = "") -> None:
    text = (
        f"pipelines:\n  p:\n    limits:\n      memory: 64Mi\n{more}    tasks:\n      t:\n        script: [echo ran]\n"
    )
    (folder / "pipelines.yml").write_text(text)


@pytest.mark.parametrize("command", [("run", "p"), ("--address", "127.0.0.1:0", "--jwt-secret", "0123456789abcdefgh")])
def test_a_limit_is_refused_with_its_place(folder: Path, command: tuple[str, ...]) -> None:
    write(folder)
    done = unmounted(folder, *command)
    assert done.returncode == 1
    assert 'this machine cannot enforce the limit "memory": no control group' in done.stderr.replace("\\", "")
    assert "pipelines.yml:4:7" in done.stderr or "at 4:7" in done.stderr
    assert "limits_optional: true" in done.stderr


def test_an_optional_limit_is_left_out(folder: Path) -> None:
    write(folder, "    limits_optional: true\n")
    done = unmounted(folder, "run", "p")
    assert done.returncode == 0
    assert "ran" in done.stdout


def test_validate_does_not_ask_what_this_machine_can_do(folder: Path) -> None:
    write(folder)
    assert unmounted(folder, "validate").returncode == 0
