"""What each way of killing that systemd knows does to jobs and their processes."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from tests.waiting import wait_for

Service = Any


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


@pytest.mark.parametrize("mode", ["mixed", "process"])
@pytest.mark.parametrize("containment", ["cgroup", "subreaper"])
def test_a_stop_leaves_nothing_and_keeps_what_waits(service: Service, mode: str, containment: str) -> None:
    service.start("--containment", containment, KillMode=mode)
    ends = [service.begun(name) for name in ("obey", "ignore", "hide")]
    waits, before = service.schedule("obey"), service.processes()
    assert len(before) > len(ends)
    service.ctl("stop", service.name)
    assert (service.show("ActiveState"), service.show("Result")) == ("inactive", "success")
    assert alive(before) == []
    service.ctl("start", service.name)
    details = [service.detail(job) for job in ends]
    assert [detail["canceled"] for detail in details] == [True, True, True], details
    wait_for(lambda: "begun" in service.output(waits), "the job that had waited to run")


@pytest.mark.parametrize("containment", ["cgroup", "subreaper"])
def test_a_stop_that_signals_tasks_too_leaves_nothing_and_completes_no_job(service: Service, containment: str) -> None:
    service.start("--containment", containment, KillMode="control-group")
    ends, before = [service.begun(name) for name in ("obey", "ignore", "hide")], service.processes()
    assert len(before) > len(ends)
    service.ctl("stop", service.name)
    assert (service.show("ActiveState"), service.show("Result")) == ("inactive", "success")
    assert alive(before) == []
    service.ctl("start", service.name)
    # A task may die of systemd's signal before the daemon has heard of its own: then it is an error.
    details = [service.detail(job) for job in ends]
    assert [detail["canceled"] or detail["errored"] for detail in details] == [True, True, True], details


@pytest.mark.parametrize(("mode", "lives"), [("mixed", False), ("control-group", False), ("process", True)])
def test_a_process_that_may_stay_outlives_a_stop_only_if_systemd_lets_it(
    service: Service, mode: str, lives: bool
) -> None:
    service.start(KillMode=mode)
    kept = int(service.run("keep"))
    service.ctl("stop", service.name)
    try:
        assert alive([kept]) == ([kept] if lives else [])
        service.ctl("start", service.name)
        assert service.run("quick") == "quick\n"
        assert alive([kept]) == ([kept] if lives else [])
    finally:
        for pid in alive([kept]):
            os.kill(pid, signal.SIGKILL)


def test_what_systemd_leaves_of_a_daemon_that_died_the_next_one_brings_down(service: Service) -> None:
    service.start(KillMode="process")
    jobs = [service.begun("ignore"), service.begun("hide")]
    before = service.processes()
    service.ctl("kill", "--kill-whom=main", "-s", "KILL", service.name)
    service.restarted(1)
    assert [service.ended(job)["canceled"] for job in jobs] == [True, True]
    assert alive(before) == []
