"""The daemon under test: any that takes prunner's flags and answers prunner's routes."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks import process
from benchmarks.client import SECRET, Answer, Client

__all__ = ["Daemon", "DaemonFailed", "environment", "until"]

_START = 120.0
_STOP = 30.0
_LOOK = 0.5
_IDLE = 0.005
"""The share of a processor below which a daemon is taken to do nothing."""


class DaemonFailed(Exception):
    """The daemon did not start, or did not answer as it should; the message holds what it said last."""


def environment() -> dict[str, str]:
    """Return our environment without what would configure the daemon behind our back."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PRUNNER_")}


def until(check: Callable[[], Any], what: str, *, seconds: float = 300, pause: float = 0.005) -> float:
    """Ask until the answer is true, and return how many seconds that took.

    Raises:
        DaemonFailed: it never was.
    """
    began = time.perf_counter()
    while not check():
        if time.perf_counter() - began > seconds:
            raise DaemonFailed(f"waited {seconds:g} s in vain for {what}")
        time.sleep(pause)
    return time.perf_counter() - began


class Daemon:
    """A daemon with a directory of its own below the one for temporary files; leaving its block leaves nothing behind.

    Attributes:
        directory: what it sees as its working directory, with `pipelines.yml`.
        data: where it keeps jobs and logs; made by it, or before by whoever has something to put there.
        client: a connection for whoever needs no other.
        started: seconds from its latest start to its first answer.
    """

    def __init__(self, command: tuple[str, ...], definitions: str) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="prunner-bench-"))
        self.data = self.directory / ".prunner"
        self.started = 0.0
        self._killed: set[int] = set()
        self._port = _free_port()
        self.client = Client(self._port)
        self._process: subprocess.Popen[bytes] | None = None
        self._log = self.directory / "daemon.log"
        self.define(definitions)
        self._argv = (
            *command,
            *("--address", f"127.0.0.1:{self._port}", "--data", str(self.data), "--path", str(self.directory)),
            *("--config", str(self.directory / ".prunner.yml"), "--jwt-secret", SECRET, "--disable-ansi"),
        )

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    @property
    def pid(self) -> int:
        """Of the process that was started last."""
        assert self._process is not None, "not started"
        return self._process.pid

    def define(self, definitions: str) -> None:
        """Write the definitions; a running daemon does not know of it."""
        (self.directory / "pipelines.yml").write_text(definitions)

    def new_client(self) -> Client:
        """Return one with a connection of its own."""
        return Client(self._port)

    def start(self) -> None:
        """Start the daemon and wait for its first answer.

        Raises:
            DaemonFailed: there was none.
        """
        began = time.perf_counter()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._argv,
                cwd=self.directory,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        while not self._answers():
            if self._process.poll() is not None or time.perf_counter() - began > _START:
                raise DaemonFailed(f"the daemon did not start: {self.last_words()}")
            time.sleep(0.002)
        self.started = time.perf_counter() - began

    def stop(self) -> None:
        """Stop the daemon, running jobs included."""
        self.client.close()
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def kill(self) -> None:
        """Let the daemon die without a chance to do anything."""
        self.client.close()
        assert self._process is not None, "not started"
        self._process.kill()
        self._process.wait()
        self._killed.add(self._process.pid)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the daemon itself."""
        assert self._process is not None, "not started"
        self._process.send_signal(number)

    def last_words(self) -> str:
        """Return the end of what it has logged."""
        return self._log.read_text(errors="replace")[-1500:].strip()

    def ask(self, method: str, path: str, body: object = None, *, status: int = 200) -> Answer:
        """Ask on the common connection; raise `DaemonFailed` for any other status."""
        answer = self.client.request(method, path, body)
        if answer.status != status:
            text = answer.body[:300].decode(errors="replace")
            raise DaemonFailed(f"{method} {path}: expected status {status}, got {answer.status}: {text}")
        return answer

    def schedule(self, pipeline: str = "c") -> str:
        """Start a job and return its id."""
        body = {"pipeline": pipeline, "variables": {}}
        job: str = self.ask("POST", "/pipelines/schedule", body, status=202).json()["jobId"]
        return job

    def wait(self, job: str, *, poll: float = 0.002, seconds: float = 600) -> Any:
        """Wait for the end of a job and return it as the daemon shows it."""
        deadline = time.perf_counter() + seconds
        while True:
            found = self.ask("GET", f"/job/detail?id={job}").json()
            if found["completed"] or (found["canceled"] and not found.get("start")):
                return found
            if time.perf_counter() > deadline:
                raise DaemonFailed(f"a job did not end within {seconds:g} s")
            time.sleep(poll)

    def run(self, pipeline: str = "c", *, poll: float = 0.002) -> tuple[float, Any]:
        """Run a job whose tasks all succeed; return the seconds from the request to its end, and the job."""
        began = time.perf_counter()
        job = self.wait(self.schedule(pipeline), poll=poll)
        seconds = time.perf_counter() - began
        bad = [task["name"] for task in job["tasks"] if task["status"] != "done"]
        if bad:
            raise DaemonFailed(f"{len(bad)} of {len(job['tasks'])} tasks did not succeed, {bad[0]} first")
        return seconds, job

    def cpu(self) -> float:
        """Return the processor time of the daemon in seconds, without that of its tasks."""
        return process.cpu_seconds(self.pid)

    def settle(self, seconds: float = 20.0) -> None:
        """Wait until the daemon has done what it still had to do, at most so long."""
        deadline = time.perf_counter() + seconds
        before = self.cpu()
        while time.perf_counter() < deadline:
            time.sleep(_LOOK)
            if (now := self.cpu()) - before < _IDLE * _LOOK:
                return
            before = now

    def memory(self) -> int:
        """Return the resident bytes of the daemon."""
        return process.memory(self.pid)

    def peak_memory(self) -> int:
        """Return the most bytes of the daemon that were ever resident."""
        return process.peak_memory(self.pid)

    def _answers(self) -> bool:
        try:
            return self.client.request("GET", "/pipelines/").status == 200
        except OSError:
            self.client.close()
            return False

    def _leave(self) -> None:
        self.stop()
        if self._killed:  # one that leaves its tasks to themselves when it dies must not leave them to the machine
            process.end_sessions(self._killed)
        shutil.rmtree(self.directory, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
