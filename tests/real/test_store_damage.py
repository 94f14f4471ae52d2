"""A damaged store: a start goes on with what can be had, believes nothing that may be untrue, and says what is lost."""

import hashlib
import os
import random
import re
import shutil
import signal
import sqlite3
import stat
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import attrs
import pytest
import trio

from prunner_trio.definition.pipeline import PipelineDef, TaskDef
from prunner_trio.errors import StoreError
from prunner_trio.execution.seams import Change, JobAdded, JobChanged, JobsRemoved, SavedJob, TaskChanged
from prunner_trio.model import JobId, JobView, State, TaskView
from prunner_trio.storage import condition_of, open_journal
from prunner_trio.storage.opening import OpenStore, open_store
from prunner_trio.storage.recover import Recovered
from prunner_trio.storage.salvage import LOST_DEFINITION, LOST_RECORD, LOST_VARIABLES

pytestmark = pytest.mark.real

CASES = int(os.environ.get("PRUNNER_TEST_DAMAGES", "0"))
SEED = int(os.environ.get("PRUNNER_TEST_SEED", "5"))
ENOUGH = 8  # seconds for as many cases as there is time for, unless their number is given
LONGEST = 30  # seconds until one case counts as hanging
NOW = 1_800_000_000.0
PAGE = 4096

BUILD = PipelineDef("build", (TaskDef("a", ("echo a",)), TaskDef("b", ("echo b",), ("a",))))
DEPLOY = PipelineDef("deploy", (TaskDef("go", ("./deploy",)),), env={"KEY": "x" * 6000})  # longer than a page
JOBS = 60


@attrs.frozen
class Truth:
    """A store, and what is in it.

    Attributes:
        files: by name; the second half of the changes is in the write-ahead log.
        removed: jobs that retention has taken.
    """

    files: dict[str, bytes]
    jobs: dict[int, SavedJob]
    removed: dict[int, SavedJob]
    last_number: int

    def put(self, directory: Path) -> Path:
        directory.mkdir(exist_ok=True)
        for name, content in self.files.items():
            (directory / name).write_bytes(content)
        return directory / "store.db"


def life_of(number: int, chance: random.Random) -> Iterator[Change]:
    definition = DEPLOY if number % 7 == 0 else BUILD
    tasks = tuple(TaskView(task.name, depends_on=task.depends_on) for task in definition.tasks)
    job = JobView(
        JobId(str(uuid.UUID(int=chance.getrandbits(128), version=4))),
        number,
        definition.name,
        State.WAITING,
        tasks,
        1000.0 + number,
        variables={"x": "y" * chance.choice([0, 10, 10, 9000])},
        user="jane",
    )
    yield JobAdded(job, definition)
    if number % 10 == 3:
        return
    yield JobChanged(attrs.evolve(job, state=State.RUNNING, started=2000.0))
    if number % 10 == 4:
        return
    for position, task in enumerate(tasks):
        yield TaskChanged(job.id, position, attrs.evolve(task, state=State.DONE, started=2000.5, ended=2001.5))
    yield JobChanged(attrs.evolve(job, state=State.DONE, started=2000.5, ended=3000.5))
    if number % 10 == 5:
        yield JobsRemoved((job.id,))


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    directory = tmp_path_factory.mktemp("truth")
    chance = random.Random(1)

    async def main() -> Truth:
        async with open_journal(directory, now=lambda: NOW) as journal:
            ticket = 0
            removed: dict[int, SavedJob] = {}
            journal._writer._connection.execute("PRAGMA wal_autocheckpoint = 0")
            for number in range(1, JOBS + 1):
                for change in life_of(number, chance):
                    if isinstance(change, JobsRemoved):
                        await journal.committed(ticket)
                        saved = await journal.find(change.job_ids[0])
                        assert saved is not None
                        removed[number] = saved
                    ticket = journal.record(change)
                await journal.committed(ticket)
                if number == JOBS // 2:
                    with closing(sqlite3.connect(directory / "store.db")) as connection:
                        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            files = {name: (directory / name).read_bytes() for name in ("store.db", "store.db-wal")}
            found = {}
            for job in await journal.jobs(pipeline=None, before=None, limit=JOBS):
                saved = await journal.find(job.id)
                assert saved is not None
                found[job.number] = saved
            return Truth(files, found, removed, await journal.last_number())

    return trio.run(main)


@pytest.fixture(scope="module")
def folded(truth: Truth, tmp_path_factory: pytest.TempPathFactory) -> Truth:
    """The same store after a clean end."""
    path = truth.put(tmp_path_factory.mktemp("folded"))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return attrs.evolve(truth, files={"store.db": path.read_bytes()})


@contextmanager
def opened(directory: Path) -> Iterator[OpenStore]:
    def too_late(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, too_late)
    signal.alarm(LONGEST)
    try:
        store = open_store(directory, NOW)
        try:
            yield store
        finally:
            store.reader.close()
            store.connection.close()
            store.lock.release()
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def check(truth: Truth, store: OpenStore) -> Recovered | None:
    """Everything that is there is true, everything that is not is reported, no number comes again."""
    found = {saved.job.number: saved for saved in store.reader.everything()}
    recovered = store.recovered
    certain = recovered is None or recovered.salvaged.complete
    for number, saved in found.items():
        job = saved.job
        expected = truth.jobs.get(number) or (None if certain else truth.removed.get(number))
        assert expected is not None, f"job {number} is not true"
        true = expected.job
        assert (job.id, job.pipeline, job.state) == (true.id, true.pipeline, true.state)
        if saved.definition != expected.definition:
            assert recovered is not None
            assert any(f"job {number} " in text for text in recovered.salvaged.changed)
            assert job.state.final or job.stop is not None
        for task in job.tasks:
            known = true.task(task.name)
            assert known is not None
            assert task.state is known.state or task.reason == LOST_RECORD
    missing = truth.jobs.keys() - found.keys()
    if missing:
        assert recovered is not None
        lost = {job.number for job in recovered.salvaged.lost}
        assert not certain or missing <= lost
    assert store.reader.last_number() >= truth.last_number
    return recovered


# ------------------------------------------------------------------------------------------------- any damage at all


def flip(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice([1, 1, 3, 20])):
        place = chance.randrange(len(data))
        data[place] ^= 1 << chance.randrange(8)


def flip_in_a_header(data: bytearray, chance: random.Random) -> None:
    start = chance.randrange(0, len(data), PAGE)
    data[start + chance.randrange(min(110, len(data) - start))] = chance.randrange(256)


def zero(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice([1, 1, 2, 8])):
        start = chance.randrange(0, len(data), PAGE)
        data[start : start + PAGE] = bytes(len(data[start : start + PAGE]))


def scribble(data: bytearray, chance: random.Random) -> None:
    start = chance.randrange(len(data))
    length = min(chance.randrange(1, 9000), len(data) - start)
    data[start : start + length] = chance.randbytes(length)


def cut(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(len(data)) :]


def cut_at_a_page(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(0, len(data), PAGE) :]


def swap_pages(data: bytearray, chance: random.Random) -> None:
    one, other = (chance.randrange(0, len(data), PAGE) for _ in range(2))
    data[one : one + PAGE], data[other : other + PAGE] = data[other : other + PAGE], data[one : one + PAGE]


IN_PLACE: list[Callable[[bytearray, random.Random], None]] = [flip, flip_in_a_header, zero, scribble, swap_pages]
DAMAGES = [*IN_PLACE, cut, cut_at_a_page]


def test_whatever_is_damaged_what_comes_back_is_true_and_what_is_missing_is_reported(
    truth: Truth, folded: Truth, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """PRUNNER_TEST_DAMAGES sets how many stores are damaged, PRUNNER_TEST_SEED where to begin."""
    end = time.monotonic() + ENOUGH
    caplog.set_level("CRITICAL")
    outcomes = {"whole": 0, "recovered": 0, "refused": 0}
    for case in range(SEED, SEED + (CASES or 300)):
        if not CASES and time.monotonic() > end and outcomes["recovered"]:
            break
        chance = random.Random(case)
        whole = chance.choice([truth, folded])
        directory = tmp_path / str(case)
        whole.put(directory)
        file = directory / chance.choice(sorted(whole.files))
        damage = chance.choice(DAMAGES if file.name == "store.db" else IN_PLACE)
        content = file.read_bytes()
        # Nothing tells a log that lost its end from one of an earlier moment: see the test of that below.
        safe = len(content) if file.name == "store.db" else len(content) * 3 // 4
        data = bytearray(content[:safe])
        damage(data, chance)
        file.write_bytes(data + content[safe:])
        try:
            with opened(directory) as store:
                recovered = check(whole, store)
                outcomes["whole" if recovered is None else "recovered"] += 1
            with opened(directory) as store:
                assert store.recovered is None
        except StoreError as exc:
            assert re.search("newer prunner-trio|database of something else", str(exc)), f"case {case}"  # noqa: PT017
            outcomes["refused"] += 1
        except BaseException as exc:
            exc.add_note(f"case {case}: {damage.__name__} of {file.name}")
            raise
        shutil.rmtree(directory)
    assert outcomes["recovered"] > sum(outcomes.values()) // 3


# ------------------------------------------------------------------------------------------------- one kind at a time


def everything(store: OpenStore) -> dict[int, SavedJob]:
    return {saved.job.number: saved for saved in store.reader.everything()}


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def report_of(store: OpenStore) -> str:
    assert store.recovered is not None
    return store.recovered.report.read_text()


def test_the_damaged_files_are_kept_for_their_owner_alone_and_never_overwritten(folded: Truth, tmp_path: Path) -> None:
    contents = []
    for round_ in range(3):
        path = folded.put(tmp_path)
        data = bytearray(path.read_bytes())
        data[: 100 + round_] = bytes(100 + round_)
        path.write_bytes(data)
        contents.append(bytes(data))
        with opened(tmp_path) as store:
            check(folded, store)
    kept = [file for file in tmp_path.glob("store.db.damaged-*") if file.suffix != ".txt"]
    assert sorted(file.read_bytes() for file in kept) == sorted(contents)
    for file in tmp_path.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    assert "store.db.damaged-20270115T080000Z" in {file.name for file in kept}


def test_a_header_that_is_gone_costs_no_job(folded: Truth, tmp_path: Path) -> None:
    path = folded.put(tmp_path)
    path.write_bytes(bytes(PAGE) + path.read_bytes()[PAGE:])
    with opened(tmp_path) as store:
        check(folded, store)
        assert everything(store) == folded.jobs


def test_an_index_that_disagrees_with_its_table_costs_no_job(folded: Truth, tmp_path: Path) -> None:
    path = folded.put(tmp_path)
    done = next(number for number, saved in folded.jobs.items() if saved.job.state.final)
    change(
        path,
        "PRAGMA writable_schema = ON",
        "DELETE FROM sqlite_master WHERE name = 'job_finished'",
        "PRAGMA writable_schema = OFF",
    )
    change(path, f"UPDATE job SET created = 9.5 WHERE number = {done}")
    original = bytearray(folded.files["store.db"])
    changed = path.read_bytes()
    # The table as it is now, the index and the list of tables as they were.
    for start in range(PAGE, min(len(original), len(changed)), PAGE):
        original[start : start + PAGE] = changed[start : start + PAGE]
    path.write_bytes(original)
    with opened(tmp_path) as store:
        assert store.recovered is not None
        assert everything(store).keys() == folded.jobs.keys()
        assert "No job was lost." in report_of(store)


def test_a_job_whose_definition_is_lost_is_still_known_and_does_not_run(folded: Truth, tmp_path: Path) -> None:
    path = folded.put(tmp_path)
    change(path, "DELETE FROM definition")
    with opened(tmp_path) as store:
        found = everything(store)
        assert found.keys() == folded.jobs.keys()
        for number, saved in found.items():
            true = folded.jobs[number].job
            assert (saved.job.state, saved.job.id) == (true.state, true.id)
            assert saved.job.state.final or saved.job.stop is not None
            assert f"job {number} ({true.id}, pipeline {true.pipeline!r}): {LOST_DEFINITION}" in report_of(store)


def test_a_job_whose_variables_cannot_be_read_is_still_known_and_does_not_run(folded: Truth, tmp_path: Path) -> None:
    path = folded.put(tmp_path)
    change(path, "UPDATE job SET variables = '{'")
    with opened(tmp_path) as store:
        found = everything(store)
        assert {n: saved.job.state for n, saved in found.items()} == {
            n: saved.job.state for n, saved in folded.jobs.items()
        }
        assert all(saved.job.state.final or saved.job.stop is not None for saved in found.values())
        assert LOST_VARIABLES in report_of(store)


def test_a_job_in_a_state_that_nobody_knows_is_reported_and_the_others_are_there(folded: Truth, tmp_path: Path) -> None:
    path = folded.put(tmp_path)
    change(path, "UPDATE job SET state = 'dreaming' WHERE number = 6")
    with opened(tmp_path) as store:
        assert everything(store).keys() == folded.jobs.keys() - {6}
        assert folded.jobs[6].job.id in report_of(store)


def test_what_is_secret_in_a_broken_row_is_in_no_message(
    folded: Truth, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = folded.put(tmp_path)
    change(path, "UPDATE job SET variables = CAST(x'7b2268757368ff' AS TEXT) WHERE number = 6")
    with opened(tmp_path) as store:
        assert "hush" not in report_of(store) + caplog.text
        assert "not UTF-8" in report_of(store)


def test_without_its_log_a_store_is_one_of_an_earlier_moment(truth: Truth, tmp_path: Path) -> None:
    chance = random.Random(3)
    for case in range(12):
        path = truth.put(tmp_path / str(case))
        log = Path(f"{path}-wal")
        with log.open("r+b") as file:
            file.truncate(chance.randrange(log.stat().st_size))
        with opened(path.parent) as store:
            for number, saved in everything(store).items():
                known = (truth.jobs.get(number) or truth.removed[number]).job
                assert saved.job.id == known.id
                assert not saved.job.state.final or saved.job.state is known.state


def test_a_log_of_another_store_changes_no_job(truth: Truth, folded: Truth, tmp_path: Path) -> None:
    other = tmp_path / "other"

    async def main() -> bytes:
        async with open_journal(other, now=lambda: NOW) as journal:
            for number in range(1, 40):
                for change_ in life_of(number, random.Random(1000 + number)):
                    ticket = journal.record(change_)
            await journal.committed(ticket)
            connection = journal._writer._connection
            assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
            await journal.committed(journal.record(JobsRemoved(())))
            await journal.committed(journal.record(next(life_of(99, random.Random(99)))))
            return (other / "store.db-wal").read_bytes()

    log = trio.run(main)
    path = folded.put(tmp_path / "mine")
    Path(f"{path}-wal").write_bytes(log)
    with opened(path.parent) as store:
        recovered = check(folded, store)
        assert recovered is not None
        assert "does not belong" in report_of(store)


def test_a_store_that_is_gone_comes_back_from_the_last_good_copy(folded: Truth, tmp_path: Path) -> None:
    (tmp_path / "store.db.last-good").write_bytes(folded.files["store.db"])
    with opened(tmp_path) as store:
        recovered = check(folded, store)
        assert recovered is not None
        finished = {number for number, saved in folded.jobs.items() if saved.job.state.final}
        assert everything(store).keys() == finished
        assert {job.number for job in recovered.salvaged.lost} == folded.jobs.keys() - finished
        assert "it may have ended since" in report_of(store)


def test_what_is_no_damage_is_refused_and_nothing_changes(folded: Truth, tmp_path: Path) -> None:
    path = folded.put(tmp_path)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(StoreError, match="locked"), opened(tmp_path):
            pass
    finally:
        holder.execute("ROLLBACK")
        holder.close()
    assert not list(tmp_path.glob("*damaged*"))
    with opened(tmp_path) as store:
        assert everything(store) == folded.jobs


def test_a_definition_with_a_word_that_only_a_newer_version_knows_is_no_damage(folded: Truth, tmp_path: Path) -> None:
    path = folded.put(tmp_path)
    with closing(sqlite3.connect(path)) as connection:
        (text,) = connection.execute("SELECT data FROM definition WHERE id = 1").fetchone()
        newer = text.replace('"on_daemon_crash":"cancel"', '"on_daemon_crash":"teleport"')
        digest = hashlib.sha256(newer.encode()).hexdigest()
        connection.execute("UPDATE definition SET data = ?, hash = ? WHERE id = 1", (newer, digest))
        connection.commit()
    assert newer != text
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"definition 1 .*newer prunner-trio"), opened(tmp_path):
        pass
    assert path.read_bytes() == before
    assert not list(tmp_path.glob("*damaged*"))
    with pytest.raises(StoreError, match=r"definition 1 .*newer prunner-trio"):
        condition_of(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_store_that_may_not_be_read_is_refused(folded: Truth, tmp_path: Path) -> None:
    path = folded.put(tmp_path)
    path.chmod(0)
    with pytest.raises(StoreError, match="Permission denied"), opened(tmp_path):
        pass
    assert not list(tmp_path.glob("*damaged*"))


def test_power_cuts_one_after_the_other_are_no_damage(tmp_path: Path) -> None:
    """Each breaks off the last transaction, and what is left of it stands behind the next one if that is shorter."""
    for life, pages in enumerate((9, 5, 2, 0)):
        now, next_ = tmp_path / str(life), tmp_path / str(life + 1)
        with opened(now) as store:
            assert store.recovered is None
            log = Path(f"{store.path}-wal")
            frames = int.from_bytes(Path(f"{store.path}-shm").read_bytes()[16:20], sys.byteorder)
            store.connection.execute("REPLACE INTO meta VALUES ('filler', zeroblob(?))", (pages * PAGE,))
            next_.mkdir()
            (next_ / "store.db").write_bytes(store.path.read_bytes())
            data = bytearray(log.read_bytes())
            data[32 + frames * (24 + PAGE) + 500] ^= 1
            (next_ / "store.db-wal").write_bytes(data)


@pytest.mark.parametrize("step", ["replace", "unlink", "link"])
def test_a_recovery_that_breaks_off_at_any_step_is_done_again(
    folded: Truth, tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For n = 1, 2, ...: the n-th call fails, until a run meets no fault; then a start finds everything."""
    module = os if step == "link" else Path
    real = getattr(module, step)
    for fault_at in range(1, 50):
        directory = tmp_path / str(fault_at)
        path = folded.put(directory)
        path.write_bytes(bytes(PAGE) + path.read_bytes()[PAGE:])
        calls: list[None] = []

        def faulty(*words: object, calls: list[None] = calls, fault_at: int = fault_at, **more: object) -> object:
            calls.append(None)
            if len(calls) == fault_at:
                raise PermissionError(13, "Permission denied")
            return real(*words, **more)

        with monkeypatch.context() as patch:
            patch.setattr(module, step, faulty)
            try:
                with opened(directory):
                    pass
            except (StoreError, PermissionError):
                pass
        with opened(directory) as store:
            assert everything(store) == folded.jobs
        if len(calls) < fault_at:
            return
    pytest.fail("there is no end of steps")


def test_a_recovery_that_a_crash_cut_short_is_finished_and_spoken_of(
    folded: Truth, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folded.put(tmp_path)
    path.write_bytes(bytes(PAGE) + path.read_bytes()[PAGE:])

    def crash(path: Path) -> None:
        if Path(f"{path}.recovered").exists():
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("prunner_trio.storage.recover._put_in_place", crash)
        with pytest.raises(KeyboardInterrupt), opened(tmp_path):
            pass
    caplog.clear()
    with opened(tmp_path) as store:
        assert everything(store) == folded.jobs
    (record,) = caplog.records
    assert record.message == "the store was damaged; a recovery that was broken off is finished now"
    (report,) = tmp_path.glob("*.txt")
    assert vars(record)["report"] == str(report)


def test_a_cancel_ends_a_recovery_and_changes_nothing(folded: Truth, tmp_path: Path) -> None:
    """For n = 1, 2, ...: the cancel comes at the n-th sign of progress, until there are no more."""
    path = folded.put(tmp_path)
    path.write_bytes(bytes(PAGE) + path.read_bytes()[PAGE:])
    damaged = path.read_bytes()
    heard: list[str] = []

    async def main(cancel_at: int) -> bool:
        token, scope = trio.lowlevel.current_trio_token(), trio.CancelScope()
        heard.clear()

        def progress(what: str, _done: int, _total: int) -> None:
            heard.append(what)
            if len(heard) == cancel_at:
                trio.from_thread.run_sync(scope.cancel, trio_token=token)

        with trio.fail_after(60), scope:
            async with open_journal(tmp_path, now=lambda: NOW, progress=progress) as journal:
                assert journal.recovered is not None
        return scope.cancelled_caught

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("prunner_trio.storage.verify._STEPS_BETWEEN_LOOKS", 500)
        cancel_at = 1
        while trio.run(main, cancel_at):
            assert path.read_bytes() == damaged
            assert sorted(file.name for file in tmp_path.iterdir()) == ["lock", "store.db"]
            cancel_at += 1
    assert {"reading pages", "judging jobs", "writing jobs", "check"} <= set(heard)
    with opened(tmp_path) as store:
        assert everything(store) == folded.jobs


# ------------------------------------------------------------------------------------------------------ while in use


def test_damage_found_while_running_refuses_new_jobs_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chance = random.Random(7)

    async def main() -> None:
        with trio.fail_after(60):
            async with open_journal(tmp_path, now=lambda: NOW) as journal:
                added, *rest = life_of(1, chance)
                await journal.committed(journal.record(added))
                journal._writer.refuse_new_jobs("page 7 is broken")
                with pytest.raises(StoreError, match="the store is damaged: page 7 is broken"):
                    await journal.committed(journal.record(next(life_of(2, chance))))
                assert not journal.ok
                for change_ in rest:
                    ticket = journal.record(change_)
                await journal.committed(ticket)
                (job,) = await journal.jobs(pipeline=None, before=None, limit=9)
                assert job.state is State.DONE

    trio.run(main)
    assert "Restart the daemon" in caplog.text
    assert caplog.text.count("the store is damaged:") == 1


def test_a_page_that_breaks_under_a_running_daemon_is_noticed_by_the_next_read(
    folded: Truth, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = folded.put(tmp_path)

    async def main() -> None:
        with trio.fail_after(60):
            async with open_journal(tmp_path, now=lambda: NOW) as journal:
                data = bytearray(path.read_bytes())
                for start in range(PAGE, len(data), PAGE):
                    data[start] = 77
                with path.open("r+b") as file:
                    file.write(data)
                journal._store.reader._connection.execute("PRAGMA shrink_memory")
                with pytest.raises(StoreError, match="malformed"):
                    await journal.jobs(pipeline="build", before=None, limit=1000)
                with pytest.raises(StoreError, match="damaged"):
                    await journal.committed(journal.record(next(life_of(JOBS + 5, random.Random(2)))))

    trio.run(main)
    assert "Restart the daemon" in caplog.text
