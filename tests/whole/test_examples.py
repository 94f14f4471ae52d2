"""What lies in examples/ works as it says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.whole

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
COMMAND = str(Path(sys.executable).with_name("prunner-trio"))
PROGRAMS = sorted(path.relative_to(ROOT).as_posix() for path in (EXAMPLES / "embedding").glob("*.py"))


def run(*words: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(words, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)


def test_all_definitions_are_valid(tmp_path: Path) -> None:
    done = run(COMMAND, "--path", str(EXAMPLES), "validate", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("pipeline", "variables", "status", "said"),
    [
        ("hello", [], 0, "Hello, world!"),
        ("hello", ["-v", "name=$(id)"], 0, "Hello, $(id)!"),
        ("build", [], 0, "packaging version 0.1"),
        ("note", ["-v", "title=it's; true", "--json-var", "urgent=true"], 0, "it's; true"),
        ("fragile", [], 3, "work ended with status 3"),
    ],
)
def test_the_pipelines_of_the_quickstart_run(
    tmp_path: Path, pipeline: str, variables: list[str], status: int, said: str
) -> None:
    done = run(COMMAND, "--path", str(EXAMPLES / "quickstart"), "run", pipeline, *variables, cwd=tmp_path)
    assert done.returncode == status, done.stdout + done.stderr
    assert said in done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []


def test_there_are_programs_to_run() -> None:
    assert len(PROGRAMS) >= 2


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_that_embeds_the_runner_runs(program: str, tmp_path: Path) -> None:
    done = run(sys.executable, str(ROOT / program), cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_the_unit_for_systemd_uses_flags_that_exist(tmp_path: Path) -> None:
    unit = (EXAMPLES / "deploy" / "prunner-trio.service").read_text(encoding="utf-8").replace("\\\n", " ")
    start = re.search(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    assert start is not None
    program, *words = start[1].split()
    assert Path(program).name == "prunner-trio"
    done = run(COMMAND, *words, "version", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
