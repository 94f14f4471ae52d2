"""What clients were told, and what that forbids for ever after."""

import threading
from collections.abc import Iterable
from itertools import count, pairwise
from typing import Any

import attrs
from tests.storm.machine import boot_time
from tests.storm.tasks import DELAYS, REQUEUED, Line

__all__ = ["Broken", "Entry", "Ledger"]

_HUNDREDTH = 0.011
"""The kernel cuts the times of launches to hundredths of a second."""


class Broken(AssertionError):
    """A promise was broken.

    Attributes:
        number: that of the job concerned; empty if there is none.
    """

    def __init__(self, promise: str, what: str, number: str = "") -> None:
        super().__init__(f"{promise}: {what}")
        self.number = number


@attrs.define(eq=False)
class Entry:
    """A job as a client knows it; all times are seconds since the boot.

    Attributes:
        number: what the client made up to know it again, also when no answer came.
        answered: when it was accepted; None if that is not known.
        refused: the status with which it was refused, if it was.
        cancel_sent: when a client first asked to cancel it.
        canceled: when that was answered.
        end: the job as it was first seen to be over, and when that was.
    """

    number: str
    pipeline: str
    sent: float
    answered: float | None = None
    refused: int | None = None
    id: str = ""
    cancel_sent: float | None = None
    canceled: float | None = None
    end: dict[str, Any] | None = None
    seen: float = 0.0

    @property
    def live(self) -> bool:
        return self.answered is not None and self.end is None


@attrs.define(eq=False)
class Ledger:
    """All jobs of one data directory. Several threads write to it.

    Attributes:
        token: with which all numbers of jobs begin.
        stops: when the daemon was stopped or killed, and how.
        story: all that happened, a line each.
    """

    token: str
    entries: dict[str, Entry] = attrs.Factory(dict)
    stops: list[tuple[float, str]] = attrs.Factory(list)
    story: list[str] = attrs.Factory(list)
    again: int = 0
    _numbers: Any = attrs.field(factory=count, init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def tell(self, what: str) -> None:
        self.story.append(f"{boot_time():.3f} {what}")

    def stopped(self, how: str) -> None:
        self.stops.append((boot_time(), how))
        self.tell(how)

    def new(self, pipeline: str) -> Entry:
        with self._lock:
            number = f"{self.token}{next(self._numbers):05}"
            self.tell(f"{number} schedule {pipeline}")
            entry = self.entries[number] = Entry(number, pipeline, boot_time())
            return entry

    def live(self) -> list[Entry]:
        with self._lock:
            return [entry for entry in self.entries.values() if entry.live]

    def accepted(self) -> dict[str, Entry]:
        """Return the jobs that were answered with 202 so far, by id."""
        with self._lock:
            return {entry.id: entry for entry in self.entries.values() if entry.answered is not None}

    # ----------------------------------------------------------------------------------------------- the listing

    def look(self, jobs: dict[str, dict[str, Any]], known: Iterable[Entry], *, ours: bool = True) -> None:
        """Compare a listing with what was promised before it was asked for.

        Args:
            known: the jobs that were accepted by then.
            ours: note the ends that it shows; False for the listing of a copy.
        """
        for entry in known:
            job = jobs.get(entry.id)
            if job is None:
                raise Broken("202 means known for ever", f"job {entry.id} ({entry.pipeline}) is unknown", entry.number)
            if entry.end is not None and job != entry.end:
                raise Broken("what is over does not change", f"was {entry.end}, is {job}", entry.number)
        for job in jobs.values():
            entry = self.entries[job["variables"]["n"]]
            if entry.refused is not None:
                raise Broken("refused means unknown", f"answered {entry.refused}, and is {job}", entry.number)
            if ours and entry.end is None and _over(job) and not _in_doubt(entry, job):
                self._ended(entry, job)

    def _ended(self, entry: Entry, job: dict[str, Any]) -> None:
        entry.end, entry.seen, entry.id = job, boot_time(), job["id"]
        how = "canceled" if job["canceled"] else "errored" if job["errored"] else "done"
        self.tell(f"{entry.number} seen to be {how} {job.get('lastError', '')}")
        if how == "canceled":
            self._has_a_reason(entry, job)
        elif (how == "errored") != (entry.pipeline == "fails"):
            raise Broken("the outcome is true", f"{entry.pipeline} is {how}: {job}", entry.number)

    def _has_a_reason(self, entry: Entry, job: dict[str, Any]) -> None:
        gentle = [how for when, how in self.stops if when > entry.sent and how in ("SIGTERM", "SIGINT")]
        killed = [how for when, how in self.stops if when > entry.sent]
        replaced = job["start"] is None and entry.pipeline == "debounce"
        if entry.cancel_sent is not None or replaced or gentle:
            return
        if not killed or job["start"] is None:
            raise Broken("nobody is canceled without a reason", f"{entry.pipeline}: {job}", entry.number)
        if entry.pipeline in REQUEUED:
            raise Broken("on_daemon_crash: requeue", f"was not run again: {job}", entry.number)

    # ---------------------------------------------------------------------------------------------- the evidence

    def judge(self, evidence: list[Line]) -> None:
        """Compare what the tasks have written with what was promised."""
        self._places(evidence)
        launches = [line for line in evidence if line.what == "begin"]
        runs: dict[tuple[str, str], list[Line]] = {}
        for line in launches:
            entry = self.entries[line.number]
            self._one_launch(entry, line)
            runs.setdefault((line.number, line.task), []).append(line)
        for (number, task), lines in runs.items():
            self._repeated(self.entries[number], task, [line.launched for line in lines])
        self._order([self.entries[number] for (number, _) in runs if self.entries[number].pipeline == "queue"])
        ended = {(line.number, line.task) for line in evidence if line.what == "end"}
        for entry in self.entries.values():
            self._true_end(entry, ended)

    def _places(self, evidence: list[Line]) -> None:
        for line in evidence:
            if line.what == "overlap":
                raise Broken("concurrency", f"task {line.task!r} finds no free place", line.number)
            if line.what == "never":
                raise Broken("dependencies first", f"task {line.task!r} runs", line.number)

    def _one_launch(self, entry: Entry, line: Line) -> None:
        if entry.refused is not None:
            raise Broken("refused means unknown", f"it runs, after an answer {entry.refused}", entry.number)
        delay = DELAYS.get(entry.pipeline, 0.0)
        if line.launched < entry.sent + delay - _HUNDREDTH:
            early = entry.sent + delay - line.launched
            raise Broken("delays are kept", f"task {line.task!r} is {early:.3f} s too early", entry.number)
        if entry.end is not None and line.launched > entry.seen:
            raise Broken("what is over does not run", f"task {line.task!r} at {line.launched:.2f}", entry.number)
        if entry.canceled is not None and line.launched > entry.canceled:
            raise Broken("what is canceled does not run", f"task {line.task!r} at {line.launched:.2f}", entry.number)

    def _repeated(self, entry: Entry, task: str, launched: list[float]) -> None:
        for before, after in pairwise(launched):
            stops = [when for when, _ in self.stops if before < when < after + _HUNDREDTH]
            if not stops:
                raise Broken("launched once", f"task {task!r} at {before:.2f} and {after:.2f}", entry.number)
            if entry.pipeline not in REQUEUED:
                if self._saved_between(before + _HUNDREDTH, stops[0]):
                    raise Broken("launched once", f"task {task!r} runs again after a crash", entry.number)
                self.again += 1

    def _saved_between(self, begin: float, end: float) -> bool:
        """Whether a job was asked for and accepted in this time: what had happened before is on the disk as well."""
        return any(
            entry.answered is not None and begin < entry.sent and entry.answered < end
            for entry in self.entries.values()
        )

    def _order(self, started: list[Entry]) -> None:
        """Those whose request came after the answer to another must not start before it."""
        latest = 0.0
        for entry in started:
            if entry.answered is not None and entry.answered < latest:
                raise Broken("order of arrival", f"accepted at {entry.answered:.3f}, and was overtaken", entry.number)
            latest = max(latest, entry.sent)

    def _true_end(self, entry: Entry, ended: set[tuple[str, str]]) -> None:
        if entry.end is None or entry.end["canceled"]:
            return
        for task in entry.end["tasks"]:
            if task["status"] == "done" and (entry.number, task["name"]) not in ended:
                raise Broken("done means done", f"task {task['name']!r} never came to its end", entry.number)

    def transcript(self, number: str) -> str:
        """Tell what happened to a job and to the daemon."""
        lines = [
            line for line in self.story if not number or number in line or line.split(" ")[1][0] not in "0123456789"
        ]
        return "\n".join(lines)


def _over(job: dict[str, Any]) -> bool:
    return bool(job["completed"] or job["canceled"])


def _in_doubt(entry: Entry, job: dict[str, Any]) -> bool:
    """Whether it was canceled while it waited, which holds from the answer on only."""
    return job["start"] is None and entry.cancel_sent is not None and entry.canceled is None
