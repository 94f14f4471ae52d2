"""The daemon dies, or is replaced, and its tasks do not notice: real processes, with true ends and whole logs."""

import contextlib
import json
import os
import signal
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.processes import cgroup_works
from tests.whole.test_escapes import Daemon, living, wait_for

pytestmark = pytest.mark.whole

ALL = [
    "group",
    "subreaper",
    pytest.param("cgroup", marks=pytest.mark.skipif(not cgroup_works(), reason="needs a writable cgroup v2 directory")),
]
HIDE = "env -i /usr/bin/setsid /bin/sleep TOKEN"


@pytest.fixture
def token() -> Iterator[str]:
    token = f"96{uuid.uuid4().int % 10**9:09}.5"
    yield token
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if token.encode() in Path(f"/proc/{name}/cmdline").read_bytes():
                os.kill(int(name), signal.SIGKILL)


class House:
    """A data directory, and the daemons that have it one after the other."""

    def __init__(self, folder: Path, token: str, definitions: dict[str, Any], *flags: str) -> None:
        self.folder = folder
        self.flags = flags
        self.definitions = json.dumps({"pipelines": definitions}).replace("TOKEN", token)
        self.daemon = Daemon(folder, *flags, definitions=self.definitions)

    def next(self, *flags: str) -> Daemon:
        assert self.daemon.process.poll() is not None
        self.daemon = Daemon(self.folder, *(flags or self.flags), definitions=self.definitions)
        return self.daemon

    def kill(self) -> None:
        self.daemon.process.kill()
        self.daemon.process.wait()

    def hand_over(self) -> int:
        self.daemon.process.send_signal(signal.SIGUSR2)
        return self.daemon.process.wait(30)

    def wait_for_file(self, name: str) -> None:
        wait_for(lambda: (self.folder / name).exists(), f"the file {name}")

    def records(self) -> list[str]:
        return os.listdir(self.folder / ".prunner" / "ends")

    def log(self, job: str, task: str) -> dict[str, str]:
        return dict(self.daemon.ask("GET", f"/job/logs?id={job}&task={task}")[1])

    def tasks(self, job: str) -> dict[str, tuple[str, int]]:
        return {task["name"]: (task["status"], task["exitCode"]) for task in self.daemon.detail(job)["tasks"]}

    def running(self, job: str, task: str) -> None:
        wait_for(lambda: self.tasks(job)[task][0] == "running", f"the start of {task}")


@contextlib.contextmanager
def house(folder: Path, token: str, definitions: dict[str, Any], *flags: str) -> Iterator[House]:
    it = House(folder, token, definitions, *flags)
    try:
        yield it
    finally:
        it.daemon.close()
    assert living(token) == 0


def until(name: str) -> str:
    return f"while [ ! -e {name} ]; do sleep 0.02; done"


def chain(code: int = 0) -> dict[str, Any]:
    once = 'echo "$TASK_NAME" >>ran'
    return {
        "chain": {
            "on_daemon_crash": "adopt",
            "tasks": {
                "a": {"script": [once, "echo a"]},
                "b": {
                    "depends_on": ["a"],
                    "script": [once, "echo before; echo oh >&2", until("go"), f"echo after; exit {code}"],
                },
                "c": {"depends_on": ["b"], "script": [once, "echo c"]},
            },
        }
    }


@pytest.mark.parametrize("containment", ALL)
@pytest.mark.parametrize("code", [0, 3])
def test_a_chain_goes_on_after_the_daemon_was_killed_in_its_middle(
    tmp_path: Path, token: str, containment: str, code: int
) -> None:
    with house(tmp_path, token, chain(code), "--containment", containment) as it:
        job = it.daemon.schedule("chain")
        it.running(job, "b")
        wait_for(lambda: "before" in it.log(job, "b")["stdout"], "the output of b")
        it.kill()
        it.next()
        assert it.tasks(job)["b"][0] == "running"
        (tmp_path / "go").touch()
        end = it.daemon.end(job)
        assert it.tasks(job) == {
            "a": ("done", 0),
            "b": ("error", 3) if code else ("done", 0),
            "c": ("canceled", 0) if code else ("done", 0),
        }
        assert (end["errored"], end["canceled"]) == (bool(code), False)
        assert it.log(job, "b") == {"stdout": "before\nafter\n", "stderr": "oh\n"}
        assert (tmp_path / "ran").read_text().split() == (["a", "b"] if code else ["a", "b", "c"])
        wait_for(lambda: it.records() == [], "the end of the records")


@pytest.mark.parametrize("code", [0, 3])
def test_a_task_that_ended_while_no_daemon_was_there_has_its_true_end(tmp_path: Path, token: str, code: int) -> None:
    with house(tmp_path, token, chain(code)) as it:
        job = it.daemon.schedule("chain")
        it.running(job, "b")
        wait_for(lambda: "before" in it.log(job, "b")["stdout"], "the output of b")
        it.kill()
        (tmp_path / "go").touch()
        records = tmp_path / ".prunner" / "ends"
        wait_for(lambda: any(file.read_text().count("\n") == 2 for file in records.iterdir()), "the end of b")
        it.next()
        it.daemon.end(job)
        assert it.tasks(job)["b"] == (("error", 3) if code else ("done", 0))
        assert it.log(job, "b") == {"stdout": "before\nafter\n", "stderr": "oh\n"}
        assert (tmp_path / "ran").read_text().split() == (["a", "b"] if code else ["a", "b", "c"])


def test_a_task_whose_keeper_was_killed_too_interrupts_its_job(tmp_path: Path, token: str) -> None:
    with house(
        tmp_path, token, {"p": {"on_daemon_crash": "adopt", "tasks": {"t": {"script": ["sleep TOKEN; :"]}}}}
    ) as it:
        job = it.daemon.schedule("p")
        wait_for(lambda: living(token) == 1, "the process")
        it.kill()
        (record,) = (tmp_path / ".prunner" / "ends").iterdir()
        os.kill(int(record.read_text()), signal.SIGKILL)
        it.next()
        end = it.daemon.end(job)
        assert (end["canceled"], end["lastError"]) == (True, "the daemon died")
        assert living(token) == 0


@pytest.mark.parametrize("containment", ALL)
def test_a_cancel_of_an_adopted_task_leaves_nothing_of_it(tmp_path: Path, token: str, containment: str) -> None:
    scripts = {
        "plain": ("sleep TOKEN; :", 1),
        "resist": ("trap '' INT TERM; sleep TOKEN & sleep TOKEN", 2),
        "escape": (f"({HIDE} &); (setsid sleep TOKEN &); sleep TOKEN", 3),
    }
    definitions = {
        name: {
            "on_daemon_crash": "adopt",
            "kill_timeout": "500ms",
            "tasks": {"t": {"script": [script]}},
        }
        for name, (script, _) in scripts.items()
    }
    with house(tmp_path, token, definitions, "--containment", containment) as it:
        jobs = [it.daemon.schedule(name) for name in scripts]
        wait_for(lambda: living(token) == 6, "all processes")
        it.kill()
        it.next()
        assert living(token) == 6
        for job, (_, count) in zip(jobs, scripts.values(), strict=True):
            before = living(token)
            assert it.daemon.ask("POST", f"/job/cancel?id={job}")[0] == 200
            assert it.daemon.end(job)["canceled"]
            assert living(token) == before - count
        assert it.daemon.zombies() == 0


def test_a_time_out_that_passed_while_no_daemon_was_there_stops_the_task(tmp_path: Path, token: str) -> None:
    task = {"script": ["sleep TOKEN; :"], "timeout": "2s"}
    with house(tmp_path, token, {"p": {"on_daemon_crash": "adopt", "tasks": {"t": task}}}) as it:
        job, began = it.daemon.schedule("p"), time.monotonic()
        wait_for(lambda: living(token) == 1, "the process")
        it.kill()
        wait_for(lambda: time.monotonic() > began + 3, "the time-out")
        assert living(token) == 1
        it.next()
        end = it.daemon.end(job)
        assert (end["errored"], end["lastError"]) == (True, "timed out after 2s")
        assert living(token) == 0


def test_what_is_not_to_be_adopted_is_stopped_as_ever(tmp_path: Path, token: str) -> None:
    pipelines = {"p": {"tasks": {"t": {"script": ["sleep TOKEN; :"]}}}}
    with house(tmp_path, token, pipelines) as it:
        job = it.daemon.schedule("p")
        wait_for(lambda: living(token) == 1, "the process")
        assert it.records() == []
        it.kill()
        it.next()
        assert it.daemon.end(job)["canceled"]
        assert living(token) == 0


@pytest.mark.parametrize("containment", ALL)
def test_20_tasks_are_handed_over_three_times_in_a_row(tmp_path: Path, token: str, containment: str) -> None:
    script = ['echo "$TASK_NAME" >>ran; echo before', until("go"), "echo after; exit ${TASK_NAME#t}"]
    pipeline = {
        "continue_running_tasks_after_failure": True,
        "tasks": {f"t{number}": {"script": script} for number in range(20)},
    }
    flags = ("--containment", containment, "--handover")
    with house(tmp_path, token, {"wide": pipeline, "next": {"tasks": {"t": {"script": ["true"]}}}}, *flags) as it:
        job = it.daemon.schedule("wide")
        wait_for(lambda: len((tmp_path / "ran").read_text().split()) == 20 if (tmp_path / "ran").exists() else 0, "all")
        for _ in range(3):
            assert it.hand_over() == 0
            assert "handing over" in it.daemon.log.read_text()
            it.next()
            assert {status for status, _ in it.tasks(job).values()} == {"running"}
        (tmp_path / "go").touch()
        it.daemon.end(job)
        ends = {f"t{number}": ("error" if number else "done", number) for number in range(20)}
        assert it.tasks(job) == ends
        assert len((tmp_path / "ran").read_text().split()) == 20
        assert {it.log(job, name)["stdout"] for name in ends} == {"before\nafter\n"}
        assert not it.daemon.end(it.daemon.schedule("next"))["errored"]
        wait_for(lambda: it.records() == [], "the end of the records")
        assert it.daemon.zombies() == 0


def test_without_the_flag_sigusr2_is_refused_and_kills_nobody(tmp_path: Path, token: str) -> None:
    with house(tmp_path, token, {"p": {"tasks": {"t": {"script": [until("go")]}}}}) as it:
        job = it.daemon.schedule("p")
        it.running(job, "t")
        it.daemon.process.send_signal(signal.SIGUSR2)
        wait_for(lambda: "not handing over" in it.daemon.log.read_text(), "the refusal")
        (tmp_path / "go").touch()
        assert not it.daemon.end(job)["errored"]


def test_a_daemon_that_was_killed_after_a_handover_has_lost_nothing(tmp_path: Path, token: str) -> None:
    """The next daemon dies before it has done anything, and the one after that takes over all the same."""
    pipelines = {"p": {"on_daemon_crash": "adopt", "tasks": {"t": {"script": ["echo x >>ran", until("go"), "exit 5"]}}}}
    with house(tmp_path, token, pipelines, "--handover") as it:
        job = it.daemon.schedule("p")
        it.wait_for_file("ran")
        assert it.hand_over() == 0
        it.next()
        it.kill()
        it.next()
        (tmp_path / "go").touch()
        it.daemon.end(job)
        assert it.tasks(job) == {"t": ("error", 5)}
        assert (tmp_path / "ran").read_text() == "x\n"


def test_a_stop_after_a_handover_ends_what_was_handed_over(tmp_path: Path, token: str) -> None:
    with house(tmp_path, token, {"p": {"tasks": {"t": {"script": ["sleep TOKEN; :"]}}}}, "--handover") as it:
        job = it.daemon.schedule("p")
        wait_for(lambda: living(token) == 1, "the process")
        assert it.hand_over() == 0
        assert living(token) == 1
        it.next()
        it.daemon.process.send_signal(signal.SIGTERM)
        assert it.daemon.process.wait(30) == 0
        assert living(token) == 0
        it.next()
        assert it.daemon.detail(job)["canceled"]


def test_the_environment_the_input_and_the_program_of_a_task_are_the_same_with_a_keeper(
    tmp_path: Path, token: str
) -> None:
    """But for what a shell in between adds."""
    shell = {
        "script": ["env | sort", "cat", "ulimit -n", "trap; kill -l $(( $(grep SigIgn /proc/self/status | wc -l) ))"]
    }
    program = {"script": [f"{sys.executable} -c 'import sys; sys.exit(7)'"]}
    posix = {"script": ["echo one; exit 0", "echo two"], "shell": "sh"}
    killed = {"script": ["kill -KILL $$"]}
    missing = {"script": ["no-such-program-at-all x"]}
    tasks = {"shell": shell, "program": program, "posix": posix, "killed": killed, "missing": missing}
    pipeline = {"continue_running_tasks_after_failure": True, "env": {"f": "1", "t": "2", "s": "3"}, "tasks": tasks}
    with house(tmp_path, token, {"not": pipeline, "kept": {**pipeline, "on_daemon_crash": "adopt"}}) as it:
        found = []
        for name in ("not", "kept"):
            job = it.daemon.schedule(name)
            it.daemon.end(job)
            logs = json.dumps({task: it.log(job, task) for task in tasks})
            found.append((it.tasks(job), logs.replace(job, "JOB").replace(f"PIPELINE={name}", "PIPELINE=")))
        assert found[0] == found[1]


def test_a_task_whose_end_cannot_be_recorded_runs_all_the_same_and_the_log_says_it_as_facts(
    tmp_path: Path, token: str
) -> None:
    with house(tmp_path, token, {"p": {"on_daemon_crash": "adopt", "tasks": {"t": {"script": ["true"]}}}}) as it:
        (tmp_path / ".prunner" / "ends").rename(tmp_path / "elsewhere")
        job = it.daemon.schedule("p")
        assert not it.daemon.end(job)["errored"]
        wait_for(lambda: f"job={job} pipeline=p task=t" in it.daemon.log.read_text(), "the warning")
        (line,) = (line for line in it.daemon.log.read_text().splitlines() if "cannot outlive" in line)
        assert 'level=warning message="a task cannot outlive the daemon" path=' in line
        assert 'error="No such file or directory"' in line


def test_a_task_whose_output_is_limited_is_stopped_by_a_handover_and_its_job_interrupted(
    tmp_path: Path, token: str
) -> None:
    pipelines = {"p": {"tasks": {"t": {"log_limit": "1Mi", "script": ["sleep TOKEN; :"]}}}}
    with house(tmp_path, token, pipelines, "--handover") as it:
        job = it.daemon.schedule("p")
        wait_for(lambda: living(token) == 1, "the process")
        assert it.hand_over() == 0
        assert living(token) == 0
        it.next()
        end = it.daemon.detail(job)
        assert (end["canceled"], end["lastError"]) == (
            True,
            "the daemon was replaced, and a task could not be handed over",
        )
