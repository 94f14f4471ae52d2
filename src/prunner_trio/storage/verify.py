"""Is a store whole? Each problem is one sentence that says what is wrong and with which job."""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

# Queries are put together from constants of this module; every value is a parameter.
# ruff: noqa: S608
from prunner_trio.errors import StoreError
from prunner_trio.model import State, StopReason
from prunner_trio.storage.pages import HEADER_SIZE, header_problem, log_end
from prunner_trio.storage.progress import Progress
from prunner_trio.storage.rows import (
    JOB_COLUMNS,
    PIPELINE_COLUMNS,
    TASK_COLUMNS,
    definition_from_text,
    record_from_row,
)
from prunner_trio.storage.schema import VERSION

__all__ = [
    "MOST_PROBLEMS",
    "all_problems_of",
    "explain",
    "file_problem",
    "is_corrupt",
    "is_damage",
    "log_problem",
    "problems_of",
]

MOST_PROBLEMS = 100
"""How many problems of one sort are listed."""

_LOG_FRAMES_AT = 16
"""Where the shared memory of a write-ahead log has the number of its frames; see SQLite's "WAL-mode File Format"."""

_STATES = ", ".join(f"'{state.value}'" for state in State)
_REASONS = ", ".join(f"'{reason.value}'" for reason in StopReason)
_ROW_PROBLEMS = (
    (f"state NOT IN ({_STATES})", "has an unknown state"),
    (f"stop_reason NOT IN ({_REASONS})", "has an unknown reason of its stop"),
    ("variables IS NOT NULL AND NOT json_valid(variables)", "has variables that cannot be read"),
    ("audit IS NOT NULL AND NOT json_valid(audit)", "has an audit that cannot be read"),
    ("typeof(created) NOT IN ('real', 'integer') OR typeof(not_before) NOT IN ('real', 'integer')", "has no time"),
    ("definition NOT IN (SELECT id FROM definition)", "has lost its definition"),
)
_TASK_PROBLEMS = (
    (f"state NOT IN ({_STATES})", "has an unknown state"),
    ("depends_on IS NOT NULL AND NOT json_valid(depends_on)", "has dependencies that cannot be read"),
    ("job NOT IN (SELECT number FROM job)", "belongs to no job"),
)
_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_DAMAGE = _CORRUPT | {sqlite3.SQLITE_ERROR}
_STEPS_BETWEEN_LOOKS = 20_000


def is_damage(exc: sqlite3.Error) -> bool:
    """Whether an error says that the content of a store is broken, rather than that it cannot be had now.

    A query of ours that makes no sense to SQLite (`SQLITE_ERROR`) has met tables that are not those of the version;
    an error without a code is Python's own, about text that is none.
    """
    code = getattr(exc, "sqlite_errorcode", None)
    return code is None or code & 0xFF in _DAMAGE


def is_corrupt(exc: BaseException | None) -> bool:
    """Whether SQLite itself calls the store broken."""
    return isinstance(exc, sqlite3.Error) and getattr(exc, "sqlite_errorcode", 0) & 0xFF in _CORRUPT


def explain(exc: Exception) -> str:
    """Return the text of an error, without the content of a row that Python puts into its own: it may be secret."""
    if isinstance(exc, sqlite3.OperationalError) and not hasattr(exc, "sqlite_errorcode"):
        return "it holds a text that is not UTF-8"
    return str(exc)


def file_problem(path: Path) -> str:
    """Return what is wrong with the first bytes of a store or of its log; empty if nothing is. Raises `OSError`."""
    with path.open("rb") as file:
        problem = header_problem(file.read(HEADER_SIZE))
    if problem:
        return problem
    try:
        with Path(f"{path}-wal").open("rb") as file:
            header = log_end(file.read(64), 0).header
    except FileNotFoundError:
        return ""
    return f"the write-ahead log {path.name}-wal cannot be read: {header}" if header else ""


def log_problem(path: Path) -> tuple[str, bool]:
    """Return what is wrong behind the frames that SQLite has read, and whether that is certainly damage.

    For a store that is open in this process, by a connection that has read something, and that nobody writes to.
    A transaction that a power cut has broken off looks like the last one of a damaged log: that is not certain.
    Raises `OSError`.
    """
    try:
        log, shared = Path(f"{path}-wal").read_bytes(), Path(f"{path}-shm").read_bytes()
    except FileNotFoundError:
        return "", False
    readable = int(memoryview(shared)[_LOG_FRAMES_AT : _LOG_FRAMES_AT + 4].cast("I")[0])
    lost = log_end(log, readable).transactions
    if lost > 1:
        return f"the write-ahead log is damaged: at least {lost - 1} committed transactions cannot be read", True
    text = "the last transaction in the write-ahead log is not whole, as after a power cut: it was not used"
    return (text, False) if lost else ("", False)


def problems_of(connection: sqlite3.Connection, go_on: Callable[[], bool] = lambda: True) -> tuple[Sequence[str], bool]:
    """Return all problems of a store, and whether everything was looked at.

    Blocks. Rows come first, the walk over all pages and indexes last. The rows of an older version have other columns,
    so of such a store only pages and indexes are looked at.

    Args:
        go_on: asked again and again; an answer that is false, or an exception, ends the look.

    Raises:
        StoreError: it is whole, but holds what this program does not know.
        sqlite3.Error: the store cannot be read, for another reason than its content.
    """
    connection.set_progress_handler(lambda: not go_on(), _STEPS_BETWEEN_LOOKS)
    found: list[str] = []
    try:
        current = connection.execute("PRAGMA user_version").fetchone()[0] == VERSION
        for step in (_definitions, _jobs, _tasks, _pipelines, _structure) if current else (_structure,):
            found.extend(step(connection))
    except sqlite3.Error as exc:
        if getattr(exc, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
            return found, False
        if not is_damage(exc):
            raise
        found.append(explain(exc))
    finally:
        connection.set_progress_handler(None, 0)
    return list(dict.fromkeys(found)), True


def all_problems_of(connection: sqlite3.Connection, progress: Progress) -> Sequence[str]:
    """Return all problems of a store; see `problems_of`. An exception from `progress` ends the look and comes out."""

    def go_on() -> bool:
        progress("check", 0, 0)
        return True

    problems, everything = problems_of(connection, go_on)
    if not everything:
        go_on()  # SQLite has kept the exception to itself
        raise StoreError("the check was broken off")
    return problems


def _definitions(connection: sqlite3.Connection) -> Iterator[str]:
    for key, digest, text in connection.execute("SELECT id, hash, data FROM definition"):
        if not isinstance(text, str) or hashlib.sha256(text.encode()).hexdigest() != digest:
            yield f"definition {key} is not what was written"
            continue
        try:
            definition_from_text(text)
        except StoreError as exc:
            raise StoreError(f"definition {key} is as it was written, perhaps by a newer prunner-trio: {exc}") from exc


def _jobs(connection: sqlite3.Connection) -> Iterator[str]:
    for condition, text in _ROW_PROBLEMS:
        query = f"SELECT number, id, pipeline FROM job NOT INDEXED WHERE {condition} LIMIT {MOST_PROBLEMS}"
        for number, job_id, pipeline in connection.execute(query):
            yield f"job {number} ({job_id}, pipeline {pipeline!r}) {text}"

    yield from _texts(connection, f"SELECT number, {JOB_COLUMNS} FROM job NOT INDEXED ORDER BY number", "job")


def _tasks(connection: sqlite3.Connection) -> Iterator[str]:
    for condition, text in _TASK_PROBLEMS:
        query = f"SELECT job, position, name FROM task WHERE {condition} LIMIT {MOST_PROBLEMS}"
        for number, position, name in connection.execute(query):
            yield f"task {name!r} of job {number} (position {position}) {text}"

    yield from _texts(connection, f"SELECT {TASK_COLUMNS} FROM task", "task of job")


def _pipelines(connection: sqlite3.Connection) -> Iterator[str]:
    for row in connection.execute(f"SELECT {PIPELINE_COLUMNS} FROM pipeline"):
        try:
            record_from_row(row)
        except (StoreError, ValueError, TypeError):
            yield f"what is remembered of pipeline {row[0]!r} cannot be read"


def _texts(connection: sqlite3.Connection, query: str, what: str) -> Iterator[str]:
    """Read every value: SQLite keeps texts as they are, and Python takes none that is not UTF-8."""
    last = 0
    try:
        for row in connection.execute(query):
            last = row[0]
    except sqlite3.OperationalError as exc:
        if hasattr(exc, "sqlite_errorcode"):
            raise
        yield f"the {what} after number {last}: {explain(exc)}"


def _structure(connection: sqlite3.Connection) -> Iterator[str]:
    for (text,) in connection.execute(f"PRAGMA integrity_check({MOST_PROBLEMS})"):
        if text != "ok":
            yield from (line for line in str(text).splitlines() if line)
