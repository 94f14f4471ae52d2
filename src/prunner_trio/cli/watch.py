"""The command that shows a job as it runs, on the whole screen: watch."""

import json
import os
import signal
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial

import attrs
import trio

from prunner_trio.cli.flags import Parsed
from prunner_trio.cli.following import Wish, follow, goes_on, tails_of
from prunner_trio.cli.frame import choice, frame
from prunner_trio.cli.log_lines import LogLines
from prunner_trio.cli.paper import Paper, colors_on
from prunner_trio.cli.remote import at_daemon
from prunner_trio.cli.screen import Screen
from prunner_trio.cli.status import INTERRUPTED, exit_status
from prunner_trio.cli.summary import summary
from prunner_trio.cli.tty import keys_in, painting, screen_size, whole_screen
from prunner_trio.cli.which import LATEST, find_job
from prunner_trio.client import Daemon, Job, Task
from prunner_trio.client.live import follow_job, follow_log
from prunner_trio.client.requests import STREAMS
from prunner_trio.client.shapes import LogPiece

__all__ = ["watch"]

_PACE = 0.05
"""Seconds between two pictures at least."""

_CLOCK = 1.0
"""Seconds after which a picture is painted also if nothing has changed but the time."""

_KEPT_LINES = 1000


@at_daemon
def watch(daemon: Daemon, parsed: Parsed, paper: Paper) -> int:
    """Show a job until it is over; the exit status tells how it ended."""
    job = find_job(daemon, parsed.operands[0] if parsed.operands else LATEST, running=True)
    plain = parsed.values.switch("disable-ansi")
    if parsed.values.switch("json"):
        return trio.run(_as_json, daemon, job, strict_exception_groups=True)
    if not (paper.terminal and os.isatty(0)) or os.environ.get("TERM") == "dumb":
        return follow(daemon, job, Wish(plain=plain))
    return trio.run(_Watch(daemon, job, plain).run, strict_exception_groups=True)


async def _as_json(daemon: Daemon, job: Job) -> int:
    screen = Screen(1, 2, colored=lambda _: False)

    async def changed(job: Job) -> None:
        await screen.out(json.dumps(job, ensure_ascii=False))

    return exit_status(await follow_job(daemon, job["id"], changed, screen.note))


@attrs.define(eq=False)
class _Watch:
    daemon: Daemon
    job: Job
    plain: bool
    _screen: Screen = attrs.field(init=False)
    _picked: str = attrs.field(default="", init=False)
    _log: deque[str] = attrs.field(factory=lambda: deque(maxlen=_KEPT_LINES), init=False)
    _note: str = attrs.field(default="", init=False)
    _dirty: trio.Event = attrs.field(factory=trio.Event, init=False)
    _other: trio.Event = attrs.field(factory=trio.Event, init=False)
    _over: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._screen = Screen(1, 2, colored=partial(colors_on, plain=self.plain))

    async def run(self) -> int:
        """Paint until the job is over or somebody leaves; return the exit status."""
        ends = trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        with whole_screen(), ends as signals, trio.open_signal_receiver(signal.SIGWINCH) as resizes:
            async with trio.open_nursery() as nursery:
                leave = nursery.cancel_scope.cancel
                nursery.start_soon(self._hear, signals, nursery.cancel_scope, name="signals")
                nursery.start_soon(self._resize, resizes, name="sizes")
                nursery.start_soon(self._keys, nursery.cancel_scope, name="keys")
                nursery.start_soon(self._tick, name="clock")
                nursery.start_soon(self._paint, name="painter")
                nursery.start_soon(self._tails, name="log")
                self.job = await follow_job(self.daemon, self.job["id"], self._changed, self._lost)
                self._over = True
                leave()
        if not self._over:
            print(goes_on(self.job), file=sys.stderr)
            return INTERRUPTED
        tails = await tails_of(self.daemon, self.job)
        await self._screen.write("stdout", "".join(f"{line}\n" for line in self._summary(tails)).encode())
        return exit_status(self.job)

    def _summary(self, tails: Mapping[str, Sequence[str]]) -> list[str]:
        return summary(self.job, tails, colors=self._screen.colored("stdout"))

    # ---------------------------------------------------------------------------------------------------- what comes

    async def _changed(self, job: Job) -> None:
        before = self._task()
        self.job, self._note = job, ""
        now = self._task()
        if now is None or before is None or (now["name"], now["started"]) != (before["name"], before["started"]):
            self._look_elsewhere()
        self._dirty.set()

    async def _lost(self, text: str) -> None:
        self._note = text
        self._dirty.set()

    async def _hear(self, signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
        async for _ in signals:
            scope.cancel()

    async def _resize(self, signals: AsyncIterator[int]) -> None:
        async for _ in signals:
            self._dirty.set()

    async def _keys(self, scope: trio.CancelScope) -> None:
        while True:
            await trio.lowlevel.wait_readable(0)
            data = os.read(0, 1024)
            if not data:  # the terminal is gone, and SIGHUP is on its way
                return
            for key in keys_in(data):
                if key == "q":
                    scope.cancel()
                else:
                    self._move(-1 if key == "up" else 1)

    async def _tick(self) -> None:
        while True:
            await trio.sleep(_CLOCK)
            self._dirty.set()

    # ------------------------------------------------------------------------------------------------------- the log

    def _selected(self) -> str:
        return self._picked or choice(self.job)

    def _task(self) -> Task | None:
        name = self._selected()
        return next((task for task in self.job["tasks"] if task["name"] == name), None)

    def _move(self, by: int) -> None:
        names = [task["name"] for task in self.job["tasks"]]
        if names:
            place = names.index(self._selected()) + by
            self._picked = names[max(0, min(place, len(names) - 1))]
            self._look_elsewhere()
            self._dirty.set()

    def _look_elsewhere(self) -> None:
        self._log.clear()
        self._other.set()
        self._other = trio.Event()

    async def _tails(self) -> None:
        """Follow the log of the selected task, until another one is selected."""
        while True:
            other, task = self._other, self._task()
            async with trio.open_nursery() as nursery:
                if task is not None and task["started"] is not None:
                    for stream in STREAMS:
                        nursery.start_soon(self._tail, task["name"], stream, name=f"{stream} of {task['name']}")
                await other.wait()
                nursery.cancel_scope.cancel()

    async def _tail(self, task: str, stream: str) -> None:
        lines = LogLines(terminal=False, colors=False)

        async def heard(piece: LogPiece) -> None:
            self._add(lines.feed(piece["text"].encode(errors="replace")))

        await follow_log(self.daemon, self.job["id"], task, stream, heard, self._lost, tail=screen_size()[1])
        self._add(lines.end())

    def _add(self, lines: Sequence[bytes]) -> None:
        if lines:
            self._log.extend(line.decode(errors="replace") for line in lines)
            self._dirty.set()

    # --------------------------------------------------------------------------------------------------- the picture

    async def _paint(self) -> None:
        while True:
            self._dirty = trio.Event()  # before the look: what changes while we paint is painted next
            lines = frame(
                self.job,
                self._selected(),
                tuple(self._log),
                screen_size(),
                time.time(),
                colors=self._screen.colored("stdout"),
                note=self._note,
            )
            await self._screen.write("stdout", painting(lines))
            await trio.sleep(_PACE)
            await self._dirty.wait()
