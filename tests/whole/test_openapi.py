"""The document, judged by a program that knows nothing of us: Schemathesis makes requests from it, and checks answers.

It asks a real daemon for what the document allows and for what it forbids, with a token and without. It finds answers
that no line of the document has, defects, and what is accepted although it should not be.
"""

import http.client
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import jwt
import pytest
from tests.waiting import wait_for

pytestmark = pytest.mark.whole

BIN = Path(sys.executable).parent
SECRET = "a-secret-of-the-tests-0123456789-0123456789"
TOKEN = jwt.encode({"sub": "jane"}, SECRET, algorithm="HS256")
SECONDS = 120
DEFINITIONS = """
pipelines:
  site:
    concurrency: 100
    tasks: {build: {script: [echo built]}}
    hooks: {site: {kind: github}}
"""
EXAMPLES = 5
STREAMS = "/events$"
"""They have no end, or data in a form that the document can only describe in words."""

CONFIG = """
[parameters]
"path.id" = "{job}"
"path.name" = "site"
"path.task" = "build"
"query.id" = "{job}"
"query.task" = "build"
"""


@attrs.frozen
class Daemon:
    folder: Path
    port: int

    def ask(self, method: str, target: str, body: object = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        try:
            connection.request(method, target, json.dumps(body) if body is not None else None, headers)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    @property
    def log(self) -> str:
        return (self.folder / "stderr").read_text()


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    folder = tmp_path_factory.mktemp("daemon")
    (folder / "pipelines.yml").write_text(DEFINITIONS)
    env = {name: value for name, value in os.environ.items() if not name.startswith("PRUNNER_")}
    env |= {"PRUNNER_JWT_SECRET": SECRET, "PRUNNER_HOOK_SECRET_SITE": "a secret of the hook"}
    with open(folder / "stderr", "wb") as log:
        process = subprocess.Popen(
            [BIN / "prunner-trio", "--address", "127.0.0.1:0"],
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
        )
    try:
        line = wait_for(
            lambda: next((x for x in (folder / "stderr").read_text().splitlines() if "message=ready" in x), ""),
            "the daemon",
        )
        yield Daemon(folder, int(line.split("address=")[1].split()[0].rpartition(":")[2]))
    finally:
        process.terminate()
        process.wait(SECONDS)


def test_no_answer_is_outside_of_the_document(daemon: Daemon, tmp_path: Path) -> None:
    job = daemon.ask("POST", "/v1/jobs", {"pipeline": "site"})["id"]
    wait_for(lambda: daemon.ask("GET", f"/v1/jobs/{job}")["state"] == "done", "a job")
    (tmp_path / "openapi.json").write_text(json.dumps(daemon.ask("GET", "/v1/openapi.json")))
    (tmp_path / "schemathesis.toml").write_text(CONFIG.format(job=job))
    done = subprocess.run(
        [
            *(BIN / "schemathesis", "run", "openapi.json", "--url", f"http://127.0.0.1:{daemon.port}"),
            *("-H", f"Authorization: Bearer {TOKEN}", "--request-timeout", "20"),
            *("--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES), "--generation-deterministic"),
            # Not all that the schemas allow can be accepted: they do not say which pipelines there are, for one.
            *("--exclude-checks", "positive_data_acceptance", "--exclude-path-regex", STREAMS),
            *("--no-color", "--warnings", "off"),
        ],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr + daemon.log[-3000:]
    assert "internal error" not in daemon.log
    tested = re.search(r"Tested: (\d+)", done.stdout)
    assert tested is not None, done.stdout
    assert int(tested[1]) >= 15
