"""The daemon in a container made as the example says: process 1, stops, a volume that outlives it."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.waiting import wait_for

Place = Any


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_tasks_run_as_a_user_without_powers_below_the_daemon_that_is_process_1(place: Place) -> None:
    daemon = place.start()
    assert daemon.run("who").splitlines() == ["990", "prunner-trio", "1", "/srv/app"]
    status = Path(f"/proc/{daemon.pid}/status").read_text()
    assert "Uid:\t990\t990\t990\t990\n" in status
    assert "CapEff:\t0000000000000000\n" in status


def test_it_needs_no_capability_and_writes_in_its_volume_and_tmp_alone(place: Place) -> None:
    daemon = place.start("--cap-drop", "all", "--security-opt", "no-new-privileges", "--read-only")
    assert daemon.run("quick") == "quick\n"


def test_the_volume_is_for_the_user_alone(place: Place) -> None:
    daemon = place.start()
    daemon.run("quick")
    listed = daemon.run_in_it("sh", "-c", "cd /var/lib/prunner-trio && stat -c '%U %a' . $(find . -mindepth 1)")
    assert {"prunner-trio 700", "prunner-trio 600"} == set(listed.splitlines())


def test_orphans_of_tasks_and_of_programs_beside_it_are_reaped(place: Place) -> None:
    daemon = place.start()
    daemon.run("orphans")
    wait_for(lambda: daemon.children() == [], "the end of all children, zombies too")
    daemon.run_in_it("sh", "-c", "setsid sleep 0.5 >/dev/null 2>&1 &")
    wait_for(lambda: daemon.children() == [], "the end of the orphan")


def test_a_cancel_reaches_what_hides(place: Place) -> None:
    daemon = place.start()
    job = daemon.begun("hide")
    assert len(daemon.processes()) > 2
    daemon.ask("POST", f"/job/cancel?id={job}")
    assert daemon.ended(job)["canceled"]
    assert daemon.processes() == [daemon.pid]


def test_after_a_stop_nothing_is_left_and_a_new_container_takes_up_what_waits(place: Place) -> None:
    daemon = place.start()
    ends = [daemon.begun(name) for name in ("obey", "ignore", "hide")]
    waits, before = daemon.schedule("obey"), daemon.processes()
    daemon.podman("stop", daemon.name)
    assert (daemon.exit_code, alive(before)) == (0, [])
    daemon.podman("rm", daemon.name)
    following = place.start()
    assert [following.detail(job)["canceled"] for job in ends] == [True, True, True]
    wait_for(lambda: "begun" in following.output(waits), "the job that had waited to run")


def test_jobs_may_end_in_peace_before_it_does(place: Place) -> None:
    daemon = place.start()
    job = daemon.begun("hold")
    daemon.podman("kill", "--signal", "INT", daemon.name)
    wait_for(lambda: "draining" in daemon.log(), "the drain")
    assert not daemon.detail(job)["completed"]
    (place.app / "go").touch()
    assert daemon.podman("wait", daemon.name).strip() == "0"
    assert place.start().detail(job)["completed"]


def test_the_second_sigint_cancels(place: Place) -> None:
    daemon = place.start()
    job, before = daemon.begun("obey"), daemon.processes()
    daemon.podman("kill", "--signal", "INT", daemon.name)
    wait_for(lambda: "draining" in daemon.log(), "the drain")
    daemon.podman("kill", "--signal", "INT", daemon.name)
    assert daemon.podman("wait", daemon.name).strip() == "0"
    assert alive(before) == []
    assert place.start().detail(job)["canceled"]


def test_after_sigkill_a_new_container_knows_every_job(place: Place) -> None:
    daemon = place.start()
    done = daemon.schedule("quick")
    assert daemon.ended(done)["completed"]
    runs, waits, before = daemon.begun("obey"), daemon.schedule("obey"), daemon.processes()
    daemon.podman("kill", "--signal", "KILL", daemon.name)
    assert daemon.podman("wait", daemon.name).strip() == "137"
    assert alive(before) == []
    following = place.start()
    assert following.detail(done)["completed"]
    assert following.ended(runs)["canceled"]
    wait_for(lambda: "begun" in following.output(waits), "the job that had waited to run")


def test_a_second_container_on_the_same_volume_does_not_start(place: Place) -> None:
    first = place.start()
    second = place.new()
    assert second.podman("wait", second.name).strip() == "1"
    assert "in use" in second.log()
    assert first.run("quick") == "quick\n"


@pytest.mark.parametrize("name", ["HUP", "USR1"])
def test_a_signal_reloads_the_definitions(place: Place, name: str) -> None:
    daemon = place.start()
    (place.app / "pipelines.yml").write_text("pipelines: {new: {tasks: {t: {script: [echo]}}}}")
    daemon.podman("kill", "--signal", name, daemon.name)
    wait_for(lambda: daemon.ask("GET", "/pipelines/")["pipelines"][0]["pipeline"] == "new", "the new definition")


def test_a_limit_that_cannot_be_enforced_there_is_refused(place: Place) -> None:
    (place.app / "pipelines.yml").write_text(
        "pipelines: {small: {tasks: {t: {script: [echo], limits: {memory: 64MiB}}}}}"
    )
    daemon = place.new()
    assert daemon.podman("wait", daemon.name).strip() == "1"
    assert "limits" in daemon.log()


def test_the_limits_of_the_container_are_those_of_all_tasks_together(place: Place) -> None:
    text = (place.app / "pipelines.yml").read_text()
    many = "for i in $(seq 60); do sleep 0.5 & done; wait; echo ran"
    (place.app / "pipelines.yml").write_text(f"{text}  many: {{tasks: {{t: {{shell: sh, script: ['{many}']}}}}}}\n")
    daemon = place.start("--pids-limit", "30")
    job = daemon.schedule("many")
    detail = wait_for(lambda: (d := daemon.detail(job)) and d["completed"] and d, "the end")
    assert detail["errored"], (detail, daemon.output(job))
    assert daemon.run("quick") == "quick\n"
    assert subprocess.run(["kill", "-0", str(daemon.pid)]).returncode == 0
