"""Thousands of random lives of the whole engine keep all promises, and a broken engine does not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.simulation import document
from tests.simulation.invariants import INVARIANTS
from tests.simulation.mutants import MUTANTS, hunt
from tests.simulation.plan import draw_plan
from tests.simulation.reduce import reduced
from tests.simulation.run import main, report
from tests.simulation.world import play_seed

ROOT = Path(__file__).resolve().parents[2]
CHUNK = 200
RUNS = 1600
MUTANT_RUNS = 2000


@pytest.mark.parametrize("first", range(0, RUNS, CHUNK))
def test_random_lives_keep_all_promises(first: int) -> None:
    for seed in range(first, first + CHUNK):
        outcome = play_seed(seed)
        assert outcome.violation is None, report(outcome)


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_broken_engine_is_found_out(mutant: str) -> None:
    prey = hunt(mutant, MUTANT_RUNS)
    assert prey is not None, f"survived {MUTANT_RUNS} runs"
    what = prey[1].what
    assert "TypeError" not in what, f"the mutant itself is broken: {what}"
    assert "AttributeError" not in what, f"the mutant itself is broken: {what}"


def test_equal_seeds_are_equal_runs_to_the_letter() -> None:
    for seed in range(20):
        assert play_seed(seed) == play_seed(seed)


def test_a_run_does_not_depend_on_the_process_it_is_played_in() -> None:
    program = "from tests.simulation.world import play_seed\nfor seed in range(10): print(play_seed(seed))"
    outputs = [
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1] != ""


def test_different_seeds_are_different_runs() -> None:
    assert len({play_seed(seed).transcript for seed in range(20)}) == 20


def test_the_runs_meet_what_they_are_for() -> None:
    outcomes = [play_seed(seed) for seed in range(150)]
    text = "\n".join(line for outcome in outcomes for line in outcome.transcript)
    for what in (
        "replaced",
        "not_saved",
        "removed retention",
        "timed out",
        "survived SIGKILL",
        "let go",
        "> KILL",
        "crash during store call",
        "on_error running",
        "end: raise",
        "end: outer cancel",
        "exceeded and queue limit reached",
        "exceeded and queueing disabled",
        "waiting retry of",
        "> move",
        "> pause",
        "canceled canceled by somebody",
    ):
        assert what in text, f"no run has {what!r}"
    assert sum(outcome.crashes for outcome in outcomes) > 50
    assert sum(outcome.jobs for outcome in outcomes) > 500


def test_a_failing_run_is_made_smaller() -> None:
    mutant = "the youngest starts first"
    prey = hunt(mutant, MUTANT_RUNS)
    assert prey is not None
    plan = draw_plan(prey[0] - 1)
    with MUTANTS[mutant]():
        smaller, outcome = reduced(plan)
    assert outcome.violation is not None
    assert outcome.violation.invariant == prey[1].invariant
    assert sum(len(life.steps) for life in smaller.lives) < sum(len(life.steps) for life in plan.lives)


def test_a_run_without_a_fault_cannot_be_made_smaller() -> None:
    with pytest.raises(ValueError, match="keeps all promises"):
        reduced(draw_plan(0))


def test_the_command_tells_what_it_has_done(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--runs", "3", "--seed", "7"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("3 runs, ")
    assert f"all {len(INVARIANTS)} promises kept" in out


def test_the_command_shows_one_run_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--runs", "1", "--seed", "7", "--verbose"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("seed 7\n")
    assert "=== life 1" in out


def test_a_broken_promise_is_named_with_the_command_that_shows_it_again(capsys: pytest.CaptureFixture[str]) -> None:
    with MUTANTS["one slot too many"]():
        assert main(["--runs", "500"]) == 1
    out = capsys.readouterr().out
    assert "A promise was broken: concurrency" in out
    assert INVARIANTS["concurrency"] in out
    assert "Again: scripts/simulate --seed " in out
    assert "=== life 1" in out


def test_the_document_has_the_invariants_that_are_checked() -> None:
    assert document.written("invariants") == document.invariants()


def test_the_document_has_all_mutants_and_what_finds_them() -> None:
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in document.written("mutants").splitlines()]
    found = {row[0]: row[1] for row in rows[2:]}
    assert set(found) == set(MUTANTS)
    assert set(found.values()) <= set(INVARIANTS)
