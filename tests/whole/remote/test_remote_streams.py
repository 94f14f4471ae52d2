"""Commands that go on: backlog and what comes, interruptions, and a daemon that is started again meanwhile."""

import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.whole

COUNTING = r"""
pipelines:
  count:
    tasks:
      t: {script: ['for i in $(seq 0 399); do echo "line $i"; [ $((i % 20)) -ne 0 ] || sleep 0.05; done']}
"""


@pytest.fixture
def own(remote: Any, tmp_path: Path) -> Iterator[Any]:
    """A daemon for one test alone, which may be stopped and started."""
    one = type(remote)(tmp_path)
    (tmp_path / "pipelines.yml").write_text((remote.folder / "pipelines.yml").read_text())
    try:
        one.start()
        yield one
    finally:
        one.close()


def lines_of(client: "subprocess.Popen[str]", until: str, stream: str = "stdout") -> list[str]:
    """Read lines until one has a text; the client is ended if that takes too long."""
    found: list[str] = []
    file = getattr(client, stream)
    timer = threading.Timer(60, client.kill)
    timer.start()
    try:
        for line in file:
            found.append(line.rstrip("\n"))
            if until in line:
                return found
    finally:
        timer.cancel()
    raise AssertionError(f"{until!r} has not come, but {found}")


def test_a_log_that_is_followed_has_its_backlog_and_all_that_comes_once(remote: Any) -> None:
    path = remote.folder / "count" / "pipelines.yml"
    path.parent.mkdir()
    path.write_text(COUNTING)
    remote.process.send_signal(signal.SIGHUP)
    while (done := remote.call("trigger", "count")).returncode == 22:
        pass
    job = done.stdout.strip()
    followers = [remote.spawn("logs", job, "-f") for _ in range(3)]
    for follower in followers:
        said, complaint = follower.communicate(timeout=60)
        assert (follower.returncode, complaint) == (0, "")
        assert said.splitlines() == [f"line {n}" for n in range(400)]


def test_the_tail_of_a_log_that_is_followed_begins_near_its_end(remote: Any) -> None:
    job = remote.hold("tail")
    follower = remote.spawn("logs", job, "-f", "--tail", "0")
    second = remote.spawn("logs", job, "-f")
    lines_of(second, "begun")
    remote.let_go("tail")
    assert second.communicate(timeout=60)[0] == "ended\n"
    assert follower.communicate(timeout=60)[0] in ("ended\n", "")


@pytest.mark.parametrize("words", [("wait",), ("logs", "-f"), ("events",)])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_leaves_the_job_alone(remote: Any, words: tuple[str, ...], number: signal.Signals) -> None:
    name = f"go-{words[0]}-{number}"
    job = remote.hold(name)
    client = remote.spawn(*words, job, *(["--json"] if words[0] == "events" else []))
    sign, stream = {"wait": (" running", "stderr"), "logs": ("begun", "stdout"), "events": ("ready", "stdout")}[
        words[0]
    ]
    lines_of(client, sign, stream)
    client.send_signal(number)
    said = client.communicate(timeout=60)[1]
    assert client.returncode == 130
    assert "Traceback" not in said
    if words[0] != "events":
        assert said == f"job {job[:8]} (hold) goes on; to cancel it: prunner-trio cancel {job[:8]}\n"
    assert json.loads(remote.ok("show", job, "--json"))["state"] == "running"
    remote.let_go(name)


def test_ctrl_c_cancels_the_job_if_that_was_asked_for(remote: Any) -> None:
    client = remote.spawn("trigger", "hold", "--follow", "--cancel-on-interrupt")
    lines_of(client, "begun")
    client.send_signal(signal.SIGINT)
    assert "canceled" in client.communicate(timeout=60)[1]
    assert client.returncode == 12


def test_events_are_lines_or_json_until_the_end_of_a_job(remote: Any) -> None:
    job = remote.hold("events")
    client = remote.spawn("events", job, "--json")
    lines_of(client, "ready")
    remote.let_go("events")
    heard = [json.loads(line) for line in client.communicate(timeout=60)[0].splitlines()]
    assert client.returncode == 0
    assert [(event["type"], event["job"], event["task"], event["state"]) for event in heard] == [
        ("task", job, "t", "done"),
        ("job", job, None, "done"),
    ]


def test_events_of_all_jobs_go_on_until_ctrl_c(remote: Any) -> None:
    everything = remote.spawn("events", "--json")
    lines_of(everything, "ready")
    job = remote.ok("trigger", "site", "--wait").strip()
    heard = [json.loads(line) for line in lines_of(everything, '"task": null, "state": "done"')]
    assert [(event["task"], event["state"]) for event in heard if event["job"] == job and event["state"] == "done"] == [
        ("build", "done"),
        ("publish", "done"),
        (None, "done"),
    ]
    everything.send_signal(signal.SIGINT)
    everything.communicate(timeout=60)
    assert everything.returncode == 130


def test_a_follower_lives_through_a_restart_of_the_daemon(own: Any) -> None:
    """The daemon is killed while a job runs that begins again: the follower shows the new attempt to its end."""
    job = own.hold("restart")
    client = own.spawn("trigger", "hold", "--key", "x", "-v", f"go={own.folder / 'restart'}", "--follow")
    lines_of(client, "begun")
    own.stop(signal.SIGKILL)
    lines_of(client, "the connection is lost", "stderr")
    own.start()
    lines_of(client, "the daemon is there again", "stderr")
    lines_of(client, "begun")
    own.let_go("restart")
    said, complaint = client.communicate(timeout=60)
    assert (client.returncode, said) == (0, "ended\n"), complaint
    assert own.call("wait", job).returncode == 0


def test_a_waiter_lives_through_a_restart_in_which_its_job_ended(own: Any) -> None:
    job = own.hold("lost")
    client = own.spawn("wait", job)
    listener = own.spawn("events", "--json")
    lines_of(client, f"hold {job[:8]} running", "stderr")
    lines_of(listener, "ready")
    own.stop(signal.SIGTERM)  # cancels the job, whose end the waiter hears now or from the next daemon
    own.start()
    said = client.communicate(timeout=60)[1]
    assert client.returncode == 12
    assert f"hold {job[:8]} shutdown" in said
    lines = lines_of(listener, '"reset"')  # it is there again: of what happens before, nobody would tell it
    third = own.ok("trigger", "site", "--wait").strip()
    heard = [json.loads(line) for line in [*lines, *lines_of(listener, f'"{third}"')]]
    assert [event["type"] for event in heard].count("reset") == 1


def test_a_daemon_that_is_about_to_end_takes_no_jobs_and_says_so(own: Any) -> None:
    job = own.hold("drain")
    own.process.send_signal(signal.SIGINT)
    while (done := own.call("trigger", "site")).returncode == 0:
        pass
    assert done.returncode == 24
    assert len(done.stderr.splitlines()) == 1
    assert json.loads(own.ok("show", job, "--json"))["state"] == "running"
    own.let_go("drain")
