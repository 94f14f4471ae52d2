"""The daemon as a process: starts that must fail, signals, service managers, and what tasks may see of it."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from tests.waiting import wait_for

pytestmark = pytest.mark.whole

PROGRAM = Path(sys.executable).with_name("prunner-trio")
SECRET = "a-secret-of-the-tests-0123456789"
PATIENCE = 30.0

DEFINITIONS = """
pipelines:
  quick: {tasks: {t: {script: [echo quick]}}}
  environment: {tasks: {t: {script: ["env | sort"]}}}
  hold: {tasks: {t: {script: ["echo begun; while [ ! -e go ]; do sleep 0.02; done"]}}}
  later: {start_delay: 1h, tasks: {t: {script: [echo later]}}}
  stubborn:
    kill_timeout: 1h
    tasks: {t: {script: ["trap '' INT TERM; echo begun; while :; do sleep 84.1; done"]}}
"""


class Daemon:
    """One daemon in a directory of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0
        self.log = folder / "stderr"
        (folder / "pipelines.yml").write_text(DEFINITIONS)

    def spawn(self, *words: str, command: tuple[str, ...] = (), pass_fds: tuple[int, ...] = (), **env: str) -> None:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("PRUNNER_")}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*command, str(PROGRAM), "--address", "127.0.0.1:0", "--jwt-secret", SECRET, *words],
                cwd=self.folder,
                env=kept | env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                pass_fds=pass_fds,
            )

    def start(self, *words: str, **more: Any) -> "Daemon":
        before = len(self.said())
        self.spawn(*words, **more)
        self.said_since(before, "message=ready")
        line = next(line for line in self.said()[before:].splitlines() if "message=ready" in line)
        self.port = int(line.split("address=")[1].split()[0].rpartition(":")[2])
        return self

    def said(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def said_since(self, before: int, text: str) -> None:
        def look() -> bool:
            if text in self.said()[before:]:
                return True
            assert self.running.poll() is None, self.said()
            return False

        wait_for(look, f"{text!r} in the log")

    @property
    def running(self) -> "subprocess.Popen[bytes]":
        assert self.process is not None
        return self.process

    def send(self, number: signal.Signals) -> None:
        self.running.send_signal(number)

    def exit_status(self) -> int:
        return self.running.wait(PATIENCE)

    def fails(self, *words: str, **more: Any) -> str:
        before = len(self.said())
        self.spawn(*words, **more)
        assert self.exit_status() == 1
        return self.said()[before:]

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            token = jwt.encode({"sub": "tester"}, SECRET)
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    def schedule(self, pipeline: str) -> str:
        status, body = self.ask("POST", "/pipelines/schedule", {"pipeline": pipeline})
        assert status == 202, body
        return str(body["jobId"])

    def detail(self, job: str) -> dict[str, Any]:
        status, body = self.ask("GET", f"/job/detail?id={job}")
        assert status == 200
        return dict(body)

    def output(self, job: str) -> str:
        return str(self.ask("GET", f"/job/logs?id={job}&task=t")[1]["stdout"])

    def run(self, pipeline: str) -> str:
        job = self.schedule(pipeline)
        wait_for(lambda: self.detail(job)["completed"], "the job to be completed")
        return job

    def begun(self, pipeline: str) -> str:
        job = self.schedule(pipeline)
        wait_for(lambda: "begun" in self.output(job), "the task to begin")
        return job

    def close(self) -> None:
        (self.folder / "go").touch()
        if self.process is not None and self.process.poll() is None:
            for _ in range(2):
                self.process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(1)
            self.process.kill()
            self.process.wait()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    one = Daemon(tmp_path)
    yield one
    one.close()


# ----------------------------------------------------------------------------------------------------- failing starts


def test_a_start_that_fails_says_why_in_one_line(daemon: Daemon) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        last = daemon.fails("--address", address).splitlines()[-1]
    expected = f'level=fatal message="Error starting HTTP API: listen tcp {address}: bind: address already in use"'
    assert last.endswith(expected)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data", "pipelines.yml/data"], "pipelines.yml/data"),
        (["--path", "nowhere"], "loading nowhere"),
        (["--env-files", "."], "loading env file ."),
        (["--address", "nonsense"], "listen tcp: address nonsense: missing port in address"),
        (["--address", "localhost:80000"], "listen tcp: address 80000: invalid port"),
        (["--jwt-secret", "short"], "jwt_secret must be at least 16 characters long"),
    ],
)
def test_what_cannot_be_used_is_named(daemon: Daemon, words: list[str], message: str) -> None:
    said = daemon.fails(*words)
    assert "level=fatal" in said.splitlines()[-1]
    assert message in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    "words", [["--address", "localhost"], ["--address", "localhost:80000"], ["--data", "pipelines.yml/data"]]
)
def test_a_value_that_cannot_be_right_is_found_before_anything_is_read_or_made(
    daemon: Daemon, words: list[str]
) -> None:
    before = sorted(daemon.folder.iterdir())
    said = daemon.fails("--jwt-secret", "", *words)
    assert "loaded definitions" not in said
    assert sorted({*daemon.folder.iterdir()} - {daemon.log}) == sorted({*before} - {daemon.log})


def test_all_problems_of_all_definitions_are_shown(daemon: Daemon) -> None:
    (daemon.folder / "pipelines.yml").write_text("pipelines:\n  a: {taks: {}}\n  b: {concurrency: -1}\n")
    said = daemon.fails()
    assert [line for line in said.splitlines() if "loading pipelines.yml" in line and "taks" in line]
    assert [line for line in said.splitlines() if "loading pipelines.yml" in line and "concurrency" in line]
    assert said.splitlines()[-1].endswith('level=fatal message="Error: loading definitions: 2 problems"')


def test_a_second_daemon_on_the_same_data_is_refused_with_the_pid_of_the_first(daemon: Daemon) -> None:
    daemon.start()
    first = daemon.running
    try:
        assert f"pid {first.pid}" in daemon.fails()
    finally:
        daemon.process = first
    assert daemon.run("quick")


def test_a_start_without_a_port_leaves_the_jobs_as_they_were(daemon: Daemon) -> None:
    daemon.start()
    running, waiting = daemon.begun("hold"), daemon.schedule("later")
    daemon.running.kill()
    daemon.exit_status()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        daemon.fails("--address", f"127.0.0.1:{taken.getsockname()[1]}")
    daemon.start()
    wait_for(lambda: daemon.detail(running)["canceled"], "what was left of the job to be gone")
    after = daemon.detail(waiting)
    assert (after["canceled"], after["completed"], after["start"]) == (False, False, None)


# ------------------------------------------------------------------------------------------------------------ signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_start_ends_it_in_order(daemon: Daemon, number: signal.Signals) -> None:
    daemon.spawn()
    wait_for(lambda: "starting prunner-trio" in daemon.said(), "the first line")
    daemon.send(number)
    assert daemon.exit_status() == 0


def test_sigterm_cancels_and_a_second_one_kills(daemon: Daemon) -> None:
    daemon.start()
    job = daemon.begun("stubborn")
    before = len(daemon.said())
    daemon.send(signal.SIGTERM)
    daemon.said_since(before, "canceling all running jobs")
    assert not daemon.detail(job)["completed"]
    daemon.send(signal.SIGTERM)
    assert daemon.exit_status() == 0
    daemon.start()
    assert daemon.detail(job)["canceled"]


def test_sigint_climbs_from_drain_to_cancel_to_kill(daemon: Daemon) -> None:
    daemon.start()
    daemon.begun("stubborn")
    for expected in ("draining", "canceling all running jobs", "killing all running jobs"):
        before = len(daemon.said())
        daemon.send(signal.SIGINT)
        wait_for(lambda before=before, text=expected: text in daemon.said()[before:], expected)
    assert daemon.exit_status() == 0


def test_a_reload_while_draining_is_harmless(daemon: Daemon) -> None:
    daemon.start()
    job = daemon.begun("hold")
    before = len(daemon.said())
    daemon.send(signal.SIGINT)
    daemon.said_since(before, "draining")
    daemon.send(signal.SIGUSR1)
    daemon.said_since(before, "not reloading")
    (daemon.folder / "go").touch()
    assert daemon.exit_status() == 0
    daemon.start()
    after = daemon.detail(job)
    assert (after["completed"], after["canceled"]) == (True, False)


def test_sighup_reloads_too(daemon: Daemon) -> None:
    daemon.start()
    (daemon.folder / "pipelines.yml").write_text("pipelines: {new: {tasks: {t: {script: [echo]}}}}")
    daemon.send(signal.SIGHUP)
    wait_for(lambda: daemon.ask("GET", "/pipelines/")[1]["pipelines"][0]["pipeline"] == "new", "the new definition")


def test_a_reload_asked_for_during_the_start_is_not_lost(daemon: Daemon) -> None:
    """The definitions have been read by then; the start waits for the end of a file that is a pipe."""
    history = daemon.folder / ".prunner" / "data.json"
    history.parent.mkdir()
    os.mkfifo(history)
    daemon.spawn()
    daemon.said_since(0, "loaded definitions")
    (daemon.folder / "pipelines.yml").write_text("pipelines: {new: {tasks: {t: {script: [echo]}}}}")
    daemon.send(signal.SIGUSR1)
    history.write_text('{"Jobs": []}')
    daemon.said_since(0, 'message="reloaded definitions" pipelines=1 changed=true')


# --------------------------------------------------------------------------------------------------- service managers


def test_a_service_manager_is_told_when_all_is_ready_and_when_the_end_begins(daemon: Daemon) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(daemon.folder / "notify"))
        manager.settimeout(PATIENCE)
        daemon.start(NOTIFY_SOCKET=str(daemon.folder / "notify"))
        assert manager.recv(4096).startswith(b"READY=1\nSTATUS=listening on 127.0.0.1:")
        assert "NOTIFY_SOCKET" not in daemon.output(daemon.run("environment"))
        daemon.send(signal.SIGTERM)
        said = [manager.recv(4096)]
        while not said[-1].startswith(b"STOPPING=1\n"):
            said.append(manager.recv(4096))
        assert set(said[:-1]) <= {b"STATUS=1 running, 0 waiting", b"STATUS=0 running, 0 waiting"}
        assert daemon.exit_status() == 0


def test_a_service_manager_hears_of_an_end_when_a_drain_is_over(daemon: Daemon) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(daemon.folder / "notify"))
        manager.settimeout(PATIENCE)
        daemon.start(NOTIFY_SOCKET=str(daemon.folder / "notify"))
        daemon.begun("hold")
        daemon.send(signal.SIGINT)
        while (said := manager.recv(4096)) != b"STATUS=draining, 1 running, 0 waiting":
            assert not said.startswith(b"STOPPING")
        (daemon.folder / "go").touch()
        while not (said := manager.recv(4096)).startswith(b"STOPPING=1\n"):
            pass
        assert daemon.exit_status() == 0


def test_a_reload_is_told_with_its_time_and_its_end(daemon: Daemon) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(daemon.folder / "notify"))
        manager.settimeout(PATIENCE)
        daemon.start(NOTIFY_SOCKET=str(daemon.folder / "notify"))
        assert manager.recv(4096).startswith(b"READY=1\n")
        before = time.monotonic_ns() // 1000
        daemon.send(signal.SIGHUP)
        reloading, _, stamp = manager.recv(4096).partition(b"\nMONOTONIC_USEC=")
        assert reloading == b"RELOADING=1"
        assert before <= int(stamp) <= time.monotonic_ns() // 1000
        assert manager.recv(4096) == b"READY=1\nSTATUS=0 running, 0 waiting"


def test_signs_of_life_come_at_half_of_the_time_that_is_allowed(daemon: Daemon) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(daemon.folder / "notify"))
        manager.settimeout(PATIENCE)
        daemon.start(NOTIFY_SOCKET=str(daemon.folder / "notify"), WATCHDOG_USEC="200000")
        signs = 0
        while signs < 5:
            signs += manager.recv(4096) == b"WATCHDOG=1"
        assert "WATCHDOG" not in daemon.output(daemon.run("environment"))


def test_a_manager_that_does_not_listen_is_no_problem(daemon: Daemon) -> None:
    daemon.start(NOTIFY_SOCKET=str(daemon.folder / "nobody"))
    assert daemon.run("quick")


def test_sockets_that_are_passed_are_used(daemon: Daemon) -> None:
    with socket.socket() as passed:
        passed.bind(("127.0.0.1", 0))
        passed.listen()
        number = passed.fileno()
        manager = (
            "import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ['LISTEN_PID'] = str(os.getpid());"
            "os.execv(sys.argv[2], sys.argv[2:])"
        )
        command = (sys.executable, "-c", manager, str(number))
        daemon.start(command=command, pass_fds=(number,), LISTEN_FDS="1")
        assert daemon.port == passed.getsockname()[1]
    seen = daemon.output(daemon.run("environment"))
    assert "LISTEN_" not in seen


# ---------------------------------------------------------------------------------------------------------- what else


def test_the_secret_reaches_no_task_and_no_log(daemon: Daemon) -> None:
    (daemon.folder / ".env").write_text("PRUNNER_JWT_SECRET=from-the-dotenv-file\nA=dotenv\n")
    daemon.start("--verbose", PRUNNER_JWT_SECRET="from-the-environment", A="process")
    seen = daemon.output(daemon.run("environment"))
    assert "A=dotenv\n" in seen
    for secret in ("from-the-dotenv-file", "from-the-environment", SECRET, "PRUNNER_JWT_SECRET"):
        assert secret not in seen
        assert secret not in daemon.said()


def test_verbose_logs_tasks_and_requests_without_their_queries(daemon: Daemon) -> None:
    daemon.start("--verbose")
    job = daemon.run("quick")
    said = daemon.said()
    assert f'message="task changed" job={job} task=t state=running' in said
    assert "message=request method=GET path=/job/detail status=200" in said
    assert "id=" not in said.replace("pid=", "")


def test_jobs_can_be_exported_while_the_daemon_runs(daemon: Daemon) -> None:
    daemon.start()
    job = daemon.run("quick")
    done = subprocess.run(
        [PROGRAM, "store", "export", "--format", "prunner"], cwd=daemon.folder, capture_output=True, timeout=PATIENCE
    )
    assert done.returncode == 0
    assert [entry["ID"] for entry in json.loads(done.stdout)["Jobs"]] == [job]
    done = subprocess.run(
        [PROGRAM, "store", "export", "--output", "data.json"], cwd=daemon.folder, capture_output=True, timeout=PATIENCE
    )
    exported = daemon.folder / "data.json"
    assert json.loads(exported.read_text())["Jobs"][0]["ID"] == job
    assert exported.stat().st_mode & 0o077 == 0
    assert daemon.run("quick")


@pytest.mark.parametrize("flags", [["--address", "nope"], ["--path", "not-there"], ["--pattern", "broken.yml"]])
def test_a_start_that_fails_early_leaves_nothing_behind(tmp_path: Path, flags: list[str]) -> None:
    (tmp_path / "broken.yml").write_text("pipelines: [")
    done = subprocess.run([PROGRAM, *flags], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "level=fatal" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["broken.yml"]


def test_limits_for_clients_are_those_of_the_flags(daemon: Daemon) -> None:
    daemon.start("--rate-limit", "2", "--max-connections", "10", PRUNNER_MAX_CONNECTIONS_PER_ADDRESS="3")
    answers = [daemon.ask("GET", "/pipelines/jobs") for _ in range(30)]
    assert [status for status, _ in answers[:10]] == [200] * 10  # what is left unused for 5 s
    assert answers[-1][0] == 429
    assert "more requests than are allowed" in answers[-1][1]["error"]
    with contextlib.ExitStack() as stack:
        begun = b"GET /healthz HTTP/1.1\r\n"  # not yet a request, so none of these is idle
        for _ in range(10):
            peer = stack.enter_context(socket.create_connection(("127.0.0.1", daemon.port), PATIENCE))
            peer.sendall(begun)
        late = stack.enter_context(socket.create_connection(("127.0.0.1", daemon.port), 0.3))
        late.sendall(begun + b"Host: x\r\n\r\n")
        with pytest.raises(TimeoutError):
            late.recv(1)
        peer.close()
        late.settimeout(PATIENCE)
        assert late.recv(100).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("flag", "value"), [("--max-connections", "9"), ("--max-connections-per-address", "-1"), ("--rate-limit", "1.5")]
)
def test_limits_that_make_no_sense_are_refused(daemon: Daemon, flag: str, value: str) -> None:
    assert f"flag {flag}: '{value}' is not a whole number from" in daemon.fails(flag, value)
