"""The journal on disk: SQLite, written by one thread with group commit.

All bookkeeping is done on the loop thread, so there is nothing to lock. One batch is with the writer while the next
one fills; the writer's report comes as a call on the loop thread and hands the next one over.
"""

import logging
import threading
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, closing, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import trio

from prunner_trio.errors import StoreError
from prunner_trio.execution.seams import Change, Expired, SavedJob, TaskChanged, Ticket
from prunner_trio.execution.threads import in_thread
from prunner_trio.model import JobId, JobQuery, JobView, PipelineRecord
from prunner_trio.storage.opening import OpenStore, open_store, store_file
from prunner_trio.storage.progress import Progress, unheard
from prunner_trio.storage.prunner_json import write_prunner
from prunner_trio.storage.reads import Reader
from prunner_trio.storage.recover import Recovered
from prunner_trio.storage.verify import is_corrupt
from prunner_trio.storage.writer import Batch, Report, Writer

__all__ = ["SqliteJournal", "export_prunner", "open_journal"]

log = logging.getLogger(__name__)

T = TypeVar("T")

Attempted = Callable[[int, float, bool], None]
"""Told of each attempt to write, on the loop thread: new changes in it, seconds, whether all is on disk."""

FLUSH_TIMEOUT = 5.0
"""Seconds at the end for writing what is still open."""

CLOSE_TIMEOUT = 3.0
"""Seconds at the end for each of the two threads to let go of its connection."""

LARGEST_BATCH = 1000
"""With so many changes a batch goes to the writer, whether somebody waits for it or not."""

REMEMBERED_REFUSALS = 10_000
"""For how many new jobs the journal remembers that they were given up. Callers ask right after recording."""


@asynccontextmanager
async def open_journal(
    directory: Path,
    *,
    now: Callable[[], float],
    attempted: Attempted = lambda changes, seconds, ok: None,
    progress: Progress = unheard,
) -> AsyncIterator["SqliteJournal"]:
    """Open the store of a data directory, alone.

    A missing directory is made, for its owner only. At the first start, history in prunner's `data.json` is taken
    over; that file stays as it is. A damaged store is replaced by what can be had of it, and kept; see `recovered`.
    Leaving the block writes what is still open, for at most `FLUSH_TIMEOUT` seconds, and closes within
    `2 * CLOSE_TIMEOUT` more, also when canceled. A cancel ends a recovery, too, which is begun anew at the next start.

    Args:
        now: wall time in seconds since the epoch.
        attempted: see `Attempted`.
        progress: told, in another thread, how far a recovery is.

    Raises:
        StoreLocked: another daemon uses the directory.
        StoreError: the directory or a file in it cannot be used; nothing was changed. Or, on leaving: something could
            not be written.
    """

    def heard(what: str, done: int, total: int) -> None:
        trio.from_thread.check_cancelled()
        progress(what, done, total)

    store = await trio.to_thread.run_sync(open_store, directory, now(), heard)
    journal = SqliteJournal(store, attempted)
    try:
        yield journal
    finally:
        lost = await journal.aclose()
    if lost:
        raise StoreError(lost)


def export_prunner(directory: Path) -> Iterator[bytes]:
    """Yield the content of a `data.json` with all jobs of a data directory, a job at a time.

    Blocks. A daemon may be using the directory; it is not disturbed, and what comes is the state of one moment.

    Raises:
        StoreError: there is no store in the directory, or it cannot be read.
    """
    path = store_file(directory)
    if not path.exists():
        raise StoreError(f"there is no store in {directory}")
    with closing(Reader(path)) as reader:
        for text in write_prunner(reader.everything()):
            yield text.encode()


class SqliteJournal:
    """Keeps jobs in SQLite; see `Journal`. Made by `open_journal`.

    Attributes:
        imported: how many jobs came from prunner's `data.json` at this start.
        problem: why the store cannot be written now; empty if it can.
        damage: what has been found broken in it while it was in use; then no new jobs are taken until the next start.
    """

    def __init__(self, store: OpenStore, attempted: Attempted = lambda changes, seconds, ok: None) -> None:
        """Start the writer. On the loop thread."""
        self.imported = store.imported
        self.problem = ""
        self.damage = ""
        self._store = store
        self._attempted = attempted
        self._recorded: Ticket = 0
        self._reported: Ticket = 0
        self._durable: Ticket = 0
        self._looked_at: Ticket = 0
        self._open = Batch(first=1)
        self._writing: Batch | None = None
        self._waited_for = False  # the open batch has a change that does not linger
        self._lingering = False  # the writer will say when the open batch is to be handed over
        self._saved = trio.Event()  # the next time that everything so far is on disk
        self._refused: dict[Ticket, str] = {}
        self._closed = False
        self._reads = trio.CapacityLimiter(1)
        self._loop = trio.lowlevel.current_trio_token()
        self._stopped = trio.Event()
        self._writer = Writer(
            store.path,
            store.connection,
            report=partial(self._from_thread, self._take_report),
            lingered=partial(self._from_thread, self._linger_over),
        )
        # It is joined in `aclose`. Were it to hang in a disk that never answers, the process must still be able to end.
        self._thread = threading.Thread(target=self._run_writer, name="prunner store", daemon=True)
        self._thread.start()

    @property
    def path(self) -> Path:
        """Where the store is."""
        return self._store.path

    @property
    def recovered(self) -> Recovered | None:
        """What was done about damage at this start; None if there was none."""
        return self._store.recovered

    @property
    def ok(self) -> bool:
        """Whether the last attempt to write succeeded, and nothing was found broken."""
        return not self.problem and not self.damage

    def record(self, change: Change) -> Ticket:
        """Take a change into the open batch; see `Journal.record`.

        It is written at once, but for the change of a task for which nobody waits: that is written within `LINGER`
        seconds, for they come one by one, and each transaction costs as much as the start of a process.
        """
        self._recorded += 1
        if not self._closed:
            self._open.changes.append(change)
            self._waited_for = self._waited_for or not isinstance(change, TaskChanged)
            if self._writing is None:
                self._go_on()
        return self._recorded

    async def committed(self, ticket: Ticket) -> None:
        """Return when the change, and all before it, would survive a power cut; see `Journal.committed`."""
        if ticket > self._recorded:
            raise ValueError(f"there is no change {ticket} yet")
        batch = self._open if ticket >= self._open.first else self._writing
        if batch is self._open and ticket <= self._recorded and not self._closed:
            self._waited_for = True
            if self._writing is None:
                self._hand_over()
        if ticket <= self._reported or batch is None or self._closed:
            await trio.lowlevel.checkpoint()
        else:
            await batch.reported.wait()
        if ticket in self._refused:
            raise StoreError(self._refused[ticket])
        while ticket > self._durable:
            if self._closed:
                raise StoreError(f"the store {self._store.path} was closed before the change could be saved")
            await self._saved.wait()

    async def changed(self) -> None:
        """Return once the store has changed since this was last called; at once the first time if it has."""
        while self._durable == self._looked_at:
            await self._saved.wait()
        self._looked_at = self._durable

    async def unfinished(self) -> Sequence[SavedJob]:
        """Return the jobs that are not final, by number; see `Journal.unfinished`."""
        return await self._read(lambda reader: reader.unfinished())

    async def last_number(self) -> int:
        """Return the highest number ever given to a job; see `Journal.last_number`."""
        return await self._read(lambda reader: reader.last_number())

    async def records(self) -> Sequence[PipelineRecord]:
        """Return what is remembered of pipelines; see `Journal.records`."""
        return await self._read(lambda reader: reader.records())

    async def find(self, job_id: JobId) -> SavedJob | None:
        """Return a job, if the store has it; see `Journal.find`."""
        return await self._read(lambda reader: reader.find(job_id))

    async def jobs(self, *, pipeline: str | None, before: int | None, limit: int) -> Sequence[JobView]:
        """Return a page of jobs, newest first; see `Journal.jobs`."""
        return await self._read(lambda reader: reader.jobs(pipeline, before, limit))

    async def search(self, query: JobQuery, *, without: Collection[int] = ()) -> Sequence[JobView]:
        """Return a page of jobs as they are on disk; see `Journal.search`."""
        return await self._read(lambda reader: reader.search(query, without))

    async def pipelines(self) -> Sequence[str]:
        """Return the names of all pipelines that have finished jobs; see `Journal.pipelines`."""
        return await self._read(lambda reader: reader.pipelines())

    async def expired(
        self, pipeline: str, *, keep: int | None, created_before: float | None, ended_before: float | None = None
    ) -> Expired:
        """Select finished jobs of a pipeline; see `Journal.expired`."""
        return await self._read(lambda reader: reader.expired(pipeline, keep, created_before, ended_before))

    async def aclose(self) -> str:
        """Write what is open, end the threads, close the store, release the directory.

        Shielded; takes at most `FLUSH_TIMEOUT + 2 * CLOSE_TIMEOUT` seconds.

        Returns:
            What could not be saved, in one sentence; empty if everything was.
        """
        lost = ""
        with trio.CancelScope(shield=True):  # bounded: every wait below has its own deadline
            if self._open.changes and self._writing is None:
                self._hand_over()
            self._waited_for = True
            with trio.move_on_after(FLUSH_TIMEOUT):
                while self._durable < self._recorded:
                    await self._saved.wait()
            if self._durable < self._recorded:
                lost = f"the last changes could not be saved: {self.problem or 'the disk does not answer'}"
                log.error("%s", lost)
            self._closed = True
            for event in (self._open.reported, self._saved, *((self._writing.reported,) if self._writing else ())):
                event.set()
            await self._close_reader()
            self._writer.stop()
            with trio.move_on_after(CLOSE_TIMEOUT):
                await self._stopped.wait()
                self._thread.join()
        self._store.lock.release()
        return lost

    async def _close_reader(self) -> None:
        """Close the reading connection before the writing one: the last to close folds the write-ahead log in."""
        self._store.reader.interrupt()
        with trio.move_on_after(CLOSE_TIMEOUT):
            async with self._reads:  # a reader whose caller was canceled may still be at it
                self._store.reader.close()

    async def _read(self, question: Callable[[Reader], T]) -> T:
        """Ask the store in a thread. Only one asks at a time, which is what lets them share a connection."""
        if self._closed:
            raise StoreError(f"the store {self._store.path} is closed")
        try:
            return await in_thread(partial(question, self._store.reader), limiter=self._reads, abandon_on_cancel=True)
        except StoreError as exc:
            if is_corrupt(exc.__cause__):
                self._writer.refuse_new_jobs(str(exc))
                self._note_damage(str(exc))
            raise

    def _note_damage(self, damage: str) -> None:
        if not self.damage:
            self.damage = damage
            log.error(
                "the store is damaged: %s. Running jobs go on, new ones are refused. Restart the daemon: it goes on "
                "with all that can be read, keeps the damaged file and says what is lost",
                damage,
            )

    def _go_on(self) -> None:
        """With changes to write and nothing with the writer: hand them over, now or soon."""
        if self._waited_for or len(self._open.changes) >= LARGEST_BATCH:
            self._hand_over()
        elif not self._lingering:
            self._lingering = True
            self._writer.linger()

    def _linger_over(self) -> None:
        self._lingering = False
        if self._open.changes and self._writing is None and not self._closed:
            self._hand_over()

    def _hand_over(self) -> None:
        self._waited_for = self._lingering = False
        self._writing = self._open
        self._open = Batch(first=self._recorded + 1)
        self._writer.put(self._writing)

    def _run_writer(self) -> None:
        try:
            self._writer.run()
        finally:
            self._from_thread(self._stopped.set)

    def _from_thread(self, method: Callable[..., None], *arguments: Report) -> None:
        with suppress(trio.RunFinishedError):
            self._loop.run_sync_soon(method, *arguments)

    def _take_report(self, report: Report) -> None:
        if report.problem and not self.problem:
            log.error("the store cannot be written: %s", report.problem)
        elif self.problem and not report.problem:
            log.warning("the store can be written again")
        self.problem = report.problem
        if report.damage:
            self._note_damage(report.damage)
        self._attempted(len(report.batch.changes) if report.batch is not None else 0, report.seconds, self.ok)
        self._refused.update(report.refused)
        while len(self._refused) > REMEMBERED_REFUSALS:
            del self._refused[next(iter(self._refused))]
        if report.batch is not None:
            self._reported = report.batch.last
            self._writing = None
            report.batch.reported.set()
        if not report.problem and not self._closed:
            self._durable = self._reported
            self._saved.set()
            self._saved = trio.Event()
        if self._open.changes and self._writing is None and not self._closed:
            self._go_on()
