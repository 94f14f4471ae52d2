"""The rounds of a storm: load, a kill at a random moment, another start, and a look at what has become of all."""

import os
import random
import shutil
import signal
import sqlite3
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Container, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import attrs
from tests.storm.clients import load
from tests.storm.ledger import Broken, Ledger
from tests.storm.machine import Daemon, NoAnswer, living, wait_for
from tests.storm.tasks import Line, read_evidence, write_pipelines

__all__ = ["Figures", "Storm"]

WAYS = ("serving", "serving", "starting", "starting twice", "just ready", "frozen", "SIGTERM", "SIGINT", "copy")
ROUNDS_PER_STORE = 10
_LONGEST_START = 1.5
_SETTLED = 180.0
_TAIL = "7"
"""Tells the processes of a copy from those of the original."""


@attrs.define
class Figures:
    """What was done."""

    rounds: int = 0
    accepted: int = 0
    over: int = 0
    again: int = 0
    kills: Counter[str] = attrs.Factory(Counter)
    copies: int = 0

    def __str__(self) -> str:
        kills = ", ".join(f"{number} {phase}" for phase, number in sorted(self.kills.items()))
        return (
            f"{self.rounds} rounds, {self.accepted} jobs accepted, {self.over} seen to be over, "
            f"{self.kills.total()} kills ({kills}), {self.copies} copies of a live store; "
            f"{self.again} jobs began again whose start was not on the disk yet"
        )


@attrs.define(eq=False)
class Storm:
    """Some rounds with one data directory.

    Attributes:
        broken: the job that a broken promise is about.
    """

    folder: Path
    seed: str
    containment: str = "auto"
    figures: Figures = attrs.Factory(Figures)
    mark: str = attrs.field(factory=lambda: uuid.uuid4().hex)
    ledger: Ledger = attrs.field(init=False)
    daemon: Daemon = attrs.field(init=False)
    _seen_wrong: list[Exception] = attrs.field(factory=list, init=False)
    _looking: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def __attrs_post_init__(self) -> None:
        self.ledger = Ledger(f"{random.randrange(10**7, 10**8)}")
        write_pipelines(self.folder)
        self.daemon = Daemon(self.folder, self.mark, ("--containment", self.containment))

    def run(self, rounds: range, ways: tuple[str, ...] = WAYS, progress: Callable[[], None] = lambda: None) -> None:
        """Run some rounds, let everything come to its end, and judge.

        Raises:
            Broken: a promise was broken.
        """
        accepted = self.figures.accepted
        try:
            with load(self.daemon, self.ledger, self.seed), self._watching():
                self._start()
                for number in rounds:
                    draw = random.Random(f"{self.seed}/{number}")
                    self.ledger.tell(f"round {number}")
                    self._round(ways[number % len(ways)], draw)
                    self.figures.rounds += 1
                    self.figures.accepted = accepted + len(self.ledger.accepted())
                    progress()
                    self._raise_what_was_seen()
            self._end()
        finally:
            self.daemon.close()
            for process in living(self.mark, self.ledger.token):
                os.kill(process.pid, signal.SIGKILL)
        self.figures.accepted = accepted + len(self.ledger.accepted())
        self.figures.over += sum(entry.end is not None for entry in self.ledger.entries.values())
        self.figures.again += self.ledger.again

    def _round(self, way: str, draw: random.Random) -> None:
        time.sleep(draw.uniform(0.05, 2.0))
        match way:
            case "starting" | "starting twice":
                self._kill("serving")
                for _ in range(1 if way == "starting" else 2):
                    self.daemon.spawn()
                    time.sleep(draw.uniform(0, _LONGEST_START))
                    self._kill("recovering" if "message=ready" in self.daemon.said() else "starting")
            case "just ready":
                self._kill("serving")
                self.daemon.start()
                time.sleep(draw.uniform(0, 0.2))
                self._kill("recovering")
            case "frozen":
                self.daemon.send(signal.SIGSTOP)
                time.sleep(draw.uniform(0, 0.5))
                self._kill("frozen")
            case "SIGTERM" | "SIGINT":
                self.ledger.stopped(way)
                self.daemon.send(signal.Signals[way])
                time.sleep(draw.uniform(0, 0.5))
                self._kill("stopping" if self._runs() else "that came too late")
            case "copy":
                self._copy()
                self._kill("serving")
            case _:
                self._kill("serving")
        self._start()
        self._settle()

    def _runs(self) -> bool:
        assert self.daemon.process is not None
        return self.daemon.process.poll() is None

    def _kill(self, phase: str) -> None:
        self.ledger.stopped(f"SIGKILL, {phase}")
        self.daemon.kill()
        self.figures.kills[phase] += 1

    def _start(self) -> None:
        self.daemon.start()
        self.ledger.tell("the daemon is ready")

    # ------------------------------------------------------------------------------------------------------ looking

    @contextmanager
    def _watching(self) -> Iterator[None]:
        """Look all the time, to see as many ends as possible before the next kill."""
        over = threading.Event()

        def watch() -> None:
            while not over.wait(0.15):
                try:
                    self._look()
                except NoAnswer:
                    pass
                except Exception as exc:  # noqa: BLE001 - raised in the thread that waits for this one
                    self._seen_wrong.append(exc)
                    return

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
        self._raise_what_was_seen()

    def _raise_what_was_seen(self) -> None:
        if self._seen_wrong:
            raise self._seen_wrong[0]

    def _look(self) -> dict[str, dict[str, Any]]:
        """Compare the listing with what was promised, and with the processes that live."""
        with self._looking:  # an older listing would seem to take back what a newer one has shown
            known = self.ledger.accepted().values()
            before = living(self.mark, self.ledger.token)
            jobs = self.daemon.jobs()
            self.ledger.look(jobs, known)
        over = {job["variables"]["n"] for job in jobs.values() if job["completed"] or job["canceled"]}
        for process in before:
            if process.number in over and process.alive:
                raise Broken("nothing of the dead lives", f"pid {process.pid}: {process.line}", process.number)
        return jobs

    def _settle(self) -> None:
        """Wait until those that ran when the daemon died are over, be it after another attempt."""
        began = {line.number for line in self._evidence() if line.what == "begin"}
        open_ones = {entry.number for entry in self.ledger.live() if entry.number in began}
        wait_for(
            lambda: _none_open(self._look(), open_ones),
            "the end of the jobs that ran when the daemon died",
            seconds=_SETTLED,
        )
        for line in self._evidence():
            if line.what == "overlap":
                raise Broken("concurrency", f"task {line.task!r} finds no free place", line.number)

    def _evidence(self) -> list[Line]:
        return list(read_evidence(self.folder))

    # -------------------------------------------------------------------------------------------------- a power cut

    def _copy(self) -> None:
        """Start a daemon on what a power cut would have left, beside the one that goes on."""
        self.figures.copies += 1
        known = list(self.ledger.accepted().values())
        ends = {entry.id: entry.end for entry in known if entry.end is not None}
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            self.daemon.copy_data(folder / ".prunner")
            began = {line.number for line in self._evidence() if line.what == "begin"}
            for file in ("pipelines.yml", "helpers.sh"):
                shutil.copy(self.folder / file, folder / file)
            self.ledger.tell("copied")
            check_store(folder)
            mark = uuid.uuid4().hex
            other = Daemon(folder, mark, self.daemon.words, variables={"STORM_COPY": _TAIL})
            try:
                other.start()
                jobs = other.jobs()
                for entry in known:
                    if entry.id not in jobs:
                        raise Broken("202 means known for ever", "unknown after a power cut", entry.number)
                    if ends.get(entry.id, jobs[entry.id]) != jobs[entry.id]:
                        what = f"was {ends[entry.id]}, is {jobs[entry.id]} after a power cut"
                        raise Broken("what is over does not change", what, entry.number)
                wait_for(lambda: _none_open(other.jobs(), began), "the end of the jobs that the power cut interrupted")
                self._look()  # a job that the other daemon has disturbed is over for no reason
                other.stop()
                if left := living(mark, self.ledger.token, _TAIL):
                    raise Broken("nothing of the dead lives", f"after a power cut: {left}")
            finally:
                other.close()
                for process in living(mark, self.ledger.token, _TAIL):
                    os.kill(process.pid, signal.SIGKILL)
        self.ledger.tell("the copy is gone")

    # ------------------------------------------------------------------------------------------------------ the end

    def _end(self) -> None:
        """Let all jobs come to their end without any fault, and look at everything once more."""

        def over() -> bool:
            return _none_open(self._look(), self.ledger.entries)

        wait_for(over, "the end of all jobs", seconds=_SETTLED)
        evidence = self._evidence()
        self._logs(evidence)
        self.ledger.tell("all jobs are over")
        if (status := self.daemon.stop()) != 0:
            raise Broken("an end in peace", f"exit status {status}: {self.daemon.said()[-2000:]}")
        if left := living(self.mark, self.ledger.token):
            raise Broken("nothing of the dead lives", f"after the last daemon: {left}")
        check_store(self.folder)
        for file in self.folder.glob("stderr-*"):
            if (said := file.read_text()) and ("Traceback" in said or "internal error" in said):
                raise Broken("no defects", f"{file.name}:\n{said[-3000:]}")
        self.ledger.judge(evidence)

    def _logs(self, evidence: list[Line]) -> None:
        """What a task has written before it was stopped is in its log, in order and without gaps."""
        written: dict[str, int] = {}
        runs = Counter(line.number for line in evidence if line.what == "begin")
        for line in evidence:
            if line.what == "line" and runs[line.number] == 1:  # who began again unknown to the disk goes on in its log
                written[line.number] = int(line.rest)
        for number, last in written.items():
            status, body = self.daemon.ask("GET", f"/job/logs?id={self.ledger.entries[number].id}&task=a")
            lines = body["stdout"].splitlines() if status == 200 else []
            if len(lines) < last or lines != [f"line {n}" for n in range(1, len(lines) + 1)]:
                raise Broken("logs are complete up to the stop", f"wrote {last} lines, the log has {lines}", number)


def _none_open(jobs: dict[str, dict[str, Any]], numbers: Container[str]) -> bool:
    return all(job["completed"] or job["canceled"] for job in jobs.values() if job["variables"]["n"] in numbers)


def check_store(folder: Path) -> None:
    """Raise `Broken` if the store is damaged."""
    with closing(sqlite3.connect(f"file:{folder}/.prunner/store.db?mode=ro", uri=True)) as store:
        (found,) = store.execute("PRAGMA integrity_check").fetchone()
    if found != "ok":
        raise Broken("the store is whole", found)
