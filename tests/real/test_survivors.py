"""Finding and ending what an earlier daemon left alive: real processes, launched by a program that is killed."""

import errno
import os
import shlex
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import attrs
import pytest
import trio
import trio.testing
from tests.processes import cgroup_works, sleeping

from prunner_trio.errors import EndLost
from prunner_trio.execution import Hurry, StopPolicy, stop_tree
from prunner_trio.execution.seams import Proc
from prunner_trio.launch import Containment, crowd, open_launcher, procfs, remains
from prunner_trio.launch.tags import tag_of

pytestmark = pytest.mark.real

PATIENCE = 30


LAUNCHER = """
import os, sys, trio
from prunner_trio.execution.seams import Command
from prunner_trio.launch import Containment, open_launcher

class Null:
    fd = os.open(os.devnull, os.O_RDWR)
    def fileno(self, stream):
        return self.fd

async def main():
    async with open_launcher(Containment(sys.argv[1]), place=sys.argv[2]) as launcher:
        for key, script in zip(sys.argv[3::2], sys.argv[4::2]):
            await launcher.launch(Command(("bash",), "/", script, key=key), {"PATH": os.environ["PATH"]}, Null())
        print("launched", flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


MEANS = [Containment.GROUP, Containment.SUBREAPER]
if os.geteuid() == 0:
    MEANS.append(Containment.PIDNS)
"""What is left in cgroups is killed as soon as it has been found; see below."""


@attrs.define(eq=False)
class Crash:
    """A daemon that launches scripts and is killed.

    Attributes:
        token: looks like a number of seconds; `TOKEN` in the scripts.
    """

    token: str = attrs.field(factory=lambda: f"9{uuid.uuid4().int % 10**12}.5")
    key: str = attrs.field(factory=lambda: f"{uuid.uuid4()}/a task: 100 %/ü")

    def launch(self, *scripts: str, count: int, means: Containment = Containment.GROUP, place: str = "") -> list[str]:
        """Launch scripts, wait until so many processes sleep, kill the launcher; return the keys."""
        keys = [f"{self.key}{number}" for number in range(len(scripts))]
        words = [word for pair in zip(keys, scripts, strict=True) for word in pair]
        command = [sys.executable, "-c", LAUNCHER, means.value, place, *(w.replace("TOKEN", self.token) for w in words)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as daemon:
            assert daemon.stdout is not None
            try:
                assert daemon.stdout.readline() == b"launched\n"
                trio.run(self.until_alive, count)
            finally:
                daemon.kill()
        return keys

    def alive(self) -> list[int]:
        return sleeping(self.token)

    async def until_alive(self, count: int) -> None:
        with trio.fail_after(PATIENCE):
            while len(self.alive()) < count:
                await trio.sleep(0.01)


@pytest.fixture
def crash() -> Iterator[Crash]:
    crash = Crash()
    yield crash
    for pid in crash.alive():
        os.kill(pid, signal.SIGKILL)


async def end(proc: Proc, kill_timeout: float = 2.0) -> None:
    await stop_tree(proc, StopPolicy.from_kill_timeout(kill_timeout), Hurry())
    proc.close()


ESCAPES = {
    "foreground": ("sleep TOKEN; :", 1),
    "background": ("sleep TOKEN & sleep TOKEN; :", 2),
    "own session": ("setsid sleep TOKEN & wait", 1),
    "orphan in its own session": ("(setsid sleep TOKEN &) ; exec sleep TOKEN", 2),
    "only an orphan": ("(setsid sleep TOKEN &)", 1),
    "orphan with an emptied environment": ("(env -i /usr/bin/setsid /bin/sleep TOKEN &)", 1),
    "deaf to SIGINT": ("trap '' INT; sleep TOKEN; :", 1),
    "stopped in its own session": (
        "setsid sleep TOKEN & until grep -q sleep /proc/$!/comm; do :; done; kill -STOP $!; wait",
        1,
    ),
}


@pytest.mark.parametrize("means", MEANS)
@pytest.mark.parametrize(("script", "count"), ESCAPES.values(), ids=ESCAPES.keys())
def test_survivors_of_a_kill_are_found_and_ended(crash: Crash, means: Containment, script: str, count: int) -> None:
    if means is Containment.PIDNS and "; exec" not in script and script.endswith("&)"):
        pytest.skip("what a command leaves behind ends with its namespace")
    keys = crash.launch(script, count=count, means=means)

    async def main() -> None:
        with trio.fail_after(PATIENCE):
            async with open_launcher(means) as launcher:
                found = await launcher.remains([*keys, "other/task"])
                assert list(found) == keys
                await end(found[keys[0]])
                assert crash.alive() == []
                assert await launcher.remains(keys) == {}

    trio.run(main)


@pytest.mark.skipif(not cgroup_works(), reason="needs a writable cgroup v2 directory")
@pytest.mark.parametrize(("script", "count"), ESCAPES.values(), ids=ESCAPES.keys())
def test_what_is_left_in_a_cgroup_is_found_before_it_is_killed(crash: Crash, script: str, count: int) -> None:
    """The disk may not know yet that its job has begun: were nobody found, the job would run again."""
    keys = crash.launch(script, count=count, means=Containment.CGROUP, place=crash.token)

    async def main() -> None:
        with trio.fail_after(PATIENCE):
            async with open_launcher(Containment.CGROUP, place=crash.token) as launcher:
                found = await launcher.remains(keys)
                assert list(found) == keys
                await end(found[keys[0]])
                assert crash.alive() == []

    trio.run(main)


@pytest.mark.skipif(not cgroup_works(), reason="needs a writable cgroup v2 directory")
def test_what_belongs_to_another_place_is_left_for_the_next_daemon_there(crash: Crash) -> None:
    keys = crash.launch("sleep TOKEN; :", count=1, means=Containment.CGROUP, place=crash.token)

    async def main() -> None:
        with trio.fail_after(PATIENCE):
            async with open_launcher(Containment.CGROUP, place="elsewhere") as launcher:
                assert await launcher.remains(keys) == {}
            assert len(crash.alive()) == 1
            async with open_launcher(Containment.CGROUP, place=crash.token) as launcher:
                (found,) = (await launcher.remains(keys)).values()
                await end(found)
                assert crash.alive() == []

    trio.run(main)


@pytest.mark.skipif(Containment.PIDNS not in MEANS, reason="may not make namespaces")
def test_what_a_command_left_in_its_namespace_ends_with_the_launcher(crash: Crash) -> None:
    crash.launch("(setsid sleep TOKEN &)", count=1, means=Containment.PIDNS)

    async def main() -> None:
        with trio.fail_after(PATIENCE):
            while crash.alive():
                await trio.sleep(0.01)

    trio.run(main)


@pytest.mark.parametrize("means", MEANS)
def test_survivors_of_one_task_are_ended_and_those_of_another_left_alone(crash: Crash, means: Containment) -> None:
    one, other = crash.launch("sleep TOKEN; :", "sleep TOKEN; :", count=2, means=means)

    async def main() -> None:
        with trio.fail_after(PATIENCE):
            async with open_launcher(means) as launcher:
                await end((await launcher.remains([one]))[one])
                assert len(crash.alive()) == 1
                await end((await launcher.remains([other]))[other])
                assert crash.alive() == []

    trio.run(main)


def test_survivors_that_resist_are_killed(crash: Crash) -> None:
    (key,) = crash.launch("trap '' INT TERM; sleep TOKEN; sleep TOKEN; :", count=1)

    async def main() -> None:
        with trio.fail_after(PATIENCE):
            async with open_launcher(Containment.GROUP) as launcher:
                proc = (await launcher.remains([key]))[key]
                await end(proc, kill_timeout=0.2)
                assert any(name.startswith("sleep (pid ") for name in proc.signaled())
                assert crash.alive() == []

    trio.run(main)


def test_a_survivor_that_forks_all_the_time_cannot_get_away(crash: Crash) -> None:
    (key,) = crash.launch(
        "f() { setsid sleep TOKEN & }; trap '' INT TERM; f; for i in {1..2000}; do f; sleep 0.01; done", count=9
    )

    async def main() -> None:
        with trio.fail_after(PATIENCE):
            async with open_launcher(Containment.GROUP) as launcher:
                await end((await launcher.remains([key]))[key], kill_timeout=0.0)
                assert crash.alive() == []

    trio.run(main)


def test_the_end_of_survivors_is_seen_but_their_status_is_nowhere(crash: Crash) -> None:
    (key,) = crash.launch("sleep TOKEN; :", count=1)

    async def main() -> None:
        with trio.fail_after(PATIENCE):
            async with open_launcher(Containment.GROUP) as launcher:
                proc = (await launcher.remains([key]))[key]
                async with trio.open_nursery() as nursery:

                    @nursery.start_soon
                    async def wait() -> None:
                        with pytest.raises(EndLost):
                            await proc.wait()

                    await trio.testing.wait_all_tasks_blocked()
                    os.kill(crash.alive()[0], signal.SIGKILL)
                await proc.wait_gone()
                proc.close()

    trio.run(main)


def test_no_signal_goes_to_a_process_that_got_the_number_of_a_survivor(
    crash: Crash, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of a process that was seen is in use again, by somebody else: to us that is another start time."""
    (key,) = crash.launch("sleep TOKEN; :", count=1)
    (pid,) = crash.alive()
    old = procfs.stat(pid)
    assert old is not None

    async def main() -> None:
        with trio.fail_after(PATIENCE):
            async with open_launcher(Containment.GROUP) as launcher:
                proc = (await launcher.remains([key]))[key]
                with monkeypatch.context() as patch:
                    patch.setattr(remains, "_signs", lambda: iter(()))
                    proc._seen = {pid: attrs.evolve(old, start=old.start - 1)}
                    proc.signal_tree(signal.SIGKILL)
                    await proc.wait_gone()
                    patch.setattr(
                        remains, "descendants", lambda *_, **__: {pid: attrs.evolve(old, start=old.start - 1)}
                    )
                    proc.signal_tree(signal.SIGKILL)
                assert proc.signaled() == ()
                assert crash.alive() == [pid]
                await end(proc)

    trio.run(main)


def test_a_process_that_got_the_number_of_a_survivor_while_it_was_looked_at_is_none(
    crash: Crash, monkeypatch: pytest.MonkeyPatch
) -> None:
    (key,) = crash.launch("exec sleep TOKEN", count=1)
    (pid,) = crash.alive()
    reused: set[int] = set()

    def stat(number: int) -> procfs.Stat | None:
        if number == pid:
            reused.add(pid)
        return procfs.stat(number)

    async def main() -> None:
        with trio.fail_after(PATIENCE):
            async with open_launcher(Containment.GROUP) as launcher:
                with monkeypatch.context() as patch:
                    patch.setattr(remains, "stat", stat)
                    patch.setattr(remains, "tag_of", lambda number: None if number in reused else tag_of(number))
                    patch.setattr(remains, "environment", lambda number, name: "")
                    assert await launcher.remains([key]) == {}
                assert reused
                await end((await launcher.remains([key]))[key])

    trio.run(main)


def test_a_survivor_that_could_not_be_held_is_signaled_later(crash: Crash, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(process: procfs.Stat) -> NoReturn:
        raise OSError(errno.EMFILE, "Too many open files")

    (key,) = crash.launch("sleep TOKEN; :", count=1)

    async def main() -> None:
        with trio.fail_after(PATIENCE):
            async with open_launcher(Containment.GROUP) as launcher:
                proc = (await launcher.remains([key]))[key]
                with monkeypatch.context() as patch:
                    patch.setattr(crowd, "open_process", none_left)
                    proc.signal_tree(signal.SIGTERM)
                    with trio.move_on_after(0.1) as waiting:
                        await proc.wait_gone()
                    assert waiting.cancelled_caught
                    assert len(crash.alive()) == 1
                await proc.wait_gone()
                assert crash.alive() == []
                proc.close()

    trio.run(main)


def test_a_daemon_that_a_task_started_does_not_take_itself_for_a_survivor(crash: Crash, tmp_path: Path) -> None:
    """A deployment that restarts its own daemon: the new one bears the signs of the task."""
    program = """
import os, subprocess, sys, trio
from prunner_trio.launch import Containment, open_launcher

async def main():
    child = subprocess.Popen(["sleep", "TOKEN"])
    async with open_launcher(Containment.GROUP) as launcher:
        found = await launcher.remains([sys.argv[1]])
        for proc in found.values():
            proc.signal_tree(9)
            await proc.wait_gone()
    child.kill()
    child.wait()
    with open("survived", "w") as file:
        file.write("yes")

trio.run(main)
"""
    (tmp_path / "daemon.py").write_text(program.replace("TOKEN", crash.token))
    key = f"{crash.key}0"
    path, python = shlex.quote(os.pathsep.join(sys.path)), shlex.quote(sys.executable)
    script = f"cd {shlex.quote(str(tmp_path))}; PYTHONPATH={path} {python} daemon.py '{key}'"
    crash.launch(f"sleep TOKEN & {script}; wait", count=1)

    async def main() -> None:
        with trio.fail_after(PATIENCE):
            while not (tmp_path / "survived").exists():
                await trio.sleep(0.02)

    trio.run(main)
