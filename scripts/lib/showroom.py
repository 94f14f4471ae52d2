"""A daemon with something to see: for the browser tests, and for the pictures in the documentation.

Standard library only: all it knows of the project is its command and its HTTP interface.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

__all__ = ["PIPELINES", "ROOT", "Daemon", "open_daemon"]

ROOT = Path(__file__).resolve().parents[2]
COMMAND = Path(sys.executable).with_name("prunner-trio")
PIPELINES = ROOT / "tests" / "browser"
FINAL = ("done", "error", "canceled")


class Daemon:
    """A daemon on a free port of 127.0.0.1 that keeps everything in one directory.

    Attributes:
        address: that of its page.
        token: of a user called ``jane``.
    """

    def __init__(self, directory: Path, pipelines: Path) -> None:
        self.directory = directory
        self.port = _free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.token = ""
        self.log = directory / "daemon.log"
        self._pipelines = pipelines
        self._common = ["--config", str(directory / "prunner.yml"), "--env-files", ""]
        self._process = self._spawn()

    def _spawn(self) -> "subprocess.Popen[bytes]":
        data = ["--path", str(self._pipelines), "--data", str(self.directory / "data")]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [COMMAND, *self._common, *data, "--address", f"127.0.0.1:{self.port}"],
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_ready(self) -> None:
        """Wait for the first answer, then ask the command for a token."""
        self.wait_for(self._answers, "the daemon to answer")
        words = [str(COMMAND), *self._common, "token", "--sub", "jane"]
        self.token = subprocess.run(
            words, check=True, capture_output=True, text=True, env=_environment()
        ).stdout.strip()

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            raise RuntimeError(f"the daemon ended with status {self._process.poll()}: {self.log.read_text()}")
        try:
            urllib.request.urlopen(f"{self.address}/healthz", timeout=5).close()
        except OSError:
            return False
        return True

    def reload(self) -> None:
        """Let it look at the definition files again."""
        self._process.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        """Let it cancel what runs and end."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(20)
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Make a request and return the JSON of its answer."""
        request = urllib.request.Request(
            self.address + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())

    def schedule(self, pipeline: str, **variables: object) -> str:
        """Start a job and return its id."""
        job: str = self.ask("POST", "/v1/jobs", {"pipeline": pipeline, "variables": variables})["id"]
        return job

    def cancel(self, job: str) -> None:
        """Cancel a job and wait for its end."""
        self.ask("POST", f"/v1/jobs/{job}/cancel?wait=20")

    def ended(self, job: str) -> str:
        """Wait for the end of a job and return its state."""
        return str(self.wait_for(lambda: self._final_state(job), f"the end of job {job}"))

    def _final_state(self, job: str) -> str:
        state: str = self.ask("GET", f"/v1/jobs/{job}")["state"]
        return state if state in FINAL else ""

    @staticmethod
    def wait_for(check: Callable[[], Any], what: str, seconds: float = 60.0) -> Any:
        """Return the first true value of `check`."""
        deadline = time.monotonic() + seconds
        while not (value := check()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited in vain for {what}")
            time.sleep(0.05)
        return value


@contextlib.contextmanager
def open_daemon(directory: Path, pipelines: Path = PIPELINES) -> Iterator[Daemon]:
    """Run a daemon within the block; it keeps everything in `directory`."""
    server = Daemon(directory, pipelines)
    try:
        server.wait_ready()
        yield server
    finally:
        server.stop()


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PRUNNER_")}
