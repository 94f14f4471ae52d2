"""The stages of scripts/test end when their command has ended, whoever still holds their output."""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.processes import sleeping
from tests.waiting import wait_for

pytestmark = pytest.mark.real

LIBRARY = Path(__file__).parents[2] / "scripts" / "lib"
RUN = """
import sys
import stages
stages.DRAIN_SECONDS = stages.STOP_SECONDS = 0.5
command, limit, optional = sys.argv[1:]
words = ("bash", "-c", command)
stage = stages.Stage("trial", "a trial", words, limit=float(limit), pytest=True, optional=bool(optional))
sys.exit(stages.report([stages.run(stage, [])]))
"""


@pytest.fixture
def token() -> Iterator[str]:
    token = f"97{uuid.uuid4().int % 10**9:09}.5"
    yield token
    for pid in sleeping(token):
        os.kill(pid, signal.SIGKILL)


def run(command: str, limit: float = 60, *, optional: bool = False) -> tuple[int, str]:
    """Run a stage of one command in a program of its own; return its status, and what it said."""
    words = [sys.executable, "-c", RUN, command, str(limit), "optional" if optional else ""]
    done = subprocess.run(words, cwd=LIBRARY, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_a_stage_that_leaves_nothing_behind_is_good() -> None:
    status, said = run("echo '3 passed in 0.10s'")
    assert status == 0
    assert "ok   trial" in said
    assert said.endswith("3 passed, 0 failed\n")


@pytest.mark.parametrize("escape", ["", "setsid ", "setsid setsid "], ids=["in its group", "out of it", "far out"])
def test_who_holds_the_output_is_named_and_killed_and_the_stage_fails(token: str, escape: str) -> None:
    status, said = run(f"({escape}sleep {token} &); until pgrep -f '^sleep {token}'; do :; done; echo '3 passed in 1s'")
    assert status == 1
    assert f": sleep {token}\n" in said
    assert "trial left a process that held its output: pid " in said
    assert "FAIL trial" in said
    assert said.endswith("3 passed, 1 failed\n")
    wait_for(lambda: not sleeping(token), "the end of who was left")


def test_who_does_not_hold_the_output_is_left_alone(token: str) -> None:
    status, _ = run(f"(setsid sleep {token} >/dev/null 2>&1 &); until pgrep -f '^sleep {token}'; do :; done")
    assert status == 0
    assert len(sleeping(token)) == 1


def test_a_stage_that_takes_too_long_is_stopped_with_all_who_hold_its_output(token: str) -> None:
    status, said = run(f"trap '' INT; (setsid sleep {token} &); sleep {token}; :", limit=1)
    assert status == 1
    assert "trial took longer than 1 s and was stopped" in said
    wait_for(lambda: not sleeping(token), "the end of who was left")


def test_a_stage_that_may_be_left_out_says_why_it_was() -> None:
    status, said = run("echo 'there is no chromium'; exit 77", optional=True)
    assert status == 0
    assert "-    trial" in said
    assert "skipped: there is no chromium" in said
    assert said.endswith("0 passed, 0 failed\n")


def test_a_stage_that_may_not_be_left_out_has_failed() -> None:
    status, said = run("echo 'there is no chromium'; exit 77")
    assert status == 1
    assert "FAIL trial" in said
