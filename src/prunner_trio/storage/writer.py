"""The thread that writes: takes a batch, makes it one transaction, says what came of it."""

import enum
import logging
import queue
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import attrs
import trio

from prunner_trio.execution.seams import (
    Change,
    JobAdded,
    JobChanged,
    JobsChanged,
    JobsRemoved,
    PipelineChanged,
    TaskChanged,
    Ticket,
)
from prunner_trio.storage.kept import Kept
from prunner_trio.storage.rows import consequences
from prunner_trio.storage.schema import fold_log
from prunner_trio.storage.seal import seal
from prunner_trio.storage.tables import COUNT_OUTAGE, UNFIT, Tables
from prunner_trio.storage.verify import is_corrupt

__all__ = ["Batch", "Report", "Writer"]

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds between two attempts while the store cannot be written; each new batch is an attempt as well."""

LINGER = 0.02
"""Seconds for which changes that nobody waits for are collected, so that they share a transaction."""


class _Word(enum.Enum):
    LINGER = enum.auto()
    STOP = enum.auto()


@attrs.define(eq=False)
class Batch:
    """Changes that are committed together. Filled on the loop thread, then handed to the writer, never both.

    Attributes:
        first: ticket of the first change; the others follow without a gap.
        reported: set on the loop thread once the outcome is known.
    """

    first: Ticket
    changes: list[Change] = attrs.field(factory=list)
    reported: trio.Event = attrs.field(factory=trio.Event)

    @property
    def last(self) -> Ticket:
        """The ticket of the last change."""
        return self.first + len(self.changes) - 1


@attrs.frozen
class Report:
    """What came of an attempt to write.

    Attributes:
        batch: what was new in it; None for a further attempt to write kept changes.
        refused: new jobs that were given up, and why.
        problem: why the store cannot be written; empty if all is on disk.
        seconds: how long the attempt took.
        damage: what SQLite has said is broken in the store, now or before; empty if nothing is known to be.
    """

    batch: Batch | None
    refused: Mapping[Ticket, str]
    problem: str
    seconds: float
    damage: str = ""


class Writer:
    """Owns the writing connection. All methods but `put`, `linger` and `stop` run in the writer's thread."""

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        *,
        report: Callable[[Report], None],
        lingered: Callable[[], None],
    ) -> None:
        """Take over the connection.

        Args:
            report: told what came of each attempt, in the writer's thread.
            lingered: called there, `LINGER` seconds after `linger`, if no batch has come by then.
        """
        self._path = path
        self._connection = connection
        self._report = report
        self._lingered = lingered
        self._inbox: queue.SimpleQueue[Batch | _Word] = queue.SimpleQueue()
        self._kept = Kept()
        self._failing = False
        self._pause = FIRST_PAUSE
        self._tables = Tables(connection)
        self._damage = ""

    def refuse_new_jobs(self, damage: str) -> None:
        """Take no new jobs from now on: the store has been found damaged. From any thread."""
        self._damage = self._damage or damage

    def put(self, batch: Batch) -> None:
        """Hand a batch over; from any thread."""
        self._inbox.put(batch)

    def linger(self) -> None:
        """Ask to be reminded of an open batch; from any thread."""
        self._inbox.put(_Word.LINGER)

    def stop(self) -> None:
        """Make `run` return after the batches that were handed over; from any thread."""
        self._inbox.put(_Word.STOP)

    def run(self) -> None:
        """Write until told to stop, then close the store."""
        lingering = False
        while True:
            try:
                item = self._inbox.get(timeout=LINGER if lingering else self._pause if self._failing else None)
            except queue.Empty:
                if lingering:
                    self._lingered()
                else:
                    self._report(self._attempt(None))
                lingering = False
                continue
            if item is _Word.STOP:
                break
            lingering = item is _Word.LINGER
            if isinstance(item, Batch):
                self._report(self._attempt(item))
        fold_log(self._connection)
        self._connection.close()
        if not self._failing and not self._damage:
            seal(self._path)

    def _attempt(self, batch: Batch | None) -> Report:
        changes = batch.changes if batch is not None else ()
        first = batch.first if batch is not None else 0
        began = time.perf_counter()
        try:
            refused = self._commit(changes, first)
        # A boundary: were this thread to die of a defect, every caller would wait for ever. A defect is treated as
        # an outage of the store: no new jobs, everything else kept, the reason in the log and in `problem`.
        except Exception as exc:
            if not isinstance(exc, sqlite3.Error):
                log.exception("internal error in the store")
            problem = f"{_explain(exc)} ({self._path})"
            if is_corrupt(exc):
                self.refuse_new_jobs(problem)
            self._roll_back()
            self._pause = min(self._pause * 2, LONGEST_PAUSE) if self._failing else FIRST_PAUSE
            self._failing = True
            for change in changes:
                self._kept.add(change)
            text = f"the job could not be saved: {problem}"
            new_jobs = [ticket for ticket, change in enumerate(changes, first) if isinstance(change, JobAdded)]
            return Report(batch, dict.fromkeys(new_jobs, text), problem, time.perf_counter() - began, self._damage)
        self._kept.clear()
        if self._failing:
            fold_log(self._connection)
        self._failing = False
        return Report(batch, refused, "", time.perf_counter() - began, self._damage)

    def _commit(self, changes: Sequence[Change], first: Ticket) -> dict[Ticket, str]:
        refused: dict[Ticket, str] = {}
        self._connection.execute("BEGIN IMMEDIATE")
        if self._failing:  # with nothing kept, only a write of our own can tell that the store is well again
            self._connection.execute(COUNT_OUTAGE)
        for change in self._kept:
            self._write_or_drop(change)
        outdated = _outdated(changes)
        for ticket, change in enumerate(changes, first):
            if ticket - first in outdated:
                continue
            if isinstance(change, JobAdded):
                if self._damage:  # what is known already may be lost: no more is taken on
                    refused[ticket] = f"the job could not be saved: the store is damaged: {self._damage}"
                    continue
                try:
                    self._tables.insert(change)
                except UNFIT as exc:
                    refused[ticket] = f"the job could not be saved: {exc}"
                    continue
                for consequence in consequences(change):
                    self._write_or_drop(consequence)
            else:
                self._write_or_drop(change)
        self._connection.execute("COMMIT")
        return refused

    def _roll_back(self) -> None:
        self._tables.forget()
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error as exc:
            log.warning("a transaction of the store could not be rolled back: %s", exc)

    def _write_or_drop(self, change: Change) -> None:
        try:
            self._tables.write(change)
        except UNFIT:
            log.exception(
                "internal error: a change that the store cannot hold was dropped", extra={"job": _job(change)}
            )


def _outdated(changes: Sequence[Change]) -> set[int]:
    """Return the places of changes that a later one writes over, as the start of a short task by its end.

    Within one transaction nobody sees them, and they would be half of all that is written.
    """
    found: set[int] = set()
    later: set[object] = set()
    for place in range(len(changes) - 1, -1, -1):
        change = changes[place]
        if isinstance(change, TaskChanged):
            key: object = (change.job_id, change.position)
        elif isinstance(change, JobChanged):
            key = change.job.id
        else:
            continue
        if key in later:
            found.add(place)
        later.add(key)
    return found


def _job(change: Change) -> str:
    match change:
        case TaskChanged():
            return change.job_id
        case JobsRemoved():
            return ", ".join(change.job_ids)
        case JobsChanged():
            return ", ".join(job.id for job in change.jobs)
        case PipelineChanged():
            return ""
        case _:
            return change.job.id


def _explain(exc: Exception) -> str:
    name = getattr(exc, "sqlite_errorname", "")
    return f"{exc} [{name}]" if name else f"{type(exc).__name__}: {exc}"
