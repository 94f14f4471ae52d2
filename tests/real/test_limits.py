"""Limits of memory, processor time and processes, as the kernel enforces them."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import trio
from tests.processes import cgroup_works

from prunner_trio import Containment, Definitions, JobView, Limits, PipelineDef, State, Stream, TaskDef, open_runner
from prunner_trio.execution.seams import Command
from prunner_trio.launch import limits, missing_limits, open_launcher
from prunner_trio.launch.cgroup import Leaves
from prunner_trio.launch.limits import Enclosures, _find_place
from prunner_trio.launch.standing import find_parent

pytestmark = pytest.mark.real

MISSING = missing_limits()
ROOM = 64 << 20
EATER = "tail /dev/zero"
"""Wants all memory that there is: it keeps the last lines, and there is but one."""


def needs(*names: str) -> pytest.MarkDecorator:
    lacking = {name: MISSING[name] for name in names if name in MISSING}
    return pytest.mark.skipif(bool(lacking), reason=f"this machine lacks {lacking}")


def namespaces_work() -> bool:
    async def main() -> bool:
        try:
            async with open_launcher(Containment.PIDNS):
                return True
        except RuntimeError:
            return False

    return trio.run(main)


ALL = [
    Containment.GROUP,
    Containment.SUBREAPER,
    pytest.param(
        Containment.CGROUP, marks=pytest.mark.skipif(not cgroup_works(), reason="needs a writable cgroup v2 directory")
    ),
    pytest.param(Containment.PIDNS, marks=pytest.mark.skipif(not namespaces_work(), reason="may not make namespaces")),
]


def run(
    *script: str,
    containment: Containment = Containment.SUBREAPER,
    optional: bool = False,
    shell: str | None = None,
    **limits: float,
) -> tuple[JobView, str]:
    results = []

    async def main() -> None:
        task = TaskDef("t", script, limits=Limits(**limits), limits_optional=optional, shell=shell)  # type: ignore[arg-type]
        with trio.fail_after(120):
            async with open_runner(Definitions.of(PipelineDef("p", (task,))), containment=containment) as runner:
                job = await runner.schedule("p")
                view = await job.wait()
                results.append((view, (await runner.output.read(job.id, "t", Stream.STDOUT, 0, 9999)).decode()))

    trio.run(main)
    return results[0]


def groups() -> list[Path]:
    found = []
    for controller in ("memory", "cpu", "pids"):
        try:
            place = _find_place(controller)
        except OSError:
            continue
        found += [path for path in place.glob("prunner.*") if path.name.split(".")[1].split("-")[0] == str(os.getpid())]
    return found


@needs("memory")
@pytest.mark.parametrize("containment", ALL)
@pytest.mark.parametrize("script", [EATER, f"{EATER}; exit $?", f"exec {EATER}", f"(setsid {EATER}); exit $?"])
def test_who_needs_too_much_memory_is_killed_and_the_task_says_so(containment: Containment, script: str) -> None:
    view, _ = run(script, containment=containment, memory=ROOM)
    (task,) = view.tasks
    assert (task.state, task.exit_code) == (State.ERROR, 137)
    assert task.reason == view.error == "killed: out of memory (limit 64 MiB)"
    assert task.peak_memory is not None
    assert ROOM // 2 < task.peak_memory <= ROOM
    assert groups() == []


@needs("memory")
def test_a_script_may_go_on_after_a_process_was_killed_for_its_memory() -> None:
    view, said = run(f"{EATER} || echo rescued", memory=ROOM)
    assert (view.state, said) == (State.DONE, "rescued\n")


@needs("memory")
def test_a_failure_after_a_process_was_killed_for_its_memory_tells_of_it() -> None:
    view, _ = run(f"{EATER} || exit 3", memory=ROOM)
    assert view.error == "exit status 3, a process was killed: out of memory (limit 64 MiB)"


@needs("memory")
def test_all_processes_of_a_task_count_together() -> None:
    python = f"{sys.executable} -c 'import signal; data = bytearray(30 << 20); signal.pause()'"
    view, _ = run(f"{python} & {python} & {python} & wait -n; exit 1", memory=ROOM)
    assert "out of memory" in view.error


@needs("memory")
def test_a_task_within_its_limit_is_left_alone_and_tells_what_it_used() -> None:
    view, _ = run(f"{sys.executable} -c 'data = bytearray(40 << 20)'", memory=256 << 20)
    assert view.state is State.DONE
    assert view.tasks[0].peak_memory is not None
    assert 40 << 20 < view.tasks[0].peak_memory < 256 << 20


@needs("processes")
@pytest.mark.parametrize("containment", ALL)
def test_no_more_processes_than_allowed_can_be_started(containment: Containment) -> None:
    # bash would try again for half a minute.
    view, _ = run("for i in 1 2 3 4 5 6 7 8; do sleep 9999 & done", containment=containment, shell="sh", processes=5)
    assert view.state is State.ERROR
    assert view.error.endswith("no more than 5 processes were allowed")
    assert groups() == []


@needs("processes")
def test_a_fork_bomb_is_contained_and_nothing_of_it_is_left() -> None:
    view, _ = run("f() { setsid sleep 9481.25 & f & f; }; f; wait", shell="sh", processes=30)
    assert view.state is State.ERROR
    found = subprocess.run(["pgrep", "-f", "^sleep 9481.25"], capture_output=True, check=False)
    assert found.stdout == b""


@needs("cpu", "memory", "processes")
@pytest.mark.skipif(not Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").exists() and MISSING == {}, reason="version 2")
def test_the_first_command_of_a_script_is_bound_already() -> None:
    show = "; ".join(
        f"cat /sys/fs/cgroup/{controller}$(grep :{controller}: /proc/self/cgroup | cut -d: -f3)/{file}"
        for controller, file in [("cpu", "cpu.cfs_quota_us"), ("memory", "memory.limit_in_bytes"), ("pids", "pids.max")]
        if (_find_place(controller) / "cgroup.procs").exists()
    )
    _, said = run(show, cpu=0.25, memory=ROOM, processes=50)
    assert said.split() == ["25000", str(ROOM), "50"]


@needs("memory")
def test_a_command_of_a_library_without_a_script_is_bound_too(tmp_path: Path) -> None:
    path = tmp_path / "out"

    async def main() -> None:
        fd = os.open(path, os.O_RDWR | os.O_CREAT)

        class Output:
            def fileno(self, stream: Stream) -> int:
                return fd

        command = Command(("grep", ":memory:", "/proc/self/cgroup"), "/", limits=Limits(memory=ROOM))
        async with open_launcher(Containment.SUBREAPER) as launcher:
            proc = await launcher.launch(command, dict(os.environ), Output())  # type: ignore[arg-type]
            assert await proc.wait() == 0
            await proc.wait_gone()
            assert proc.close().peak_memory is not None
        os.close(fd)

    trio.run(main)
    assert "/prunner." in path.read_text()


@pytest.mark.parametrize("optional", [False, True])
def test_a_limit_that_cannot_be_enforced_fails_the_task_unless_it_is_optional(
    monkeypatch: pytest.MonkeyPatch, optional: bool
) -> None:
    lacking = Enclosures({"memory": "no control groups here"}, None, True, frozenset(), {})
    monkeypatch.setattr(Enclosures, "open", lambda *_: lacking)
    view, said = run("echo ran", memory=ROOM, optional=optional)
    if optional:
        assert (view.state, said) == (State.DONE, "ran\n")
    else:
        assert view.error == "this machine cannot enforce the limit 'memory': no control groups here"
        assert said == ""


def test_a_limit_that_the_kernel_refuses_fails_the_task_and_leaves_nothing() -> None:
    if "processes" in MISSING:
        pytest.skip("needs control groups")
    view, said = run("echo ran", processes=2**62)
    assert view.error.startswith("cannot set the limits of the task: /")
    assert (said, groups()) == ("", [])


def test_processor_time_is_counted_with_and_without_limits() -> None:
    burn = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"
    for script in (
        burn,
        f"({burn})",
        f"(setsid sh -c '{burn}; :' &); sleep 0.1; while pgrep -f '^sh -c i=0' >&2; do :; done",
    ):
        view, _ = run(script)
        assert view.tasks[0].cpu_seconds is not None
        assert view.tasks[0].cpu_seconds > 0.02, script


def test_a_task_that_is_let_go_is_not_bound_any_more() -> None:
    if "processes" in MISSING:
        pytest.skip("needs control groups")
    script = "sleep 9482.25 & exit 0"

    async def main() -> None:
        from prunner_trio import Orphans

        task = TaskDef("t", (script,), limits=Limits(processes=50), orphans=Orphans.KEEP)
        async with open_runner(Definitions.of(PipelineDef("p", (task,))), containment=Containment.SUBREAPER) as runner:
            await (await runner.schedule("p")).wait()

    trio.run(main)
    pids = subprocess.run(["pgrep", "-f", "^sleep 9482.25"], capture_output=True, check=True, text=True).stdout.split()
    try:
        assert len(pids) == 1
        assert "prunner." not in Path(f"/proc/{pids[0]}/cgroup").read_text()
        assert groups() == []
    finally:
        for pid in pids:
            os.kill(int(pid), 9)


@pytest.mark.skipif(not cgroup_works(), reason="needs a writable cgroup v2 directory")
def test_a_daemon_makes_room_for_controllers_by_moving_below_its_group() -> None:
    """Tried with any controller that version 2 has here; the kernel refuses it while the group has processes."""
    parent = find_parent()
    assert parent is not None
    offered = (parent / "cgroup.controllers").read_text().split()
    if not offered:
        pytest.skip("no controller in version 2")
    code = """
import os, sys
from pathlib import Path
from prunner_trio.launch.standing import find_parent
from prunner_trio.launch.limits import enable_controllers
group, controller = Path(sys.argv[1]), sys.argv[2]
(group / "cgroup.procs").write_text(str(os.getpid()))
assert enable_controllers(group, [controller, "nonsense"]) == {controller}
assert (group / "cgroup.subtree_control").read_text().split() == [controller]
assert (group / "main-of-prunner" / "cgroup.procs").read_text().split() == [str(os.getpid())]
assert find_parent() == group
assert enable_controllers(group, [controller]) == {controller}
"""
    control = parent / "cgroup.subtree_control"
    had = offered[0] in control.read_text().split()
    if not had:
        control.write_text(f"+{offered[0]}")
    group = parent / f"test-of-prunner-{os.getpid()}"
    group.mkdir()
    try:
        subprocess.run([sys.executable, "-c", code, str(group), offered[0]], check=True, timeout=60)
    finally:
        (group / "main-of-prunner").rmdir()
        group.rmdir()
        if not had:
            control.write_text(f"-{offered[0]}")


@pytest.mark.skipif(not cgroup_works(), reason="needs a writable cgroup v2 directory")
def test_the_group_of_tasks_with_limits_tells_whose_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a daemon of another data directory, which starts when this one has died, would end them."""
    monkeypatch.setattr(limits, "enable_controllers", lambda *_: frozenset({"pids"}))
    with contextlib.closing(Enclosures.open(None, find_parent(), "our.place")) as enclosures:
        assert enclosures.leaves is not None
        assert enclosures.leaves.home.name.endswith("-our.place")


def test_version_2_gets_its_settings_in_the_group_of_the_task(tmp_path: Path) -> None:
    leaves = Leaves(tmp_path)
    enclosures = Enclosures({}, leaves, False, frozenset({"memory", "cpu", "processes"}), {})
    leaf = leaves.new(once=True)
    for file in ("memory.max", "memory.swap.max", "cpu.max", "pids.max"):
        (leaf.path / file).touch()
    (leaf.path / "memory.events").write_text("low 0\noom 3\noom_kill 1\n")
    (leaf.path / "memory.peak").write_text("12345\n")
    (leaf.path / "pids.events").write_text("max 0\n")
    (leaf.path / "cpu.stat").write_text("usage_usec 1500000\nuser_usec 1\n")
    enclosure = enclosures.new(Limits(memory=ROOM, cpu=1.5, processes=7), leaf)
    texts = {file: (leaf.path / file).read_text() for file in ("memory.max", "memory.swap.max", "cpu.max", "pids.max")}
    assert texts == {"memory.max": str(ROOM), "memory.swap.max": "0", "cpu.max": "150000 100000", "pids.max": "7"}
    assert (enclosure.join_files, enclosure.peak_memory(), enclosure.reached()) == ((), 12345, {"memory"})
    assert leaf.cpu_seconds() == 1.5
    assert enclosures.needs_leaf(Limits(cpu=1.0))
    assert not enclosures.needs_leaf(Limits())
