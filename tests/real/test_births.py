"""Where the processes of a task come into the world: in a cgroup or a PID namespace of its own, never outside."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import trio

from prunner_trio.errors import LaunchError
from prunner_trio.execution.seams import Command, Stream
from prunner_trio.launch import Containment, PosixLauncher, cgroup, open_launcher
from prunner_trio.launch.cgroup import Leaves
from prunner_trio.launch.standing import find_parent, moving, own_group

pytestmark = pytest.mark.real

ENV = {"PATH": os.environ["PATH"]}


def works(containment: Containment) -> bool:
    async def main() -> bool:
        try:
            async with open_launcher(containment):
                return True
        except RuntimeError:
            return False

    return trio.run(main)


needs_cgroup = pytest.mark.skipif(not works(Containment.CGROUP), reason="needs a writable cgroup v2 directory")
needs_namespaces = pytest.mark.skipif(not works(Containment.PIDNS), reason="may not make namespaces")


class Output:
    def __init__(self) -> None:
        self.fd = os.memfd_create("output", os.MFD_CLOEXEC)

    def fileno(self, stream: Stream) -> int:
        return self.fd

    def write(self, stream: Stream, data: bytes) -> None:
        os.write(self.fd, data)

    async def copy(self) -> None:
        raise AssertionError("this output has no limit")

    def close(self) -> None:
        os.close(self.fd)

    def text(self) -> str:
        return os.pread(self.fd, 1 << 16, 0).decode()


@pytest.fixture
def output() -> Iterator[Output]:
    output = Output()
    yield output
    output.close()


def run(containment: Containment, scenario: Callable[[PosixLauncher], Awaitable[None]]) -> None:
    async def main() -> None:
        with trio.fail_after(30):
            async with open_launcher(containment) as launcher:
                await scenario(launcher)

    trio.run(main)


async def outcome(launcher: PosixLauncher, command: Command, output: Output) -> int:
    proc = await launcher.launch(command, ENV, output)
    try:
        return await proc.wait()
    finally:
        proc.signal_tree(signal.SIGKILL)
        with trio.CancelScope(shield=True), trio.move_on_after(5):
            await proc.wait_gone()
        proc.close()


# ---------------------------------------------------------------------------------------------------------- cgroups


@needs_cgroup
@pytest.mark.parametrize(
    "command", [Command(("/bin/cat", "/proc/self/cgroup"), "/"), Command(("bash",), "/", "cat /proc/self/cgroup")]
)
def test_a_task_is_born_in_its_leaf_and_we_are_where_we_were(output: Output, command: Command) -> None:
    before = own_group()

    async def scenario(launcher: PosixLauncher) -> None:
        assert await outcome(launcher, command, output) == 0
        assert "task-" in next(line for line in output.text().splitlines() if line.startswith("0::"))
        assert own_group() == before

    run(Containment.CGROUP, scenario)


@needs_cgroup
def test_a_task_that_is_canceled_while_the_kernel_gets_ready_does_not_start(
    output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []

    async def scenario(launcher: PosixLauncher) -> None:
        monkeypatch.setattr(Leaves, "slow", True)
        with trio.CancelScope() as scope:
            monkeypatch.setattr(Leaves, "get_ready", lambda _: trio.from_thread.run_sync(scope.cancel))
            monkeypatch.setattr(PosixLauncher, "_launch", lambda *words: started.append(words))
            await launcher.launch(Command(("true",), "/"), ENV, output)
        assert scope.cancelled_caught
        assert started == []

    run(Containment.CGROUP, scenario)


@needs_cgroup
def test_a_task_starts_where_no_thread_can_be_had_to_get_ready(output: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_thread(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    async def scenario(launcher: PosixLauncher) -> None:
        monkeypatch.setattr(Leaves, "slow", True)
        monkeypatch.setattr(trio.to_thread, "run_sync", no_thread)
        assert await outcome(launcher, Command(("true",), "/"), output) == 0

    run(Containment.CGROUP, scenario)


@needs_cgroup
def test_a_start_that_fails_leaves_no_leaf_and_us_where_we_were(output: Output) -> None:
    before = own_group()

    async def scenario(launcher: PosixLauncher) -> None:
        with pytest.raises(LaunchError):
            await launcher.launch(Command(("no-such-program",), "/"), ENV, output)
        assert own_group() == before
        assert launcher._leaves is not None
        assert [path for path in launcher._leaves.home.iterdir() if path.is_dir()] == [*launcher._leaves._free]

    run(Containment.CGROUP, scenario)


@needs_cgroup
def test_who_asks_where_we_are_is_not_told_of_a_visit() -> None:
    parent, before, told = find_parent(), own_group(), []
    assert parent is not None
    leaves = Leaves.below(parent)
    leaf = leaves.new()
    asking = threading.Thread(target=lambda: told.append(own_group()))
    free: list[bool] = []
    trying = threading.Thread(target=lambda: free.append(moving.acquire(blocking=False)))
    try:
        with leaf.joined():
            trying.start()
            trying.join()
            asking.start()
            asking.join(0.2)  # long enough to see the leaf, were it not for the lock
        asking.join()
    finally:
        leaf.remove()
        leaves.close()
    assert (free, told) == ([False], [before])


STUCK = """
import os, sys
from pathlib import Path
from prunner_trio.launch import standing
from prunner_trio.launch.cgroup import Leaves
from prunner_trio.launch.standing import own_group, write_file
group = Path(sys.argv[1])
home = own_group()
leaves = Leaves.below(group)
leaf = leaves.new()
real, failing = os.write, [2]
def write(fd, data):
    if fd == leaves._visitor._way_back and failing[0]:
        failing[0] -= 1
        raise OSError(16, "busy")
    return real(fd, data)
standing.os.write = write
"""


def in_a_group(code: str) -> str:
    """Run a program that may end up elsewhere, and clean up behind it."""
    parent = find_parent()
    assert parent is not None
    group = parent / f"test-{os.getpid()}"
    group.mkdir()
    try:
        done = subprocess.run(
            [sys.executable, "-c", STUCK + code, str(group)], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done
        return done.stdout
    finally:
        while not cgroup.removed(group):
            pass


@needs_cgroup
def test_if_we_cannot_come_back_we_go_where_no_leaf_is() -> None:
    said = in_a_group("""
with leaf.joined():
    pass
print(own_group() == group / "main-of-prunner", leaves._visitor.place)
leaf.kill()
write_file(home / "cgroup.procs", "0")
leaves.close()
print("alive")
""")
    assert said.split("\n")[:2] == ["True None", "alive"]


@needs_cgroup
def test_a_leaf_is_not_killed_while_we_are_in_it() -> None:
    said = in_a_group("""
failing[0] = 0
with leaf.joined():
    leaf.kill()
    leaves.close()
print("alive", own_group() == home)
leaves.close()
""")
    assert said == "alive True\n"


@needs_cgroup
def test_groups_that_a_task_makes_itself_are_ended_and_removed(output: Output) -> None:
    script = """
here=$(sed -n 's|^0::|/|p' /proc/self/cgroup); root=$(awk '$3 == "cgroup2" {print $2; exit}' /proc/mounts)
mkdir "$root$here/inner" && setsid sh -c 'echo 0 >"$0/cgroup.procs"; exec sleep 9483.5' "$root$here/inner" &
until grep -q . "$root$here/inner/cgroup.procs"; do :; done
exit 5
"""

    async def scenario(launcher: PosixLauncher) -> None:
        proc = await launcher.launch(Command(("bash",), "/", script), ENV, output)
        assert await proc.wait() == 5
        assert "sleep" in {member.name for member in proc._tree.members()} <= {"bash", "sh", "sleep"}
        proc.signal_tree(signal.SIGKILL)
        await proc.wait_gone()
        proc.close()
        assert launcher._leaves is not None
        while not cgroup.removed(launcher._leaves.home / "task-2"):
            await trio.sleep(0.01)

    run(Containment.CGROUP, scenario)


# ------------------------------------------------------------------------------------------------------- the choice


@needs_cgroup
def test_the_best_means_is_chosen_and_none_that_moves_us_unasked() -> None:
    async def main() -> None:
        async with open_launcher() as launcher:
            assert (launcher.containment, launcher.why_not_better) == (Containment.CGROUP, "")
        async with open_launcher(may_move=False) as launcher:
            assert (launcher.containment, launcher.why_not_better) == (Containment.SUBREAPER, "")

    trio.run(main)


def test_what_was_not_possible_is_named(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_launcher(cgroup_parent=tmp_path) as launcher:
            assert launcher.containment is Containment.SUBREAPER
            assert str(tmp_path) in launcher.why_not_better

    trio.run(main)
    assert list(tmp_path.iterdir()) == []


@needs_cgroup
def test_a_leaf_that_does_not_end_its_processes_is_not_taken_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup.Leaf, "kill", lambda self: None)
    monkeypatch.setattr(cgroup, "_TRIAL", 0.05)

    async def main() -> None:
        async with open_launcher() as launcher:
            assert launcher.containment is Containment.SUBREAPER
            assert "cgroup.kill does not end a process" in launcher.why_not_better

    trio.run(main)


def test_a_namespace_that_cannot_be_had_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(RuntimeError, match="the program unshare"):
        run(Containment.PIDNS, no_task)


async def no_task(launcher: PosixLauncher) -> None:
    pass


# ------------------------------------------------------------------------------------------------------- namespaces


@needs_namespaces
@pytest.mark.parametrize(
    ("command", "status"),
    [
        (Command(("true",), "/"), 0),
        (Command(("sh", "-c", "exit 3"), "/"), 3),
        (Command(("bash",), "/", "exit 255"), 255),
        (Command(("sh", "-c", "kill -KILL $$"), "/"), 137),
        (Command(("bash",), "/", "kill -TERM $$"), 143),
        (Command(("sh", "-c", "kill -KILL 1; exit 4"), "/"), 4),
    ],
)
def test_the_status_comes_out_of_a_namespace(output: Output, command: Command, status: int) -> None:
    async def scenario(launcher: PosixLauncher) -> None:
        assert await outcome(launcher, command, output) == status
        assert output.text() == ""

    run(Containment.PIDNS, scenario)


@needs_namespaces
def test_a_task_in_a_namespace_sees_itself_in_proc_and_inherits_no_descriptor(output: Output) -> None:
    async def scenario(launcher: PosixLauncher) -> None:
        script = "read -r pid rest </proc/self/stat; [ $pid = $$ ] && echo fits; ls -d /proc/[0-9]* | wc -l; "
        script += "for fd in 3 4 5 6 7; do readlink /proc/$$/fd/$fd || :; done"
        assert await outcome(launcher, Command(("sh",), "/", script), output) == 0
        fits, processes, *open_files = output.text().splitlines()
        assert (fits, int(processes) < 9) == ("fits", True)
        assert [name for name in open_files if "socket" in name or "stdout" in name] == []
        assert len(open_files) <= 1  # some shells have their script there

    run(Containment.PIDNS, scenario)


@needs_namespaces
def test_what_is_not_found_is_named_also_with_a_namespace(output: Output) -> None:
    async def scenario(launcher: PosixLauncher) -> None:
        with pytest.raises(LaunchError, match="cannot start no-such-program: No such file or directory"):
            await launcher.launch(Command(("no-such-program",), "/"), ENV, output)
        with pytest.raises(LaunchError, match="cannot start /etc/passwd: Permission denied"):
            await launcher.launch(Command(("/etc/passwd",), "/"), ENV, output)
        with pytest.raises(LaunchError, match="cannot start in /no-such-directory"):
            await launcher.launch(Command(("true",), "/no-such-directory"), ENV, output)

    run(Containment.PIDNS, scenario)


@needs_namespaces
def test_nobody_in_a_namespace_outlives_its_first_process(output: Output) -> None:
    shed = "(ulimit -Sx unlimited; env -i /usr/bin/setsid /bin/sh -c 'trap \"\" INT TERM; sleep 9484.5; :' &)"

    async def scenario(launcher: PosixLauncher) -> None:
        proc = await launcher.launch(Command(("bash",), "/", f"{shed}; sleep 0.1; exit 2"), ENV, output)
        assert await proc.wait() == 2
        assert {member.name for member in proc._tree.members()} == {"sh", "sleep"}
        os.kill(proc.pid, signal.SIGKILL)
        await proc.wait_gone()
        assert proc._tree.members() == []
        proc.close()

    run(Containment.PIDNS, scenario)
    assert subprocess.run(["pgrep", "-f", "sleep 9484.5"], capture_output=True, check=False).stdout == b""


@needs_namespaces
def test_what_we_start_after_a_task_is_in_our_own_namespace(output: Output) -> None:
    async def scenario(launcher: PosixLauncher) -> None:
        assert await outcome(launcher, Command(("true",), "/"), output) == 0
        with pytest.raises(LaunchError):
            await launcher.launch(Command(("no-such-program",), "/"), ENV, output)
        ours = os.readlink("/proc/self/ns/pid")
        shown = await trio.run_process(["readlink", "/proc/self/ns/pid"], capture_stdout=True)
        assert shown.stdout.decode().strip() == ours == os.readlink("/proc/thread-self/ns/pid_for_children")

    run(Containment.PIDNS, scenario)
