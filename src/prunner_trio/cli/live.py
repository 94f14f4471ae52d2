"""The output of tasks as it comes, each line with its task in front."""

import os
from collections.abc import Mapping, Sequence

import attrs
import trio

from prunner_trio.cli.log_lines import LONGEST_LINE, PALETTE
from prunner_trio.cli.screen import Screen
from prunner_trio.errors import LaunchError
from prunner_trio.execution.seams import Stream
from prunner_trio.model import JobId
from prunner_trio.policy.mask import Mask, Masking

__all__ = ["LiveOutput"]

KEPT_BYTES = 1024 * 1024
"""How much of the end of each output is kept, for `on_error`."""

_STREAMS = (Stream.STDOUT, Stream.STDERR)


@attrs.define(eq=False)
class _Kept:
    """One stream of one task."""

    size: int = 0
    tail: bytearray = attrs.field(factory=bytearray)
    over: trio.Event = attrs.field(factory=trio.Event)

    def add(self, data: bytes | bytearray) -> None:
        self.size += len(data)
        self.tail += data
        del self.tail[:-KEPT_BYTES]


@attrs.define(eq=False)
class _Pipes:
    """The writing ends of one task."""

    fds: dict[Stream, int]
    kept: dict[Stream, _Kept]
    own: dict[Stream, bytearray] = attrs.field(factory=dict)

    def fileno(self, stream: Stream) -> int:
        return self.fds[stream]

    def write(self, stream: Stream, data: bytes) -> None:
        # Blocking is out of the question and the pipe may be full, so the reader gets it once the pipe has ended.
        self.own.setdefault(stream, bytearray()).extend(data)

    async def copy(self) -> None:
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        while self.fds:
            os.close(self.fds.popitem()[1])


class LiveOutput:
    """An `OutputStore` that shows what tasks write, and keeps only the end of it."""

    def __init__(self, pumps: trio.Nursery, screen: Screen, tasks: Mapping[str, Sequence[str]]) -> None:
        """Show the output of these tasks; `pumps` ends when all of it has been shown.

        Args:
            tasks: names, each with those of the tasks whose output comes before its own.
        """
        self._pumps = pumps
        self._screen = screen
        self._after = tasks
        self._width = max(map(len, tasks), default=0)
        self._colors = {task: PALETTE[index % len(PALETTE)] for index, task in enumerate(tasks)}
        self._kept: dict[tuple[str, Stream], _Kept] = {}

    def open(self, job_id: JobId, task: str, limit: int | None = None, mask: Mask | None = None) -> _Pipes:
        """Make the pipes of a task. Raises `LaunchError`.

        Args:
            limit: of no meaning here: nothing is kept, and who looks on wants to see everything.
            mask: what is not shown all the same.
        """
        ends: dict[Stream, int] = {}
        readers: dict[Stream, int] = {}
        try:
            for stream in _STREAMS:
                readers[stream], ends[stream] = os.pipe()
        except OSError as exc:
            for fd in (*readers.values(), *ends.values()):
                os.close(fd)
            raise LaunchError(f"cannot make a pipe for the output of {task!r}: {exc.strerror}") from exc
        pipes = _Pipes(ends, {stream: _Kept() for stream in _STREAMS})
        for stream, fd in readers.items():
            self._kept[task, stream] = pipes.kept[stream]
            self._pumps.start_soon(self._pump, fd, task, stream, pipes, mask, name=f"output of {task}")
        return pipes

    async def _pump(self, fd: int, task: str, stream: Stream, pipes: _Pipes, mask: Mask | None) -> None:
        kept = pipes.kept[stream]
        prefix, color = f"{task.ljust(self._width)} | ", self._colors.get(task, PALETTE[0])
        rest = bytearray()
        masking = None if mask is None else Masking(mask)
        try:
            async with trio.lowlevel.FdStream(fd) as reader:
                for earlier in self._after.get(task, ()):
                    await self.shown(earlier)
                async for chunk in reader:
                    if masking is not None:
                        chunk = masking.feed(bytes(chunk))
                    kept.add(chunk)
                    *lines, rest = (rest + chunk).split(b"\n")
                    if len(rest) > LONGEST_LINE:
                        lines.append(rest)
                        rest = bytearray()
                    if lines:
                        await self._screen.lines(stream, prefix, color, lines)
            if masking is not None:
                kept.add(held := masking.finish())
                rest += held
            if own := pipes.own.get(stream):
                kept.add(own)
                rest += own
            if rest:
                await self._screen.lines(stream, prefix, color, rest.splitlines())
        finally:
            kept.over.set()

    async def shown(self, task: str) -> None:
        """Wait until all that a task has written was shown; for a task that is over."""
        for stream in _STREAMS:
            if (kept := self._kept.get((task, stream))) is not None:
                await kept.over.wait()

    async def read(self, job_id: JobId, task: str, stream: Stream, offset: int, length: int) -> bytes:
        """Return what is kept of the bytes from `offset` on."""
        await trio.lowlevel.checkpoint()
        kept = self._kept.get((task, stream))
        if kept is None:
            return b""
        start = max(0, offset - (kept.size - len(kept.tail)))
        return bytes(kept.tail[start : start + length])

    async def size(self, job_id: JobId, task: str, stream: Stream) -> int:
        """Return how much a task that is over has written."""
        await trio.lowlevel.checkpoint()
        kept = self._kept.get((task, stream))
        if kept is None:
            return 0
        await kept.over.wait()
        return kept.size

    async def set_aside(self, job_id: JobId, attempt: int) -> None:
        """Do nothing: a job in the foreground ends with the program."""
        await trio.lowlevel.checkpoint()

    async def remove(self, job_ids: Sequence[JobId]) -> None:
        """Forget everything."""
        await trio.lowlevel.checkpoint()
        self._kept.clear()
