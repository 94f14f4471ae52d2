"""`run`: one job in the foreground."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.whole

PROGRAM = Path(sys.executable).with_name("prunner-trio")
PATIENCE = 30

DEFINITIONS = r"""
pipelines:
  good:
    env: {FROM: pipeline}
    tasks:
      one: {script: ["echo out; echo err >&2", 'printf "%s" "$FROM"']}
      second: {script: ["echo {{ .name }} $PRUNNER_VAR_NAME"], depends_on: [one]}
  bad:
    tasks:
      ok: {script: [echo ok]}
      fails: {script: ["echo before", "exit 7"], depends_on: [ok]}
      never: {script: [echo never], depends_on: [fails]}
    on_error: {script: ["echo {{ .failedTaskName }} said {{ .failedTaskStdout }}"]}
  waits:
    start_delay: 1h
    queue_limit: 1
    tasks: {t: {script: [echo at once]}}
  long:
    tasks: {t: {script: ["echo begun", "sleep 83.1"]}}
  stubborn:
    kill_timeout: 1h
    tasks: {t: {script: ["trap '' INT TERM; echo begun; while :; do sleep 83.2; done"]}}
  json:
    tasks: {t: {script: ["echo {{ index .list 1 }} {{ .number }}"]}}
  wide:
    tasks: {t: {script: ["head -c 300000 /dev/zero | tr '\\0' x"]}}
  environment:
    tasks: {t: {script: ['echo "A=$A secret=[$PRUNNER_JWT_SECRET]"']}}
"""


def start(folder: Path, *words: str, **variables: str) -> subprocess.Popen[str]:
    (folder / "pipelines.yml").write_text(DEFINITIONS)
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PRUNNER_")}
    return subprocess.Popen(
        [PROGRAM, "run", *words],
        cwd=folder,
        env=kept | variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, list[str], str]:
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out.splitlines(), err


def run(folder: Path, *words: str, **variables: str) -> tuple[int, list[str], str]:
    return finish(start(folder, *words, **variables))


@pytest.fixture
def deadline() -> Iterator[list[subprocess.Popen[str]]]:
    """Ends the processes in the list if a test takes too long."""
    processes: list[subprocess.Popen[str]] = []
    timer = threading.Timer(PATIENCE, lambda: [process.kill() for process in processes])
    timer.start()
    yield processes
    timer.cancel()


def living(part: str) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if part in line:
                found.append(line)
    return found


def test_output_appears_with_the_name_of_its_task_and_the_status_is_0(tmp_path: Path) -> None:
    status, out, err = run(tmp_path, "good", "-v", "name=Jane Doe")
    assert status == 0
    assert out == ["one    | out", "one    | pipeline", "second | Jane Doe Jane Doe"]
    assert "one    | err" in err
    assert "==> good succeeded" in err


def test_nothing_is_left_in_the_directory(tmp_path: Path) -> None:
    run(tmp_path, "good", "-v", "name=x")
    assert [path.name for path in tmp_path.iterdir()] == ["pipelines.yml"]


def test_the_status_is_that_of_the_task_that_failed(tmp_path: Path) -> None:
    status, out, err = run(tmp_path, "bad")
    assert status == 7
    assert out == ["ok       | ok", "fails    | before", "on_error | fails said before"]
    assert "==> fails failed: exit status 7" in err
    assert "==> bad failed" in err


def test_one_job_in_the_foreground_waits_for_no_delay(tmp_path: Path) -> None:
    assert run(tmp_path, "waits")[:2] == (0, ["t | at once"])


def test_variables_may_be_json(tmp_path: Path) -> None:
    words = ["--json-var", 'list=["a", "b=c"]', "--json-var", "number=12345678901234567890"]
    assert run(tmp_path, "json", *words)[:2] == (0, ["t | b=c 12345678901234567890"])


def test_a_missing_variable_fails_the_job(tmp_path: Path) -> None:
    status, _, err = run(tmp_path, "json")
    assert status == 1
    assert "list" in err


def test_a_line_of_any_length_is_shown_whole_in_parts(tmp_path: Path) -> None:
    status, out, _ = run(tmp_path, "wide")
    assert status == 0
    assert "".join(line.removeprefix("t | ") for line in out) == "x" * 300_000


def test_the_environment_is_that_of_a_daemon(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=dotenv\nPRUNNER_JWT_SECRET=hunter2hunter2hunter2\n")
    assert run(tmp_path, "environment", A="process")[:2] == (0, ["t | A=dotenv secret=[]"])


def test_no_colors_without_a_terminal(tmp_path: Path) -> None:
    _, out, err = run(tmp_path, "good", "-v", "name=x")
    assert "\x1b" not in "".join(out) + err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_cancels_the_job_and_its_processes(
    tmp_path: Path, deadline: list[subprocess.Popen[str]], number: signal.Signals
) -> None:
    process = start(tmp_path, "long")
    deadline.append(process)
    assert process.stdout is not None
    assert process.stdout.readline() == "t | begun\n"
    process.send_signal(number)
    status, _, err = finish(process)
    assert status == 130
    assert "==> long canceled" in err
    assert living("sleep 83.1") == []


def test_a_second_signal_kills_what_resists(tmp_path: Path, deadline: list[subprocess.Popen[str]]) -> None:
    process = start(tmp_path, "stubborn")
    deadline.append(process)
    assert process.stdout is not None
    assert process.stdout.readline() == "t | begun\n"
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert process.stderr.readline() == "==> canceling; once more kills\n"
    process.send_signal(signal.SIGINT)
    assert finish(process)[0] == 130
    assert living("sleep 83.2") == []


def test_a_reader_that_leaves_does_not_end_the_job(tmp_path: Path) -> None:
    (tmp_path / "pipelines.yml").write_text(
        "pipelines: {p: {tasks: {t: {script: ['seq 100000', 'sleep 0.1; touch finished']}}}}"
    )
    command = f"'{PROGRAM}' run p | head -n 1"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)
    assert done.stdout == "t | 1\n"
    assert (tmp_path / "finished").exists()
