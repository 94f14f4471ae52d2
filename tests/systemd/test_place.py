"""Where the service keeps its data and its control groups, and what tasks may do in it."""

import os
import pwd
import stat
from pathlib import Path
from typing import Any

import pytest
from tests.waiting import wait_for

APP = Path("/srv/app")
STATE = Path("/var/lib/prunner-trio")
GROUPS = Path("/sys/fs/cgroup")

Service = Any


def groups_below(unit: Path) -> dict[Path, set[int]]:
    """Return the control groups with processes in them, and these."""
    found = {file.parent: {int(pid) for pid in file.read_text().split()} for file in unit.rglob("cgroup.procs")}
    return {group: pids for group, pids in found.items() if pids}


def test_each_task_has_a_control_group_of_its_own_below_that_of_the_unit(service: Service) -> None:
    service.start()
    unit = GROUPS / service.show("ControlGroup").lstrip("/")
    jobs = [service.begun("hold"), service.begun("hold")]
    daemon = service.pid
    (own,) = (group for group, pids in groups_below(unit).items() if daemon in pids)
    assert groups_below(unit)[own] == {daemon}
    groups = groups_below(unit).keys() - {own}
    assert len(groups) == len(jobs)
    assert {group.stat().st_uid for group in groups} == {pwd.getpwnam("prunner-trio").pw_uid}
    (APP / "go").touch()
    for job in jobs:
        assert service.ended(job)["completed"]
    # Empty ones may stay, for other tasks, as long as the daemon does.
    wait_for(lambda: groups_below(unit).keys() == {own}, "nobody to be in the control groups")
    service.ctl("stop", service.name)
    assert not any(group.exists() for group in groups)


@pytest.mark.parametrize("flags", [(), ("--run-as", "dynamic")])
def test_the_data_are_for_its_user_alone_and_survive_a_restart(service: Service, flags: tuple[str, ...]) -> None:
    service.start(*flags)
    job = service.schedule("quick")
    assert service.ended(job)["completed"]
    owner = Path(f"/proc/{service.pid}").stat().st_uid
    places = [STATE.resolve(), *STATE.resolve().rglob("*")]
    for place in places:
        found = place.stat()
        wanted = 0o700 if stat.S_ISDIR(found.st_mode) else 0o600
        assert (oct(stat.S_IMODE(found.st_mode)), found.st_uid) == (oct(wanted), owner), place
    assert any(place.name == "config.yml" for place in places)
    service.ctl("restart", service.name)
    assert service.detail(job)["completed"]


def powers(text: str) -> dict[str, str]:
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}


def test_strict_takes_the_powers_of_root_and_the_sight_of_others_from_tasks(service: Service) -> None:
    script = "cat /proc/self/status; if [ -e /proc/%d ]; then echo Seen: yes; else echo Seen: no; fi"
    text = (APP / "pipelines.yml").read_text()
    (APP / "pipelines.yml").write_text(f"{text}  look: {{tasks: {{t: {{script: ['{script % os.getpid()}']}}}}}}\n")
    service.start("--strict")
    strict = powers(service.run("look"))
    assert (strict["NoNewPrivs"], strict["Seccomp"], int(strict["CapBnd"], 16)) == ("1", "2", 0)
    assert strict["Seen"] == "no"
    service.ctl("stop", service.name)
    service.start()
    plain = powers(service.run("look"))
    assert (plain["NoNewPrivs"], plain["Seen"]) == ("0", "yes")
    assert int(plain["CapBnd"], 16) != 0
    assert int(plain["CapEff"], 16) == 0
