"""What a row of the current version looks like, for records that come without SQLite's help."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from functools import lru_cache

import attrs

from prunner_trio.storage.rows import JOB_COLUMNS, TASK_COLUMNS
from prunner_trio.storage.schema import MIGRATIONS

__all__ = ["Shape", "fresh_roots", "job_shape", "task_shape"]

Value = int | float | str | bytes | None

_FITTING: Mapping[str, tuple[type, ...]] = {"INTEGER": (int,), "REAL": (int, float), "TEXT": (str,)}


@attrs.frozen
class _Column:
    name: str
    kind: str
    may_be_null: bool
    default: Value


@attrs.frozen
class Shape:
    """The columns of a table: in the order of the records on disk, and in that in which they are asked for."""

    stored: tuple[_Column, ...]
    wanted: tuple[int, ...]

    def filled(self, values: tuple[Value, ...], rowid: int | None = None) -> tuple[Value, ...]:
        """Return a record as a query would: columns that came later have their defaults."""
        row = [*values[: len(self.stored)], *(column.default for column in self.stored[len(values) :])]
        if rowid is not None:
            row[0] = rowid
        return tuple(
            float(value) if isinstance(value, int) and column.kind == "REAL" else value
            for column, value in ((self.stored[place], row[place]) for place in self.wanted)
        )

    def fits(self, row: tuple[Value, ...]) -> bool:
        """Whether each value of a row that `filled` has made is of its column's type."""
        columns = (self.stored[place] for place in self.wanted)
        return all(
            column.may_be_null if value is None else isinstance(value, _FITTING.get(column.kind, (object,)))
            for column, value in zip(columns, row, strict=True)
        )


@lru_cache(maxsize=1)
def job_shape() -> Shape:
    """Return the shape of a job, in the order of `JOB_COLUMNS`."""
    return _shape("job", JOB_COLUMNS)


@lru_cache(maxsize=1)
def task_shape() -> Shape:
    """Return the shape of a task, in the order of `TASK_COLUMNS`."""
    return _shape("task", TASK_COLUMNS)


@lru_cache(maxsize=1)
def fresh_roots() -> Mapping[str, int]:
    """Return on which page each tree begins in a store that was made by this program and never rearranged."""
    with closing(_fresh()) as connection:
        return dict(connection.execute("SELECT name, rootpage FROM sqlite_master"))


def _fresh() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for step in MIGRATIONS:
        step(connection)
    return connection


def _shape(table: str, wanted: str) -> Shape:
    with closing(_fresh()) as connection:
        stored = tuple(
            _Column(
                name,
                kind.upper(),
                not (required or key),
                connection.execute(f"SELECT {default or 'NULL'}").fetchone()[0],
            )
            for _, name, kind, required, default, key in connection.execute(f"PRAGMA table_info({table})").fetchall()
        )
    places = {column.name: place for place, column in enumerate(stored)}
    return Shape(stored, tuple(places[name.strip()] for name in wanted.split(",")))
