"""The commands that look at a store and copy it, beside a daemon that is at work."""

import json
import os
import pty
import re
import resource
import sqlite3
import stat
import subprocess
import sys
import time
import uuid
from contextlib import closing
from pathlib import Path

import attrs
import pytest
import trio

from prunner_trio.definition.pipeline import PipelineDef, TaskDef
from prunner_trio.execution.seams import JobAdded, JobChanged
from prunner_trio.model import JobId, JobView, State, TaskView
from prunner_trio.storage import SqliteJournal, keep_last_good, open_journal
from prunner_trio.storage.backup import back_up

pytestmark = pytest.mark.whole

PROGRAM = Path(sys.executable).with_name("prunner-trio")
PIPELINE = PipelineDef("p", (TaskDef("a", ("echo",)),))


def call(*words: str | Path) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if not key.startswith("PRUNNER_")}
    return subprocess.run([PROGRAM, *words], env=env, capture_output=True, text=True, timeout=60)


def new_job(number: int) -> JobView:
    return JobView(JobId(str(uuid.uuid4())), number, "p", State.WAITING, (TaskView("a"),), 1000.0 + number)


async def fill(journal: SqliteJournal, first: int, last: int) -> list[JobView]:
    """Add jobs, of which each second one is done."""
    jobs = []
    for number in range(first, last + 1):
        job = new_job(number)
        ticket = journal.record(JobAdded(job, PIPELINE))
        if number % 2:
            job = attrs.evolve(job, state=State.DONE, started=1.5, ended=2.5)
            ticket = journal.record(JobChanged(job))
        jobs.append(job)
    await journal.committed(ticket)
    return jobs


async def in_thread(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return await trio.to_thread.run_sync(lambda: call(*words))


def test_check_says_what_is_in_a_store_that_is_in_use(tmp_path: Path) -> None:
    async def main() -> None:
        async with open_journal(tmp_path, now=time.time) as journal:
            await fill(journal, 1, 5)
            done = await in_thread("store", "check", "--data", tmp_path)
            assert done.returncode == 0, done
            assert "3 done, 2 waiting; the highest number is 5" in done.stdout
            assert done.stdout.endswith("all is well\n")
            told = json.loads((await in_thread("store", "check", "--json", "--data", tmp_path)).stdout)
            assert (told["ok"], told["jobs"], told["last_number"]) == (True, {"done": 3, "waiting": 2}, 5)
            await fill(journal, 6, 7)

    trio.run(main)


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        ("UPDATE job SET state = 'dreaming' WHERE number = 2", "job 2 .* has an unknown state"),
        ("DELETE FROM definition", "job 1 .* has lost its definition"),
        ("UPDATE definition SET data = '{}'", "definition 1 is not what was written"),
        ("UPDATE job SET variables = '{'", "job 3 .* has variables that cannot be read"),
        ("INSERT INTO task SELECT 99, 0, 'a', 'done', NULL, 1, 2, 0, '', 0", "task 'a' of job 99 .* belongs to no job"),
    ],
)
def test_check_lists_every_problem_and_changes_nothing(tmp_path: Path, statement: str, text: str) -> None:
    async def main() -> None:
        async with open_journal(tmp_path, now=time.time) as journal:
            await fill(journal, 1, 5)

    trio.run(main)
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        if statement.startswith("INSERT"):
            columns = "job, position, name, state, depends_on, started, ended, exit_code, reason, allow_failure"
            statement = statement.replace("task SELECT", f"task ({columns}) SELECT")
        connection.execute(statement)
        connection.commit()
    before = (tmp_path / "store.db").read_bytes()
    done = call("store", "check", "--data", tmp_path)
    assert done.returncode == 1
    assert re.search(f"^problem: {text}", done.stdout, re.MULTILINE), done.stdout
    assert (tmp_path / "store.db").read_bytes() == before


def test_check_tells_of_earlier_damage_and_of_a_store_that_is_not_there(tmp_path: Path) -> None:
    done = call("store", "check", "--data", tmp_path)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, "1 problem")
    (tmp_path / "store.db").write_text("nonsense")
    assert "not a database" in call("store", "check", "--data", tmp_path).stdout

    async def main() -> None:
        async with open_journal(tmp_path, now=time.time):
            pass

    trio.run(main)
    done = call("store", "check", "--data", tmp_path)
    assert done.returncode == 0, done
    assert re.search(r"^earlier damage: see .*store\.db\.damaged-.*\.txt$", done.stdout, re.MULTILINE)


def test_a_backup_made_under_load_has_every_job_that_was_answered_before_it_began(tmp_path: Path) -> None:
    data, target = tmp_path / "data", tmp_path / "copy"
    before: list[JobView] = []

    async def load(journal: SqliteJournal) -> None:
        number = 1001
        while True:
            await fill(journal, number, number + 3)
            number += 4

    async def main() -> None:
        async with open_journal(data, now=time.time) as journal:
            before.extend(await fill(journal, 1, 1000))
            (data / "logs" / before[0].id).mkdir(parents=True)
            (data / "logs" / before[0].id / "a-stdout.log").write_text("said")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(load, journal)
                done = await in_thread("store", "backup", target, "--data", data)
                nursery.cancel_scope.cancel()
            assert done.returncode == 0, done

    trio.run(main)
    assert (target / "logs" / before[0].id / "a-stdout.log").read_text() == "said"
    for folder, _, files in os.walk(target):
        assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
        assert all(stat.S_IMODE(Path(folder, file).stat().st_mode) == 0o600 for file in files)
    assert sorted(file.name for file in target.iterdir()) == ["logs", "store.db"]

    async def restored() -> None:
        async with open_journal(target, now=time.time) as journal:
            for job in before:
                saved = await journal.find(job.id)
                assert saved is not None
                assert saved.job.state is job.state

    trio.run(restored)


def test_a_backup_overwrites_nothing_and_leaves_nothing_half_done(tmp_path: Path) -> None:
    data = tmp_path / "data"

    async def main() -> None:
        async with open_journal(data, now=time.time) as journal:
            await fill(journal, 1, 3)

    trio.run(main)
    (tmp_path / "there").mkdir()
    done = call("store", "backup", tmp_path / "there", "--data", data)
    assert (done.returncode, done.stderr) == (
        1,
        f"backing up to {tmp_path}/there: {tmp_path}/there exists already\n",
    )
    with closing(sqlite3.connect(data / "store.db")) as connection:
        connection.execute("UPDATE job SET state = 'dreaming'")
        connection.commit()
    done = call("store", "backup", tmp_path / "copy", "--data", data)
    assert done.returncode == 1
    assert "is damaged: job 1" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "there"]


def test_a_backup_that_is_broken_off_leaves_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"

    async def main() -> None:
        async with open_journal(data, now=time.time) as journal:
            await fill(journal, 1, 3)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    trio.run(main)
    with pytest.raises(KeyboardInterrupt):
        back_up(data, tmp_path / "copy", logs=True, progress=interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_last_good_copy_is_made_at_the_start_and_again_after_a_change(tmp_path: Path) -> None:
    async def main() -> None:
        with trio.fail_after(60):
            async with open_journal(tmp_path, now=time.time) as journal, trio.open_nursery() as nursery:
                good = tmp_path / "store.db.last-good"
                await fill(journal, 1, 3)
                nursery.start_soon(keep_last_good, journal, 0.01)
                for last in (3, 4):
                    if last == 4:
                        await fill(journal, 4, 4)
                    while highest(good) != last:
                        await trio.sleep(0.02)
                assert stat.S_IMODE(good.stat().st_mode) == 0o600
                nursery.cancel_scope.cancel()
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            "lock",
            "store.db",
            "store.db.last-good",
            "store.db.sealed",
        ]

    trio.run(main)


@pytest.mark.parametrize(
    ("statement", "level", "text"),
    [
        (None, "WARNING", "the last good copy of the store could not be made: .*disk I/O error"),
        ("UPDATE job SET state = 'dreaming'", "ERROR", "is damaged: job 1 .*; restart the daemon"),
    ],
)
def test_a_last_good_copy_that_cannot_be_made_is_called_damage_only_if_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, statement: str | None, level: str, text: str
) -> None:
    async def main() -> None:
        with trio.fail_after(60):
            async with open_journal(tmp_path, now=time.time) as journal:
                await fill(journal, 1, 3)
                if statement:
                    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
                        connection.execute(statement)
                        connection.commit()
                limits = resource.getrlimit(resource.RLIMIT_FSIZE)
                resource.setrlimit(resource.RLIMIT_FSIZE, (limits[1] if statement else 8192, limits[1]))
                try:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(keep_last_good, journal)
                        while not caplog.records:
                            await trio.sleep(0.01)
                        nursery.cancel_scope.cancel()
                finally:
                    resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    trio.run(main)
    (record,) = caplog.records
    assert record.levelname == level
    assert re.search(text, record.getMessage())
    assert not list(tmp_path.glob("*last-good*"))


def highest(path: Path) -> int:
    if not path.exists():
        return 0
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        return int(connection.execute("SELECT max(number) FROM job").fetchone()[0])


def test_on_a_terminal_a_long_backup_shows_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from prunner_trio.cli import store

    ours, theirs = pty.openpty()
    with open(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        monkeypatch.setattr(store, "PATIENCE", 0.0)
        progress = store._Progress()
        progress("store", 50, 200)
        progress.end()
    assert b"store: 25 %" in os.read(ours, 1000)
    os.close(ours)
