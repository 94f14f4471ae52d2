"""A daemon that is watched from outside: scraped, its log read by a machine, and others told of what happens."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from prometheus_client.parser import text_string_to_metric_families

from prunner_trio.metrics import CATALOG

pytestmark = pytest.mark.whole

RECEIVER = Path(__file__).parents[2] / "examples" / "notifications" / "receiver.py"
PROGRAM = Path(sys.executable).with_name("prunner-trio")
SECRET = "a-secret-of-the-tests-0123456789"
PATIENCE = 30.0

DEFINITIONS = """
pipelines:
  environment: {tasks: {t: {script: ["env > environment"]}}}
  good: {tasks: {t: {script: [echo fine]}}}
  bad: {tasks: {t: {script: [exit 3]}}}
"""


class Watched:
    """A daemon that logs JSON."""

    def __init__(self, folder: Path, *words: str, **env: str) -> None:
        self._log = folder / "log"
        kept = {key: value for key, value in os.environ.items() if not key.startswith("PRUNNER_")}
        with open(self._log, "wb") as log:
            self.process = subprocess.Popen(
                [PROGRAM, "--address", "127.0.0.1:0", "--jwt-secret", SECRET, *words],
                cwd=folder,
                env=kept | env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        ready = self.said(lambda line: line["message"] == "ready")
        self.port = int(str(ready["address"]).rpartition(":")[2])

    def lines(self) -> list[dict[str, Any]]:
        text = self._log.read_text()
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def said(self, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE
        while not (found := [line for line in self.lines() if fits(line)]):
            assert time.monotonic() < deadline, self._log.read_text()
            assert self.process.poll() is None, self._log.read_text()
            time.sleep(0.02)
        return found[0]

    def said_at_the_end(self, message: str) -> None:
        assert self.process.wait(PATIENCE) == 0
        assert message in [line["message"] for line in self.lines()]

    def ask(self, method: str, path: str, body: object = None, *, token: bool = True) -> tuple[int, str, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            headers = {"Authorization": f"Bearer {jwt.encode({'sub': 'tester'}, SECRET)}"} if token else {}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, answer.headers["content-type"], answer.read().decode()

    def run(self, pipeline: str) -> str:
        """Run a job to its end."""
        status, _, text = self.ask("POST", "/pipelines/schedule", {"pipeline": pipeline})
        assert status == 202
        job: str = json.loads(text)["jobId"]
        self.said(lambda line: line["message"] == "job ended" and line["job"] == job)
        return job

    def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE)


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Callable[..., Watched]]:
    (tmp_path / "pipelines.yml").write_text(DEFINITIONS)
    started: list[Watched] = []

    def start(*words: str, **env: str) -> Watched:
        started.append(Watched(tmp_path, *words, **env))
        return started[-1]

    yield start
    for daemon in started:
        if daemon.process.poll() is None:
            daemon.process.kill()
            daemon.process.wait()


def samples(text: str) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *(value for key, value in sorted(sample.labels.items()) if key != "le")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_scrape_tells_what_has_happened(watch: Callable[..., Watched]) -> None:
    daemon = watch("--log-format", "json")
    daemon.run("good")
    daemon.run("bad")
    status, content_type, text = daemon.ask("GET", "/metrics")
    assert (status, content_type.partition(";")[0]) == (200, "text/plain")
    assert {name for name in CATALOG if f"# TYPE {name} " not in text} == set()
    found = samples(text)
    assert found["prunner_jobs_finished_total", "done", "good"] == 1
    assert found["prunner_jobs_finished_total", "error", "bad"] == 1
    assert found["prunner_spawn_seconds_count",] == 2
    assert found["prunner_store_commit_seconds_count",] >= 4
    assert found["prunner_store_ok",] == 1
    assert found["prunner_http_connections",] == 1
    assert found["prunner_loop_lag_seconds_count",] > 10
    assert found["process_open_fds",] > 3
    assert daemon.end() == 0


def test_metrics_need_a_token_and_know_one_method(watch: Callable[..., Watched]) -> None:
    daemon = watch(PRUNNER_LOG_FORMAT="json")
    assert daemon.ask("GET", "/metrics", token=False)[0] == 401
    assert daemon.ask("POST", "/metrics", {})[0] == 405
    assert "prunner_" not in daemon.ask("GET", "/metrics", token=False)[2]


def test_every_line_of_a_json_log_is_an_object_and_those_about_jobs_and_tasks_name_them(
    watch: Callable[..., Watched],
) -> None:
    daemon = watch("--log-format", "json", "--verbose")
    job = daemon.run("bad")
    assert daemon.end() == 0
    lines = daemon.lines()
    assert all({"timestamp", "level", "message"} <= set(line) for line in lines)
    about = [line for line in lines if line["message"].startswith("job ")]
    assert [line["message"] for line in about] == ["job accepted", "job started", "job ended"]
    assert {(line["job"], line["pipeline"]) for line in about} == {(job, "bad")}
    tasks = [line for line in lines if line["message"] == "task changed"]
    assert [(line["job"], line["task"], line["pipeline"], line["state"]) for line in tasks] == [
        (job, "t", "bad", "running"),
        (job, "t", "bad", "error"),
    ]


def test_an_unknown_format_is_refused_with_those_that_are_known(tmp_path: Path) -> None:
    done = subprocess.run(
        [PROGRAM, "--log-format", "xml"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "'xml' is none of text, json" in done.stderr


TELLING = """
pipelines:
  flaky:
    tasks: {t: {script: ["test -e well"]}}
    notify:
      failure:
        - {webhook: "http://127.0.0.1:PORT/ci", secret_env: PRUNNER_NOTIFY_SECRET}
        - {command: 'echo "$PRUNNER_PIPELINE $PRUNNER_JOB_ERROR"; env > hook'}
      recovery: [{webhook: "http://127.0.0.1:PORT/ci", secret_env: PRUNNER_NOTIFY_SECRET}]
  slow:
    tasks: {t: {script: [exit 0]}}
    notify: {success: [{command: "echo $$ > pid; sleep 3600", timeout: 1h}]}
  unsigned:
    tasks: {t: {script: [exit 1]}}
    notify: {failure: [{webhook: "http://127.0.0.1:PORT/ci", secret_env: PRUNNER_NOTIFY_SECRET_OTHER}]}
"""


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """Run the receiver of the example; its port, and what it prints."""
    said = tmp_path / "received"
    with open(said, "wb") as out:
        process = subprocess.Popen(
            [sys.executable, str(RECEIVER), "0"],
            env={**os.environ, "PRUNNER_NOTIFY_SECRET": "a shared secret"},
            stdin=subprocess.DEVNULL,
            stdout=out,
        )
    try:
        deadline = time.monotonic() + PATIENCE
        while not said.read_text().endswith("\n"):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield int(said.read_text().split()[-1]), said
    finally:
        process.kill()
        process.wait()


def test_the_receiver_of_the_example_is_told_with_a_signature_that_it_accepts(
    watch: Callable[..., Watched], receiver: tuple[int, Path], tmp_path: Path
) -> None:
    port, received = receiver
    (tmp_path / "pipelines.yml").write_text(TELLING.replace("PORT", str(port)))
    daemon = watch("--log-format", "json", PRUNNER_NOTIFY_SECRET="a shared secret")
    first = daemon.run("flaky")
    told = [
        daemon.said(lambda line, hook=hook: line["message"] == "notification delivered" and hook in line["hook"])
        for hook in ("http://", "echo")
    ]
    assert {(line["job"], line["pipeline"], line["event"]) for line in told} == {(first, "flaky", "failure")}
    assert told[1]["output"] == "flaky exit status 1"
    (tmp_path / "well").touch()
    second = daemon.run("flaky")
    daemon.said(lambda line: line["message"] == "notification delivered" and line["event"] == "recovery")
    assert received.read_text().splitlines()[1:] == [
        f"failure flaky {first} exit status 1",
        f"recovery flaky {second} ",
    ]
    assert daemon.end() == 0
    assert "a shared secret" not in (tmp_path / "hook").read_text() + (tmp_path / "log").read_text()


def test_the_secret_of_a_webhook_reaches_no_task_wherever_it_comes_from(
    watch: Callable[..., Watched], tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("PRUNNER_NOTIFY_SECRET_B=hush-b\nPRUNNER_NOTIFY_SECRETS=seen\n")
    daemon = watch("--log-format", "json", PRUNNER_NOTIFY_SECRET="hush-a", PRUNNER_NOTIFY_SECRET_C="hush-c")
    daemon.run("environment")
    environment = (tmp_path / "environment").read_text()
    assert "hush" not in environment
    assert "PRUNNER_NOTIFY_SECRETS=seen" in environment


def test_a_missing_secret_is_said_at_the_start_and_nothing_is_sent_without_it(
    watch: Callable[..., Watched], receiver: tuple[int, Path], tmp_path: Path
) -> None:
    port, received = receiver
    (tmp_path / "pipelines.yml").write_text(TELLING.replace("PORT", str(port)))
    daemon = watch("--log-format", "json", PRUNNER_NOTIFY_SECRET="a shared secret")
    early = daemon.said(lambda line: line["message"] == "the secret of a webhook is not set")
    assert (early["pipeline"], early["variable"]) == ("unsigned", "PRUNNER_NOTIFY_SECRET_OTHER")
    daemon.run("unsigned")
    daemon.said(lambda line: line["message"].startswith("notification given up: the variable"))
    assert len(received.read_text().splitlines()) == 1


def test_a_hook_that_does_not_end_holds_up_a_stop_for_its_grace_only_and_is_gone_then(
    watch: Callable[..., Watched], tmp_path: Path
) -> None:
    (tmp_path / "pipelines.yml").write_text(TELLING.replace("PORT", "1"))
    daemon = watch("--log-format", "json")
    daemon.run("slow")
    deadline = time.monotonic() + PATIENCE
    while not ((pid := tmp_path / "pid").exists() and pid.read_text().strip()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    daemon.process.send_signal(signal.SIGTERM)
    daemon.said_at_the_end("notification given up: the daemon ends")
    assert not Path(f"/proc/{pid.read_text().strip()}").exists()
