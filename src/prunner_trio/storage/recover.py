"""Puts a store that can be used in the place of a damaged one, which stays beside it with a report.

In this order, so that a crash at any moment leaves either the damaged store or the new one, and never parts of both:
the new store is written under a name of its own; the damaged files get second names; the report is written; the new
store gets the name that says that it is whole; the old write-ahead log goes; the new store takes its place.
"""

import logging
import os
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

import attrs

from prunner_trio.errors import StoreError
from prunner_trio.execution.seams import JobAdded, PipelineChanged, TaskChanged
from prunner_trio.model import State
from prunner_trio.storage.pages import read_pages
from prunner_trio.storage.progress import Progress
from prunner_trio.storage.salvage import Salvage, salvage
from prunner_trio.storage.schema import connect, migrate
from prunner_trio.storage.tables import Tables
from prunner_trio.storage.verify import all_problems_of

__all__ = ["Recovered", "finish_recovery", "last_good_file", "recover", "reports"]

log = logging.getLogger(__name__)

SIDES = ("-wal", "-shm")
_JOBS_PER_STEP = 1000

MOST_LOGGED = 20
"""How many lost jobs the log names; the report has all."""


@attrs.frozen
class Recovered:
    """What was done about a damaged store.

    Attributes:
        kept: where the damaged file is now.
        report: a text with everything that was lost.
    """

    kept: Path
    report: Path
    problems: tuple[str, ...]
    salvaged: Salvage


def last_good_file(path: Path) -> Path:
    """Return where the last copy of a store that was found whole is."""
    return Path(f"{path}.last-good")


def reports(path: Path) -> Sequence[Path]:
    """Return the reports of earlier recoveries, oldest first."""
    return sorted(path.parent.glob(f"{path.name}.damaged-*.txt"))


def finish_recovery(path: Path) -> None:
    """Take the last steps of a recovery that a crash has cut short; nothing happens if there was none."""
    if _recovered_file(path).exists():
        facts = {"report": str(reports(path)[-1])} if reports(path) else {}
        log.error("the store was damaged; a recovery that was broken off is finished now", extra=facts)
    _put_in_place(path)


def _recovered_file(path: Path) -> Path:
    return Path(f"{path}.recovered")


def _put_in_place(path: Path) -> None:
    recovered, unfinished = _recovered_file(path), Path(f"{path}.recovering")
    if recovered.exists():
        for side in SIDES:
            Path(f"{path}{side}").unlink(missing_ok=True)
        last_good_file(path).unlink(missing_ok=True)  # its definitions have other numbers
        recovered.replace(path)
        _sync(path.parent)
    for side in ("", *SIDES, "-journal"):
        Path(f"{unfinished}{side}").unlink(missing_ok=True)


def recover(path: Path, problems: Sequence[str], now: float, progress: Progress) -> Recovered:
    """Replace a damaged store by what can be had of it, and say in the log what was lost. The directory is ours.

    Args:
        progress: an exception from it ends the recovery; the damaged store is where it was then.

    Raises:
        OSError, sqlite3.Error: the new store cannot be written; the damaged one is where it was.
        StoreError: what was salvaged cannot be stored.
    """
    log.error("the store is damaged, reading what can be had", extra={"file": str(path)})
    salvaged = _salvage(path, now, progress)
    new = Path(f"{path}.recovering")
    try:
        _write(new, salvaged, progress)
        kept = _set_aside(path, now)
        report = Path(f"{kept}.txt")
        done = Recovered(kept, report, (*problems, *salvaged.problems), salvaged)
        _write_report(done, path, now)
        _sync(path.parent)
        new.replace(_recovered_file(path))
        _sync(path.parent)
    finally:
        for side in ("", *SIDES):
            Path(f"{new}{side}").unlink(missing_ok=True)
    _put_in_place(path)
    _say(done)
    return done


def _salvage(path: Path, now: float, progress: Progress) -> Salvage:
    file, log_ = _bytes(path), _bytes(Path(f"{path}-wal"))
    first = read_pages(file, log_)
    gone_on = False
    if log_ and _sound(path, progress):
        # The file alone is whole, so what breaks it is a log that belongs to another file, or to another moment.
        first, gone_on = read_pages(file, b""), True
        first.problems.append("the write-ahead log does not belong to the file: nothing of it was used")
    found = salvage([first], now, gone_on, progress)
    if not found.complete and (copy := _bytes(last_good_file(path))):
        found = salvage([first, read_pages(copy, b"")], now, gone_on, progress)
    return found


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _sound(path: Path, progress: Progress) -> bool:
    """Whether a store is whole without its log."""
    uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            return not all_problems_of(connection, progress)
    except (StoreError, sqlite3.Error, OverflowError, ValueError):
        return False


def _write(path: Path, salvaged: Salvage, progress: Progress) -> None:
    """Make a new store of what was salvaged, on disk when this returns."""
    with closing(connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")  # one file, so that it can be renamed
        connection.execute("BEGIN IMMEDIATE")
        migrate(connection, path)
        tables = Tables(connection)
        for done, saved in enumerate(salvaged.jobs):
            if done % _JOBS_PER_STEP == 0:
                progress("writing jobs", done, len(salvaged.jobs))
            tables.insert(JobAdded(saved.job, saved.definition))
            for position, task in enumerate(saved.job.tasks):
                if task.state is not State.WAITING:
                    tables.write(TaskChanged(saved.job.id, position, task))
        for record in salvaged.records:
            tables.write(PipelineChanged(record))
        connection.execute("REPLACE INTO meta (key, value) VALUES ('last_number', ?)", (salvaged.last_number,))
        connection.execute("COMMIT")
        if problems := all_problems_of(connection, progress):
            raise StoreError(f"what was salvaged from {path} cannot be stored: {problems[0]}")
        connection.execute("PRAGMA journal_mode = WAL")


def _set_aside(path: Path, now: float) -> Path:
    """Give the damaged files second names, which nobody has; return that of the store itself."""
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    name, count = f"{path}.damaged-{stamp}", 1
    while any(Path(f"{name}{end}").exists() for end in ("", "-wal", ".txt")):
        count += 1
        name = f"{path}.damaged-{stamp}-{count}"
    for source, target in (
        (path, name),
        (Path(f"{path}-wal"), f"{name}-wal"),
        (last_good_file(path), f"{name}.last-good"),
    ):
        if source.exists():
            _second_name(source, Path(target))
    return Path(name)


def _second_name(source: Path, target: Path) -> None:
    # A log or a copy may still be in use under its first name; a store that is being replaced is not written any more.
    try:
        if source.name.endswith("-wal"):
            raise OSError("a log goes on under its name until it is removed")
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:  # not every file system can
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with source.open("rb") as old, open(descriptor, "wb") as new:
            shutil.copyfileobj(old, new)
            new.flush()
            os.fsync(descriptor)
    target.chmod(0o600)


def _write_report(done: Recovered, path: Path, now: float) -> None:
    descriptor = os.open(done.report, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="utf-8", errors="replace") as file:
        file.write("\n".join(_report(done, path, now)) + "\n")
        file.flush()
        os.fsync(descriptor)


def _report(done: Recovered, path: Path, now: float) -> list[str]:
    salvaged = done.salvaged
    moment = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    lines = [
        f"On {moment} the store {path} was found damaged.",
        f"The damaged file is kept as {done.kept}. It is not needed any more, unless you want to look into it.",
        f"{len(salvaged.jobs)} jobs were taken over. New jobs have numbers above {salvaged.last_number}.",
        "",
        "What was found:",
        *(f"- {text}" for text in dict.fromkeys(done.problems)),
        "",
    ]
    if salvaged.lost:
        lines += [
            f"Lost: {len(salvaged.lost)} jobs of which this is known. If they were not over, they do not run again:",
            *(f"- job {job.number}: {job.what}" for job in salvaged.lost),
        ]
    elif salvaged.complete:
        lines += ["No job was lost."]
    if not salvaged.complete:
        lines += ["Because parts could not be read, further jobs may be missing of which nothing is known."]
    if salvaged.changed:
        lines += ["", "Taken over, but not whole:", *(f"- {text}" for text in salvaged.changed)]
    return lines


def _say(done: Recovered) -> None:
    salvaged = done.salvaged
    for job in salvaged.lost[:MOST_LOGGED]:
        log.error("a job was lost with the damaged store: %s", job.what, extra={"number": job.number})
    for text in salvaged.changed[:MOST_LOGGED]:
        log.error("not whole after the damage: %s", text)
    facts = {
        "found": done.problems[0] if done.problems else "",
        "jobs": len(salvaged.jobs),
        "lost": len(salvaged.lost),
        "more_may_be_missing": not salvaged.complete,
        "kept": str(done.kept),
        "report": str(done.report),
    }
    log.error("the store was damaged; going on with what could be read", extra=facts)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # some file systems cannot sync a directory
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
