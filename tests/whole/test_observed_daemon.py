"""A daemon that is watched from outside: scraped, and its log read by a machine."""

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

PROGRAM = Path(sys.executable).with_name("prunner-trio")
SECRET = "a-secret-of-the-tests-0123456789"
PATIENCE = 30.0

DEFINITIONS = """
pipelines:
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
