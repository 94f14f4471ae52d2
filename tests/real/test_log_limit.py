"""Logs of limited size with real processes: who fills them, keeps them open or closes them gains nothing by it."""

import errno
import os
import re
import signal
import subprocess
import uuid
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from tests.processes import cgroup_works, living

from prunner_trio import (
    Containment,
    Definitions,
    Job,
    JobView,
    Orphans,
    PipelineDef,
    Runner,
    State,
    Stream,
    TaskDef,
    open_runner,
)
from prunner_trio.output import FileOutputStore
from prunner_trio.output.cut import Cut

pytestmark = pytest.mark.real

LIMIT = 64 << 10
LIMITS = pytest.mark.parametrize("limit", [None, LIMIT], ids=["no limit", "limit"])
Whole = tuple[JobView, bytes, bytes]


ALL = pytest.mark.parametrize(
    "containment",
    [
        Containment.GROUP,
        Containment.SUBREAPER,
        pytest.param(
            Containment.CGROUP,
            marks=pytest.mark.skipif(not cgroup_works(), reason="needs a writable cgroup v2 directory"),
        ),
    ],
)


@pytest.fixture
def token() -> Iterator[str]:
    token = f"97{uuid.uuid4().int % 10**9:09}.5"
    yield token
    for pid in living(token):
        os.kill(pid, signal.SIGKILL)


def descriptors() -> list[str]:
    """What this process has open, without /proc/.../children and /proc, which a launcher opens once and keeps."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{name}"))
        except FileNotFoundError:
            continue
    return sorted(name for name in found if not name.startswith("/proc"))


async def text(runner: Runner, job: Job, stream: Stream = Stream.STDOUT) -> bytes:
    return await runner.output.read(job.id, "t", stream, 0, 64 << 20)


async def until(check: Callable[[], Awaitable[bool]]) -> None:
    while not await check():
        await trio.sleep(0.01)


def run(
    *script: str,
    containment: Containment = Containment.SUBREAPER,
    during: Callable[[Runner, Job], Awaitable[None]] | None = None,
    output: FileOutputStore | None = None,
    **keys: Any,
) -> Whole:
    """Run a job with one task; return what became of it and both logs. No descriptor is left."""
    results: list[Whole] = []

    async def main() -> None:
        pipeline = PipelineDef("p", (TaskDef("t", script),), **{"log_limit": LIMIT, **keys})
        with trio.fail_after(60):
            async with open_runner(Definitions.of(pipeline), containment=containment, output=output) as runner:
                before = descriptors()
                job = await runner.schedule("p")
                if during is not None:
                    await during(runner, job)
                view = await job.wait()
                assert descriptors() == before
                results.append((view, await text(runner, job), await text(runner, job, Stream.STDERR)))

    trio.run(main)
    return results[0]


def fed(limit: int, whole: bytes) -> bytes:
    cut = Cut(limit)
    return cut.feed(whole) + cut.finish()


async def cancel(runner: Runner, job: Job) -> None:
    """Cancel once the task has said something, and let it be gone long before a second could be over."""
    await until(lambda: said_something(runner, job))
    job.cancel()
    with trio.fail_after(10):
        await job.wait()


async def said_something(runner: Runner, job: Job) -> bool:
    return await runner.output.size(job.id, "t", Stream.STDOUT) > 0


def test_both_logs_are_cut_and_the_task_knows_nothing_of_it() -> None:
    whole = "".join(f"{number}\n" for number in range(1, 200_001)).encode()
    view, out, err = run("seq 200000 & seq 200000 >&2; wait $! && exit 7")
    assert view.tasks[0].exit_code == 7
    assert out == err == fed(LIMIT, whole)
    assert len(out) <= LIMIT


@pytest.mark.parametrize("more", [0, 1])
def test_exactly_the_limit_is_not_cut(more: int) -> None:
    size = LIMIT + more
    view, out, _ = run(f"head -c {size} /dev/zero | tr '\\0' x")
    assert view.state is State.DONE
    assert out == fed(LIMIT, b"x" * size)
    assert (out == b"x" * size) == (more == 0)


@pytest.mark.parametrize("size", [1000, 300_000, 3_000_000])
def test_bytes_are_kept_as_they_are(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    (tmp_path / "data").write_bytes(data)
    _, out, err = run(f"cat {tmp_path}/data; cat {tmp_path}/data >&2")
    assert out == err == fed(LIMIT, data)


def test_the_log_can_be_read_while_the_task_runs() -> None:
    async def during(runner: Runner, job: Job) -> None:
        await until(lambda: said_something(runner, job))
        assert await text(runner, job) == b"no line yet"
        job.cancel()

    view, out, _ = run("printf 'no line yet'; sleep 60", during=during)
    assert view.state is State.CANCELED
    assert out == b"no line yet"


def test_what_is_said_while_being_stopped_is_in_the_log() -> None:
    script = "trap 'seq 100000; echo the very end; exit 0' INT; echo begun; while :; do sleep 0.01; done"
    view, out, _ = run(script, during=cancel, kill_timeout=30.0)
    assert view.state is State.CANCELED
    assert out.endswith(b"100000\nthe very end\n")
    assert b"left out here" in out


def test_the_handler_of_a_failure_is_given_the_end(tmp_path: Path) -> None:
    handler = TaskDef("on_error", (f"printf %s {{{{ quote .failedTaskStdout }}}} >{tmp_path}/given",))
    view, out, _ = run("seq 200000; echo the reason; exit 1", on_error=handler)
    assert view.state is State.ERROR
    given = (tmp_path / "given").read_bytes()
    assert given == out
    assert given.endswith(b"200000\nthe reason\n")


@ALL
def test_a_flood_is_canceled_at_once(containment: Containment, token: str) -> None:
    view, out, _ = run(f"yes {token} & yes {token} >&2", containment=containment, during=cancel)
    assert view.state is State.CANCELED
    assert out.endswith(f"{token}\n".encode()) or len(out) <= LIMIT
    assert living(token) == []


@ALL
def test_a_flood_without_a_limit_is_canceled_at_once(containment: Containment, token: str) -> None:
    script = f"echo begun; while :; do echo {token}; done & while :; do echo {token} >&2; done"
    view, out, _ = run(script, containment=containment, during=cancel, log_limit=None)
    assert view.state is State.CANCELED
    assert out.startswith(b"begun\n")
    assert living(token) == []


def test_a_flood_does_not_hold_up_the_time_out_of_its_task(token: str) -> None:
    view, _, _ = run(f"yes {token} & yes {token} >&2", timeout=0.2)
    assert view.error == "timed out after 0.2s"
    assert living(token) == []


@ALL
@LIMITS
def test_a_command_may_close_its_output(containment: Containment, limit: int | None, token: str) -> None:
    view, out, _ = run("echo begun; exec >&- 2>&-; sleep 0.1; exit 3", containment=containment, log_limit=limit)
    assert (view.tasks[0].exit_code, out) == (3, b"begun\n")


@ALL
@LIMITS
def test_who_has_closed_its_output_is_canceled_at_once(containment: Containment, limit: int | None, token: str) -> None:
    script = f"echo begun; exec >&- 2>&-; (setsid sleep {token} &); sleep {token}"
    view, out, _ = run(script, containment=containment, during=cancel, log_limit=limit)
    assert (view.state, out) == (State.CANCELED, b"begun\n")
    assert living(token) == []


@ALL
@LIMITS
@pytest.mark.parametrize(
    "script", ["(setsid yes TOKEN | head -c 5000000 &)", "(env -i /usr/bin/setsid /bin/sleep TOKEN &)", "sleep TOKEN &"]
)
def test_who_keeps_the_output_open_in_the_background_is_stopped_with_the_task(
    containment: Containment, limit: int | None, token: str, script: str
) -> None:
    view, _, err = run(script.replace("TOKEN", token), "sleep 0.2; exit 4", containment=containment, log_limit=limit)
    assert view.tasks[0].exit_code == 4
    assert living(token) == []
    if script.startswith("sleep"):
        assert re.fullmatch(rb"prunner-trio: stopped 1 process left in the background: sleep \(pid \d+\)\n", err)


def test_the_word_about_the_background_stands_behind_a_flood(token: str) -> None:
    _, _, err = run(f"yes {token} >&2 & sleep 0.2")
    *_, before, last = err.splitlines()
    assert before == token.encode()
    assert last.startswith(b"prunner-trio: stopped 1 process left in the background: yes (pid ")
    assert len(err) - len(last) - 1 <= LIMIT


def test_a_task_that_waits_for_its_background_has_its_output(token: str) -> None:
    _, out, _ = run("(setsid sh -c 'sleep 0.3; seq 50000; echo late' &)", orphans=Orphans.WAIT)
    assert out.endswith(b"50000\nlate\n")
    assert b"left out here" in out


async def taken_over(runner: Runner, job: Job) -> int:
    """Open the task's output anew in this process, which no containment can take for one of the task."""
    await until(lambda: said_something(runner, job))
    pid = int((await text(runner, job)).split()[0])
    return os.open(f"/proc/{pid}/fd/1", os.O_WRONLY)


def test_who_holds_the_output_and_is_none_of_the_task_cannot_keep_it(tmp_path: Path) -> None:
    held: list[int] = []

    async def during(runner: Runner, job: Job) -> None:
        held.append(await taken_over(runner, job))
        os.write(held[0], b"in time\n")
        (tmp_path / "go").touch()
        with trio.fail_after(10):
            await job.wait()
        with pytest.raises(BrokenPipeError):
            os.write(held[0], b"too late\n")
        os.close(held.pop())

    view, out, _ = run(f"echo $$; while [ ! -e {tmp_path}/go ]; do sleep 0.01; done; echo over", during=during)
    assert view.state is State.DONE
    assert out.split()[1:] == [b"in", b"time", b"over"]


def test_who_floods_the_output_and_is_none_of_the_task_cannot_keep_it(tmp_path: Path) -> None:
    floods: list[subprocess.Popen[bytes]] = []

    async def during(runner: Runner, job: Job) -> None:
        fd = await taken_over(runner, job)
        floods.append(subprocess.Popen(["yes"], stdout=fd, stderr=subprocess.DEVNULL, restore_signals=True))
        os.close(fd)
        (tmp_path / "go").touch()
        with trio.fail_after(10):
            await job.wait()

    try:
        view, out, _ = run(f"echo $$; while [ ! -e {tmp_path}/go ]; do sleep 0.01; done", during=during)
        assert view.state is State.DONE
        assert len(out) <= LIMIT
        assert floods[0].wait(10) == -signal.SIGPIPE
    finally:
        for flood in floods:
            flood.kill()
            flood.wait()


def test_a_command_that_cannot_be_started_leaves_no_descriptor() -> None:
    view, _, _ = run("true", shell="/nowhere/sh")
    assert "cannot start /nowhere/sh" in view.error


class FullDisk(FileOutputStore):
    """All logs are on a disk that is full, until there is room again for what `rescue` opens."""

    rescued: tuple[int, ...] = ()

    def open(self, job_id: Any, task: str, limit: int | None = None, mask: Any = None) -> Any:
        output = super().open(job_id, task, limit, mask)
        full = os.open("/dev/full", os.O_WRONLY | os.O_CLOEXEC)
        for fd in self._logs(job_id):
            os.dup2(full, fd, inheritable=False)
        os.close(full)
        return output

    def _logs(self, job_id: str) -> list[int]:
        links = {int(name): f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")}
        return [fd for fd, link in links.items() if os.path.lexists(link) and f"/{job_id}/" in os.readlink(link)]


def test_a_full_disk_neither_blocks_nor_ends_the_command(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, token: str
) -> None:
    view, out, _ = run(f"seq 300000; seq 300000 >&2; touch {tmp_path}/over", output=FullDisk(tmp_path))
    assert (view.state, out) == (State.DONE, b"")
    assert (tmp_path / "over").exists()
    told = [record for record in caplog.records if record.message == "output of a task is lost"]
    assert [vars(record)["error"] for record in told] == 2 * [os.strerror(errno.ENOSPC)]


def test_many_limited_tasks_at_once_leave_no_descriptor_and_lose_nothing() -> None:
    names = [f"t{number}" for number in range(200)]
    tasks = tuple(TaskDef(name, ("seq 3000; echo $TASK_NAME; seq 3000 >&2",), log_limit=8192) for name in names)
    whole = b"".join(b"%d\n" % number for number in range(1, 3001))

    async def main() -> None:
        with trio.fail_after(120):
            async with open_runner(
                Definitions.of(PipelineDef("p", tasks)), containment=Containment.SUBREAPER
            ) as runner:
                before = descriptors()
                job = await runner.schedule("p")
                assert (await job.wait()).state is State.DONE
                assert descriptors() == before
                for name in names:
                    out = await runner.output.read(job.id, name, Stream.STDOUT, 0, 1 << 20)
                    assert out == fed(8192, whole + f"{name}\n".encode())
                    assert await runner.output.read(job.id, name, Stream.STDERR, 0, 1 << 20) == fed(8192, whole)

    trio.run(main)


def test_a_cancel_at_any_moment_leaves_no_descriptor_and_no_process(token: str) -> None:
    pipeline = PipelineDef("p", (TaskDef("t", (f"yes {token} & yes {token} >&2",)),), log_limit=LIMIT, kill_timeout=0.0)

    async def main() -> None:
        async with open_runner(Definitions.of(pipeline), containment=Containment.SUBREAPER) as runner:
            before = descriptors()
            for turns in range(40):
                job = await runner.schedule("p")
                for _ in range(turns):
                    await trio.lowlevel.checkpoint()
                job.cancel()
                with trio.fail_after(20):
                    assert (await job.wait()).state is State.CANCELED
                assert descriptors() == before
        assert living(token) == []

    trio.run(main)
