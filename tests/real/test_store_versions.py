"""Stores of every released version load for ever; the files in `data/` were written by those versions."""

import shutil
import sqlite3
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import attrs
import pytest
import trio

from prunner_trio.definition.incoming import HookKind, HookVariable, IncomingHook, VariableType
from prunner_trio.definition.pipeline import PipelineDef, QueueStrategy, TaskDef
from prunner_trio.errors import StoreError
from prunner_trio.execution.seams import JobsRemoved, SavedJob
from prunner_trio.model import (
    Action,
    AuditEntry,
    JobId,
    JobQuery,
    JobView,
    Pause,
    PipelineRecord,
    State,
    StopReason,
    StopRequest,
    TaskView,
)
from prunner_trio.storage import SqliteJournal, back_up, condition_of, export_prunner, open_journal, schema
from prunner_trio.storage.rows import definition_from_text, definition_to_text
from prunner_trio.storage.schema import VERSION

pytestmark = pytest.mark.real

DATA = Path(__file__).parent / "data"

OLD = PipelineDef("old", (TaskDef("one", ("echo 1",)),))
BUILD = PipelineDef(
    "build",
    (
        TaskDef("a", ("echo a", "true"), env={"X": "1"}),
        TaskDef("b", ("echo b",), ("a",), allow_failure=True, shell="sh", timeout=2.5, kill_timeout=1.0),
    ),
    concurrency=3,
    queue_limit=4,
    queue_strategy=QueueStrategy.REPLACE,
    start_delay=1.5,
    continue_running_tasks_after_failure=True,
    retention_period=3600.0,
    retention_count=10,
    env={"Y": "ü"},
    on_error=TaskDef("on_error", ("echo oh",)),
    shell="bash",
    timeout=60.0,
    kill_timeout=0.5,
    file="pipelines.yml",
)
DEPLOY = PipelineDef(
    "deploy",
    (TaskDef("t", ("true",)),),
    queue_strategy=QueueStrategy.PARTITIONED_REPLACE,
    queue_partition_limit=2,
)
T = 1767400000.0
B = TaskView("b", depends_on=("a",), allow_failure=True)


def job_id(number: int) -> JobId:
    return JobId(f"00000000-0000-4000-8000-{number:012}")


WAITING = JobView(
    job_id(2),
    2,
    "build",
    State.WAITING,
    (TaskView("a"), B),
    created=T + 2,
    not_before=T + 100.5,
    variables={"s": "x ✓", "n": 12345678901234567890, "f": 1.5, "b": True, "l": [1, {"k": None}]},
    user="jane",
)
RUNNING = JobView(
    job_id(3),
    3,
    "build",
    State.RUNNING,
    (TaskView("a", State.RUNNING, started=T + 10.5), B),
    created=T + 3,
    started=T + 10.25,
    stop=StopRequest(StopReason.USER, T + 11.5, "joe"),
)
FAILED = JobView(
    job_id(4),
    4,
    "build",
    State.ERROR,
    (
        TaskView("a", State.DONE, (), T + 10.5, T + 11.5),
        TaskView("b", State.ERROR, ("a",), T + 12.5, T + 13.5, 137, "exit status 137", True),
        TaskView("on_error", State.SKIPPED),
    ),
    created=T + 4,
    started=T + 10,
    ended=T + 14,
    error="exit status 1",
)
REPLACED = JobView(
    job_id(6),
    6,
    "deploy",
    State.CANCELED,
    (TaskView("t", State.CANCELED, reason="stopped: replaced"),),
    created=T + 6,
    ended=T + 20,
    partition="tenant",
    stop=StopRequest(StopReason.REPLACED, T + 20),
)
RETRY = JobView(
    job_id(8),
    8,
    "build",
    State.RUNNING,
    (
        TaskView("a", State.DONE, (), T + 10.5, T + 11.5, from_job=job_id(4)),
        attrs.evolve(B, state=State.RUNNING, started=T + 32, stop=StopRequest(StopReason.USER, T + 33, "ü")),
    ),
    created=T + 30,
    started=T + 31,
    user="jane",
    retry_of=job_id(4),
    moved_to=7,
    audit=(
        AuditEntry(T + 30.5, Action.MOVED, "joe", "to position 1 of 2"),
        AuditEntry(T + 33, Action.TASK_CANCELED, "ü", "b"),
    ),
)
"""What only stores since version 4 can hold."""
PAUSED = PipelineRecord("build", Pause(T + 40, "joe"), (AuditEntry(T + 40, Action.PAUSED, "joe"),))
RESUMED = PipelineRecord("gone", None, (AuditEntry(T + 1, Action.PAUSED), AuditEntry(T + 2, Action.RESUMED, "jane")))
IMPORTED = JobView(
    job_id(1),
    1,
    "old",
    State.DONE,
    (TaskView("one", State.DONE, started=1767323046.0, ended=1767323047.0),),
    created=1767323045.123456789,
    started=1767323046.0,
    ended=1767323047.0,
    variables={"a": [1]},
    user="old",
)


def with_journal(directory: Path, scenario: Callable[[SqliteJournal], Awaitable[None]]) -> None:
    async def bounded() -> None:
        with trio.fail_after(60):
            async with open_journal(directory, now=time.time) as journal:
                await scenario(journal)

    trio.run(bounded)


@pytest.fixture(params=sorted(path.name for path in DATA.glob("store-v*.db")))
def old_store(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    directory = tmp_path / ("data with retries" if request.param >= "store-v4.db" else "data")
    directory.mkdir()
    shutil.copy(DATA / request.param, directory / "store.db")
    return directory


def test_there_is_a_file_of_every_version() -> None:
    names = {path.name for path in DATA.glob("store-v*.db")}
    assert names == {f"store-v{version}.db" for version in range(1, VERSION + 1)}


def test_an_old_store_comes_back_whole(old_store: Path) -> None:
    async def scenario(journal: SqliteJournal) -> None:
        assert journal.imported == 0
        assert journal.recovered is None
        newer = [RETRY] if "retries" in old_store.name else []
        unfinished = [WAITING, RUNNING, *newer]
        assert await journal.unfinished() == [SavedJob(job, BUILD) for job in unfinished]
        listed = await journal.jobs(pipeline=None, before=None, limit=10)
        assert listed == [*newer, REPLACED, FAILED, RUNNING, WAITING, IMPORTED]
        assert await journal.search(JobQuery(retry_of=FAILED.id)) == newer
        assert await journal.records() == ([PAUSED, RESUMED] if newer else [])
        assert await journal.find(job_id(1)) == SavedJob(IMPORTED, OLD)
        assert await journal.find(job_id(6)) == SavedJob(REPLACED, DEPLOY)
        assert await journal.last_number() == 9
        assert await journal.pipelines() == ["build", "deploy", "old"]

    with_journal(old_store, scenario)
    assert b"".join(export_prunner(old_store)).count(b'"ID"') == 5 + ("retries" in old_store.name)


def test_an_old_store_is_whole_before_it_is_brought_up_to_date(old_store: Path, tmp_path: Path) -> None:
    condition = condition_of(old_store)
    assert condition.problems == ()
    assert condition.version is not None
    jobs = 5 + ("retries" in old_store.name)
    assert back_up(old_store, tmp_path / "copy", logs=False, progress=lambda *_: None) == jobs


def test_an_old_store_can_be_written_to(old_store: Path) -> None:
    async def change(journal: SqliteJournal) -> None:
        await journal.committed(journal.record(JobsRemoved((job_id(4),))))

    async def check(journal: SqliteJournal) -> None:
        assert await journal.find(job_id(4)) is None

    with_journal(old_store, change)
    with_journal(old_store, check)


def patch_version(monkeypatch: pytest.MonkeyPatch, step: Callable[[sqlite3.Connection], object]) -> None:
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, step))
    for module in ("schema", "opening", "reads", "examine", "condition", "verify"):
        monkeypatch.setattr(f"prunner_trio.storage.{module}.VERSION", VERSION + 1)


async def look(journal: SqliteJournal) -> None:
    assert await journal.find(job_id(2)) == SavedJob(WAITING, BUILD)


def test_a_step_to_a_newer_version_is_taken_once(old_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []

    def step(connection: sqlite3.Connection) -> None:
        connection.execute("ALTER TABLE job ADD COLUMN mood TEXT")
        taken.append(connection)

    patch_version(monkeypatch, step)
    with pytest.raises(StoreError, match="starting the daemon updates it"):
        b"".join(export_prunner(old_store))
    with_journal(old_store, look)
    with_journal(old_store, look)
    assert len(taken) == 1


def test_a_step_that_fails_leaves_the_store_as_it_was(old_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def step(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM job")
        connection.execute("CREATE TABLE job (number)")

    with monkeypatch.context() as patch:
        patch_version(patch, step)
        with pytest.raises(StoreError, match="already exists"):
            with_journal(old_store, look)
    with_journal(old_store, look)


def test_a_definition_may_have_keys_that_are_new_and_lack_such_that_came_later() -> None:
    _, text = definition_to_text(OLD)
    assert definition_from_text(text.replace('"concurrency":1,', '"future":{"x":1},')) == OLD


def test_equal_definitions_have_equal_texts() -> None:
    one = PipelineDef("p", env={"a": "1", "b": "2"})
    other = PipelineDef("p", env={"b": "2", "a": "1"})
    assert definition_to_text(one) == definition_to_text(other)
    assert definition_to_text(one) != definition_to_text(PipelineDef("p"))


def test_incoming_webhooks_of_a_definition_come_back() -> None:
    variables = (HookVariable("commit", "after"), HookVariable("n", "@branch", "7", VariableType.INTEGER))
    hook = IncomingHook("h", HookKind.GITLAB, "file", "", ("push",), ("main",), variables, "ref")
    definition = PipelineDef("p", hooks=(hook,))
    assert definition_from_text(definition_to_text(definition)[1]) == definition
