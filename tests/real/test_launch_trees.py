"""Ending whole trees of real processes, by each means of containment."""

import contextlib
import errno
import gc
import os
import resource
import shlex
import signal
import subprocess
import sys
import uuid
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import NoReturn

import attrs
import pytest
import trio
from tests.processes import cgroup_works, command_line, everybody, living

from prunner_trio.definition.pipeline import Orphans
from prunner_trio.execution.leaving import see_off
from prunner_trio.execution.seams import Command, Stream, Usage
from prunner_trio.execution.stop import Hurry, StopPolicy
from prunner_trio.launch import Containment, PosixLauncher, PosixProc, crowd, open_launcher, tree
from prunner_trio.launch.procfs import Stat, stat
from prunner_trio.launch.standing import find_parent

pytestmark = pytest.mark.real


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
STRONG = ALL[1:]


@attrs.define(eq=False)
class Bed:
    """A launcher, and a word by which the processes of this test are known in the list of all processes.

    Attributes:
        token: looks like a number of seconds, so that `sleep` takes it.
    """

    launcher: PosixLauncher
    files: "Null"
    token: str
    started: list[PosixProc] = attrs.field(factory=list)

    async def start(self, script: str, env: dict[str, str] | None = None) -> PosixProc:
        command = Command(("bash",), "/", script.replace("TOKEN", self.token))
        proc = await self.launcher.launch(command, {"PATH": os.environ["PATH"], **(env or {})}, self.files)
        self.started.append(proc)
        return proc

    def end(self) -> None:
        """Leave nothing behind when a test has failed."""
        for proc in self.started:
            if proc.pid in tree._leaders:
                proc.signal_tree(signal.SIGKILL)
                proc.close()

    def alive(self, token: str | None = None) -> list[int]:
        return living(token or self.token)

    async def until_alive(self, count: int) -> None:
        while len(self.alive()) < count:
            await trio.sleep(0.01)


class Null:
    """Output that nobody reads."""

    def __init__(self) -> None:
        self.fd = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)

    def fileno(self, stream: Stream) -> int:
        return self.fd

    def write(self, stream: Stream, data: bytes) -> None:
        pass

    def close(self) -> None:
        os.close(self.fd)


@pytest.fixture
def null() -> Iterator[Null]:
    null = Null()
    yield null
    null.close()


def zombie_children() -> list[int]:
    found = []
    for pid in everybody():
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] == "Z" and int(fields[1]) == os.getpid():
            found.append(pid)
    return found


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def stopped(pid: int) -> bool:
    try:
        return ") T " in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


@contextlib.contextmanager
def no_descriptors() -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 8, limits[1]))
    taken = []
    signal.alarm(20)  # a loop that does not turn hears of no time-out
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        signal.alarm(0)
        for fd in taken:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def none_left(process: Stat) -> NoReturn:
    raise OSError(errno.EMFILE, "Too many open files")


async def stop(proc: PosixProc, *grace: tuple[int, float]) -> list[int]:
    """Bring a tree down as the engine does; return the signals that were needed."""
    sent = []
    for sig, seconds in grace or ((signal.SIGINT, 1.0), (signal.SIGTERM, 1.0), (signal.SIGKILL, 5.0)):
        sent.append(int(sig))
        proc.signal_tree(sig)
        with trio.move_on_after(seconds):
            await proc.wait_gone()
            return sent
    raise AssertionError("processes survived")


def run(null: Null, containment: Containment, scenario: Callable[[Bed], Awaitable[None]]) -> None:
    # Unlikely to be the number of seconds that anybody else sleeps.
    token = f"97{uuid.uuid4().int % 10**9:09}.5"

    before = zombie_children()

    async def main() -> None:
        with trio.fail_after(40):
            async with open_launcher(containment) as launcher:
                bed = Bed(launcher, null, token)
                try:
                    await scenario(bed)
                finally:
                    bed.end()

    try:
        trio.run(main)
    finally:
        for pid in everybody():
            if token in " ".join(command_line(pid)):
                os.kill(pid, signal.SIGKILL)
    assert zombie_children() == before


SIMPLE = {
    "plain": ("sleep TOKEN; :", 2),
    "background": ("sleep TOKEN & sleep TOKEN & wait", 3),
    "pipe": ("sleep TOKEN | sleep TOKEN; :", 3),
    "nested shells": ("sh -c 'sleep TOKEN & sh -c \"sleep TOKEN & sleep TOKEN\" & wait'; :", 5),
}
ESCAPING = {
    "own session": ("setsid sleep TOKEN & sleep TOKEN; :", 2),
    "double fork": ("sh -c '(setsid sh -c \"sleep TOKEN; :\" >/dev/null 2>&1 &); sleep TOKEN'; :", 3),
    "nohup": ("nohup setsid sh -c 'sleep TOKEN; sleep TOKEN' >/dev/null 2>&1 & sleep TOKEN; :", 3),
    "own session, emptied environment": ("env -i /usr/bin/setsid /bin/sleep TOKEN & sleep TOKEN; :", 2),
}
UNSEEN = "(env -i /usr/bin/setsid /bin/sleep TOKEN &)"
"""A double fork out of the session with an emptied environment; its parents are gone before anybody looks."""
SHED = "(ulimit -Sx unlimited; env -i /usr/bin/setsid /bin/sleep TOKEN &)"
"""The same, and it takes off the tag too."""


@pytest.mark.parametrize("containment", ALL)
@pytest.mark.parametrize("name", SIMPLE)
def test_an_interrupt_ends_the_whole_tree(null: Null, containment: Containment, name: str) -> None:
    script, count = SIMPLE[name]

    async def scenario(bed: Bed) -> None:
        proc = await bed.start(script)
        await bed.until_alive(count - 1)
        assert await stop(proc) == [signal.SIGINT]
        assert bed.alive() == []
        proc.close()

    run(null, containment, scenario)


@pytest.mark.parametrize("containment", ALL)
@pytest.mark.parametrize("name", ESCAPING)
def test_who_leaves_the_session_is_reached(null: Null, containment: Containment, name: str) -> None:
    script, count = ESCAPING[name]

    async def scenario(bed: Bed) -> None:
        proc = await bed.start(script)
        await bed.until_alive(count)
        await stop(proc)
        assert bed.alive() == []
        proc.close()

    run(null, containment, scenario)


@pytest.mark.parametrize("containment", ALL)
@pytest.mark.parametrize(
    "script",
    [
        "sleep TOKEN &",
        "(sleep TOKEN &)",
        "setsid sleep TOKEN &",
        "(setsid sleep TOKEN &)",
        "(trap '' INT TERM HUP; setsid sleep TOKEN &)",
        "(env -i /usr/bin/setsid /bin/sleep TOKEN &)",
    ],
)
def test_what_a_finished_task_leaves_behind_is_ended(null: Null, containment: Containment, script: str) -> None:
    async def scenario(bed: Bed) -> None:
        proc = await bed.start(f"{script}\nexit 3")
        assert await proc.wait() == 3
        await stop(proc, (signal.SIGINT, 0.3), (signal.SIGTERM, 0.3), (signal.SIGKILL, 5.0))
        assert bed.alive() == []
        proc.close()

    run(null, containment, scenario)


@pytest.mark.parametrize("containment", ALL)
def test_leftovers_are_known_while_other_tasks_run(null: Null, containment: Containment) -> None:
    async def scenario(bed: Bed) -> None:
        other = await bed.start("exec sleep 9999")
        proc = await bed.start("(setsid sleep TOKEN &)")
        await proc.wait()
        while not [pid for pid in bed.alive() if command_line(pid)[:1] == ["sleep"]]:
            await trio.sleep(0.01)
        assert await stop(proc) == [signal.SIGINT]
        assert bed.alive() == []
        await stop(other)
        other.close()
        proc.close()

    run(null, containment, scenario)


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL])
def test_who_was_not_there_yet_gets_the_last_signal_too(null: Null, sig: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(bed: Bed) -> None:
        proc = await bed.start("(setsid sleep TOKEN &)")
        await proc.wait()
        while not [pid for pid in bed.alive() if command_line(pid)[:1] == ["sleep"]]:
            await trio.sleep(0.01)
        with monkeypatch.context() as patch:
            patch.setattr(tree.Trees, "orphans", lambda self: [])
            proc.signal_tree(sig)
        assert len(bed.alive()) == 1
        await proc.wait_gone()
        assert bed.alive() == []
        proc.close()

    run(null, Containment.SUBREAPER, scenario)


def test_without_a_subreaper_leftovers_of_the_group_are_ended(null: Null) -> None:
    async def scenario(bed: Bed) -> None:
        proc = await bed.start("(sleep TOKEN &); exit 3")
        assert await proc.wait() == 3
        assert await stop(proc) == [signal.SIGINT]
        assert bed.alive() == []
        proc.close()

    run(null, Containment.GROUP, scenario)


@pytest.mark.parametrize("containment", STRONG)
def test_an_orphan_with_an_emptied_environment_is_known_if_it_was_seen_before(
    null: Null, containment: Containment
) -> None:
    async def scenario(bed: Bed) -> None:
        other = await bed.start("exec sleep 9999")
        proc = await bed.start(
            "env -i /usr/bin/setsid /bin/sh -c 'trap \"\" INT TERM; sleep TOKEN; :' & sleep TOKEN; :"
        )
        await bed.until_alive(3)
        assert await stop(proc) == [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]
        assert bed.alive() == []
        assert await stop(other) == [signal.SIGINT]
        proc.close()
        other.close()

    run(null, containment, scenario)


async def until_escaped(bed: Bed) -> None:
    """Wait for the last of the three programs: the first ones still have the environment."""
    while not [pid for pid in bed.alive() if command_line(pid)[:1] == ["/bin/sleep"]]:
        await trio.sleep(0.01)


@pytest.mark.parametrize("containment", ALL)
def test_an_unseen_orphan_with_an_emptied_environment_is_known_by_its_tag(null: Null, containment: Containment) -> None:
    async def scenario(bed: Bed) -> None:
        other = await bed.start("exec sleep 9999")
        proc = await bed.start(UNSEEN)
        assert await proc.wait() == 0
        await until_escaped(bed)
        assert await stop(proc) == [signal.SIGINT]
        assert bed.alive() == []
        await stop(other)
        proc.close()
        other.close()

    run(null, containment, scenario)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("containment", STRONG)
def test_an_orphan_that_became_another_user_is_known_by_its_tag(null: Null, containment: Containment) -> None:
    other_user = UNSEEN.replace("/usr/bin/setsid", "setpriv --reuid=65534 --regid=65534 --clear-groups setsid")

    async def scenario(bed: Bed) -> None:
        other = await bed.start("exec sleep 9999")
        proc = await bed.start(other_user)
        assert await proc.wait() == 0
        await until_escaped(bed)
        assert await stop(proc) == [signal.SIGINT]
        assert bed.alive() == []
        await stop(other)
        proc.close()
        other.close()

    run(null, containment, scenario)


@pytest.mark.parametrize("containment", ALL)
def test_in_a_storm_of_escapes_each_stop_ends_its_own_and_no_neighbor(null: Null, containment: Containment) -> None:
    async def scenario(bed: Bed) -> None:
        trees = []
        for number in range(20):
            script = "; ".join([UNSEEN.replace("TOKEN", f"{bed.token}{number}")] * 3)
            trees.append((number, await bed.start(f"{script}; exec sleep 9999")))
        for number, _ in trees:
            while len([p for p in bed.alive(f"{bed.token}{number} ") if is_sleep(p)]) < 3:
                await trio.sleep(0.01)
        for number, proc in trees[::2]:
            assert await stop(proc, (signal.SIGKILL, 5.0)) == [signal.SIGKILL]
            proc.close()
            assert bed.alive(f"{bed.token}{number} ") == []
        for number, _ in trees[1::2]:
            assert len(bed.alive(f"{bed.token}{number} ")) == 3
        async with trio.open_nursery() as nursery:
            for _, proc in trees[1::2]:
                nursery.start_soon(stop, proc)
        assert bed.alive() == []
        for _, proc in trees[1::2]:
            proc.close()

    def is_sleep(pid: int) -> bool:
        return command_line(pid)[:1] == ["/bin/sleep"]

    run(null, containment, scenario)


def test_only_a_cgroup_knows_who_has_taken_off_every_sign(null: Null) -> None:
    if not cgroup_works():
        pytest.skip("needs a writable cgroup v2 directory")

    async def scenario(bed: Bed) -> None:
        other = await bed.start("exec sleep 9999")
        proc = await bed.start(SHED)
        assert await proc.wait() == 0
        await until_escaped(bed)
        await stop(proc)
        assert bed.alive() == []
        await stop(other)
        proc.close()
        other.close()

    run(null, Containment.CGROUP, scenario)


def test_strays_that_no_tree_owns_end_with_the_launcher(null: Null) -> None:
    beds: list[Bed] = []

    async def scenario(bed: Bed) -> None:
        beds.append(bed)
        other = await bed.start("exec sleep 9999")
        proc = await bed.start(SHED)
        assert await proc.wait() == 0
        await until_escaped(bed)
        assert await stop(proc) == [signal.SIGINT]
        assert len(bed.alive()) == 1
        await stop(other)
        proc.close()
        other.close()

    run(null, Containment.SUBREAPER, scenario)
    assert beds[0].alive() == []


@pytest.mark.parametrize("fixed", [0, 1_000_000])
def test_where_the_tag_cannot_be_set_the_other_signs_still_serve(null: Null, fixed: int) -> None:
    """A finite hard limit cannot be raised again, so this happens in a process of its own."""
    code = f"""
import os, resource, signal, trio
from prunner_trio.execution.seams import Command
from prunner_trio.launch import Containment, open_launcher
resource.setrlimit(10, ({fixed}, {fixed}))
class Null:
    def fileno(self, stream): return 2
async def main():
    async with open_launcher(Containment.SUBREAPER) as launcher:
        command = Command(("sh",), "/", "(setsid sleep 9999 &)")
        other = await launcher.launch(Command(("sleep", "9999"), "/"), dict(os.environ), Null())
        proc = await launcher.launch(command, dict(os.environ), Null())
        with trio.fail_after(10):
            assert await proc.wait() == 0
            while not proc._tree.members(): await trio.sleep(0.01)
            for each in (proc, other):
                each.signal_tree(signal.SIGINT)
                await each.wait_gone()
                each.close()
    assert resource.getrlimit(10) == ({fixed}, {fixed})
trio.run(main)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_our_own_limit_is_as_before_after_a_start(null: Null) -> None:
    before = resource.getrlimit(10)

    async def scenario(bed: Bed) -> None:
        proc = await bed.start("exit 0")
        assert resource.getrlimit(10) == before
        await proc.wait()
        proc.close()

    run(null, Containment.GROUP, scenario)


@pytest.mark.parametrize("containment", ALL)
def test_a_background_process_that_ignores_interrupts_is_terminated_at_once(
    null: Null, containment: Containment
) -> None:
    async def scenario(bed: Bed) -> None:
        proc = await bed.start("sh -c 'trap \"\" INT; sleep TOKEN; :' & sleep TOKEN; :")
        await bed.until_alive(3)
        assert await stop(proc) == [signal.SIGINT]
        proc.close()

    run(null, containment, scenario)


@pytest.mark.parametrize("containment", ALL)
def test_who_handles_the_interrupt_keeps_its_time(null: Null, containment: Containment, tmp_path: Path) -> None:
    async def scenario(bed: Bed) -> None:
        code = (
            "import signal, sys, time\n"
            "def end(*_):\n time.sleep(0.3); open('said', 'w').write('bye'); sys.exit(0)\n"
            "signal.signal(signal.SIGINT, end); open('ready', 'w').close()\nwhile True: time.sleep(60)\n"
        )
        (tmp_path / "polite.py").write_text(code)
        proc = await bed.start(f"cd {shlex.quote(str(tmp_path))}; {shlex.quote(sys.executable)} polite.py TOKEN & wait")
        while not (tmp_path / "ready").exists():
            await trio.sleep(0.01)
        assert await stop(proc, (signal.SIGINT, 10.0)) == [signal.SIGINT]
        assert (tmp_path / "said").read_text() == "bye"
        proc.close()

    run(null, containment, scenario)


@pytest.mark.parametrize("containment", ALL)
def test_a_stopped_process_ends_at_the_first_signal(null: Null, containment: Containment) -> None:
    async def scenario(bed: Bed) -> None:
        proc = await bed.start("sleep TOKEN & kill -STOP $!; kill -STOP $$; :")
        while not (members := proc._tree.members()) or not all(stopped(member.pid) for member in members):
            await trio.sleep(0.01)
        assert await stop(proc) == [signal.SIGINT]
        proc.close()

    run(null, containment, scenario)


@pytest.mark.parametrize("containment", ALL)
def test_who_ignores_everything_is_killed(null: Null, containment: Containment) -> None:
    async def scenario(bed: Bed) -> None:
        proc = await bed.start("trap '' INT TERM HUP; while :; do sleep TOKEN; done")
        await bed.until_alive(1)
        needed = await stop(proc, (signal.SIGINT, 0.2), (signal.SIGTERM, 0.2), (signal.SIGKILL, 5.0))
        assert needed[-1] == signal.SIGKILL
        assert bed.alive() == []
        proc.close()

    run(null, containment, scenario)


@pytest.mark.parametrize("containment", ALL)
def test_a_tree_that_keeps_forking_is_killed(null: Null, containment: Containment) -> None:
    async def scenario(bed: Bed) -> None:
        escape = "setsid " if containment is not Containment.GROUP else ""
        proc = await bed.start(f"f() {{ while :; do {escape}sleep TOKEN & sleep 0.01; done; }}; f & f & wait")
        await bed.until_alive(20)
        assert await stop(proc, (signal.SIGKILL, 10.0)) == [signal.SIGKILL]
        assert bed.alive() == []
        proc.close()

    run(null, containment, scenario)


@pytest.mark.parametrize("containment", ALL)
def test_who_has_no_descriptor_left_does_not_take_the_living_for_dead(null: Null, containment: Containment) -> None:
    async def scenario(bed: Bed) -> None:
        proc = await bed.start("trap '' INT TERM\n(sleep TOKEN) &\nsleep TOKEN")
        await bed.until_alive(2)
        with no_descriptors():
            proc.signal_tree(signal.SIGTERM)
            with trio.move_on_after(0.2) as looking:
                await proc.wait_gone()
        assert looking.cancelled_caught
        assert len(bed.alive()) >= 2
        await stop(proc, (signal.SIGKILL, 5.0))
        assert bed.alive() == []
        proc.close()

    run(null, containment, scenario)


@pytest.mark.parametrize("containment", ALL)
def test_who_has_no_descriptor_left_can_still_signal(null: Null, containment: Containment) -> None:
    async def scenario(bed: Bed) -> None:
        proc = await bed.start("(setsid sleep TOKEN &); sleep TOKEN & sleep TOKEN; :")
        await bed.until_alive(3)
        with no_descriptors():
            assert await stop(proc, (signal.SIGTERM, 5.0)) == [signal.SIGTERM]
        assert bed.alive() == []
        proc.close()

    run(null, containment, scenario)


@pytest.mark.parametrize("containment", ALL)
def test_who_could_not_be_held_is_signaled_later(
    null: Null, containment: Containment, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(bed: Bed) -> None:
        proc = await bed.start("sleep TOKEN & sleep TOKEN & wait")
        await bed.until_alive(2)
        with monkeypatch.context() as patch:
            patch.setattr(crowd, "open_process", none_left)
            proc.signal_tree(signal.SIGTERM)
            assert proc.signaled() == ()
            with trio.move_on_after(0.1) as waiting:
                await proc.wait_gone()
            assert waiting.cancelled_caught
            assert len(bed.alive()) == 2
        with trio.fail_after(10):
            await proc.wait_gone()
        assert bed.alive() == []
        proc.close()

    run(null, containment, scenario)
    assert [record.message for record in caplog.records] == ["a process cannot be signaled yet"]


@pytest.mark.parametrize("containment", ALL)
def test_neighbors_are_left_alone(null: Null, containment: Containment) -> None:
    async def scenario(bed: Bed) -> None:
        neighbor = await bed.start("(setsid sleep TOKEN &); sleep TOKEN & sleep TOKEN; :")
        await bed.until_alive(3)
        before = sorted(bed.alive())
        escape = "" if containment is Containment.GROUP else "setsid "
        for _ in range(3):
            proc = await bed.start(f"{escape}sleep 1234.5 & sleep 1234.5; :")
            await stop(proc, (signal.SIGKILL, 5.0))
            proc.close()
        assert sorted(bed.alive()) == before
        await stop(neighbor)
        neighbor.close()

    run(null, containment, scenario)


@pytest.mark.parametrize("containment", ALL)
def test_a_storm_of_cancels_leaves_nothing(null: Null, containment: Containment) -> None:
    async def one(bed: Bed, turn: int) -> None:
        script = ["sleep TOKEN; :", "sleep TOKEN & sleep TOKEN & wait", "sh -c 'trap \"\" INT; sleep TOKEN; :' & wait"]
        if containment is not Containment.GROUP:
            script.append("(setsid sleep TOKEN &); sleep TOKEN; :")
        proc = await bed.start(script[turn % len(script)])
        await stop(proc, (signal.SIGINT, 2.0), (signal.SIGKILL, 5.0))
        proc.close()

    async def scenario(bed: Bed) -> None:
        await one(bed, 0)
        gc.collect()
        before, zombies = descriptors(), zombie_children()
        for _ in range(20):
            async with trio.open_nursery() as nursery:
                for number in range(10):
                    nursery.start_soon(one, bed, number)
            assert bed.alive() == []
        assert descriptors() == before
        assert zombie_children() == zombies

    run(null, containment, scenario)


def test_an_orphan_that_ends_while_its_task_runs_is_reaped(null: Null) -> None:
    async def scenario(bed: Bed) -> None:
        proc = await bed.start("(setsid sh -c 'exit 0' & setsid sh -c 'exit 0' &); sleep TOKEN; :")
        await bed.until_alive(1)
        while zombie_children():
            await trio.sleep(0.01)
        await stop(proc)
        proc.close()

    run(null, Containment.SUBREAPER, scenario)


def test_two_launchers_of_one_process_leave_the_tasks_of_each_other_alone(null: Null) -> None:
    async def scenario(bed: Bed) -> None:
        other = await bed.start("(setsid sleep TOKEN &); exit 4")
        async with open_launcher(Containment.GROUP) as second:
            proc = await second.launch(Command(("sh", "-c", "exit 5"), "/"), {"PATH": os.environ["PATH"]}, null)
            assert await other.wait() == 4
            assert await stop(other) == [signal.SIGINT]
            other.close()
            assert await proc.wait() == 5
            await proc.wait_gone()
            proc.close()

    run(null, Containment.SUBREAPER, scenario)


@pytest.mark.parametrize("containment", ALL[:3])
def test_who_hides_in_our_own_process_group_is_ended(null: Null, containment: Containment) -> None:
    hide = f"import os; os.fork() and os._exit(0); os.setpgid(0, {os.getpgrp()}); os.fork() and os._exit(0)"
    script = f"exec {sys.executable} -c \"{hide}; os.execlp('sleep', 'sleep', 'TOKEN')\""

    async def scenario(bed: Bed) -> None:
        other = await bed.start("exec sleep 9999")
        proc = await bed.start(script)
        assert await proc.wait() == 0
        while not [pid for pid in bed.alive() if command_line(pid)[:1] == ["sleep"]]:
            await trio.sleep(0.01)
        assert await stop(proc) == [signal.SIGINT]
        assert bed.alive() == []
        await stop(other)
        proc.close()
        other.close()

    run(null, containment, scenario)


def test_a_program_that_others_started_is_neither_reaped_nor_signaled(null: Null) -> None:
    async def scenario(bed: Bed) -> None:
        helper = await trio.lowlevel.open_process(["sh", "-c", f"sleep {bed.token} & exit 7"])
        proc = await bed.start("(setsid sh -c 'exit 0' &)")
        await proc.wait()
        await stop(proc)
        proc.close()
        (left,) = bed.alive()
        assert await helper.wait() == 7
        os.kill(left, signal.SIGKILL)
        os.waitpid(left, 0)

    run(null, Containment.SUBREAPER, scenario)


@pytest.mark.parametrize("containment", ALL[:3])
@pytest.mark.parametrize("step", ["stat", "descendants"])
def test_a_parent_that_ends_while_we_look_does_not_hide_its_child(
    null: Null, containment: Containment, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rival comes in the very step: the parent ends after it was found and before it is looked at."""

    async def scenario(bed: Bed) -> None:
        proc = await bed.start("(sh -c 'sleep TOKEN; :' parent-TOKEN &)")
        await proc.wait()
        await bed.until_alive(2)
        while len(sleeping := [pid for pid in bed.alive() if command_line(pid)[:1] == ["sleep"]]) < 1:
            await trio.sleep(0.01)
        (parent,) = [pid for pid in bed.alive() if pid not in sleeping]
        real = getattr(tree, step)

        def rival(looked_at: int | list[Stat]) -> object:
            pids = [looked_at] if isinstance(looked_at, int) else [process.pid for process in looked_at]
            if parent in pids and is_alive(parent):
                os.kill(parent, signal.SIGKILL)
                while is_alive(parent):
                    pass
            return real(looked_at)

        with monkeypatch.context() as patch:
            patch.setattr(tree, step, rival)
            assert [member.pid for member in proc._tree.members()] == sleeping
        await stop(proc)
        assert bed.alive() == []
        proc.close()

    def is_alive(pid: int) -> bool:
        process = stat(pid)
        return process is not None and process.alive

    run(null, containment, scenario)


@pytest.mark.parametrize("containment", ALL)
def test_nobody_left_means_gone_at_once_and_nothing_is_signaled(
    null: Null, containment: Containment, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(bed: Bed) -> None:
        proc = await bed.start("exit 0")
        await proc.wait()
        sent: list[object] = []
        if containment is not Containment.PIDNS:  # there, the first process is left to be ended
            monkeypatch.setattr(signal, "pidfd_send_signal", lambda *words: sent.append(words))
            monkeypatch.setattr(os, "killpg", lambda *words: sent.append(words))
        for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            proc.signal_tree(sig)
        await proc.wait_gone()
        monkeypatch.undo()
        assert sent == []
        proc.close()

    run(null, containment, scenario)


@pytest.mark.parametrize("containment", ALL)
def test_a_task_is_seen_off_when_nobody_is_left_and_not_before(null: Null, containment: Containment) -> None:
    async def scenario(bed: Bed) -> None:
        proc = await bed.start("i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done")
        assert not proc.gone
        used: list[Usage] = []
        policy = StopPolicy.from_kill_timeout(2.0)
        status = await see_off(
            proc, None, orphans=Orphans.KILL, policy=policy, hurry=Hurry(), used=lambda usage: used.append(usage)
        )
        bed.started.remove(proc)
        assert status == 0
        assert stat(proc.pid) is None
        assert used[0].cpu_seconds

    run(null, containment, scenario)


@pytest.mark.skipif(not cgroup_works(), reason="needs a writable cgroup v2 directory")
def test_leaves_of_a_daemon_that_was_killed_are_ended_by_the_next_one(null: Null, tmp_path: Path) -> None:
    parent = find_parent()
    assert parent is not None
    old = parent / "prunner.999999999-1-1"
    leaf = old / "task-1"
    leaf.mkdir(parents=True)

    async def scenario(bed: Bed) -> None:
        left = await trio.lowlevel.open_process(["sleep", bed.token])
        (leaf / "cgroup.procs").write_text(str(left.pid))
        async with open_launcher(Containment.CGROUP) as launcher:
            await launcher.remains(())
            assert await left.wait() == -signal.SIGKILL
            # The kernel may hold the empty directory for a moment.
            while old.exists():
                await launcher.remains(())
                await trio.sleep(0.01)

    run(null, Containment.GROUP, scenario)


def test_a_cgroup_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_launcher(Containment.CGROUP, cgroup_parent=tmp_path):
            pass

    with pytest.raises(RuntimeError, match=str(tmp_path)):
        trio.run(main)
    assert list(tmp_path.iterdir()) == []
