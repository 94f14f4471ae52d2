"""The files in which the output of tasks is kept, and the store in memory that behaves like them."""

import errno
import os
import stat
import subprocess
import uuid
from pathlib import Path

import pytest
import trio
from hypothesis import example, given
from hypothesis import strategies as st

from prunner_trio.errors import LaunchError
from prunner_trio.execution.seams import OutputStore, Stream
from prunner_trio.model import JobId
from prunner_trio.output import FileOutputStore, MemoryOutputStore
from prunner_trio.output.files import file_stem

pytestmark = pytest.mark.real

JOB = JobId("52a5cb79-7556-4c52-8e6f-dd6aaf1bc4c8")
ODD_IDS = ["", ".", "..", "../x", "/etc", JOB.upper(), JOB.replace("-", ""), f"{{{JOB}}}", JOB + "/..", f"{JOB}\n"]


@pytest.fixture(params=["files", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> OutputStore:
    return FileOutputStore(tmp_path) if request.param == "files" else MemoryOutputStore()


def read(
    store: OutputStore, task: str = "t", stream: Stream = Stream.STDOUT, start: int = 0, length: int = 1 << 20
) -> bytes:
    return trio.run(store.read, JOB, task, stream, start, length)


def test_what_is_written_is_read_by_stream_and_offset(store: OutputStore) -> None:
    output = store.open(JOB, "t")
    output.write(Stream.STDOUT, b"one ")
    output.write(Stream.STDERR, b"error")
    output.write(Stream.STDOUT, b"two")
    assert read(store) == b"one two"
    assert read(store, stream=Stream.STDERR) == b"error"
    assert read(store, start=4) == b"two"
    assert read(store, start=2, length=3) == b"e t"
    assert read(store, start=7) == read(store, start=100) == read(store, length=0) == b""
    assert trio.run(store.size, JOB, "t", Stream.STDOUT) == 7
    output.close()
    output.close()
    assert read(store) == b"one two"


def test_opening_again_appends(store: OutputStore) -> None:
    for text in (b"first ", b"second"):
        output = store.open(JOB, "t")
        output.write(Stream.STDOUT, text)
        output.close()
    assert read(store) == b"first second"


def test_unknown_output_is_empty(store: OutputStore) -> None:
    assert read(store) == b""
    assert trio.run(store.size, JOB, "t", Stream.STDERR) == 0


def test_removed_output_is_gone_and_that_of_others_stays(store: OutputStore) -> None:
    other = JobId(str(uuid.uuid4()))
    for job in (JOB, other):
        output = store.open(job, "t")
        output.write(Stream.STDOUT, b"kept")
        output.close()
    trio.run(store.remove, [JOB, JobId(str(uuid.uuid4()))])
    trio.run(store.remove, [JOB])
    assert read(store) == b""
    assert trio.run(store.read, other, "t", Stream.STDOUT, 0, 10) == b"kept"


def test_a_store_in_memory_has_no_descriptor() -> None:
    with pytest.raises(OSError, match="stdout"):
        MemoryOutputStore().open(JOB, "t").fileno(Stream.STDOUT)


def test_files_are_where_prunner_has_them_and_nobody_else_can_read_them(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        FileOutputStore(tmp_path / "data").open(JOB, "t").close()
    finally:
        os.umask(before)
    folder = tmp_path / "data" / "logs" / JOB
    assert sorted(path.name for path in folder.iterdir()) == ["t-stderr.log", "t-stdout.log"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert [stat.S_IMODE(path.stat().st_mode) for path in (folder, folder.parent)] == [0o700, 0o700]


def test_descriptors_append_and_are_not_inherited_by_accident(tmp_path: Path) -> None:
    output = FileOutputStore(tmp_path).open(JOB, "t")
    fds = [output.fileno(stream) for stream in Stream]
    assert not any(os.get_inheritable(fd) for fd in fds)
    subprocess.run("echo child; echo oops >&2", shell=True, check=True, stdout=fds[0], stderr=fds[1])
    output.write(Stream.STDOUT, b"ours\n")
    subprocess.run("echo child again", shell=True, check=True, stdout=fds[0])
    output.close()
    assert read(FileOutputStore(tmp_path)) == b"child\nours\nchild again\n"
    assert read(FileOutputStore(tmp_path), stream=Stream.STDERR) == b"oops\n"


@pytest.mark.parametrize("job_id", ODD_IDS)
def test_what_is_no_job_id_never_becomes_a_path(tmp_path: Path, job_id: str) -> None:
    (tmp_path / "data" / "logs").mkdir(parents=True)
    (tmp_path / "data" / "logs" / "t-stdout.log").write_text("secret")
    store = FileOutputStore(tmp_path / "data")
    with pytest.raises(LaunchError, match="job id"):
        store.open(JobId(job_id), "t")
    assert trio.run(store.read, JobId(job_id), "t", Stream.STDOUT, 0, 10) == b""
    assert trio.run(store.size, JobId(job_id), "t", Stream.STDOUT) == 0
    trio.run(store.remove, [JobId(job_id)])
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["data", "logs", "t-stdout.log"]


@pytest.mark.parametrize("name", ["t", "with-dash", "with.dot", "ünï", "with space", "a_b+c@d,e=f", "日本", "a\nb"])
def test_usual_names_are_file_names_as_they_are(name: str) -> None:
    assert file_stem(name) == name


@pytest.mark.parametrize(
    ("name", "stem"),
    [("a/b", "a%2Fb"), ("../x", "%2E.%2Fx"), (".hidden", "%2Ehidden"), ("100%", "100%25"), ("a\0b", "a%00b")],
)
def test_odd_names_are_escaped(name: str, stem: str) -> None:
    assert file_stem(name) == stem


NAMES = st.text(st.characters(exclude_categories=()) | st.sampled_from("/.%\0"), max_size=300)


@given(NAMES)
@example("\ud800")
@example("ü" * 300)
def test_any_name_gives_a_file_name(name: str) -> None:
    stem = file_stem(name)
    assert "/" not in stem
    assert "\0" not in stem
    assert not stem.startswith(".")
    assert len(f"{stem}-stdout.log".encode()) <= 255


@given(NAMES, NAMES)
@example("a/b", "a%2Fb")
@example("x" * 300, "x" * 301)
def test_different_names_give_different_file_names(one: str, other: str) -> None:
    assert (one == other) == (file_stem(one) == file_stem(other))


@pytest.mark.parametrize("task", ["../../escape", "a/b", "..", "\0", "x" * 5000, ""])
def test_output_of_oddly_named_tasks_stays_in_the_folder_of_the_job(tmp_path: Path, task: str) -> None:
    store = FileOutputStore(tmp_path)
    output = store.open(JOB, task)
    output.write(Stream.STDOUT, b"text")
    output.close()
    assert read(store, task) == b"text"
    assert len(list((tmp_path / "logs" / JOB).iterdir())) == 2


def test_a_folder_that_cannot_be_made_is_a_launch_error_with_path_and_reason(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file")
    with pytest.raises(LaunchError, match=f"{tmp_path}/logs/{JOB}: Not a directory"):
        FileOutputStore(tmp_path).open(JOB, "t")


@pytest.mark.parametrize("nth", [1, 2])
def test_when_descriptors_run_out_none_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nth: int) -> None:
    before = len(os.listdir("/proc/self/fd"))
    real, calls = os.open, []

    def failing(path: str, flags: int, mode: int) -> int:
        calls.append(path)
        if len(calls) == nth:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), path)
        return real(path, flags, mode)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", failing)
        with pytest.raises(LaunchError, match="Too many open files"):
            FileOutputStore(tmp_path).open(JOB, "t")
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_full_disk_does_not_stop_the_runner(tmp_path: Path) -> None:
    store = FileOutputStore(tmp_path)
    (tmp_path / "logs" / JOB).mkdir(parents=True)
    output = store.open(JOB, "t")
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, output.fileno(Stream.STDOUT))
    os.close(full)
    output.write(Stream.STDOUT, b"lost")
    output.close()
    assert read(store) == b""


def test_many_jobs_are_removed_at_once_and_one_problem_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = FileOutputStore(tmp_path)
    jobs = [JobId(str(uuid.uuid4())) for _ in range(150)]
    for job in jobs:
        output = store.open(job, "t")
        for stream in Stream:  # an empty log may be gone already
            output.write(stream, b"said")
        output.close()
    odd = tmp_path / "logs" / jobs[70]
    for path in odd.iterdir():
        path.unlink()
    odd.rmdir()
    odd.write_text("a file where a folder should be")
    trio.run(store.remove, jobs)
    assert [path.name for path in (tmp_path / "logs").iterdir()] == [jobs[70]]
    assert {record.job for record in caplog.records} == {jobs[70]}


def test_reading_does_not_stop_the_loop(tmp_path: Path) -> None:
    fifo_folder = tmp_path / "logs" / JOB
    fifo_folder.mkdir(parents=True)
    os.mkfifo(fifo_folder / "t-stdout.log")
    store = FileOutputStore(tmp_path)
    turned: list[bool] = []

    async def main() -> None:
        with trio.move_on_after(5) as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(store.read, JOB, "t", Stream.STDOUT, 0, 10)  # blocks: nobody writes
                await trio.sleep(0)
                turned.append(True)
                nursery.cancel_scope.cancel()
        assert not scope.cancelled_caught

    trio.run(main)
    assert turned == [True]
    # Let the abandoned thread end.
    os.close(os.open(fifo_folder / "t-stdout.log", os.O_RDWR))
