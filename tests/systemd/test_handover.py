"""Jobs that outlive the daemon: a restart of the service, and its death."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.waiting import wait_for

APP = Path("/srv/app")

DEFINITIONS = """
pipelines:
  long:
    tasks:
      a: {script: ["echo begun; while [ ! -e go ]; do sleep 0.02; done; echo ended; exit 7"]}
      b: {script: [echo b], depends_on: [c]}
      c: {script: ["echo begun; while [ ! -e go ]; do sleep 0.02; done; echo ended"]}
    continue_running_tasks_after_failure: true
  adopted:
    on_daemon_crash: adopt
    tasks:
      a: {script: ["echo begun; while [ ! -e go ]; do sleep 0.02; done; echo ended; exit 7"]}
  obey: {tasks: {t: {script: ["echo begun; sleep 84.25"]}}}
  quick: {tasks: {t: {script: [echo quick]}}}
"""

FIRST_WITH_SUBGROUPS = 254
Service = Any


def systemd_version() -> int:
    return int(subprocess.run(["systemctl", "--version"], capture_output=True, text=True, check=True).stdout.split()[1])


def log(service: Service, job: str, task: str) -> str:
    return str(service.ask("GET", f"/job/logs?id={job}&task={task}")[1]["stdout"])


def begun(service: Service, pipeline: str, *tasks: str) -> str:
    job = str(service.schedule(pipeline))
    for task in tasks:
        wait_for(lambda: "begun" in log(service, job, task), f"{pipeline} to begin")  # noqa: B023
    return job


def tasks(service: Service, job: str) -> dict[str, tuple[str, int]]:
    return {task["name"]: (task["status"], task["exitCode"]) for task in service.detail(job)["tasks"]}


def test_a_restart_loses_no_running_job(service: Service) -> None:
    (APP / "pipelines.yml").write_text(DEFINITIONS)
    service.start("--handover")
    if systemd_version() >= FIRST_WITH_SUBGROUPS:
        assert "/main-of-prunner\n" in Path(f"/proc/{service.pid}/cgroup").read_text()
    job = begun(service, "long", "a", "c")
    for _ in range(2):
        before = service.pid
        service.ctl("restart", service.name)
        assert service.pid != before
        assert {status for status, _ in tasks(service, job).values()} == {"running", "waiting"}
    (APP / "go").touch()
    service.ended(job)
    assert tasks(service, job) == {"a": ("error", 7), "b": ("done", 0), "c": ("done", 0)}
    assert (log(service, job, "a"), log(service, job, "b")) == ("begun\nended\n", "b\n")
    assert f"job interrupted job={job}" not in service.journal()
    service.run("quick")
    wait_for(lambda: service.processes() == [service.pid], "the end of all else")


def test_a_daemon_that_dies_loses_no_job_that_is_to_be_adopted(service: Service) -> None:
    (APP / "pipelines.yml").write_text(DEFINITIONS)
    service.start("--handover")
    adopted, canceled = begun(service, "adopted", "a"), begun(service, "obey", "t")
    service.ctl("kill", "--kill-whom=main", "-s", "KILL", service.name)
    service.restarted(1)
    assert tasks(service, adopted)["a"][0] == "running"
    assert service.ended(canceled)["canceled"]
    (APP / "go").touch()
    service.ended(adopted)
    assert (tasks(service, adopted), log(service, adopted, "a")) == ({"a": ("error", 7)}, "begun\nended\n")


@pytest.mark.parametrize(
    ("mode", "how", "end"),
    [
        ("mixed", "death", ("canceled", -1)),
        ("mixed", "restart", ("canceled", -1)),
        ("control-group", "death", ("error", 143)),
        ("control-group", "restart", ("canceled", -1)),
    ],
)
def test_under_other_kill_modes_systemd_ends_what_was_to_go_on(
    service: Service, mode: str, how: str, end: tuple[str, int]
) -> None:
    (APP / "pipelines.yml").write_text(DEFINITIONS)
    service.start("--handover", KillMode=mode)
    job = begun(service, "adopted", "a")
    if how == "death":
        service.ctl("kill", "--kill-whom=main", "-s", "KILL", service.name)
        service.restarted(1)
    else:
        service.ctl("restart", service.name)
    service.ended(job)
    assert tasks(service, job) == {"a": end}


def test_a_stop_still_cancels(service: Service) -> None:
    (APP / "pipelines.yml").write_text(DEFINITIONS)
    service.start("--handover")
    job = begun(service, "obey", "t")
    service.ctl("restart", service.name)
    before = service.processes()
    service.ctl("stop", service.name)
    assert [pid for pid in before if Path(f"/proc/{pid}").exists()] == []
    service.ctl("start", service.name)
    assert service.detail(job)["canceled"]
