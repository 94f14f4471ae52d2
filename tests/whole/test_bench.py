"""The benchmark runs: with tiny sizes, of which nothing is asserted but that they were done."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.whole

BENCH = [sys.executable, str(Path(__file__).parents[2] / "scripts" / "lib" / "bench.py"), "--quick"]
PATIENCE = 120.0


def bench(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run it below a directory with a space in its name, to which also its temporary files go."""
    return subprocess.run(
        [*BENCH, *words], cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE
    )


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "some where"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def test_it_measures_shows_keeps_and_leaves_nothing_behind(work: Path) -> None:
    done = bench("chain", "cancel", "crash", "events", "running", "--save", "figures.json", cwd=work)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [path.name for path in work.iterdir()] == ["figures.json"]
    kept = json.loads((work / "figures.json").read_text())
    assert set(kept["measures"]) == {"chain", "cancel", "crash", "events", "running"}
    assert kept["measures"]["crash"]["values"] | {"answer": []} == {
        "jobs": [3],
        "known": [3],
        "completed": [3],
        "answer": [],
    }
    assert [size for size, _ in kept["measures"]["running"]["curves"]["start"]] == [2, 4]
    assert all(not measure["trouble"] for measure in kept["measures"].values())
    assert "× make" in done.stdout or not kept["measures"]["chain"]["references"]

    again = bench("chain", "--baseline", "figures.json", "--save", "figures.json", cwd=work)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "baseline" in again.stdout
    assert set(json.loads((work / "figures.json").read_text())["measures"]) == {
        "chain",
        "cancel",
        "crash",
        "events",
        "running",
    }


def test_a_daemon_that_does_not_start_is_a_failure_and_others_skip_what_they_have_not(work: Path) -> None:
    done = bench("chain", "copied", "--daemon", "sh -c 'echo no >&2; exit 3'", "--json", cwd=work)
    assert done.returncode == 1
    measures = json.loads(done.stdout)["measures"]
    assert measures["chain"]["trouble"] == "failed: DaemonFailed: the daemon did not start: no"
    assert measures["copied"]["trouble"] == "skipped: log_limit: only prunner-trio has that"
    assert list(work.iterdir()) == []


def test_another_daemon_is_found_from_where_it_was_said_and_measured_by_what_all_have(work: Path) -> None:
    (work / "other").symlink_to(Path(sys.executable).with_name("prunner-trio"))
    done = bench("chain", "copied", "--daemon", "./other --verbose", "--json", cwd=work)
    assert done.returncode == 0, done.stderr
    measures = json.loads(done.stdout)["measures"]
    assert measures["chain"]["trouble"] == ""
    assert measures["copied"]["trouble"] == "skipped: log_limit: only prunner-trio has that"


@pytest.mark.parametrize("words", [["nonsense"], ["--runs", "0"], ["--baseline", "no.json"], ["--daemon", "'"]])
def test_what_it_does_not_know_is_refused(words: list[str], work: Path) -> None:
    done = bench(*words, cwd=work)
    assert done.returncode == 2
    assert words[-1] in done.stderr
