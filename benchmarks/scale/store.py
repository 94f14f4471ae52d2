"""Fills a store with finished jobs, by the library's own means: a run that had them all would take hours.

`python -m benchmarks.scale.store DIRECTORY FROM UPTO [--logs]` adds the jobs with the numbers FROM to UPTO.
"""

import argparse
import time
from pathlib import Path

from benchmarks.parts.samples import added, finished, pipeline
from prunner_trio.model import JobId
from prunner_trio.storage.opening import open_store
from prunner_trio.storage.rows import consequences
from prunner_trio.storage.tables import Tables

__all__ = ["fill", "job_id"]

_AT_ONCE = 10_000


def job_id(number: int) -> JobId:
    """Return the id that the job of that number gets."""
    return finished(number).id


def fill(directory: Path, first: int, last: int, *, logs: bool = False) -> None:
    """Add finished jobs of one task; nobody else may use the directory meanwhile.

    Args:
        logs: write a log for each.
    """
    definition = pipeline(1)
    store = open_store(directory, time.time())
    try:
        tables = Tables(store.connection)
        for begin in range(first, last + 1, _AT_ONCE):
            store.connection.execute("BEGIN IMMEDIATE")
            for number in range(begin, min(begin + _AT_ONCE, last + 1)):
                change = added(finished(number, definition), definition)
                tables.insert(change)
                for consequence in consequences(change):
                    tables.write(consequence)
            store.connection.execute("COMMIT")
    finally:
        store.reader.close()
        store.connection.close()
        store.lock.release()
    for number in range(first, last + 1) if logs else ():
        folder = directory / "logs" / job_id(number)
        folder.mkdir(parents=True)
        (folder / "t00000-stdout.log").write_text("done\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("first", type=int)
    parser.add_argument("last", type=int)
    parser.add_argument("--logs", action="store_true")
    arguments = parser.parse_args()
    fill(arguments.directory, arguments.first, arguments.last, logs=arguments.logs)
