"""Empty logs become those of other tasks, and nobody ever gets to see what is not his."""

import errno
import fcntl
import os
import shutil
import subprocess
import tempfile
import uuid
from pathlib import Path

import pytest
import trio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from prunner_trio.execution.seams import Stream, TaskOutput
from prunner_trio.model import JobId
from prunner_trio.output import FileOutputStore
from prunner_trio.output.spares import MOST_FILES, MOST_FOLDERS

pytestmark = pytest.mark.real


def new_job() -> JobId:
    return JobId(str(uuid.uuid4()))


def inodes(root: Path) -> set[int]:
    return {path.stat().st_ino for path in (root / "logs").rglob("*")}


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root / "logs")): path.read_bytes() for path in (root / "logs").rglob("*.log")}


def run_task(store: FileOutputStore, job: JobId, task: str, said: bytes = b"", stream: Stream = Stream.STDOUT) -> None:
    output = store.open(job, task)
    output.write(stream, said)
    output.close()


def test_silent_jobs_one_after_the_other_make_no_new_file(tmp_path: Path) -> None:
    store = FileOutputStore(tmp_path)
    run_task(store, new_job(), "t")
    before = inodes(tmp_path)
    for _ in range(20):
        last = new_job()
        run_task(store, last, "t")
    assert inodes(tmp_path) == before
    assert content(tmp_path) == {f"{last}/t-stdout.log": b"", f"{last}/t-stderr.log": b""}


def test_silent_tasks_of_a_job_make_no_new_file(tmp_path: Path) -> None:
    store, job = FileOutputStore(tmp_path), new_job()
    for number in range(20):
        run_task(store, job, f"t{number}")
    assert len(inodes(tmp_path)) == 3
    assert content(tmp_path) == {f"{job}/t19-stdout.log": b"", f"{job}/t19-stderr.log": b""}


def test_what_was_said_stays_and_the_silent_stream_is_used_again(tmp_path: Path) -> None:
    store, job = FileOutputStore(tmp_path), new_job()
    for number in range(5):
        run_task(store, job, f"t{number}", b"%d" % number)
    assert {name.rpartition("/")[2]: text for name, text in content(tmp_path).items() if text} == {
        f"t{number}-stdout.log": b"%d" % number for number in range(5)
    }
    assert len(inodes(tmp_path)) == 1 + 5 + 1


def test_a_directory_in_which_something_was_written_stays(tmp_path: Path) -> None:
    store, first, second = FileOutputStore(tmp_path), new_job(), new_job()
    run_task(store, first, "t", b"text")
    run_task(store, second, "t")
    assert content(tmp_path)[f"{first}/t-stdout.log"] == b"text"
    assert (tmp_path / "logs" / second).is_dir()


@pytest.mark.parametrize("same_job", [True, False])
def test_a_process_left_behind_keeps_its_log(tmp_path: Path, same_job: bool) -> None:
    store, first = FileOutputStore(tmp_path), new_job()
    output = store.open(first, "first")
    with subprocess.Popen(
        ["cat"], stdin=subprocess.PIPE, stdout=output.fileno(Stream.STDOUT), stderr=output.fileno(Stream.STDERR)
    ) as left_behind:
        output.close()
        second = first if same_job else new_job()
        run_task(store, second, "second", b"second")
        left_behind.communicate(b"first")
    assert content(tmp_path)[f"{first}/first-stdout.log"] == b"first"
    assert content(tmp_path)[f"{second}/second-stdout.log"] == b"second"


@pytest.mark.parametrize("same_job", [True, False])
def test_a_reader_sees_nothing_of_another_task(tmp_path: Path, same_job: bool) -> None:
    store, first = FileOutputStore(tmp_path), new_job()
    run_task(store, first, "first")
    with (tmp_path / "logs" / first / "first-stdout.log").open("rb") as reader:
        second = first if same_job else new_job()
        run_task(store, second, "second", b"not yours")
        assert reader.read() == b""
    assert content(tmp_path)[f"{second}/second-stdout.log"] == b"not yours"


def test_what_somebody_else_wrote_into_an_empty_log_stays_there(tmp_path: Path) -> None:
    store, first, second = FileOutputStore(tmp_path), new_job(), new_job()
    run_task(store, first, "t")
    (tmp_path / "logs" / first / "t-stdout.log").write_bytes(b"a note")
    run_task(store, second, "t", b"second")
    assert content(tmp_path)[f"{first}/t-stdout.log"] == b"a note"
    assert content(tmp_path)[f"{second}/t-stdout.log"] == b"second"


def test_a_log_that_somebody_has_linked_or_shared_is_left_alone(tmp_path: Path) -> None:
    store, linked, shared, third = FileOutputStore(tmp_path), new_job(), new_job(), new_job()
    for output in [store.open(job, "t") for job in (linked, shared)]:
        output.close()
    os.link(tmp_path / "logs" / linked / "t-stdout.log", tmp_path / "copy")
    (tmp_path / "logs" / shared / "t-stdout.log").chmod(0o644)
    run_task(store, third, "t", b"third")
    assert (tmp_path / "copy").read_bytes() == b""
    assert content(tmp_path)[f"{shared}/t-stdout.log"] == b""


def test_wide_silent_jobs_do_not_hold_up_the_others(tmp_path: Path) -> None:
    store, last = FileOutputStore(tmp_path), new_job()
    for _ in range(3):
        wide = new_job()
        for output in [store.open(wide, f"t{number}") for number in range(6)]:
            output.close()
    run_task(store, last, "t")
    run_task(store, new_job(), "t")
    assert not (tmp_path / "logs" / last).exists()


def test_a_directory_with_a_file_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    store, first, second = FileOutputStore(tmp_path), new_job(), new_job()
    run_task(store, first, "t")
    (tmp_path / "logs" / first / "notes").touch()
    run_task(store, second, "t")
    assert (tmp_path / "logs" / first / "notes").exists()
    assert {path.name for path in (tmp_path / "logs" / second).iterdir()} == {"t-stdout.log", "t-stderr.log"}


def test_logs_that_were_removed_by_somebody_are_made_anew(tmp_path: Path) -> None:
    store, first, second = FileOutputStore(tmp_path), new_job(), new_job()
    run_task(store, first, "t")
    shutil.rmtree(tmp_path / "logs" / first)
    run_task(store, second, "t", b"text")
    assert content(tmp_path)[f"{second}/t-stdout.log"] == b"text"


def test_removing_a_job_does_not_reach_a_later_one(tmp_path: Path) -> None:
    store, first, second = FileOutputStore(tmp_path), new_job(), new_job()

    async def main() -> None:
        run_task(store, first, "t")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.remove, [first])
            await trio.testing.wait_all_tasks_blocked()
            run_task(store, second, "t", b"text")
        await store.remove([first])

    trio.run(main)
    assert content(tmp_path)[f"{second}/t-stdout.log"] == b"text"


def test_the_logs_of_an_earlier_attempt_stay(tmp_path: Path) -> None:
    store, first = FileOutputStore(tmp_path), new_job()
    run_task(store, first, "t")
    trio.run(store.set_aside, first, 1)
    run_task(store, new_job(), "t", b"text")
    assert content(tmp_path)[f"{first}/t-stdout.1.log"] == b""


def test_without_leases_every_task_gets_new_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, jobs = FileOutputStore(tmp_path), [new_job() for _ in range(4)]
    for job in jobs[:2]:
        run_task(store, job, "t")

    def refuse(fd: int, command: int, argument: int = 0) -> int:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    for job in jobs[2:]:
        run_task(store, job, "t")
    assert set(content(tmp_path)) == {f"{job}/t-{stream.value}.log" for job in jobs[1:] for stream in Stream}


def test_what_is_remembered_has_an_end(tmp_path: Path) -> None:
    store, jobs = FileOutputStore(tmp_path), [new_job() for _ in range(MOST_FOLDERS + 20)]
    outputs = [store.open(job, "t") for job in jobs]
    for output in outputs:
        output.close()
    spares = store._spares
    assert len(spares._files) <= MOST_FILES
    assert len(spares._idle) <= MOST_FOLDERS
    assert len(spares._folders) <= MOST_FOLDERS + MOST_FILES
    for job in jobs:
        run_task(store, job, "u", b"text")
    assert not spares._idle


class Logs(RuleBasedStateMachine):
    """Tasks that begin, write and end in any order, against what each of them has written."""

    running = Bundle("running")

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.store = FileOutputStore(self.root)
        self.written: dict[tuple[JobId, str, Stream], bytes] = {}
        self.open: dict[tuple[JobId, str], TaskOutput] = {}
        self.jobs = [new_job() for _ in range(5)]

    @rule(target=running, job=st.integers(0, 4), task=st.sampled_from(["a", "b", "c"]))
    def begin(self, job: int, task: str) -> tuple[JobId, str] | None:
        key = self.jobs[job], task
        if key in self.open:
            return None
        self.open[key] = self.store.open(*key)
        return key

    @rule(key=running, stream=st.sampled_from(Stream), text=st.binary(min_size=1, max_size=3))
    def write(self, key: tuple[JobId, str] | None, stream: Stream, text: bytes) -> None:
        if key is not None:
            self.open[key].write(stream, text)
            self.written[*key, stream] = self.written.get((*key, stream), b"") + text

    @rule(key=consumes(running))
    def end(self, key: tuple[JobId, str] | None) -> None:
        if key is not None:
            self.open.pop(key).close()

    @rule(number=st.integers(0, 4))
    def remove(self, number: int) -> None:
        job = self.jobs[number]
        if all(open_job != job for open_job, _ in self.open):
            trio.run(self.store.remove, [job])
            self.written = {key: text for key, text in self.written.items() if key[0] != job}
            self.jobs[number] = new_job()

    @invariant()
    def everything_is_where_it_belongs(self) -> None:
        if (self.root / "logs").exists():
            there = {name: text for name, text in content(self.root).items() if text}
            assert there == {
                f"{job}/{task}-{stream.value}.log": text for (job, task, stream), text in self.written.items()
            }

    def teardown(self) -> None:
        for output in self.open.values():
            output.close()
        shutil.rmtree(self.root)


TestLogs = Logs.TestCase
TestLogs.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
