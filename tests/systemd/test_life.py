"""The life of the service: start, status, reload, stop."""

import os
import pwd
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from tests.waiting import wait_for

APP = Path("/srv/app")
DYNAMIC_USERS = range(61184, 65520)
PROGRAM = "/opt/prunner-trio/bin/prunner-trio"

Service = Any


@pytest.mark.parametrize("flags", [(), ("--strict",), ("--run-as", "dynamic"), ("--run-as", "dynamic", "--strict")])
def test_started_means_that_requests_are_answered_and_jobs_run(service: Service, flags: tuple[str, ...]) -> None:
    service.start(*flags)
    assert service.show("ActiveState") == "active"
    assert service.show("StatusText").startswith("listening on 127.0.0.1:9009")
    user, directory, *environment = service.run("who").splitlines()
    assert directory == str(APP)
    if "dynamic" in flags:
        assert int(user) in DYNAMIC_USERS
    else:
        assert int(user) == pwd.getpwnam("prunner-trio").pw_uid
    names = {line.partition("=")[0] for line in environment}
    assert not names & {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "PRUNNER_JWT_SECRET"}


def test_strict_leaves_the_application_writable_and_little_else(service: Service) -> None:
    text = (APP / "pipelines.yml").read_text()
    (APP / "pipelines.yml").write_text(
        f"{text}  write:\n    tasks:\n      t:\n        script:\n"
        "          - echo x > made; cat made; touch /tmp/made && echo tmp; touch /opt/made || echo none\n"
    )
    service.start("--strict")
    assert service.run("write").splitlines() == ["x", "tmp", "none"]
    assert (APP / "made").exists()
    assert not Path("/tmp/made").exists()


def test_the_status_counts_jobs(service: Service) -> None:
    service.start()
    for _ in range(5):
        service.schedule("hold")
    service.status_becomes("3 running, 2 waiting")
    (APP / "go").touch()
    service.status_becomes("0 running, 0 waiting")


@pytest.mark.parametrize("flags", [(), ("--strict",), ("--run-as", "dynamic")])
def test_systemd_has_no_complaint_about_the_units(service: Service, flags: tuple[str, ...]) -> None:
    service.install(*flags)
    done = subprocess.run(
        [
            "systemd-analyze",
            "verify",
            "/etc/systemd/system/prunner-trio.service",
            "/etc/systemd/system/prunner-trio.socket",
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, [line for line in done.stderr.splitlines() if "prunner" in line]) == (0, [])


def test_systemd_has_no_complaint_about_the_unit_of_a_user(service: Service, tmp_path: Path) -> None:
    service.install()
    unit = tmp_path / "prunner-trio.service"
    unit.write_text(subprocess.check_output([PROGRAM, "systemd-unit", "--user", "--path", str(APP)], text=True))
    done = subprocess.run(
        ["systemd-analyze", "--user", "verify", str(unit)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
    )
    assert (done.returncode, [line for line in done.stderr.splitlines() if "prunner" in line]) == (0, [])


def test_reload_takes_new_definitions(service: Service) -> None:
    service.start()
    before = service.pid
    (APP / "pipelines.yml").write_text("pipelines: {new: {tasks: {t: {script: [echo]}}}}")
    service.ctl("reload", service.name)
    wait_for(lambda: service.ask("GET", "/pipelines/")[1]["pipelines"][0]["pipeline"] == "new", "the new definition")
    wait_for(lambda: service.show("ActiveState") == "active", "the end of the reload")
    assert service.pid == before


@pytest.mark.parametrize("name", ["HUP", "USR1"])
def test_a_signal_reloads_too(service: Service, name: str) -> None:
    service.start()
    runs, before = service.begun("one"), service.pid
    (APP / "pipelines.yml").write_text("pipelines: {new: {tasks: {t: {script: [echo]}}}}")
    service.ctl("kill", "--kill-whom=main", "-s", name, service.name)
    wait_for(lambda: service.ask("GET", "/pipelines/")[1]["pipelines"][0]["pipeline"] == "new", "the new definition")
    (APP / "go").touch()
    assert service.ended(runs)["completed"]
    assert service.pid == before


def test_reload_of_broken_files_fails_and_changes_nothing(service: Service) -> None:
    service.start()
    (APP / "pipelines.yml").write_text("pipelines: {quick: {tasks: {t: {scrpt: [echo]}}}}")
    assert subprocess.run(["systemctl", "reload", service.name], capture_output=True, timeout=60).returncode != 0
    assert service.show("ActiveState") == "active"
    assert "scrpt" in service.journal()
    assert service.run("quick") == "quick\n"


def test_a_reload_that_went_wrong_is_in_the_status(service: Service) -> None:
    service.start()
    good = (APP / "pipelines.yml").read_text()
    (APP / "pipelines.yml").write_text("pipelines: {quick: {tasks: {t: {scrpt: [echo]}}}}")
    service.ctl("kill", "--kill-whom=main", "-s", "HUP", service.name)
    service.status_becomes("the definition files have problems")
    wait_for(lambda: service.show("ActiveState") == "active", "the end of the reload")
    (APP / "pipelines.yml").write_text(good)
    service.ctl("reload", service.name)
    wait_for(lambda: service.show("StatusText") == "0 running, 0 waiting", "a clean status")


@pytest.mark.parametrize("containment", ["cgroup", "subreaper"])
def test_a_stop_ends_tasks_that_obey_and_tasks_that_do_not(service: Service, containment: str) -> None:
    service.start("--containment", containment)
    obeys, ignores, waits = service.begun("obey"), service.begun("ignore"), service.schedule("obey")
    service.ctl("stop", service.name)
    assert (service.show("ActiveState"), service.show("Result")) == ("inactive", "success")
    service.ctl("start", service.name)
    assert service.detail(obeys)["canceled"]
    assert service.detail(ignores)["canceled"]
    wait_for(lambda: "begun" in service.output(waits), "the job that had waited to run")


def test_what_outlives_the_time_for_a_stop_is_killed_and_the_job_is_known_to_be_canceled(service: Service) -> None:
    service.start(TimeoutStopSec="1")
    job = service.begun("resist")
    service.ctl("stop", service.name)
    assert service.show("Result") == "timeout"
    service.ctl("start", service.name)
    assert service.detail(job)["canceled"]


def test_a_drain_may_take_longer_than_a_stop(service: Service) -> None:
    service.start(TimeoutStopSec="1")
    job = service.begun("one")
    service.ctl("kill", "--kill-whom=main", "-s", "INT", service.name)
    service.status_becomes("draining, 1 running")
    began = time.monotonic()
    wait_for(lambda: time.monotonic() > began + 2.5, "more time to pass than a stop may take")
    assert service.detail(job)["completed"] is False
    (APP / "go").touch()
    wait_for(lambda: service.show("ActiveState") == "inactive", "the end of the drain")
    assert service.show("Result") == "success"
    service.ctl("start", service.name)
    assert service.detail(job)["completed"]


def test_a_request_that_is_made_while_the_daemon_is_down_is_answered(service: Service) -> None:
    service.start()  # makes the secret
    service.ctl("stop", service.name)
    service.ctl("start", "prunner-trio.socket")
    assert service.show("ActiveState") == "inactive"
    assert service.run("quick") == "quick\n"
    assert service.show("ActiveState") == "active"
    assert service.show("TriggeredBy") == "prunner-trio.socket"


def test_nobody_is_refused_during_a_restart_behind_a_socket(service: Service) -> None:
    service.start()
    service.ctl("stop", service.name)
    service.ctl("start", "prunner-trio.socket")
    refused: list[OSError] = []
    over = threading.Event()

    def connect() -> None:
        while not over.is_set():
            try:
                socket.create_connection(("127.0.0.1", 9009), timeout=30).close()
            except OSError as exc:
                refused.append(exc)
            time.sleep(0.005)

    thread = threading.Thread(target=connect)
    thread.start()
    try:
        assert service.run("quick") == "quick\n"
        service.ctl("restart", service.name)
        assert service.run("quick") == "quick\n"
    finally:
        over.set()
        thread.join()
    assert refused == []


@pytest.mark.parametrize("flags", [(), ("--strict",), ("--run-as", "dynamic")])
def test_a_process_that_hides_is_gone_after_a_cancel(service: Service, flags: tuple[str, ...]) -> None:
    service.start(*flags)
    job = service.begun("hide")
    hidden = Path("/proc") / Path("/var/lib/prunner-trio/hidden").read_text().strip()
    _, parent, _, session = (hidden / "stat").read_text().rpartition(")")[2].split()[:4]
    assert (int(parent), session) == (service.pid, hidden.name)
    assert b"PRUNNER" not in (hidden / "environ").read_bytes()
    assert int(hidden.name) in service.processes()
    assert service.ask("POST", f"/job/cancel?id={job}")[0] == 200
    assert service.ended(job)["canceled"]
    assert not hidden.exists()
    assert service.processes() == [service.pid]
