"""What there is to say about a store, without changing it: for the command `store check`."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import attrs

from prunner_trio.errors import StoreError
from prunner_trio.storage.examine import damage_of
from prunner_trio.storage.recover import last_good_file, reports
from prunner_trio.storage.schema import STORE_FILE, VERSION, connect_for_reading, version_of
from prunner_trio.storage.verify import explain, file_problem, is_damage, problems_of

__all__ = ["Condition", "condition_of"]


@attrs.frozen
class Condition:
    """A store at one moment.

    Attributes:
        version: that of its tables; None if it cannot be read.
        sizes: bytes by the name of the file.
        jobs: how many there are in each state.
        rows: how many there are in the other tables.
        last_number: the highest number ever given.
        problems: everything that is wrong; none if all is well.
        reports: what is said of earlier damage.
        last_good: when the last good copy was made, in seconds since 1970; None if there is none.
    """

    path: str
    version: int | None = None
    sizes: Mapping[str, int] = attrs.field(factory=dict)
    jobs: Mapping[str, int] = attrs.field(factory=dict)
    rows: Mapping[str, int] = attrs.field(factory=dict)
    last_number: int = 0
    problems: tuple[str, ...] = ()
    reports: tuple[str, ...] = ()
    last_good: float | None = None


def condition_of(directory: Path) -> Condition:
    """Look at all of a store. Blocks; a daemon may be using it and is not disturbed.

    Raises:
        StoreError: there is none, it is newer than this program, or a database of something else.
        OSError: it cannot be read.
    """
    path = directory / STORE_FILE
    if not path.exists():
        raise StoreError(f"there is no store in {directory}")
    good = last_good_file(path)
    condition = Condition(
        str(path),
        sizes={file.name: file.stat().st_size for file in (path, Path(f"{path}-wal")) if file.exists()},
        reports=tuple(str(report) for report in reports(path)),
        last_good=good.stat().st_mtime if good.exists() else None,
    )
    if problem := file_problem(path):
        return attrs.evolve(condition, problems=(problem,))
    try:
        with closing(connect_for_reading(path)) as connection:
            return _look(connection, path, condition)
    except sqlite3.Error as exc:
        if not is_damage(exc):
            raise StoreError(f"the store {path} cannot be read: {exc}") from exc
        return attrs.evolve(condition, problems=(explain(exc),))


def _look(connection: sqlite3.Connection, path: Path, condition: Condition) -> Condition:
    connection.execute("BEGIN")
    version = version_of(connection, path)
    condition = attrs.evolve(condition, version=version)
    if not version:
        return attrs.evolve(condition, problems=tuple(damage_of(path)) or ("it is empty: no daemon has used it yet",))
    problems, _ = problems_of(connection)
    condition = attrs.evolve(condition, problems=tuple(problems))
    if problems or version != VERSION:
        return condition
    value = connection.execute("SELECT value FROM meta WHERE key = 'last_number'").fetchone()
    highest = connection.execute("SELECT max(number) FROM job").fetchone()[0]
    return attrs.evolve(
        condition,
        jobs=dict(connection.execute("SELECT state, count(*) FROM job GROUP BY state ORDER BY state")),
        rows={
            "tasks": connection.execute("SELECT count(*) FROM task").fetchone()[0],
            "definitions": connection.execute("SELECT count(*) FROM definition").fetchone()[0],
        },
        last_number=max(value[0] if value else 0, highest or 0),
    )
