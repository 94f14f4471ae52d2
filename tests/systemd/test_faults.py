"""What happens to the service when things go wrong."""

import json
import time
from pathlib import Path
from typing import Any

from tests.waiting import wait_for

APP = Path("/srv/app")

Service = Any


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_a_frozen_daemon_is_started_anew_and_its_jobs_have_a_true_end(service: Service) -> None:
    service.start(WatchdogSec="1")
    runs, waits = service.begun("obey"), service.schedule("obey")
    before = service.processes()
    assert len(before) > 1
    service.freeze()
    service.restarted(1)
    assert "Watchdog timeout" in service.journal()
    assert "Fatal Python error: Aborted" in service.journal(), "the place where it hung"
    assert service.detail(runs)["canceled"]
    wait_for(lambda: "begun" in service.output(waits), "the job that had waited to run")
    assert alive(before) == []


def test_a_daemon_that_has_a_lot_to_do_is_left_alone(service: Service) -> None:
    tasks = {f"t{number}": {"script": ["seq 200"]} for number in range(100)}
    definitions = {"pipelines": {"busy": {"concurrency": 3, "tasks": tasks}}}
    (APP / "pipelines.yml").write_text(json.dumps(definitions))
    service.start(WatchdogSec="2")
    before, began = service.pid, time.monotonic()
    while time.monotonic() < began + 6:
        jobs = [service.schedule("busy") for _ in range(6)]
        for job in jobs:
            assert service.ended(job)["completed"]
    assert (service.pid, service.show("NRestarts")) == (before, "0")


def test_after_sigkill_to_everybody_waiting_jobs_run_and_running_ones_are_canceled(service: Service) -> None:
    service.start()
    runs, waits = service.begun("one"), service.schedule("one")
    before = service.processes()
    service.ctl("kill", "-s", "KILL", service.name)
    service.restarted(1)
    assert service.detail(runs)["canceled"]
    assert service.detail(runs)["lastError"]
    (APP / "go").touch()
    assert service.ended(waits)["completed"]
    assert alive(before) == []


def test_after_sigkill_to_everybody_a_job_that_may_runs_again(service: Service) -> None:
    service.start()
    runs = service.begun("again")
    before = service.processes()
    service.ctl("kill", "-s", "KILL", service.name)
    service.restarted(1)
    assert alive(before) == []
    wait_for(lambda: "begun" in service.output(runs), "the second attempt")
    assert not service.detail(runs)["completed"]
    (APP / "go").touch()
    assert service.ended(runs)["completed"]


def test_after_sigkill_to_the_daemon_alone_nothing_of_its_jobs_is_left(service: Service) -> None:
    service.start()
    service.begun("ignore")
    service.begun("hide")
    before = service.processes()
    service.ctl("kill", "--kill-whom=main", "-s", "KILL", service.name)
    service.restarted(1)
    assert alive(before) == []


def test_the_journal_has_priorities_and_fields(service: Service) -> None:
    service.start()
    job = service.begun("obey")
    service.ctl("kill", "-s", "KILL", service.name)
    service.restarted(1)
    wait_for(lambda: service.fields(f"PRUNNER_JOB={job}", "-p", "warning"), "the warning")
    entries = service.fields(f"PRUNNER_JOB={job}")
    assert {entry["_SYSTEMD_UNIT"] for entry in entries} == {"prunner-trio.service"}
    assert {entry["PRUNNER_PIPELINE"] for entry in entries} == {"obey"}
    assert {entry["SYSLOG_IDENTIFIER"] for entry in entries} == {"prunner-trio"}
    started, interrupted = entries[0], entries[-1]
    assert started["PRIORITY"] == "6"
    assert interrupted["PRIORITY"] == "4"
    assert interrupted["MESSAGE"].startswith("job interrupted ")


def test_the_journal_can_be_asked_for_one_task(service: Service) -> None:
    service.start("--verbose")
    job = service.schedule("quick")
    assert service.ended(job)["completed"]
    entries = service.fields(f"PRUNNER_JOB={job}", "PRUNNER_TASK=t")
    assert [entry["PRUNNER_STATE"] for entry in entries][-2:] == ["running", "done"]
    assert {entry["PRIORITY"] for entry in entries} == {"7"}


def test_a_start_that_fails_says_why_in_the_journal(service: Service) -> None:
    (APP / "pipelines.yml").write_text("pipelines: {quick: {tasks: {t: {scrpt: [echo]}}}}")
    service.install(Restart="no")
    service.ctl("start", "--no-block", service.name)
    wait_for(lambda: service.show("ActiveState") == "failed", "the failure")
    assert "scrpt" in service.journal("-p", "err")
