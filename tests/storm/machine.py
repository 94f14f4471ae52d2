"""One daemon as a process that is killed again and again, and the processes of its tasks as anybody can see them."""

import contextlib
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import jwt
from tests import waiting

__all__ = ["PROGRAM", "Daemon", "NoAnswer", "Seen", "boot_time", "free_port", "living", "wait_for"]

PROGRAM = Path(sys.executable).with_name("prunner-trio")
SECRET = "a-secret-of-the-storm-0123456789"
PATIENCE = 120.0
MARK = "STORM_MARK"
TICKS = os.sysconf("SC_CLK_TCK")


class NoAnswer(Exception):
    """Nobody knows what became of a request."""


def boot_time() -> float:
    """Return the seconds since the boot, on the clock by which the kernel notes when a process began."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


wait_for = partial(waiting.wait_for, seconds=PATIENCE)


def free_port() -> int:
    """Return a port below those that the kernel gives to clients: nobody takes it between two lives of a daemon."""
    while True:
        port = random.randrange(10240, 32768)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@attrs.frozen
class Seen:
    """A living process.

    Attributes:
        start: clock ticks since the boot.
        number: that of the job it belongs to; None if it does not say.
    """

    pid: int
    start: int
    number: str | None
    line: str

    @property
    def alive(self) -> bool:
        return _start(self.pid) == self.start


def living(mark: str, token: str, tail: str = "") -> list[Seen]:
    """Return all processes with the mark in their environment, or with the number of a job and the tail in their words.

    Neither is one of the daemon's own signs; the second is there for processes that have emptied their environment.
    """
    found = []
    in_words = re.compile(rf"\b{token}\d{{5}}{tail}\b".encode())
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        start = _start(pid)
        if start is None:
            continue
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
            variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        number = next((v[14:].decode() for v in variables if v.startswith(b"PRUNNER_VAR_N=")), None)
        in_line = in_words.search(words)
        if in_line or f"{MARK}={mark}".encode() in variables:
            line = words.replace(b"\0", b" ").decode(errors="replace").strip()
            found.append(Seen(pid, start, in_line[0].decode() if in_line else number, line))
    return found


def _start(pid: int) -> int | None:
    """Return when a process began; None if it is not alive."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


@attrs.define(eq=False)
class Daemon:
    """A daemon in a directory of its own, with one port for all its lives.

    Attributes:
        words: more flags.
        program: what is started in the place of the installed command.
        lives: how often it was started.
    """

    folder: Path
    mark: str
    words: tuple[str, ...] = ()
    program: tuple[str, ...] = (str(PROGRAM),)
    variables: dict[str, str] = attrs.Factory(dict)
    port: int = attrs.field(factory=free_port)
    lives: int = 0
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def log(self) -> Path:
        return self.folder / f"stderr-{self.lives}"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def spawn(self) -> None:
        self.lives += 1
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PRUNNER_", "STORM_"))}
        address = f"127.0.0.1:{self.port}"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [*self.program, "--address", address, "--jwt-secret", SECRET, *self.words],
                cwd=self.folder,
                env=kept | {MARK: self.mark} | self.variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )

    def until_ready(self) -> None:
        def look() -> bool:
            assert self.process is not None
            if "message=ready" in (said := self.said()):
                return True
            assert self.process.poll() is None, f"the daemon does not start:\n{said}"
            return False

        wait_for(look, "the start of the daemon")

    def start(self) -> "Daemon":
        self.spawn()
        self.until_ready()
        return self

    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> int:
        """Send SIGKILL and return the exit status, which may be that of an end that came before."""
        assert self.process is not None
        self.process.kill()
        return self.process.wait()

    def stop(self) -> int:
        """Cancel what runs, and return the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        """Let nothing of it live, whatever state it is in."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(signal.SIGTERM)
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
            self.process.kill()
            self.process.wait()

    def ask(self, method: str, path: str, body: object = None, timeout: float = PATIENCE) -> tuple[int, Any]:
        """Return status and body of an answer.

        Raises:
            NoAnswer: none came.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            text = None if body is None else json.dumps(body)
            token = jwt.encode({"sub": "storm"}, SECRET)
            connection.request(method, path, text, {"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError) as exc:
            raise NoAnswer(str(exc)) from exc
        finally:
            connection.close()

    def jobs(self) -> dict[str, dict[str, Any]]:
        """Return all jobs by id, as the listing shows them."""
        status, body = self.ask("GET", "/pipelines/jobs")
        assert status == 200, body
        return {job["id"]: job for job in body["jobs"]}

    def schedule(self, pipeline: str) -> str:
        """Schedule a job that has to be accepted; return its id."""
        status, body = self.ask("POST", "/pipelines/schedule", {"pipeline": pipeline})
        assert status == 202, body
        return str(body["jobId"])

    def detail(self, job: str) -> dict[str, Any]:
        """Return a job that has to be known."""
        status, body = self.ask("GET", f"/job/detail?id={job}")
        assert status == 200, body
        return dict(body)

    def output(self, job: str, task: str = "t") -> str:
        """Return what a task has written to its stdout."""
        return str(self.ask("GET", f"/job/logs?id={job}&task={task}")[1]["stdout"])

    def end(self, job: str) -> dict[str, Any]:
        """Wait for the end of a job."""

        def over() -> dict[str, Any] | None:
            found = self.detail(job)
            return found if found["completed"] or found["canceled"] else None

        return dict(wait_for(over, "the end of a job"))

    def copy_data(self, target: Path) -> None:
        """Copy the data directory as it is in one moment, as a power cut would leave it."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        wait_for(lambda: _state(self.pid) in ("T", "Z"), "the daemon to be frozen")
        try:
            shutil.copytree(self.folder / ".prunner", target)
        finally:
            self.process.send_signal(signal.SIGCONT)


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
