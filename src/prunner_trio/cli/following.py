"""A job that is followed to its end: its changes, its logs, and what Ctrl-C does meanwhile."""

import json
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial

import attrs
import trio

from prunner_trio.cli.log_lines import PALETTE, LogLines, prefix
from prunner_trio.cli.moments import span
from prunner_trio.cli.paper import colors_on
from prunner_trio.cli.rows import SHORT_ID, task_note
from prunner_trio.cli.screen import Screen
from prunner_trio.cli.status import FINAL, INTERRUPTED, TIMED_OUT, exit_status, word
from prunner_trio.cli.summary import TAIL_LINES, failed_tasks, summary
from prunner_trio.cli.text import plain
from prunner_trio.client import ClientError, Daemon, Job, Task
from prunner_trio.client.live import ask, fetch, follow_job, follow_log
from prunner_trio.client.requests import STREAMS, cancel, get_log
from prunner_trio.client.shapes import LogPiece

__all__ = ["Wish", "follow", "goes_on", "tails_of"]


@attrs.frozen
class Wish:
    """How a job is to be followed.

    Attributes:
        logs: show what tasks write.
        taken_over: also what a retry has taken over of another job.
        quiet: show nothing else: how the job ends is not of interest, nor is it the exit status.
        tasks: of these alone; None: of all.
        tail: of each log, begin with so many lines from its end; None: with the first.
        timeout: seconds; None: as long as it takes.
        cancel_on_interrupt: Ctrl-C cancels the job.
    """

    logs: bool = False
    taken_over: bool = True
    quiet: bool = False
    as_json: bool = False
    plain: bool = False
    tasks: tuple[str, ...] | None = None
    streams: tuple[str, ...] = STREAMS
    tail: int | None = None
    timeout: float | None = None
    cancel_on_interrupt: bool = False


def follow(daemon: Daemon, job: Job, wish: Wish) -> int:
    """Follow a job to its end and return the exit status.

    Raises:
        ClientError: the daemon is away or refuses; perhaps within groups.
        BrokenPipeError: nobody reads the output any more; likewise.
    """
    return trio.run(_Following(daemon, job, wish).run, strict_exception_groups=True)


def goes_on(job: Job) -> str:
    """Return the sentence for somebody who leaves a job alone."""
    short = job["id"][:SHORT_ID]
    return f"job {short} ({plain(job['pipeline'])}) goes on; to cancel it: prunner-trio cancel {short}"


async def tails_of(daemon: Daemon, job: Job) -> Mapping[str, Sequence[str]]:
    """Return the last lines of the failed tasks of a job: what they wrote to stderr or, if nothing, to stdout."""
    return {task["name"]: await _tail(daemon, job, task) for task in failed_tasks(job)}


async def _tail(daemon: Daemon, job: Job, task: Task) -> Sequence[str]:
    for stream in reversed(STREAMS):
        try:
            data = await fetch(daemon, get_log(job["id"], task["name"], stream, tail=TAIL_LINES))
        except ClientError:
            return ()  # it is an addition, and may be gone already
        if data.strip():
            return data.decode(errors="replace").splitlines()
    return ()


@attrs.define(eq=False)
class _Following:
    daemon: Daemon
    job: Job
    wish: Wish
    _screen: Screen = attrs.field(init=False)
    _logs: trio.Nursery = attrs.field(init=False)
    _moved: trio.Event = attrs.field(factory=trio.Event, init=False)
    _open: dict[str, trio.Event] = attrs.field(factory=dict, init=False)
    _shown: set[tuple[str, int]] = attrs.field(factory=set, init=False)
    _seen: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._screen = Screen(1, 2, colored=partial(colors_on, plain=self.wish.plain))

    async def run(self) -> int:
        """Follow the job and return the exit status."""
        over = False
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
            async with trio.open_nursery() as nursery:
                with trio.move_on_after(self.wish.timeout or float("inf")) as waiting:
                    nursery.start_soon(self._hear, signals, nursery, waiting, name="signals")
                    await self._to_its_end()
                    over = True
                nursery.cancel_scope.cancel()
        if over:
            return 0 if self.wish.quiet else exit_status(self.job)
        if self.wish.timeout and trio.current_time() >= waiting.deadline:
            print(f"not over within {span(self.wish.timeout)}; {goes_on(self.job)}", file=sys.stderr)
            return TIMED_OUT
        print(goes_on(self.job), file=sys.stderr)
        return INTERRUPTED

    async def _hear(self, signals: AsyncIterator[int], nursery: trio.Nursery, waiting: trio.CancelScope) -> None:
        canceling = False
        async for _ in signals:
            if canceling or not self.wish.cancel_on_interrupt:
                waiting.cancel()
            else:
                canceling = True
                nursery.start_soon(self._cancel, name="cancel")

    async def _cancel(self) -> None:
        await self._note("canceling the job; once more leaves it to itself", good=False)
        try:
            await ask(self.daemon, cancel(self.job["id"], 0.0))
        except ClientError as exc:
            await self._screen.note(f"the job could not be canceled: {exc}", good=False)

    async def _to_its_end(self) -> None:
        async with trio.open_nursery() as self._logs:
            self.job = await follow_job(self.daemon, self.job["id"], self._changed, self._lost)
        if self.wish.quiet:
            return
        if self.wish.as_json:
            ended = {"type": "job", "job": self.job} if self.wish.logs else self.job
            await self._json(ended, indent=None if self.wish.logs else 2)
            return
        tails = {} if self.wish.logs else await tails_of(self.daemon, self.job)
        for line in summary(self.job, tails, colors=self._screen.colored("stderr"), told=True):
            await self._note(line, good=self.job["state"] == "done")

    # -------------------------------------------------------------------------------------------------- what is new

    async def _changed(self, job: Job) -> None:
        before, self.job = self.job, job
        if not self._seen and job["state"] not in FINAL:
            await self._note(f"{plain(job['pipeline'])} {job['id'][:SHORT_ID]} {word(job)}")
        self._moved.set()
        self._moved = trio.Event()
        if self.wish.logs:
            for task in job["tasks"]:
                self._begin_log(task)
        states = {task["name"]: task["state"] for task in before["tasks"]} if self._seen else {}
        for task in job["tasks"]:
            with_its_log = self.wish.logs and task["started"] is not None
            if task["state"] in FINAL and states.get(task["name"]) != task["state"] and not with_its_log:
                await self._tell_end(task)
        waits = [each["waiting"]["text"] if each["waiting"] else "" for each in (before, job)]
        if waits[1] and (waits[0] != waits[1] or not self._seen):
            await self._note(f"waiting: {plain(waits[1])}")
        self._seen = True

    async def _tell_end(self, task: Task) -> None:
        if self.wish.taken_over or not task.get("from_job"):
            await self._note(task_note(task, self.job), good=task["state"] != "error")

    async def _lost(self, text: str) -> None:
        await self._screen.note(text, good=False)

    async def _note(self, text: str, *, good: bool = True) -> None:
        if not (self.wish.quiet or self.wish.as_json):
            await self._screen.note(text, good=good)

    # --------------------------------------------------------------------------------------------------------- logs

    def _begin_log(self, task: Task) -> None:
        name = task["name"]
        if not self.wish.taken_over and task.get("from_job"):
            return
        if task["started"] is None or name in self._open or (name, self.job["attempt"]) in self._shown:
            return
        if self.wish.tasks is None or name in self.wish.tasks:
            self._open[name] = trio.Event()
            self._logs.start_soon(self._show_log, task, name=f"log of {name}")

    async def _show_log(self, task: Task) -> None:
        """Show what a task writes, after all that was written by those that it needed."""
        name = task["name"]
        for need in task["needs"]:
            if (shown := self._open.get(need)) is not None:
                await shown.wait()
        async with trio.open_nursery() as nursery:
            for stream in self.wish.streams:
                nursery.start_soon(self._show_stream, name, stream, name=f"{stream} of {name}")
        self._open.pop(name).set()
        ended = await self._ended(name)
        if ended is not None:
            await self._tell_end(ended)
        if self.wish.quiet and self.wish.tasks is not None and set(self.wish.tasks) <= {n for n, _ in self._shown}:
            self._logs.cancel_scope.cancel()

    async def _ended(self, name: str) -> Task | None:
        while True:
            moved = self._moved
            task = next((task for task in self.job["tasks"] if task["name"] == name), None)
            if task is None or task["state"] in FINAL:
                return task
            await moved.wait()

    async def _show_stream(self, task: str, stream: str) -> None:
        lines = LogLines(terminal=self._screen.terminal(stream), colors=self._screen.colored(stream))
        names = [each["name"] for each in self.job["tasks"]]
        before = prefix(task, self.wish.tasks or names)
        color = PALETTE[names.index(task) % len(PALETTE)]

        async def write(found: Sequence[bytes]) -> None:
            if found and not await self._screen.lines(stream, before, color, found):
                raise BrokenPipeError

        async def heard(piece: LogPiece) -> None:
            if self.wish.as_json:
                await self._json({"type": "log", "task": task, "stream": stream, **piece})
            else:
                await write(lines.feed(piece["text"].encode(errors="replace")))

        attempt = await follow_log(self.daemon, self.job["id"], task, stream, heard, self._lost, tail=self.wish.tail)
        await write(lines.end())
        self._shown.add((task, attempt))

    async def _json(self, value: object, indent: int | None = None) -> None:
        await self._screen.out(json.dumps(value, ensure_ascii=False, indent=indent))
