"""The tour of scripts/demo: a daemon of its own, a job to watch, a job to cancel, a graceful end.

Whatever differs from what prunner-trio promises ends the tour with a message and status 1. Standard library only: all
it knows of the project is its command and its HTTP interface.
"""

import argparse
import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
COMMAND = Path(sys.executable).with_name("prunner-trio")
QUICKSTART = ROOT / "examples" / "quickstart"
FINAL = {"done", "error", "canceled", "skipped"}
NASTY = "1.0'; touch hacked; echo $(whoami) \""
MARK = "PRUNNER_VAR_MARK"


class Broken(Exception):
    """Something is not as promised."""


def expect(holds: object, message: str) -> None:
    """Raise `Broken` with the message unless the first argument is true."""
    if not holds:
        raise Broken(message)


def wait_for(check: Callable[[], Any], seconds: float, what: str, pause: float = 0.02) -> Any:
    """Ask until the answer is true, and return it; `Broken` when the time is over."""
    deadline = time.monotonic() + seconds
    while not (answer := check()):
        expect(time.monotonic() < deadline, f"waited {seconds:g} s in vain for {what}")
        time.sleep(pause)
    return answer


# ---------------------------------------------------------------------------------------------------------- showing

COLORS = {"done": "32", "running": "36", "error": "31", "canceled": "33", "skipped": "2", "waiting": "2"}
COLORFUL = sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def color(text: str, code: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if COLORFUL else text


def say(text: str = "") -> None:
    print(text, flush=True)


def head(text: str) -> None:
    say()
    say(color(text, "1"))


# ------------------------------------------------------------------------------------------------------- the daemon


class Daemon:
    """A daemon on a free port of 127.0.0.1 that keeps everything in one directory."""

    def __init__(self, directory: Path, port: int | None) -> None:
        self.directory = directory
        self.address = f"127.0.0.1:{port or free_port()}"
        self.log = directory / "daemon.log"
        self.common = ["--config", str(directory / "prunner.yml"), "--env-files", ""]
        flags = ["--path", str(QUICKSTART), "--data", str(directory / "data"), "--address", self.address]
        work = directory / "work"
        work.mkdir()
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [COMMAND, *self.common, *flags],
                cwd=work,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for this script, which then stops the daemon as one should
            )
        self.token = ""

    def wait_ready(self) -> None:
        """Wait for the first answer, then ask the command for a token."""

        def answers() -> bool:
            expect(self.process.poll() is None, f"the daemon ended with status {self.process.poll()}")
            try:
                urllib.request.urlopen(f"http://{self.address}/", timeout=5)
            except urllib.error.HTTPError:
                return True
            except OSError:
                return False
            return True

        wait_for(answers, 30, "the daemon to answer")
        done = subprocess.run(
            [COMMAND, *self.common, "token", "--sub", "demo"], capture_output=True, text=True, env=environment()
        )
        expect(done.returncode == 0, f"`prunner-trio token` ended with status {done.returncode}: {done.stderr.strip()}")
        self.token = done.stdout.strip()

    def ask(self, method: str, path: str, body: object = None, *, status: int = 200) -> Any:
        """Make a request and return the JSON of its answer; any other status than `status` is `Broken`."""
        request = urllib.request.Request(
            f"http://{self.address}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                found, text = answer.status, answer.read()
        except urllib.error.HTTPError as refusal:
            found, text = refusal.code, refusal.read()
        except OSError as problem:
            raise Broken(f"{method} {path}: {problem}") from problem
        expect(found == status, f"{method} {path}: expected status {status}, got {found}: {text.decode()[:300]}")
        return json.loads(text)

    def schedule(self, pipeline: str, **variables: object) -> str:
        body = {"pipeline": pipeline, "variables": variables}
        job: str = self.ask("POST", "/pipelines/schedule", body, status=202)["jobId"]
        return job

    def detail(self, job: str) -> Any:
        return self.ask("GET", f"/job/detail?id={job}")

    def output(self, job: str, task: str) -> str:
        logs = self.ask("GET", f"/job/logs?id={job}&task={task}")
        return str(logs["stdout"] + logs["stderr"])

    def stop(self, number: signal.Signals, seconds: float) -> int:
        """Send a signal and return the exit status."""
        self.process.send_signal(number)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Broken(f"the daemon was still there {seconds:g} s after {number.name}") from None

    def end(self) -> None:
        """Make sure that nothing stays behind, however the tour ended."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def environment() -> dict[str, str]:
    """Return our environment without what would configure the daemon behind our back."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PRUNNER_")}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def daemon(port: int | None) -> Iterator[Daemon]:
    """Run a daemon with a temporary directory; show the end of its log if the tour breaks."""
    with tempfile.TemporaryDirectory(prefix="prunner-trio-demo-") as directory:
        running = Daemon(Path(directory), port)
        try:
            running.wait_ready()
            yield running
        except Broken:
            last = running.log.read_text(errors="replace").splitlines()[-15:]
            print("\nthe end of the daemon's log:", *last, sep="\n  ", file=sys.stderr)
            raise
        finally:
            running.end()


# ---------------------------------------------------------------------------------------------------------- watching


class Watch:
    """Shows what is new about a job: its tasks' states, and whole lines of their output."""

    def __init__(self, server: Daemon, job: str) -> None:
        self.server = server
        self.job = job
        self.states: dict[str, str] = {}
        self.shown: dict[str, int] = {}

    def look(self) -> Any:
        """Show what has changed since the last look; return the job."""
        detail = self.server.detail(self.job)
        width = max(len("on_error"), *(len(task["name"]) for task in detail["tasks"]))
        for task in detail["tasks"]:
            name, state = task["name"], task["status"]
            before = self.states.get(name, "waiting")
            label = name.ljust(width)
            if state != before and state == "running":
                say(f"  {label}  {color(state, COLORS[state])}")
            if state not in ("waiting", "skipped"):
                self.show_output(name, label, over=state in FINAL)
            if state != before and state in FINAL:
                why = f" ({task['error']})" if task.get("error") else ""
                say(f"  {label}  {color(state, COLORS[state])}{why}")
            self.states[name] = state
        return detail

    def show_output(self, name: str, label: str, *, over: bool) -> None:
        text = self.server.output(self.job, name)[self.shown.get(name, 0) :]
        complete = text if over else text[: text.rfind("\n") + 1]
        self.shown[name] = self.shown.get(name, 0) + len(complete)
        for line in complete.splitlines():
            say(f"  {color(label + ' |', '2')} {line}")

    def to_the_end(self, seconds: float) -> Any:
        """Follow the job until it is over."""
        return wait_for(
            lambda: (lambda job: job if job["completed"] or job["canceled"] else None)(self.look()),
            seconds,
            f"job {self.job} to end",
            pause=0.1,
        )


def marked(mark: str) -> dict[int, str]:
    """Return the processes, by pid, that were started with this mark in their environment, and their command lines.

    Read from /proc, so it also finds those that left their parent, their process group or their session.
    """
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if f"{MARK}={mark}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                    words = (entry / "cmdline").read_bytes().split(b"\0")
                    found[int(entry.name)] = b" ".join(words).decode(errors="replace").strip()
    return found


# ----------------------------------------------------------------------------------------------------------- the tour


def tour(server: Daemon) -> None:
    """Show a job, a failure and a cancel, and check each."""
    head("1. A job with four tasks; two of them run at the same time")
    say("  Its variable holds a shell injection, which stays what it is: a value.")
    job = server.schedule("build", version=NASTY)
    done = Watch(server, job).to_the_end(60)
    expect(done["completed"] and not done["errored"] and not done["canceled"], f"the job did not succeed: {done}")
    states = {task["name"]: task["status"] for task in done["tasks"]}
    expect(states == dict.fromkeys(("fetch", "lint", "test", "package"), "done"), f"not all tasks are done: {states}")
    expect(
        server.output(job, "package") == f"packaging version {NASTY}\n", "the variable did not arrive as it was given"
    )
    expect(not (server.directory / "work" / "hacked").exists(), "the variable was executed")

    head("2. A job that fails, and its on_error")
    job = server.schedule("fragile")
    done = Watch(server, job).to_the_end(60)
    expect(done["errored"] and done["lastError"] == "exit status 3", f"the job did not fail as it should: {done}")
    expect("ended with status 3" in server.output(job, "on_error"), "on_error did not say what happened")

    head("3. A job to cancel, with processes that hide")
    mark = secrets.token_hex(8)
    job = server.schedule("slow", mark=mark)
    watch = Watch(server, job)
    wait_for(lambda: (watch.look(), "ready" in server.output(job, "work"))[1], 20, "the job to be ready")
    alive = wait_for(
        lambda: (lambda now: now if sum("sleep 3600" in line for line in now.values()) >= 3 else None)(marked(mark)),
        20,
        "three sleeping processes",
    )
    for pid, line in sorted(alive.items()):
        say(f"  alive: {pid} {line[:80]}")
    began = time.monotonic()
    expect(server.ask("POST", f"/job/cancel?id={job}") is True, "the cancel was not accepted")
    done = watch.to_the_end(20)
    took = time.monotonic() - began
    left = marked(mark)
    expect(done["canceled"] and done["completed"] and not done["errored"], f"the job was not canceled: {done}")
    expect(not left, f"the job counts as canceled, and these processes are still alive: {left}")
    say(f"  {took:.2f} s after the cancel none of the {len(alive)} processes is in /proc any more")


def stay(server: Daemon) -> None:
    """Tell how to talk to the daemon, then wait for Ctrl-C or SIGTERM."""
    head("The daemon stays up until you press Ctrl-C")
    say(f"  address: http://{server.address}")
    say(f"  token:   {server.token}")
    say("  for example:")
    bearer = f"-H 'Authorization: Bearer {server.token}'"
    say(f"    curl {bearer} http://{server.address}/pipelines/jobs")
    body = '\'{"pipeline": "hello", "variables": {"name": "you"}}\''
    say(f"    curl {bearer} http://{server.address}/pipelines/schedule -d {body}")
    status = server.process.wait()
    raise Broken(f"the daemon ended by itself, with status {status}")


def interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/demo",
        description="Starts a daemon over examples/quickstart on a free port of 127.0.0.1, watches a job, cancels "
        "another one, and stops the daemon. Makes .venv and installs into it first, if that has to be done. Nothing "
        "is written outside of this directory but a temporary one, which is removed.",
        epilog="PYTHON=/path/to/python chooses the Python (3.11 to 3.13) for a .venv that is not there yet.",
    )
    parser.add_argument("--stay", action="store_true", help="leave the daemon up until Ctrl-C; show address and token")
    parser.add_argument("--port", type=int, help="listen there instead of on a free port")
    return parser.parse_args()


def main() -> int:
    arguments = parse()
    signal.signal(signal.SIGTERM, interrupt)
    try:
        with daemon(arguments.port) as server:
            say(f"the daemon answers at http://{server.address}")
            tour(server)
            if arguments.stay:
                with contextlib.suppress(KeyboardInterrupt):
                    stay(server)
            head("The end: SIGINT lets running jobs finish")
            status = server.stop(signal.SIGINT, 20)
            expect(status == 0, f"the daemon ended with status {status}")
            say("  the daemon has ended, status 0")
    except Broken as problem:
        print(f"\nscripts/demo: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nscripts/demo: interrupted; the daemon has been stopped", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
