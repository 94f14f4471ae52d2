"""The commands for a daemon: what they print on a terminal and in a pipe, as JSON, and how they exit."""

import json
import os
import signal
import subprocess
from typing import Any

import jwt
import pytest

pytestmark = pytest.mark.whole

SECRET = "a-secret-of-the-tests-0123456789-0123456789"
UNKNOWN_JOB = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def site(remote: Any) -> str:
    return str(remote.ok("trigger", "site", "-v", "version=1.0", "--wait").strip())


@pytest.fixture(scope="module")
def bad(remote: Any) -> str:
    return str(remote.ok("trigger", "bad", "--wait", status=10).strip())


def test_a_trigger_prints_the_id_and_the_job_has_its_variables_and_its_user(remote: Any) -> None:
    job = remote.ok("trigger", "site", "-v", "version=2.0", "--json-var", "list=[1, 2]").strip()
    shown = json.loads(remote.ok("show", job, "--json"))
    assert (shown["id"], shown["variables"]) == (job, {"version": "2.0", "list": [1, 2]})
    assert shown["user"]


def test_the_same_key_starts_one_job(remote: Any) -> None:
    first, second = (remote.ok("trigger", "site", "--key", "once") for _ in range(2))
    assert first == second
    done = remote.call("trigger", "site", "--key", "once", "-v", "version=other")
    assert (done.returncode, "the key stands for job" in done.stderr) == (1, True)


def test_a_trigger_that_waits_exits_by_outcome_and_sums_up(remote: Any, site: str) -> None:
    done = remote.call("trigger", "bad", "--wait")
    assert done.returncode == 10
    lines = done.stderr.splitlines()
    assert [line.partition(" after ")[0] for line in lines if " failed after " in line] == [
        "==> second failed",
        f"==> bad {done.stdout[:8]} failed",
    ]
    assert sum(line.startswith("==> first succeeded after ") for line in lines) == 1
    assert "==>   | it broke" in lines
    assert lines[-1].startswith("==> tasks: 1 succeeded, 1 failed, 1 canceled; slowest: ")
    assert remote.call("trigger", "late", "--wait").returncode == 11
    assert remote.call("wait", site).returncode == 0


@pytest.mark.parametrize("words", [("wait",), ("trigger", "bad", "--key", "over", "--follow")])
def test_the_end_of_a_job_that_is_over_already_is_told_once_and_last(remote: Any, words: tuple[str, ...]) -> None:
    job = remote.ok("trigger", "bad", "--key", "over", "--wait", status=10).strip()
    lines = remote.call(*words, *([job] if words == ("wait",) else [])).stderr.splitlines()
    told = [index for index, line in enumerate(lines) if line.startswith(f"==> bad {job[:8]}")]
    assert told == [len(lines) - 2]
    for task, end in (("first", "succeeded"), ("second", "failed")):
        assert sum(line.startswith(f"==> {task} {end} after ") for line in lines) == 1


def test_people_and_programs_may_call_states_by_either_name(remote: Any, bad: str) -> None:
    assert remote.ok("jobs", "bad", "--state", "failed") == remote.ok("jobs", "bad", "--state", "error") != ""
    assert remote.ok("jobs", "bad", "--state", "succeeded,done") == ""


def test_a_trigger_that_follows_shows_all_output_in_the_order_of_the_graph(remote: Any) -> None:
    done = remote.call("trigger", "site", "-v", "version=3.0", "--follow")
    assert done.returncode == 0
    assert done.stdout.splitlines() == ["build   | building 3.0", "publish | published"]
    assert "build   | careful" in done.stderr.splitlines()
    assert [line for line in done.stderr.splitlines() if " succeeded after " in line]


def test_follow_as_json_is_pieces_of_logs_and_then_the_job(remote: Any) -> None:
    *pieces, last = map(json.loads, remote.ok("trigger", "site", "-v", "version=4", "--follow", "--json").splitlines())
    assert {
        "type": "log",
        "task": "build",
        "stream": "stdout",
        "offset": 0,
        "next": 11,
        "text": "building 4\n",
    } in pieces
    assert (last["type"], last["job"]["outcome"]) == ("job", "succeeded")
    assert json.loads(remote.ok("trigger", "site", "--wait", "--json"))["outcome"] == "succeeded"


def test_what_cannot_be_started_says_why(remote: Any) -> None:
    done = remote.call("trigger", "stie")
    assert (done.returncode, done.stderr) == (22, "pipeline 'stie' is not defined (did you mean 'site'?)\n")
    remote.ok("trigger", "alone")
    done = remote.call("trigger", "alone")
    assert done.returncode == 23, done
    assert len(done.stderr.splitlines()) == 1


def test_jobs_are_lines_in_a_pipe_and_a_page_as_json(remote: Any, site: str, bad: str) -> None:
    lines = [line.split("\t") for line in remote.ok("jobs", "--limit", "200").splitlines()]
    assert {len(line) for line in lines} == {8}
    assert [line[:4] for line in lines if line[0] == bad] == [[bad, "bad", "error", "failed"]]
    page = json.loads(remote.ok("jobs", "--json", "--limit", "1"))
    assert list(page) == ["jobs", "older", "newer"]
    older = json.loads(remote.ok("jobs", "--json", "--limit", "1", "--cursor", page["older"]))
    assert older["jobs"][0]["number"] < page["jobs"][0]["number"]


def test_jobs_are_filtered(remote: Any, site: str, bad: str) -> None:
    remote.ok("trigger", "late", "--wait", status=11)
    assert {line.split("\t")[1] for line in remote.ok("jobs", "bad").splitlines()} == {"bad"}
    states = {line.split("\t")[2] for line in remote.ok("jobs", "--state", "error,running").splitlines()}
    assert states <= {"error", "running"}
    assert remote.ok("jobs", "--user", "nobody-of-that-name") == ""
    assert remote.ok("jobs", "--since", "2999-01-01T00:00:00Z") == ""
    done = remote.call("jobs", "stie")
    assert (done.returncode, "did you mean 'site'?" in done.stderr) == (22, True)
    done = remote.call("jobs", "--since", "yesterday")
    assert (done.returncode, "since" in done.stderr) == (1, True)


def test_show_is_lines_in_a_pipe_and_the_job_as_json(remote: Any, bad: str) -> None:
    first, *tasks = (line.split("\t") for line in remote.ok("show", bad).splitlines())
    assert first[:5] == ["job", bad, "bad", "error", "failed"]
    *tasks, deed = tasks
    assert [line[:4] for line in tasks] == [
        ["task", "first", "done", "0"],
        ["task", "second", "error", "3"],
        ["task", "third", "canceled", ""],
    ]
    assert (deed[0], deed[2], len(deed)) == ("audit", "scheduled", 5)
    shown = json.loads(remote.ok("show", bad, "--json"))
    assert (shown["id"], [deed["action"] for deed in shown["audit"]]) == (bad, ["scheduled"])


def test_a_job_is_found_by_the_beginning_of_its_id_by_latest_and_by_its_pipeline(remote: Any, bad: str) -> None:
    for word in (bad, bad.upper(), bad[:8], bad[:13]):
        assert json.loads(remote.ok("show", word, "--json"))["id"] == bad
    new = remote.ok("trigger", "bad", "--wait", status=10).strip()
    assert json.loads(remote.ok("show", "bad", "--json"))["id"] == new
    latest = json.loads(remote.ok("jobs", "--json", "--limit", "1"))["jobs"][0]["id"]
    assert json.loads(remote.ok("show", "latest", "--json"))["id"] == latest


def test_a_job_that_is_not_there_gets_a_suggestion(remote: Any, bad: str) -> None:
    for word, said in (
        (UNKNOWN_JOB, UNKNOWN_JOB),
        (bad[:3], "4 letters"),
        ("stie", "did you mean 'site'?"),
        ("lastest", "did you mean 'latest'?"),
        ("rude", "has none yet"),
    ):
        done = remote.call("show", word)
        assert (done.returncode, done.stdout) == (22, ""), word
        assert said in done.stderr, done


def test_a_beginning_that_fits_more_jobs_lists_them(remote: Any) -> None:
    """A pipeline whose name begins the id of a job: the shortest way to two jobs."""
    job = remote.ok("trigger", "site", "--wait").strip()
    path = remote.folder / "more" / "pipelines.yml"
    path.parent.mkdir()
    path.write_text(f'pipelines: {{"{job[:4]}": {{tasks: {{t: {{script: [echo]}}}}}}}}')
    remote.process.send_signal(signal.SIGHUP)
    while (done := remote.call("trigger", job[:4], "--wait")).returncode == 22:
        pass
    new = done.stdout.strip()
    done = remote.call("cancel", job[:4])
    assert done.returncode == 22
    assert job in done.stderr
    assert new in done.stderr


def test_logs_have_the_task_in_front_unless_there_is_one_alone(remote: Any, bad: str) -> None:
    done = remote.call("logs", bad)
    assert done.stdout.splitlines() == ["first  | fine", "second | before"]
    assert done.stderr.splitlines() == ["second | it broke"]
    done = remote.call("logs", bad, "--task", "second", "--stream", "stderr")
    assert (done.stdout, done.stderr) == ("", "it broke\n")
    done = remote.call("logs", bad, "--task", "secnod")
    assert (done.returncode, "did you mean 'second'?" in done.stderr) == (22, True)


def test_logs_stay_as_they_are_in_a_pipe(remote: Any) -> None:
    job = remote.ok("trigger", "rude", "--wait").strip()
    assert remote.ok("logs", job) == "\x1b[31mred\x1b[0m\x1b[2J\x1b]0;title\x07\n10%\r100%\n".replace("\r", "\n")
    raw = subprocess.run(
        [remote_program(), "logs", job], cwd=remote.folder, env=remote.environment(**remote.access), capture_output=True
    )
    assert raw.stdout == b"\x1b[31mred\x1b[0m\x1b[2J\x1b]0;title\x07\n10%\r100%\n"


def remote_program() -> str:
    import sys
    from pathlib import Path

    return str(Path(sys.executable).with_name("prunner-trio"))


@pytest.mark.parametrize("follow", [[], ["--follow"]])
def test_logs_as_json_have_the_offsets_of_their_bytes(remote: Any, bad: str, follow: list[str]) -> None:
    words = ("logs", bad, "--json", "--task", "second", "--tail", "1")
    pieces = list(map(json.loads, remote.ok(*words, *follow).splitlines()))
    assert sorted(pieces, key=lambda piece: piece["stream"]) == [
        {"type": "log", "task": "second", "stream": "stderr", "offset": 0, "next": 9, "text": "it broke\n"},
        {"type": "log", "task": "second", "stream": "stdout", "offset": 0, "next": 7, "text": "before\n"},
    ]


def test_a_cancel_waits_until_nothing_is_left(remote: Any) -> None:
    job = remote.hold("never")
    done = remote.call("cancel", job[:8], "--wait")
    assert (done.returncode, done.stderr) == (0, f"hold {job[:8]} canceled\n")
    assert remote.call("wait", job).returncode == 12
    assert json.loads(remote.ok("cancel", job, "--json"))["outcome"] == "canceled"


def test_a_job_that_has_ended_cannot_be_canceled(remote: Any, site: str) -> None:
    done = remote.call("cancel", site)
    assert (done.returncode, "the job has ended before" in done.stderr) == (1, True)


def test_a_wait_may_be_given_a_time(remote: Any) -> None:
    job = remote.hold("wait-a-time")
    done = remote.call("wait", job, "--timeout", "100ms")
    assert done.returncode == 124
    assert f"goes on; to cancel it: prunner-trio cancel {job[:8]}" in done.stderr
    remote.let_go("wait-a-time")
    assert remote.call("wait", job, "--timeout", "1m").returncode == 0


def test_pipelines_are_lines_in_a_pipe_and_a_list_as_json(remote: Any, site: str, bad: str) -> None:
    lines = {line.split("\t")[0]: line.split("\t") for line in remote.ok("pipelines").splitlines()}
    assert lines["bad"][4] == "failed"
    assert {len(line) for line in lines.values()} == {7}
    found = json.loads(remote.ok("pipelines", "--json"))["pipelines"]
    assert [pipeline["name"] for pipeline in found] == list(lines)


# --------------------------------------------------------------------------------------------------------- failures


def test_no_daemon_no_token_and_a_wrong_one_are_one_line_each(remote: Any) -> None:
    for words in (["jobs"], ["trigger", "site"], ["logs", "latest", "-f"], ["watch"], ["events"]):
        done = remote.call(*words, PRUNNER_ADDRESS="127.0.0.1:1")
        assert (done.returncode, done.stdout) == (20, "")
        assert done.stderr == (
            "no daemon answers at http://127.0.0.1:1: connection refused (the address is from PRUNNER_ADDRESS)\n"
        )
        done = remote.call(*words, PRUNNER_JWT_SECRET="")
        assert done.returncode == 21
        assert done.stderr.startswith("no token for http://127.0.0.1:")
        token = jwt.encode({"exp": 1}, SECRET)
        done = remote.call(*words, PRUNNER_TOKEN=token)
        assert done.returncode == 21
        assert done.stderr.endswith(" refuses the token from PRUNNER_TOKEN: token is expired\n")
        assert token not in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_token_is_as_good_as_the_secret_and_the_config_file_as_the_variables(remote: Any) -> None:
    token = jwt.encode({"sub": "somebody"}, SECRET)
    config = remote.folder / "remote.yml"
    config.write_text(f"address: 127.0.0.1:{remote.port}\ntoken: {token}\n")
    config.chmod(0o600)
    empty = {"PRUNNER_ADDRESS": "", "PRUNNER_JWT_SECRET": ""}
    job = remote.ok("trigger", "site", "--config", "remote.yml", **empty).strip()
    assert json.loads(remote.ok("show", job, "--json", PRUNNER_TOKEN=token))["user"] == "somebody"


def test_what_is_not_a_daemon_is_said_to_be_none(remote: Any) -> None:
    done = remote.call("jobs", PRUNNER_ADDRESS=f"http://127.0.0.1:{remote.port}/elsewhere")
    assert done.returncode in (20, 21)
    assert len(done.stderr.splitlines()) == 1


def test_a_reader_that_leaves_ends_a_follower(remote: Any) -> None:
    job = remote.hold("reader")
    command = f"'{remote_program()}' logs {job} --follow | head -n 1"
    client = subprocess.Popen(
        ["sh", "-c", command],
        cwd=remote.folder,
        env=remote.environment(**remote.access),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert client.stdout is not None
    assert client.stdout.readline() == "begun\n"
    remote.let_go("reader")
    assert client.communicate(timeout=60) == ("", "")


def test_the_program_has_no_secret_among_its_arguments_or_in_its_help(remote: Any) -> None:
    for command in ("trigger", "jobs", "logs", "watch"):
        text = remote.ok(command, "--help")
        assert "--jwt-secret " not in text.split("Flags:")[0]
        assert os.environ.get("HOME", "/nonexistent") not in text
