"""A daemon of its own for each module, and the installed command as its client."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import attrs
import pytest
from tests import waiting

PROGRAM = Path(sys.executable).with_name("prunner-trio")
SECRET = "a-secret-of-the-tests-0123456789-0123456789"
PATIENCE = 60.0

DEFINITIONS = r"""
pipelines:
  site:
    concurrency: 4
    tasks:
      build: {script: ['echo "building $PRUNNER_VAR_VERSION"', 'echo careful >&2']}
      publish: {depends_on: [build], script: ["echo published"]}
  bad:
    tasks:
      first: {script: ["echo fine"]}
      second: {depends_on: [first], script: ["echo before; echo it broke >&2; exit 3"]}
      third: {depends_on: [second], script: ["echo never"]}
  late: {timeout: 100ms, tasks: {t: {script: ["sleep 60"]}}}
  hold:
    concurrency: 4
    on_daemon_crash: requeue
    tasks:
      t: {script: ["echo begun; while [ ! -e \"$PRUNNER_VAR_GO\" ]; do sleep 0.02; done; echo ended"]}
  alone: {queue_limit: 0, tasks: {t: {script: ["while [ ! -e alone-may-go ]; do sleep 0.02; done"]}}}
  rude:
    tasks:
      t: {script: ["printf '\\033[31mred\\033[0m\\033[2J\\033]0;title\\007\\n10%%\\r100%%\\n'"]}
"""


wait_for = partial(waiting.wait_for, seconds=PATIENCE)


@attrs.define(eq=False)
class Remote:
    """One daemon, which may be started again on the same port, and its client."""

    folder: Path
    port: int = 0
    process: "subprocess.Popen[bytes] | None" = None
    clients: "list[subprocess.Popen[str]]" = attrs.field(factory=list)

    def start(self) -> None:
        log = self.folder / "stderr"
        before = log.stat().st_size if log.exists() else 0
        with open(log, "ab") as file:
            self.process = subprocess.Popen(
                [str(PROGRAM), "--address", f"127.0.0.1:{self.port}"],
                cwd=self.folder,
                env=self.environment(PRUNNER_JWT_SECRET=SECRET),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=file,
            )

        def ready() -> str:
            assert self.process is not None
            assert self.process.poll() is None, log.read_text()
            return next(
                (line for line in log.read_bytes()[before:].decode().splitlines() if "message=ready" in line), ""
            )

        line = wait_for(ready, "the daemon")
        self.port = int(line.split("address=")[1].split()[0].rpartition(":")[2])

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(PATIENCE)

    def environment(self, **more: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PRUNNER_")}
        return kept | {"TERM": "xterm-256color"} | more

    @property
    def access(self) -> dict[str, str]:
        return {"PRUNNER_ADDRESS": f"127.0.0.1:{self.port}", "PRUNNER_JWT_SECRET": SECRET}

    def call(self, *words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [PROGRAM, *words],
            cwd=self.folder,
            env=self.environment(**(self.access | variables)),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    def ok(self, *words: str, status: int = 0, **variables: str) -> str:
        done = self.call(*words, **variables)
        assert done.returncode == status, done
        return done.stdout

    def spawn(self, *words: str) -> "subprocess.Popen[str]":
        """Start a client whose output may be read while it runs."""
        client = subprocess.Popen(
            [PROGRAM, *words],
            cwd=self.folder,
            env=self.environment(**self.access),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.clients.append(client)
        return client

    def hold(self, name: str) -> str:
        """Start a job that lasts until `let_go`, and return its id when it has begun."""
        job = self.ok("trigger", "hold", "-v", f"go={self.folder / name}").strip()
        wait_for(lambda: "begun" in self.ok("logs", job), "the task to begin")
        return job

    def let_go(self, name: str) -> None:
        (self.folder / name).touch()

    def close(self) -> None:
        (self.folder / "alone-may-go").touch()
        for client in self.clients:
            if client.poll() is None:
                client.kill()
            client.communicate()
        if self.process is not None and self.process.poll() is None:
            self.stop()


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    one = Remote(tmp_path_factory.mktemp("remote"))
    (one.folder / "pipelines.yml").write_text(DEFINITIONS)
    try:
        one.start()
        yield one
    finally:
        one.close()
