"""Questions to the store: one connection that cannot write, used by one thread at a time."""

import json
import sqlite3
from collections import OrderedDict, defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Queries are put together from constants of this module; every value is a parameter.
# ruff: noqa: S608
from prunner_trio.definition.pipeline import PipelineDef
from prunner_trio.errors import StoreError
from prunner_trio.execution.seams import Expired, SavedJob
from prunner_trio.model import JobId, JobQuery, JobView, PipelineRecord, TaskView
from prunner_trio.storage.queries import conditions
from prunner_trio.storage.rows import (
    JOB_COLUMNS,
    PIPELINE_COLUMNS,
    TASK_COLUMNS,
    definition_from_text,
    job_from_row,
    record_from_row,
    task_from_row,
)
from prunner_trio.storage.schema import VERSION, connect_for_reading, version_of
from prunner_trio.storage.verify import explain

__all__ = ["Reader"]

KNOWN_DEFINITIONS = 256
"""How many definitions are kept in memory; equal ones are shared by all jobs that are read."""

EXPORT_PAGE = 1000

UNFINISHED = "state IN ('waiting', 'running')"
FINISHED = "state NOT IN ('waiting', 'running')"
"""Written as in the indexes: SQLite recognizes a partial index by its text."""


class Reader:
    """Reads jobs. All methods block, see one consistent state each, and raise `StoreError`."""

    def __init__(self, path: Path) -> None:
        """Open the store, which must exist. Raises `StoreError`."""
        self._path = path
        self._definitions: OrderedDict[int, PipelineDef] = OrderedDict()
        with self._errors():
            self._connection = connect_for_reading(path)
            try:
                self._check_version()
            except (sqlite3.Error, StoreError):
                self._connection.close()
                raise

    def close(self) -> None:
        """Close the connection; nobody may be reading."""
        self._connection.close()

    def interrupt(self) -> None:
        """Make a reading thread give up soon; may be called from any thread."""
        self._connection.interrupt()

    def unfinished(self) -> Sequence[SavedJob]:
        """Return the jobs that are not final, by number."""
        with self._snapshot():
            return self._jobs(f"WHERE {UNFINISHED} ORDER BY number")

    def last_number(self) -> int:
        """Return the highest number ever given to a job, 0 if there was none."""
        with self._snapshot():
            row = self._connection.execute(
                "SELECT max(coalesce((SELECT max(number) FROM job), 0),"
                " coalesce((SELECT value FROM meta WHERE key = 'last_number'), 0))"
            ).fetchone()
        return int(row[0])

    def records(self) -> Sequence[PipelineRecord]:
        """Return what is remembered of pipelines, by name."""
        with self._snapshot():
            rows = self._connection.execute(f"SELECT {PIPELINE_COLUMNS} FROM pipeline ORDER BY name").fetchall()
            return [record_from_row(row) for row in rows]

    def find(self, job_id: JobId) -> SavedJob | None:
        """Return one job."""
        with self._snapshot():
            return next(iter(self._jobs("WHERE id = ?", job_id)), None)

    def jobs(self, pipeline: str | None, before: int | None, limit: int) -> Sequence[JobView]:
        """Return a page of jobs, newest first."""
        conditions = {"pipeline = ?": pipeline, "number < ?": before}
        given = {text: value for text, value in conditions.items() if value is not None}
        where = f"WHERE {' AND '.join(given)}" if given else ""
        with self._snapshot():
            return [saved.job for saved in self._jobs(f"{where} ORDER BY number DESC LIMIT ?", *given.values(), limit)]

    def search(self, query: JobQuery, without: Collection[int] = ()) -> Sequence[JobView]:
        """Return a page of jobs that match, newest first.

        Without an index this walks from the page's end over the jobs until the page is full.
        """
        where, values = conditions(query, without)
        order = "DESC" if query.after is None else "ASC"
        with self._snapshot():
            found = self._jobs(f"{where} ORDER BY number {order} LIMIT ?", *values, query.limit)
        return query.page([saved.job for saved in found])

    def pipelines(self) -> Sequence[str]:
        """Return the names of all pipelines that have finished jobs, sorted.

        One step of the index per name, where a plain DISTINCT would walk over every job.
        """
        with self._snapshot():
            rows = self._connection.execute(
                f"""WITH RECURSIVE name(value) AS (
                    SELECT min(pipeline) FROM job WHERE {FINISHED}
                    UNION ALL
                    SELECT (SELECT min(pipeline) FROM job WHERE pipeline > name.value AND {FINISHED})
                    FROM name WHERE name.value IS NOT NULL)
                SELECT value FROM name WHERE value IS NOT NULL"""
            ).fetchall()
        return [row[0] for row in rows]

    def expired(
        self, pipeline: str, keep: int | None, created_before: float | None, ended_before: float | None
    ) -> Expired:
        """Select finished jobs for retention; see `Journal.expired`."""
        finished = f"pipeline = ? AND {FINISHED}"
        with self._snapshot():
            rules, values = [], []
            if keep is not None:
                last_kept = self._value(
                    f"SELECT number FROM job WHERE {finished} ORDER BY number DESC LIMIT 1 OFFSET ?", pipeline, keep
                )
                rules.append("number <= ?")
                values.append(-1 if last_kept is None else last_kept)
            for rule, value in (("created < ?", created_before), ("coalesce(ended, created) < ?", ended_before)):
                if value is not None:
                    rules.append(rule)
                    values.append(value)
            rule = f"({' OR '.join(rules)})" if rules else "0"
            expired = self._connection.execute(
                f"SELECT id FROM job WHERE {finished} AND {rule} ORDER BY number",
                (pipeline, *values),
            ).fetchall()
            oldest = self._value(
                f"SELECT created FROM job WHERE {finished} AND NOT {rule} ORDER BY created LIMIT 1", pipeline, *values
            )
        return Expired(tuple(JobId(row[0]) for row in expired), oldest)

    def everything(self) -> Iterator[SavedJob]:
        """Yield all jobs, oldest first, a page at a time; the state of the moment of the first one."""
        with self._snapshot():
            last = -1
            while page := self._jobs("WHERE number > ? ORDER BY number LIMIT ?", last, EXPORT_PAGE):
                yield from page
                last = page[-1].job.number

    def _check_version(self) -> None:
        version = version_of(self._connection, self._path)
        if version != VERSION:
            raise StoreError(f"the store {self._path} has the version {version}; starting the daemon updates it")

    def _jobs(self, clause: str, *values: object) -> list[SavedJob]:
        rows = self._connection.execute(f"SELECT {JOB_COLUMNS} FROM job {clause}", values).fetchall()
        tasks = self._tasks([row[0] for row in rows])
        found = []
        for row in rows:
            definition = self._definition(row[3])
            found.append(SavedJob(job_from_row(row, definition, tasks.get(row[0], {})), definition))
        return found

    def _tasks(self, numbers: list[int]) -> dict[int, dict[int, TaskView]]:
        found: dict[int, dict[int, TaskView]] = defaultdict(dict)
        rows = self._connection.execute(
            f"SELECT {TASK_COLUMNS} FROM task WHERE job IN (SELECT value FROM json_each(?)) ORDER BY job, position",
            (json.dumps(numbers),),
        )
        for row in rows:
            found[row[0]][row[1]] = task_from_row(row)
        return found

    def _definition(self, key: int) -> PipelineDef:
        known = self._definitions.get(key)
        if known is None:
            text = self._value("SELECT data FROM definition WHERE id = ?", key)
            if text is None:
                raise StoreError(f"the store {self._path} has lost definition {key}, which a job needs")
            known = self._definitions[key] = definition_from_text(text)
            if len(self._definitions) > KNOWN_DEFINITIONS:
                self._definitions.popitem(last=False)
        self._definitions.move_to_end(key)
        return known

    def _value(self, query: str, *values: object) -> Any:
        row = self._connection.execute(query, values).fetchone()
        return row[0] if row else None

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        """Make all queries within see the same state of the store."""
        with self._errors():
            self._connection.execute("BEGIN")
            try:
                yield
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, ValueError, TypeError) as exc:  # a text that should be JSON is not, or is no text
            raise StoreError(f"cannot read the store {self._path}: {explain(exc)}") from exc
