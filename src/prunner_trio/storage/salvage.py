"""Everything that can be had of a damaged store, row by row, and what of it may be believed.

SQLite has no sums over its pages, and free pages may still hold what rows once were. So a row counts as *sure* only if
its page belongs to the tree of its table, or to no free page while the list of these is whole. Of rows that are not
sure only those of finished jobs are taken: these never change. A job that was under way in such a row may have ended
long since; to run it again, or to call it canceled, would be a lie, so it is only reported.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import attrs

from prunner_trio.definition.pipeline import PipelineDef, TaskDef
from prunner_trio.errors import StoreError
from prunner_trio.execution.seams import SavedJob
from prunner_trio.model import JobView, PipelineRecord, State, StopReason, StopRequest, TaskView
from prunner_trio.storage.cells import INDEX_PAGES, TABLE_LEAF, Row, Value, children, is_tree_page, rows_of
from prunner_trio.storage.pages import Pages, freelist
from prunner_trio.storage.progress import Progress
from prunner_trio.storage.rows import (
    JOB_COLUMNS,
    audit_from_text,
    definition_from_text,
    job_from_row,
    record_from_row,
    task_from_row,
)
from prunner_trio.storage.shape import fresh_roots, job_shape, task_shape

__all__ = ["LostJob", "Salvage", "salvage"]

LOST_DEFINITION = "its definition was lost in a damaged store"
LOST_VARIABLES = "its variables were lost in a damaged store"
LOST_RECORD = "its record was lost in a damaged store"
SAFETY_MARGIN = 1_000_000
"""How far numbers jump when pages are missing: more jobs than could have been accepted without leaving a trace."""

_PAGES_PER_STEP, _JOBS_PER_STEP = 256, 1000

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MOST = 2**62
_COLUMNS = [name.strip() for name in JOB_COLUMNS.split(",")]
_VARIABLES, _AUDIT = _COLUMNS.index("variables"), _COLUMNS.index("audit")


@attrs.frozen(order=True)
class LostJob:
    """A job that is known to have existed and is not among those that were salvaged.

    Attributes:
        what: what is known of it: id, pipeline, last known state.
    """

    number: int
    what: str


@attrs.define
class Salvage:
    """What was had.

    Attributes:
        jobs: by number.
        records: what was remembered of pipelines.
        last_number: at least the highest number that was ever given.
        lost: jobs of which something is known, but not enough.
        changed: what was taken over with something missing.
        complete: nothing else can be missing: every page was read.
    """

    jobs: list[SavedJob] = attrs.field(factory=list)
    records: list[PipelineRecord] = attrs.field(factory=list)
    last_number: int = 0
    lost: list[LostJob] = attrs.field(factory=list)
    changed: list[str] = attrs.field(factory=list)
    problems: list[str] = attrs.field(factory=list)
    complete: bool = True


@attrs.frozen
class _Found:
    row: tuple[Value, ...]
    sure: bool

    @property
    def final(self) -> bool:
        return self.row[4] in _FINAL

    @property
    def rank(self) -> tuple[bool, bool, bool]:
        return self.sure, self.final, self.row[4] == State.RUNNING.value


_FINAL = frozenset(state.value for state in State if state.final)


@attrs.define(eq=False)
class _Heap:
    """All records of all sources, sorted by what they are."""

    jobs: dict[int, _Found] = attrs.field(factory=dict)
    doubtful: set[int] = attrs.field(factory=set)
    tasks: dict[int, dict[int, tuple[tuple[bool, bool], TaskView | None]]] = attrs.field(
        factory=lambda: defaultdict(dict)
    )
    definitions: dict[int, PipelineDef] = attrs.field(factory=dict)
    records: dict[str, tuple[bool, PipelineRecord]] = attrs.field(factory=dict)
    traces: dict[int, dict[str, str]] = attrs.field(factory=lambda: defaultdict(dict))
    hints: dict[int, dict[str, str]] = attrs.field(factory=lambda: defaultdict(dict))
    last_number: int = 0
    unreadable: int = 0
    damaged_pages: int = 0


def salvage(sources: Sequence[Pages], now: float, may_have_gone_on: bool, progress: Progress) -> Salvage:
    """Take all jobs out of pages.

    Args:
        sources: the damaged store first, then older copies of it, of which nothing counts as sure.
        progress: an exception from it ends the salvage.
        may_have_gone_on: the first is older than what was reported, so nothing in it counts as sure either.
    """
    heap = _Heap()
    result = Salvage()
    for place, pages in enumerate(sources):
        if place:
            older = _Heap()
            _read(pages, older, progress, believe=False)
            _merge(heap, older)
        else:
            _read(pages, heap, progress, believe=not may_have_gone_on)
            result.problems.extend(pages.problems)
            result.complete = not (heap.damaged_pages or heap.unreadable or pages.problems or may_have_gone_on)
    if heap.damaged_pages:
        result.problems.append(f"{heap.damaged_pages} of {sources[0].count} pages cannot be read")
    if heap.unreadable:
        result.problems.append(f"{heap.unreadable} records cannot be read")
    _decide(heap, result, now, progress)
    result.records = [record for _, (_, record) in sorted(heap.records.items())]
    highest = max([heap.last_number, *heap.jobs, *heap.traces, *heap.hints, 0])
    result.last_number = highest if result.complete else (highest + SAFETY_MARGIN if highest else int(now))
    return result


# ---------------------------------------------------------------------------------------------------------- reading


def _read(pages: Pages, heap: _Heap, progress: Progress, *, believe: bool) -> None:
    roots = _roots(pages)
    owned = {page: name for name, root in roots.items() for page in _tree(pages, root)}
    try:
        free, list_is_whole = frozenset(freelist(pages)), True
    except ValueError:
        free, list_is_whole = frozenset(), False
    for number in range(1, pages.count + 1):
        if number % _PAGES_PER_STEP == 1:
            progress("reading pages", number, pages.count)
        if number in free:
            continue
        content = pages.get(number)
        kind = content[100 if number == 1 else 0] if len(content) == pages.size else 0
        if not is_tree_page(pages, number):
            # A page of a long record begins with the number of the next one, so with a zero.
            if number in owned or len(content) < pages.size or kind or not any(content):
                heap.damaged_pages += 1
            continue
        sure = believe and not pages.is_stale(number) and (number in owned or list_is_whole)
        for row in rows_of(pages, number):
            if row is None:
                heap.unreadable += 1
            elif kind == TABLE_LEAF and owned.get(number, "job") == "job" and _is_job(row):
                _take_job(heap, row, sure)
            elif kind == TABLE_LEAF:
                heap.unreadable += not _take_other(heap, row, owned.get(number, ""))
            elif kind in INDEX_PAGES:
                heap.unreadable += not _take_entry(heap, row, owned.get(number, ""), sure)
    heap.damaged_pages += sum(1 for root in roots.values() if root > pages.count)
    heap.damaged_pages += max(0, pages.expected - pages.count)


def _roots(pages: Pages) -> dict[str, int]:
    """Return where the trees begin: as the store says, else as this program makes them, if they look like it."""
    said = {}
    for row in rows_of(pages, 1) if is_tree_page(pages, 1) else ():
        if row is not None and len(row.values) == 5 and isinstance(row.values[3], int):
            said[str(row.values[1])] = row.values[3]
    return said if {"job", "task", "definition", "meta"} <= said.keys() else dict(fresh_roots())


def _tree(pages: Pages, root: int) -> Iterator[int]:
    seen: set[int] = set()
    left = [root]
    while left:
        number = left.pop()
        if number in seen or not 1 <= number <= pages.count:
            continue
        seen.add(number)
        yield number
        left.extend(children(pages, number))


def _is_job(row: Row) -> bool:
    return len(row.values) > 10 and isinstance(row.values[1], str) and bool(_UUID.fullmatch(row.values[1]))


def _take_job(heap: _Heap, row: Row, sure: bool) -> None:
    assert row.rowid is not None
    found = _Found(_with_readable_audit(job_shape().filled(row.values, row.rowid)), sure)
    try:
        job_from_row(found.row, PipelineDef(""), {})
        usable = job_shape().fits(found.row)
    except (StoreError, ValueError, TypeError):
        usable = _repairable(found)
    if not usable or not 0 < row.rowid < _MOST:
        heap.unreadable += 1
        if 0 < row.rowid < _MOST:
            _trace(heap, row.rowid, sure, id=str(row.values[1]), pipeline=str(row.values[2]))
        return
    known = heap.jobs.get(row.rowid)
    if known is not None and known.rank == found.rank and known.row != found.row:
        heap.doubtful.add(row.rowid)
    if known is None or found.rank > known.rank:
        heap.jobs[row.rowid] = found


def _repairable(found: _Found) -> bool:
    """Whether only the variables cannot be read."""
    row = _without_variables(found.row)
    try:
        job_from_row(row, PipelineDef(""), {})
    except (StoreError, ValueError, TypeError):
        return False
    return job_shape().fits(row)


def _with_readable_audit(row: tuple[Value, ...]) -> tuple[Value, ...]:
    """Leave out an audit that cannot be read: nothing depends on it."""
    try:
        text = row[_AUDIT]
        audit_from_text(text if isinstance(text, str) else None)
    except (StoreError, ValueError, TypeError):
        return tuple(None if place == _AUDIT else value for place, value in enumerate(row))
    return row


def _without_variables(row: tuple[Value, ...]) -> tuple[Value, ...]:
    return tuple(None if place == _VARIABLES else value for place, value in enumerate(row))


def _take_other(heap: _Heap, row: Row, owner: str) -> bool:
    """Take a definition, or see that a record is none of ours to care for; False if it is damaged."""
    values = row.values
    if len(values) == 3 and owner in ("", "definition") and row.rowid is not None:
        digest, text = values[1], values[2]
        if not isinstance(text, str) or hashlib.sha256(text.encode()).hexdigest() != digest:
            return False
        try:
            heap.definitions.setdefault(row.rowid, definition_from_text(text))
        except StoreError:
            return False
        return True
    return owner in ("sqlite_sequence", "sqlite_stat1") or len(values) in (2, 5)


def _take_entry(heap: _Heap, row: Row, owner: str, sure: bool) -> bool:
    """Take a task or a number; keep what an index says of a job, for the list of those that are lost."""
    match row.values:
        case (str(key), str(), int()) if owner == "job_retry" or (not owner and _UUID.fullmatch(key)):
            pass
        case (str(), _, _, _) if owner in ("", "pipeline"):
            return _take_record(heap, row, sure)
        case (str(key), int(number)) if _UUID.fullmatch(key):
            _trace(heap, number, sure, id=key)
        case (str(key), _) if _DIGEST.fullmatch(key):
            pass
        case ("last_number", int(number)) if owner in ("", "meta"):
            heap.last_number = max(heap.last_number, number) if number < _MOST else heap.last_number
        case (str(), _) if owner == "meta":
            pass
        case (str(state), int(number)) if owner == "job_unfinished" or (not owner and state in ("waiting", "running")):
            _trace(heap, number, sure, state=state)
        case (str(pipeline), int(number)):
            _trace(heap, number, sure, pipeline=pipeline)
        case (str(pipeline), float() | int(), int(number)):
            _trace(heap, number, sure, pipeline=pipeline, state="over")
        case (int(number), int(position), str(), str(), *_) if len(row.values) >= 10:
            values = task_shape().filled(row.values)
            try:
                task = task_from_row(values)
            except (StoreError, ValueError, TypeError):
                return False
            if not task_shape().fits(values) or position < 0 or not 0 < number < _MOST:
                return False
            known = heap.tasks[number].get(position)
            rank = sure, task.state.final
            if known is None or rank > known[0]:
                heap.tasks[number][position] = rank, task
            elif rank == known[0] and task != known[1]:
                heap.tasks[number][position] = rank, None  # two of them: nobody knows which
            _trace(heap, number, sure)
        case _:
            return False
    return True


def _take_record(heap: _Heap, row: Row, sure: bool) -> bool:
    """Take what is remembered of a pipeline: the last thing that is sure."""
    match row.values:
        case (str(name), int() | float() | None, str() | None, str() | None):
            try:
                record = record_from_row(row.values)
            except (StoreError, ValueError, TypeError):
                return False
            if name not in heap.records or sure > heap.records[name][0]:
                heap.records[name] = sure, record
            return True
    return False


def _trace(heap: _Heap, number: int, sure: bool, **facts: str) -> None:
    if 0 < number < _MOST:
        (heap.traces if sure else heap.hints)[number] |= facts


def _merge(heap: _Heap, older: _Heap) -> None:
    heap.last_number = max(heap.last_number, older.last_number)
    for key, definition in older.definitions.items():
        heap.definitions.setdefault(key, definition)
    for name, known in older.records.items():
        heap.records.setdefault(name, known)
    for number, found in older.jobs.items():
        trace = heap.traces.get(number, {})
        if number not in heap.jobs and trace.get("id", found.row[1]) == found.row[1]:
            heap.jobs[number] = found
    for number, tasks in older.tasks.items():
        for position, task in tasks.items():
            heap.tasks[number].setdefault(position, task)
    for number, facts in older.hints.items():
        heap.hints[number] = facts | heap.hints[number]


# --------------------------------------------------------------------------------------------------------- deciding


def _decide(heap: _Heap, result: Salvage, now: float, progress: Progress) -> None:
    numbers = {facts["id"]: number for number, facts in heap.traces.items() if "id" in facts}
    ids: set[Value] = set()
    in_order = sorted(heap.jobs.items(), key=lambda item: (not item[1].sure, item[0]))
    for done, (number, found) in enumerate(in_order):
        if done % _JOBS_PER_STEP == 0:
            progress("judging jobs", done, len(in_order))
        doubt = _doubt(heap, found, number, numbers)
        if not doubt and found.row[1] in ids:
            doubt = "another job has the same id"
        if doubt:
            result.lost.append(LostJob(number, f"id {found.row[1]!s}, pipeline {found.row[2]!r}: {doubt}"))
            continue
        saved = _whole(heap, found, result, now)
        ids.add(found.row[1])
        result.jobs.append(saved)
    taken = {saved.job.number for saved in result.jobs} | {lost.number for lost in result.lost}
    for number in heap.traces.keys() | heap.hints.keys():
        facts = heap.hints.get(number, {}) | heap.traces.get(number, {})
        if number not in taken and (facts.get("id") or not result.complete):
            text = ", ".join(f"{name} {value}" for name, value in sorted(facts.items()))
            result.lost.append(LostJob(number, text or "only tasks of it were found"))
    result.jobs.sort(key=lambda saved: saved.job.number)
    result.lost.sort()


def _doubt(heap: _Heap, found: _Found, number: int, numbers: Mapping[str, int]) -> str:
    """Return why a row is not to be believed; empty if it is."""
    job_id, pipeline, key, state = (str(value) for value in found.row[1:5])
    trace = heap.traces.get(number, {})
    if number in heap.doubtful:
        return "there are two records of it"
    if trace.get("id", job_id) != job_id or numbers.get(job_id, number) != number:
        return "its number and its id do not belong together"
    if not found.sure and not found.final:
        return f"last known as {state}; it may have ended since"
    if not found.final and trace.get("state") == "over":
        return f"{state} in one place, over in another"
    definition = heap.definitions.get(int(key))
    if definition is not None and definition.name != pipeline and trace.get("pipeline") != pipeline:
        return f"its definition is that of {definition.name!r}"
    return ""


def _whole(heap: _Heap, found: _Found, result: Salvage, now: float) -> SavedJob:
    """Make a job of its row, its tasks and its definition, with a stand-in for what is missing."""
    row, cannot_run = found.row, ""
    tasks = {place: task for place, (_, task) in heap.tasks.get(int(str(row[0])), {}).items() if task is not None}
    definition = heap.definitions.get(int(str(row[3])))
    if definition is None or definition.name != row[2]:
        definition, cannot_run = _stand_in(str(row[2]), tasks), LOST_DEFINITION
        tasks = {place: task for place, (_, task) in enumerate(sorted(tasks.items()))}
    else:
        names = [task.name for task in (*definition.tasks, *filter(None, (definition.on_error,)))]
        tasks = {place: task for place, task in tasks.items() if names[place : place + 1] == [task.name]}
    try:
        job = job_from_row(row, definition, tasks)
    except ValueError:
        job, cannot_run = job_from_row(_without_variables(row), definition, tasks), LOST_VARIABLES
    if job.state.final and not result.complete:
        job = attrs.evolve(job, tasks=tuple(_known_tasks(job, definition, tasks)))
    if cannot_run:
        end = "" if job.state.final else "; it cannot run, and ends as canceled"
        result.changed.append(f"job {job.number} ({job.id}, pipeline {job.pipeline!r}): {cannot_run}{end}")
        if not job.state.final:
            stop = job.stop or StopRequest(StopReason.INTERRUPTED, now)
            job = attrs.evolve(job, stop=stop, error=job.error or cannot_run)
    return SavedJob(job, definition)


def _known_tasks(job: JobView, definition: PipelineDef, tasks: dict[int, TaskView]) -> Iterator[TaskView]:
    """Yield the tasks of a finished job; of one whose record is gone it is said that nothing is known."""
    for position, task in enumerate(job.tasks):
        if position in tasks or position >= len(definition.tasks) or job.started is None:
            yield task
        else:
            state = State.DONE if job.state is State.DONE else State.CANCELED
            yield attrs.evolve(task, state=state, reason=LOST_RECORD)


def _stand_in(pipeline: str, tasks: dict[int, TaskView]) -> PipelineDef:
    known = [TaskDef(t.name, (), t.depends_on, t.allow_failure) for _, t in sorted(tasks.items())]
    return PipelineDef(pipeline, tuple(known))
