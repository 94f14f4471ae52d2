"""Tasks that outlive their daemon: keepers, the records that they write, and what the next launcher makes of them."""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from tests.real.test_survivors import PATIENCE, Crash, end

from prunner_trio.errors import EndLost
from prunner_trio.launch import Containment, open_launcher
from prunner_trio.launch.cgroup import Leaves
from prunner_trio.launch.ends import End, Ends
from prunner_trio.launch.standing import find_parent
from prunner_trio.launch.tags import tag_for
from prunner_trio.launch.tree import mark_for
from prunner_trio.launch.wrap import keeper

pytestmark = pytest.mark.real

LAUNCHER = """
import json, os, sys, trio
from pathlib import Path
from prunner_trio.execution.seams import Command
from prunner_trio.launch import Containment, open_launcher

class Null:
    fd = os.open(os.devnull, os.O_RDWR)
    def fileno(self, stream):
        return self.fd

async def main():
    means, ends, parent, commands = json.loads(sys.argv[1])
    parent = Path(parent) if parent else None
    async with open_launcher(Containment(means), ends=Path(ends), cgroup_parent=parent) as launcher:
        for key, script in commands.items():
            command = Command(("bash",), "/", script, key=key, outlives=True)
            await launcher.launch(command, {"PATH": os.environ["PATH"]}, Null())
        print("launched", flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


@pytest.fixture
def crash() -> Iterator[Crash]:
    crash = Crash()
    yield crash
    for pid in crash.alive():
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def group() -> Iterator[Path]:
    """A cgroup of our own, so that no other launcher of this machine looks after what we leave in it."""
    parent = find_parent()
    group = (parent or Path("/")) / f"test-{uuid.uuid4()}"
    try:
        group.mkdir()
        Leaves.below(group).close()
    except OSError as exc:
        pytest.skip(f"needs a writable cgroup v2 directory: {exc}")
    yield group
    (group / "cgroup.kill").write_text("1")
    for path in sorted(group.rglob("*"), reverse=True):
        if path.is_dir():
            path.rmdir()
    group.rmdir()


def launch(
    crash: Crash, ends: Path, *scripts: str, count: int, means: str = "subreaper", parent: Path | None = None
) -> list[str]:
    """Launch scripts, wait until so many processes sleep, kill the launcher; return the keys."""
    commands = {f"{crash.key}{number}": script.replace("TOKEN", crash.token) for number, script in enumerate(scripts)}
    about = json.dumps([means, str(ends), str(parent or ""), commands])
    with subprocess.Popen([sys.executable, "-c", LAUNCHER, about], stdout=subprocess.PIPE) as daemon:
        assert daemon.stdout is not None
        try:
            assert daemon.stdout.readline() == b"launched\n"
            trio.run(crash.until_alive, count)
        finally:
            daemon.kill()
    return list(commands)


@pytest.mark.parametrize(
    ("script", "status"),
    [("exit 0", 0), ("exit 3", 3), ("kill -KILL $$", 137), ("kill -INT $$; sleep 5", 130), ("no-such-program", 127)],
)
def test_a_keeper_writes_down_how_its_command_ended_and_ends_the_same_way(
    tmp_path: Path, script: str, status: int
) -> None:
    record = tmp_path / "a record"
    record.touch()
    done = subprocess.run(keeper(str(record), ("/bin/sh", "-c", script), None), capture_output=True, check=False)
    pid, found = record.read_text().splitlines()
    assert pid.isdigit()
    assert (int(found), done.returncode) == (status, status)
    assert b"Killed" not in done.stderr


def test_a_keeper_gives_its_command_the_environment_as_it_is(tmp_path: Path) -> None:
    record = tmp_path / "record"
    record.touch()
    env = {"PATH": os.environ["PATH"], "PWD": str(tmp_path), "f": "1", "s": "2", "t": "3", "status": "4"}
    command = keeper(str(record), (sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))"), 50)
    seen = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert {key: value for key, value in json.loads(seen).items() if key in env} == env
    limit = subprocess.run(
        keeper(str(record), ("/bin/sh", "-c", "ulimit -n"), 50), capture_output=True, text=True, check=True
    )
    assert limit.stdout == "50\n"


def test_a_line_of_a_record_counts_once_it_is_whole(tmp_path: Path) -> None:
    ends = Ends.open(tmp_path / "ends")
    assert ends.read(7) is None
    path = ends.new(7)
    at = path.stat().st_mtime
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    for text, keeper_pid, status in (("", None, None), ("12", None, None), ("12\n1", 12, None), ("12\n13\n", 12, 13)):
        path.write_text(text)
        os.utime(path, (at, at))
        assert ends.read(7) == End(keeper_pid, status, at)


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("x\ny\n", (None, None)),
        ("\0\0\0\n0\n", (None, None)),  # what a power cut leaves of a file
        ("\n0\n", (None, None)),
        ("0\n", (None, None)),  # a status whose pid found no room on the disk
        ("1234567890123456789\n0\n", (None, None)),
        ("12\nx\n", (12, None)),
        ("12\n256\n", (12, None)),
        ("12\n1234567890123456789\n", (12, None)),
        ("12\n3\n4\n", (12, 3)),
        ("9" * 5000 + "\n", (None, None)),
    ],
)
def test_what_no_keeper_has_written_says_nothing(
    tmp_path: Path, text: str, known: tuple[int | None, int | None]
) -> None:
    ends = Ends.open(tmp_path / "ends")
    ends.new(7).write_text(text)
    found = ends.read(7)
    assert found is not None
    assert (found.keeper, found.status) == known


def test_a_record_that_cannot_be_read_is_there_all_the_same(tmp_path: Path) -> None:
    ends = Ends.open(tmp_path / "ends")
    ends.new(7).unlink()
    (ends.folder / "7").mkdir()
    assert ends.read(7) == End(None, None, 0.0)


def test_a_record_is_read_when_no_descriptor_is_left(tmp_path: Path) -> None:
    ends = Ends.open(tmp_path / "ends")
    ends.new(7).write_text("12\n13\n")
    assert ends.read(7) is not None
    limits, taken = resource.getrlimit(resource.RLIMIT_NOFILE), []
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, limits[1]))
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        found = ends.read(7)
    finally:
        for fd in taken:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert found is not None
    assert (found.keeper, found.status) == (12, 13)


def test_a_record_into_which_nobody_has_written_says_that_the_end_is_lost(crash: Crash, tmp_path: Path) -> None:
    """The daemon died between making it and starting the task, or the keeper before it could write."""
    ends = Ends.open(tmp_path / "ends")
    for number in range(2):
        ends.new(tag_for(mark_for(f"{crash.key}{number}"))).write_text("" if number else "4711")

    async def main() -> None:
        with trio.fail_after(PATIENCE):
            async with open_launcher(Containment.SUBREAPER, ends=tmp_path / "ends") as launcher:
                found = await launcher.remains([f"{crash.key}{number}" for number in range(3)])
                assert list(found) == [f"{crash.key}{number}" for number in range(2)]
                for proc in found.values():
                    assert (proc.outlives, proc.ended, proc.pid) == (False, None, 0)
                    with pytest.raises(EndLost):
                        await proc.wait()
                    await end(proc)

    trio.run(main)


def test_a_keeper_that_has_yet_to_write_is_waited_for(crash: Crash, tmp_path: Path) -> None:
    keys = launch(crash, tmp_path / "ends", "sleep TOKEN; :", count=1)
    (record,) = (tmp_path / "ends").iterdir()
    written = record.read_bytes()
    record.write_bytes(b"")

    async def main() -> None:
        with trio.fail_after(PATIENCE):
            async with open_launcher(Containment.SUBREAPER, ends=tmp_path / "ends") as launcher:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(write_soon)
                    (proc,) = (await launcher.remains(keys)).values()
                assert proc.outlives
                await end(proc)
        assert crash.alive() == []

    async def write_soon() -> None:
        await trio.sleep(0.1)
        record.write_bytes(written)

    trio.run(main)


def test_records_are_forgotten_one_by_one_and_those_of_strangers_at_once(tmp_path: Path) -> None:
    ends = Ends.open(tmp_path / "ends")
    for tag in (1, 2, 3):
        ends.new(tag)
    ends.forget([1, 9])
    assert sorted(os.listdir(ends.folder)) == ["2", "3"]
    ends.keep_only([3])
    assert os.listdir(ends.folder) == ["3"]


@pytest.mark.parametrize("code", [0, 9])
def test_the_next_launcher_waits_for_the_keeper_and_has_the_true_status(
    crash: Crash, tmp_path: Path, code: int
) -> None:
    go = tmp_path / "go"
    script = f"sleep TOKEN & while [ ! -e {go} ]; do sleep 0.02; done; kill $!; exit {code}"
    keys = launch(crash, tmp_path / "ends", script, count=1)

    async def main() -> None:
        with trio.fail_after(PATIENCE):
            async with open_launcher(Containment.SUBREAPER, ends=tmp_path / "ends") as launcher:
                (proc,) = (await launcher.remains(keys)).values()
                assert (proc.outlives, proc.ended) == (True, None)
                go.touch()
                assert await proc.wait() == code
                assert proc.ended is not None
                await end(proc)
                assert os.listdir(tmp_path / "ends") != []
                launcher.forget(keys)
                assert os.listdir(tmp_path / "ends") == []
                assert await launcher.remains(keys) == {}

    trio.run(main)


def test_a_record_alone_is_found_too_and_needs_no_waiting(crash: Crash, tmp_path: Path) -> None:
    keys = launch(crash, tmp_path / "ends", "exit 4", "sleep TOKEN; :", count=1)

    async def main() -> None:
        with trio.fail_after(PATIENCE):
            async with open_launcher(Containment.SUBREAPER, ends=tmp_path / "ends") as launcher:
                found = await launcher.remains(keys)
                while found[keys[0]].ended is None:
                    await trio.sleep(0.01)
                assert await found[keys[0]].wait() == 4
                for proc in found.values():
                    await end(proc)
        assert crash.alive() == []

    trio.run(main)


def test_who_has_the_pid_of_a_keeper_now_is_not_taken_for_it(crash: Crash, tmp_path: Path) -> None:
    keys = launch(crash, tmp_path / "ends", "sleep TOKEN; :", count=1)
    (record,) = (tmp_path / "ends").iterdir()
    os.kill(int(record.read_text()), signal.SIGKILL)
    record.write_text(f"{os.getpid()}\n")

    async def main() -> None:
        with trio.fail_after(PATIENCE):
            async with open_launcher(Containment.SUBREAPER, ends=tmp_path / "ends") as launcher:
                (proc,) = (await launcher.remains(keys)).values()
                assert not proc.outlives
                await end(proc)
                with pytest.raises(EndLost):
                    await proc.wait()
        assert crash.alive() == []

    trio.run(main)


def test_a_cgroup_is_adopted_where_it_is_and_those_of_nobody_are_ended(
    crash: Crash, tmp_path: Path, group: Path
) -> None:
    hidden = "(env -i /usr/bin/setsid /bin/sleep TOKEN &); sleep TOKEN; :"
    keys = launch(crash, tmp_path / "ends", hidden, "sleep TOKEN; :", count=3, means="cgroup", parent=group)
    (home,) = [path for path in group.iterdir() if path.is_dir()]

    async def main() -> None:
        with trio.fail_after(PATIENCE):
            Leaves.below(group).close()
            assert len(crash.alive()) == 3, "somebody who passes by leaves them alone"
            opening = open_launcher(Containment.CGROUP, ends=tmp_path / "ends", cgroup_parent=group)
            async with opening as launcher:
                (proc,) = (await launcher.remains(keys[:1])).values()
                while len(crash.alive()) > 2:  # what nobody asks for
                    await trio.sleep(0.01)
                assert len([leaf for leaf in home.iterdir() if leaf.name.startswith("outlives-")]) >= 1
                await end(proc)
                assert crash.alive() == []

    trio.run(main)


def test_one_look_at_the_directory_tells_whose_ends_are_recorded(tmp_path: Path) -> None:
    ends = Ends.open(tmp_path / "ends")
    assert ends.tags() == frozenset()
    ends.new(7)
    ends.new(1 << 61)
    (tmp_path / "ends" / "not-a-tag").touch()
    assert ends.tags() == {7, 1 << 61}
