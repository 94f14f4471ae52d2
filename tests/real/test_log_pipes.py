"""The pieces of limited output: pipes that are copied, logs that may fail, and that nothing is left open."""

import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from prunner_trio.errors import LaunchError
from prunner_trio.execution.seams import Stream
from prunner_trio.model import JobId
from prunner_trio.output import FileOutputStore, MemoryOutputStore
from prunner_trio.output.limited import CopiedStream, CopiedTaskOutput, Pipe, Pipes

pytestmark = pytest.mark.real

JOB = JobId("52a5cb79-7556-4c52-8e6f-dd6aaf1bc4c8")


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipes().open()
    yield pipe
    pipe.close()


class Refill:
    """Takes pieces, and sees to it that there is always one more."""

    def __init__(self, pipe: Pipe) -> None:
        self.pipe = pipe
        self.pieces = 0

    def __call__(self, piece: bytes) -> None:
        self.pieces += 1
        assert self.pieces < 100, "nobody else ever has a turn"
        assert self.pipe.writer is not None
        os.write(self.pipe.writer, b"x" * 4096)


def test_a_pipe_that_is_never_empty_leaves_others_their_turn(pipe: Pipe) -> None:
    take = Refill(pipe)
    take(b"")

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pipe.copy, take)
            for _ in range(10):
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()

    trio.run(main)
    assert 5 < take.pieces < 20


def test_however_many_pipes_are_full_one_large_piece_is_copied_in_a_turn_of_the_loop() -> None:
    made = Pipes()
    pipes = [made.open() for _ in range(20)]
    taken = [0] * len(pipes)
    turns: list[int] = []

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for index, pipe in enumerate(pipes):
                assert pipe.writer is not None
                os.write(pipe.writer, b"x" * 50_000)

                def take(piece: bytes, index: int = index) -> None:
                    taken[index] += len(piece) > 4096

                nursery.start_soon(pipe.copy, take)
            for _ in range(200):
                before = sum(taken)
                await trio.lowlevel.checkpoint()
                turns.append(sum(taken) - before)
            nursery.cancel_scope.cancel()

    trio.run(main)
    assert max(turns) <= 2  # before or after us in a turn
    assert min(taken) == max(taken) >= 2
    for pipe in pipes:
        pipe.close()


def test_few_pipes_are_large_so_that_those_of_one_user_are_not_used_up() -> None:
    made = Pipes()
    usual, large = 1 << 16, 1 << 18

    def size(pipe: Pipe) -> int:
        return fcntl.fcntl(pipe.reader, fcntl.F_GETPIPE_SZ)

    pipes = [made.open() for _ in range(34)]
    assert [size(pipe) for pipe in pipes] == [large] * 32 + [usual] * 2
    pipes.pop(0).close()
    pipes.pop().close()
    pipes += [made.open(), made.open()]
    assert [size(pipe) for pipe in pipes[-2:]] == [large, usual]
    for pipe in pipes:
        pipe.close()


def test_draining_takes_what_is_there_and_nothing_that_comes_meanwhile(pipe: Pipe) -> None:
    take = Refill(pipe)
    take(b"")
    pipe.drain(take)
    assert take.pieces == 2


def test_draining_takes_all_that_a_pipe_made_larger_can_hold(pipe: Pipe) -> None:
    assert pipe.writer is not None
    size = fcntl.fcntl(pipe.writer, fcntl.F_SETPIPE_SZ, 1 << 18)
    os.write(pipe.writer, b"x" * size)
    taken = bytearray()
    pipe.drain(taken.extend)
    assert len(taken) == size
    pipe.drain(taken.extend)
    assert len(taken) == size


def test_a_cancel_loses_nothing_of_a_pipe(pipe: Pipe) -> None:
    taken = bytearray()

    async def main() -> None:
        assert pipe.writer is not None
        for number in range(100):
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(pipe.copy, taken.extend)
                    for _ in range(number % 3):
                        await trio.lowlevel.checkpoint()
                    os.write(pipe.writer, bytes([number]))
                    for _ in range(number % 2):
                        await trio.lowlevel.checkpoint()
                    scope.cancel()
        pipe.drain(taken.extend)

    trio.run(main)
    assert taken == bytes(range(100))


def test_the_copying_ends_when_nobody_can_write_any_more(pipe: Pipe) -> None:
    taken = bytearray()
    assert pipe.writer is not None
    os.write(pipe.writer, b"all")
    pipe.close_writer()
    trio.run(pipe.copy, taken.extend)
    assert taken == b"all"


class Disk:
    """Collects what is written, while there is room."""

    def __init__(self) -> None:
        self.full = False
        self.log = bytearray()

    def put(self, data: bytes) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.log += data


def test_what_a_full_disk_did_not_take_is_said_once_there_is_room_again(caplog: pytest.LogCaptureFixture) -> None:
    disk = Disk()
    stream = CopiedStream.of(disk.put, 4096, None)
    stream.begin()
    stream.take(b"first\n")
    disk.full = True
    for _ in range(3):
        stream.take(b"lost\n")
    disk.full = False
    stream.take(b"last\n")
    stream.note(b"note\n")
    stream.finish()
    assert bytes(disk.log) == (
        b"first\nlast\nprunner-trio: part of this output could not be written: No space left on device\nnote\n"
    )
    assert [vars(record)["error"] for record in caplog.records] == ["No space left on device"]


def test_a_disk_that_stays_full_is_no_problem_of_the_runner() -> None:
    disk = Disk()
    disk.full = True
    stream = CopiedStream.of(disk.put, 4096, None)
    stream.note(b"note\n")
    stream.take(b"x" * 10_000)
    stream.finish()
    assert disk.log == b""


def test_limited_output_in_memory_is_what_it_is_in_files(tmp_path: Path) -> None:
    whole = b"".join(b"line %d\n" % number for number in range(2000))
    files, memory = FileOutputStore(tmp_path), MemoryOutputStore()
    on_paper = memory.open(JOB, "t", 4096)
    in_files = files.open(JOB, "t", 4096)
    assert isinstance(in_files, CopiedTaskOutput)
    for output in (on_paper, in_files):
        output.write(Stream.STDERR, b"before\n")
    for stream in Stream:
        os.write(in_files.fileno(stream), whole)
        on_paper.take(stream, whole)

    async def main() -> None:
        await on_paper.copy()
        await in_files.copy()
        for output in (on_paper, in_files):
            output.write(Stream.STDERR, b"after\n")
            output.close()
            output.close()
        for stream in Stream:
            texts = [await store.read(JOB, "t", stream, 0, 1 << 20) for store in (files, memory)]
            assert texts[0] == texts[1]
            assert b"left out here" in texts[0]
            assert texts[0].startswith(b"before\nline 0\n") == (stream is Stream.STDERR)
            assert texts[0].endswith(b"line 1999\nafter\n") == (stream is Stream.STDERR)

    trio.run(main)


def test_after_the_launch_the_runner_does_not_hold_the_writing_ends(tmp_path: Path) -> None:
    output = FileOutputStore(tmp_path).open(JOB, "t", 4096)

    async def main() -> None:
        with trio.fail_after(10):
            await output.copy()  # ends, since nobody can write

    trio.run(main)
    with pytest.raises(OSError, match="stdout"):
        output.fileno(Stream.STDOUT)
    output.close()


def test_closing_brings_what_is_still_in_the_pipes_into_the_logs(tmp_path: Path) -> None:
    output = FileOutputStore(tmp_path).open(JOB, "t", 4096)
    for stream in Stream:
        os.write(output.fileno(stream), stream.value.encode())
    output.close()
    for stream in Stream:
        assert trio.run(FileOutputStore(tmp_path).read, JOB, "t", stream, 0, 99) == stream.value.encode()


def test_writing_ends_can_wait_and_are_not_inherited_by_accident(tmp_path: Path) -> None:
    output = FileOutputStore(tmp_path).open(JOB, "t", 4096)
    assert isinstance(output, CopiedTaskOutput)
    for pipe in output.pipes.values():
        assert pipe.writer is not None
        assert os.get_blocking(pipe.writer)
        assert not os.get_blocking(pipe.reader)
        assert not os.get_inheritable(pipe.reader)
        assert not os.get_inheritable(pipe.writer)
    output.close()


@pytest.mark.parametrize("nth", [1, 2])
def test_when_descriptors_run_out_for_pipes_none_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    before = len(os.listdir("/proc/self/fd"))
    real, calls = os.pipe, []

    def failing() -> tuple[int, int]:
        calls.append(1)
        if len(calls) == nth:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return real()

    with monkeypatch.context() as patch:
        patch.setattr(os, "pipe", failing)
        with pytest.raises(LaunchError, match="cannot make pipes for the output: Too many open files"):
            FileOutputStore(tmp_path).open(JOB, "t", 4096)
    assert len(os.listdir("/proc/self/fd")) == before


def test_closing_output_that_nothing_was_launched_for_leaves_nothing_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    output = FileOutputStore(tmp_path).open(JOB, "t", 4096)
    output.write(Stream.STDERR, b"note\n")
    output.close()
    assert len(os.listdir("/proc/self/fd")) == before
    assert trio.run(FileOutputStore(tmp_path).read, JOB, "t", Stream.STDERR, 0, 99) == b"note\n"
