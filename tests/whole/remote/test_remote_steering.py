"""Steering from the command line: retries, single tasks, the queue, pauses."""

import json
from typing import Any

import pytest
from tests.whole.remote.conftest import wait_for

pytestmark = pytest.mark.whole

GATED = r"""
pipelines:
  flaky:
    tasks:
      make: {script: ["echo made"]}
      test: {depends_on: [make], script: ['test "$PRUNNER_VAR_GOOD" = yes && echo tested']}
  pair:
    tasks:
      endless: {script: ["echo begun; sleep 1000"]}
      other: {script: ["echo begun; while [ ! -e pair-may-go ]; do sleep 0.02; done"]}
  slow: {tasks: {t: {script: ["echo begun; sleep 1000"]}}}
  line: {tasks: {t: {script: ["true"]}}}
"""


@pytest.fixture(scope="module")
def gated(remote: Any) -> Any:
    (remote.folder / "more").mkdir()
    (remote.folder / "more" / "pipelines.yml").write_text(GATED)
    remote.stop()
    remote.start()
    return remote


def shown(remote: Any, job: str) -> Any:
    return json.loads(remote.ok("show", job, "--json"))


def test_a_retry_keeps_what_was_done_and_follows_the_rest(gated: Any) -> None:
    old = gated.ok("trigger", "flaky", "-v", "good=no", "--wait", status=10).strip()
    done = gated.call("retry", old, "--failed", "-v", "good=yes", "--follow")
    assert (done.returncode, done.stdout) == (0, "test | tested\n"), done
    new = shown(gated, "flaky")
    assert (new["retry_of"], new["variables"]) == (old, {"good": "yes"})
    assert [task["from_job"] for task in new["tasks"]] == [old, None]
    assert gated.ok("logs", new["id"]).splitlines() == ["make | made", "test | tested"]
    assert [(deed["action"], deed["detail"]) for deed in shown(gated, old)["audit"]] == [
        ("scheduled", ""),
        ("retried", new["id"]),
    ]
    whole = gated.ok("retry", old, "--wait", status=10).strip()
    assert [task["from_job"] for task in shown(gated, whole)["tasks"]] == [None, None]
    first, second = (gated.ok("retry", old, "--key", "once").strip() for _ in range(2))
    assert first == second
    done = gated.call("retry", new["id"], "--failed")
    assert (done.returncode, "have succeeded" in done.stderr) == (1, True), done
    assert json.loads(gated.ok("retry", old, "--json"))["retry_of"] == old


def test_one_task_is_canceled(gated: Any) -> None:
    job = gated.ok("trigger", "pair").strip()
    wait_for(lambda: gated.ok("logs", job).count("begun") == 2, "both tasks to begin")
    done = gated.call("cancel", job, "--task", "endless", "--wait")
    assert (done.returncode, done.stderr) == (0, f"pair {job[:8]} endless canceled\n")
    assert shown(gated, job)["state"] == "running"
    assert gated.call("cancel", job, "--task", "endles").returncode == 22
    (gated.folder / "pair-may-go").touch()
    gated.ok("wait", job, status=12)
    assert shown(gated, job)["reason"].startswith("endless: canceled")


def test_a_pipeline_stands_for_its_job_that_runs_though_newer_ones_wait(gated: Any) -> None:
    runs = gated.ok("trigger", "slow").strip()
    wait_for(lambda: "begun" in gated.ok("logs", "slow"), "the task to begin")
    assert gated.call("logs", "slow").stderr == ""
    older, newer = (gated.ok("trigger", "slow").strip() for _ in range(2))
    done = gated.call("logs", "slow")
    chosen = f"slow has several jobs that run or wait; this is {runs[:8]}, the newest that runs\n"
    assert (done.stdout, done.stderr) == ("begun\n", chosen)
    done = gated.call("logs", newer)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith(f"slow {newer[:8]} waits: position 2 of 2")
    follower = gated.spawn("logs", newer, "--follow")
    assert follower.stderr.readline() == done.stderr
    assert shown(gated, "slow")["id"] == newer
    gated.ok("pause", "slow")
    done = gated.call("cancel", "slow", "--wait")
    assert (done.returncode, done.stderr) == (0, f"{chosen}slow {runs[:8]} canceled\n")
    done = gated.call("cancel", "slow", "--wait")
    assert f"this is {newer[:8]}, the newest one\n" in done.stderr
    done = gated.call("cancel", older, "--wait")
    assert (done.returncode, done.stderr) == (0, f"slow {older[:8]} canceled\n")
    gated.ok("resume", "slow")


def test_who_waits_is_shown_moved_and_let_go(gated: Any) -> None:
    paused = json.loads(gated.ok("pause", "line", "--json"))
    assert paused["paused"]["by"]
    first, second = (gated.ok("trigger", "line").strip() for _ in range(2))
    fields = [line.split("\t") for line in gated.ok("queue").splitlines()]
    assert [each[:4] for each in fields] == [[first, "line", "1", "paused"], [second, "line", "2", "paused"]]
    done = gated.call("move", second, "--before", first)
    assert (done.returncode, "position 1 of 2: its pipeline is paused" in done.stderr) == (0, True), done
    assert json.loads(gated.ok("move", first, "--to", "1", "--json"))["waiting"]["position"] == 1
    gated.ok("move", first, "--after", second)
    lists = json.loads(gated.ok("queue", "line", "--json"))
    assert [job["id"] for job in lists["jobs"]] == [second, first]
    assert lists["paused"] == [paused]
    assert gated.ok("queue", "flaky") == ""
    done = gated.call("resume", "line")
    assert (done.returncode, done.stderr) == (0, "line starts jobs\n")
    gated.ok("wait", first)
    assert shown(gated, second)["started"] < shown(gated, first)["started"]


def test_what_cannot_be_steered_says_why(gated: Any) -> None:
    job = gated.ok("trigger", "line", "--wait").strip()
    for words, status, text in (
        (("move", job, "--to", "1"), 1, "does not wait"),
        (("move", job), 1, "one of --to, --before and --after"),
        (("move", job, "--to", "1", "--before", job), 1, "one of --to, --before and --after"),
        (("pause", "lien"), 22, "did you mean 'line'?"),
        (("resume", "lien"), 22, "did you mean 'line'?"),
        (("queue", "lien"), 22, "did you mean 'line'?"),
    ):
        done = gated.call(*words)
        assert (done.returncode, text in done.stderr) == (status, True), done


def test_events_tell_of_pauses(gated: Any) -> None:
    client = gated.spawn("events")
    found: list[str] = []

    def heard() -> bool:
        for verb in ("pause", "resume"):
            gated.ok(verb, "line")
        found.append(client.stdout.readline())
        return "paused by" in found[-1]

    wait_for(heard, "the event")
    assert found[-1].split("\t")[1:4] == ["", "line", ""]
    client.kill()
