"""Changes become rows: what is done to the tables within a transaction that somebody else begins and ends."""

import sqlite3
from collections import OrderedDict
from collections.abc import Sequence

from prunner_trio.definition.pipeline import PipelineDef
from prunner_trio.execution.seams import (
    Change,
    JobAdded,
    JobChanged,
    JobReset,
    JobsChanged,
    JobsRemoved,
    PipelineChanged,
    TaskChanged,
)
from prunner_trio.model import JobId
from prunner_trio.storage.rows import (
    INSERT_JOB,
    REPLACE_PIPELINE,
    REPLACE_TASK,
    UPDATE_JOB,
    definition_to_text,
    job_parameters,
    pipeline_parameters,
    task_parameters,
    update_parameters,
)

__all__ = ["COUNT_OUTAGE", "UNFIT", "Tables"]

KNOWN_DEFINITIONS = 256

COUNT_OUTAGE = """INSERT INTO meta (key, value) VALUES ('outages', 1)
    ON CONFLICT (key) DO UPDATE SET value = value + 1"""

RAISE_LAST_NUMBER = """INSERT INTO meta (key, value) VALUES ('last_number', ?)
    ON CONFLICT (key) DO UPDATE SET value = max(value, excluded.value)"""

FORGET_TASKS = "DELETE FROM task WHERE from_job IS NULL AND job = (SELECT number FROM job WHERE id = ?)"

UNFIT = (
    TypeError,
    ValueError,
    OverflowError,
    RecursionError,
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
)
"""What says that one change cannot be written, today or ever; the others of its batch can."""


class Tables:
    """Writes changes through one connection; raises `sqlite3.Error`, and `UNFIT` for a change that fits no row."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._definitions: OrderedDict[int, tuple[PipelineDef, int]] = OrderedDict()

    def forget(self) -> None:
        """Forget what was in a transaction that has been rolled back."""
        self._definitions.clear()

    def write(self, change: Change) -> None:
        """Write a change of something that is there already; nothing happens if it is not, or no more."""
        match change:
            case JobChanged(job=job):
                self._connection.execute(UPDATE_JOB, update_parameters(job))
            case JobsChanged(jobs=jobs):
                self._connection.executemany(UPDATE_JOB, map(update_parameters, jobs))
            case JobReset(job=job):
                self._connection.execute(FORGET_TASKS, (job.id,))
                self._connection.execute(UPDATE_JOB, update_parameters(job))
            case TaskChanged(job_id=job_id, position=position, task=task):
                self._connection.execute(REPLACE_TASK, task_parameters(job_id, position, task))
            case JobsRemoved(job_ids=job_ids):
                self._remove(job_ids)
            case PipelineChanged(record=record):
                self._connection.execute(REPLACE_PIPELINE, pipeline_parameters(record))

    def insert(self, change: JobAdded) -> None:
        """Write the row of a new job, and nothing else of the change."""
        parameters = job_parameters(change.job, self._definition(change.definition))
        self._connection.execute(INSERT_JOB, parameters)

    def _definition(self, definition: PipelineDef) -> int:
        """Return the row of a definition, equal ones stored once. Most jobs bring the very object of the one before."""
        known = self._definitions.get(id(definition))
        if known is not None:
            return known[1]
        digest, text = definition_to_text(definition)
        execute = self._connection.execute
        execute("INSERT INTO definition (hash, data) VALUES (?, ?) ON CONFLICT (hash) DO NOTHING", (digest, text))
        key = int(execute("SELECT id FROM definition WHERE hash = ?", (digest,)).fetchone()[0])
        self._definitions[id(definition)] = definition, key  # holds the object, so its id() stays taken
        if len(self._definitions) > KNOWN_DEFINITIONS:
            self._definitions.popitem(last=False)
        return key

    def _remove(self, job_ids: Sequence[JobId]) -> None:
        execute = self._connection.execute
        # Alone, max() is one step of the tree; within a larger query it walks over all jobs.
        execute(RAISE_LAST_NUMBER, (execute("SELECT max(number) FROM job").fetchone()[0] or 0,))
        used: set[tuple[str, int]] = set()
        for job_id in job_ids:
            row = execute("SELECT number, pipeline, definition FROM job WHERE id = ?", (job_id,)).fetchone()
            if row is not None:
                execute("DELETE FROM task WHERE job = ?", (row[0],))
                execute("DELETE FROM job WHERE number = ?", (row[0],))
                used.add((row[1], row[2]))
        for pipeline, definition in used:
            self._remove_definition_if_unused(pipeline, definition)

    def _remove_definition_if_unused(self, pipeline: str, definition: int) -> None:
        """Delete a definition without jobs. The oldest jobs left have it most likely, so the search ends soon."""
        execute = self._connection.execute
        query = "SELECT 1 FROM job WHERE pipeline = ? AND definition = ? LIMIT 1"
        if execute(query, (pipeline, definition)).fetchone() is None:
            execute("DELETE FROM definition WHERE id = ?", (definition,))
            self._definitions = OrderedDict(item for item in self._definitions.items() if item[1][1] != definition)
