"""The tour of scripts/demo, without its set-up: whoever tries the project first sees this."""

import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.whole

ROOT = Path(__file__).parents[2]
DEMO = [sys.executable, str(ROOT / "scripts" / "lib" / "demo.py")]
PATIENCE = 90.0


@pytest.fixture
def elsewhere(tmp_path: Path) -> dict[str, object]:
    """Keyword arguments for a process that starts in a directory with a space in its name, as users have them."""
    folder = tmp_path / "some where"
    folder.mkdir()
    return {"cwd": folder, "env": {**os.environ, "TMPDIR": str(folder)}, "stdin": subprocess.DEVNULL, "text": True}


@pytest.fixture
def stay(elsewhere: dict[str, object]) -> Iterator[subprocess.Popen[str]]:
    """The tour with --stay; a timer ends it, should the test hang."""
    process = subprocess.Popen([*DEMO, "--stay"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **elsewhere)
    timer = threading.Timer(PATIENCE, process.terminate)
    timer.start()
    try:
        yield process
    finally:
        timer.cancel()
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=30)


def test_the_tour_succeeds_and_leaves_nothing_behind(elsewhere: dict[str, object]) -> None:
    done = subprocess.run(DEMO, capture_output=True, timeout=PATIENCE, **elsewhere)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "none of the 4 processes is in /proc any more" in done.stdout
    assert done.stderr == ""
    assert list(Path(str(elsewhere["cwd"])).iterdir()) == []


def test_the_tour_fails_when_a_promise_is_broken(elsewhere: dict[str, object], tmp_path: Path) -> None:
    script = tmp_path / "demo.py"
    text = Path(DEMO[1]).read_text(encoding="utf-8").replace("parents[2]", "parents[0]")
    script.write_text(text.replace('"exit status 3"', '"exit status 4"'), encoding="utf-8")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    done = subprocess.run([sys.executable, script], capture_output=True, timeout=PATIENCE, **elsewhere)
    assert done.returncode == 1
    assert "the job did not fail as it should" in done.stderr
    assert "the end of the daemon's log" in done.stderr
    assert list(Path(str(elsewhere["cwd"])).iterdir()) == []


def test_stay_shows_an_address_and_a_token_that_work_until_it_is_interrupted(stay: subprocess.Popen[str]) -> None:
    assert stay.stdout is not None
    lines = []
    for line in stay.stdout:
        lines.append(line)
        if "/pipelines/schedule" in line:
            break
    text = "".join(lines)
    address = re.search(r"address: (http://127\.0\.0\.1:\d+)$", text, re.MULTILINE)
    token = re.search(r"token: +(\S+)$", text, re.MULTILINE)
    assert address, text
    assert token, text
    request = urllib.request.Request(f"{address[1]}/pipelines/jobs", headers={"Authorization": f"Bearer {token[1]}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200
    stay.send_signal(signal.SIGINT)
    rest, _ = stay.communicate(timeout=30)
    assert stay.returncode == 0, text + rest
    assert "the daemon has ended, status 0" in rest
