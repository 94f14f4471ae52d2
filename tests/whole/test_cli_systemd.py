"""The command that prints unit files, and the Containerfile: what they call exists."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.whole

PROGRAM = Path(sys.executable).with_name("prunner-trio")
ROOT = Path(__file__).parents[2]


def call(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("PRUNNER_")}
    return subprocess.run(
        [PROGRAM, *words], cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )


def words_of(unit: str, key: str) -> list[str]:
    found = re.findall(rf"^{key}=(.*)$", unit.replace("\\\n", " "), re.MULTILINE)
    return shlex.split(found[0].replace("%S", "/var/lib").replace("%%", "%").replace("$$", "$"))


def test_the_unit_starts_this_program_with_flags_that_it_has(tmp_path: Path) -> None:
    flags = (
        "--env-files",
        "",
        "--watch",
        "--poll-interval",
        "5s",
        "--pattern",
        "*.yml",
        "--data",
        "d",
        "--config",
        "c",
    )
    done = call(tmp_path, "--verbose", "systemd-unit", *flags)
    assert done.returncode == 0, done.stderr
    program, *words = words_of(done.stdout, "ExecStart")
    assert Path(program) == PROGRAM
    assert {"--path", str(tmp_path), "--data", f"{tmp_path}/d", "--config", f"{tmp_path}/c"} <= set(words)
    assert {"--watch", "--verbose", "--env-files=", "--poll-interval=5s"} <= set(words)
    assert call(tmp_path, *words, "version").returncode == 0
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "some.yml").write_text("pipelines: {p: {tasks: {t: {script: ['true']}}}}\n")
    _, command, *words = words_of(done.stdout, "ExecReload")
    assert command == "validate"
    assert call(tmp_path, command, *words).returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["some.yml"]


def test_the_time_for_a_stop_follows_the_definitions(tmp_path: Path) -> None:
    def seconds() -> int:
        return int(words_of(call(tmp_path, "systemd-unit").stdout, "TimeoutStopSec")[0])

    before = seconds()
    (tmp_path / "pipelines.yml").write_text("pipelines: {a: {kill_timeout: 102s, tasks: {t: {script: [echo]}}}}")
    assert seconds() == before + 100


def test_definitions_that_cannot_be_read_are_said_and_hold_up_nothing(tmp_path: Path) -> None:
    done = call(tmp_path, "systemd-unit", "--path", "nowhere")
    assert done.returncode == 0
    assert done.stderr.startswith("TimeoutStopSec covers no kill_timeout beyond 2 s: ")
    assert len(done.stderr.splitlines()) == 1


def test_what_cannot_be_said_to_systemd_is_refused(tmp_path: Path) -> None:
    done = call(tmp_path, "systemd-unit", "--socket", "--address", "example.org:80")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "making a unit file: a socket unit needs an IP address and not the name 'example.org'\n"


@pytest.mark.parametrize("name", ["", "a b", "-x", "a/b", "a:b"])
def test_no_unit_is_made_for_what_is_not_the_name_of_a_user(tmp_path: Path, name: str) -> None:
    done = call(tmp_path, "systemd-unit", f"--run-as={name}")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"'{name}' is not the name of a user" in done.stderr


def test_the_container_starts_the_program_with_flags_that_it_has(tmp_path: Path) -> None:
    text = (ROOT / "examples" / "container" / "Containerfile").read_text(encoding="utf-8")
    program, *words = json.loads(re.findall(r"^ENTRYPOINT (.*)$", text, re.MULTILINE)[0])
    assert program == "prunner-trio"
    assert call(tmp_path, *words, "version").returncode == 0
    for copied in re.findall(r"^COPY (?!--)(.*) \S+$", text, re.MULTILINE):
        assert all((ROOT / name).exists() for name in copied.split())
