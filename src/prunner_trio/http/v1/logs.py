"""One log of a task: where its parts are, and how they are read."""

import re

import attrs
import trio

from prunner_trio.errors import JobNotFound
from prunner_trio.execution.seams import OutputStore, Stream
from prunner_trio.http.facts import Answer, Header, Request
from prunner_trio.http.line import Line, Streamed
from prunner_trio.http.port import RunnerPort
from prunner_trio.http.v1.models import ProblemItem
from prunner_trio.http.v1.problems import Refused
from prunner_trio.http.v1.questions import LogQuestion
from prunner_trio.model import JobId, State, TaskView

__all__ = ["PIECE", "Log", "log_answer", "log_headers", "log_start"]

PIECE = 65_536
"""Bytes that are read, and sent, at a time."""

_FURTHEST = 16 * 1024 * 1024
"""How far back from the end the beginning of the last lines is looked for."""

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
_PLAIN: Header = (b"content-type", b"text/plain; charset=utf-8")


@attrs.frozen
class Log:
    """One of the two outputs of one task.

    Attributes:
        view: the task as it was when the job was looked up. What a retry has taken over was written by another job.
        attempt: the one of its job that writes, or wrote, this.
    """

    runner: RunnerPort
    job_id: JobId
    view: TaskView
    attempt: int
    stream: Stream

    @property
    def output(self) -> OutputStore:
        """Where it is kept."""
        return self.runner.output

    def task(self) -> TaskView:
        """Return the task as it is now. Of a job that is no more live, it is over, whatever it was before."""
        live = self.runner.job(self.job_id)
        now = live.view().task(self.view.name) if live is not None else None
        if now is not None:
            return now
        return self.view if self.view.state.final else attrs.evolve(self.view, state=State.CANCELED)

    async def kept_task(self) -> TaskView:
        """Return the task as it is now, also when its job has left memory since."""
        if self.runner.job(self.job_id) is None and not self.view.state.final:
            try:
                return (await self.runner.find(self.job_id)).task(self.view.name) or self.task()
            except JobNotFound:
                return self.task()
        return self.task()

    async def size(self) -> int:
        """Return how many bytes there are."""
        return await self.output.size(self.view.from_job or self.job_id, self.view.name, self.stream)

    async def read(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from `offset`."""
        return await self.output.read(self.view.from_job or self.job_id, self.view.name, self.stream, offset, length)

    async def start_of_lines(self, count: int, size: int) -> int:
        """Return where the last `count` lines of the first `size` bytes begin."""
        position, ends = size, 0
        lowest = max(0, size - _FURTHEST)
        while position > lowest and count > 0:
            begin = max(lowest, position - PIECE)
            data = await self.read(begin, position - begin)
            if position == size and data.endswith(b"\n"):
                count += 1  # the end of the last line, not of one before
            found = data.count(b"\n")
            if ends + found >= count:
                return begin + _nth_from_end(data, count - ends) + 1
            ends += found
            position = begin
        return position


def _nth_from_end(data: bytes, n: int) -> int:
    index = len(data)
    for _ in range(n):
        index = data.rindex(b"\n", 0, index)
    return index


async def log_start(log: Log, asked: LogQuestion, size: int) -> int:
    """Return where the part that was asked for begins."""
    if asked.tail is not None:
        return await log.start_of_lines(asked.tail, size)
    return min(asked.offset or 0, size)


async def log_answer(log: Log, asked: LogQuestion, request: Request) -> Answer | Streamed:
    """Answer with a part of a log as it is now.

    Raises:
        Refused: the part that a Range header names is not there, or other parts were asked for as well.
    """
    growing = not log.task().state.final  # before the size: what is said to be complete is so
    size = await log.size()
    whole = f'"{log.attempt}.{size}{"+" if growing else ""}"'
    ranged = _range(request, asked, whole, size)
    start, end = ranged or (await log_start(log, asked, size), size)
    if asked.limit is not None:
        end = min(end, start + asked.limit)
    tag = whole if ranged or (start, end) == (0, size) else f'"{log.attempt}.{start}.{end}{"+" if growing else ""}"'
    headers: tuple[Header, ...] = (
        _PLAIN,
        (b"cache-control", b"private, no-cache"),
        (b"etag", tag.encode()),
        (b"accept-ranges", b"bytes"),
        (b"content-security-policy", b"sandbox"),
        *log_headers(start, end, size, growing=growing),
    )
    if not ranged and tag in request.header(b"if-none-match"):
        return Answer(304, headers=headers[1:3])
    if ranged:
        headers = (*headers, (b"content-range", b"bytes %d-%d/%d" % (start, end - 1, size)))
    status = 206 if ranged else 200
    if end - start <= PIECE:
        return Answer(status, (await log.read(start, end - start),), headers)
    length: tuple[Header, ...] = ((b"content-length", b"%d" % (end - start)), (b"x-content-type-options", b"nosniff"))
    return Streamed(_Part(log, start, end).write, (*headers, *length), status)


def log_headers(start: int, end: int, size: int, *, growing: bool) -> tuple[Header, ...]:
    """Return what tells a client which part it got."""
    return (
        (b"log-offset", b"%d" % start),
        (b"log-next", b"%d" % end),
        (b"log-size", b"%d" % size),
        (b"log-complete", b"false" if growing else b"true"),
    )


@attrs.frozen
class _Part:
    """The bytes from `start` to `end` of a log, too many to be in memory at once."""

    log: Log
    start: int
    end: int

    async def write(self, line: Line) -> None:
        position = self.start
        while position < self.end:
            data = await self.log.read(position, min(PIECE, self.end - position))
            if not data:  # the file was cut or removed meanwhile, and the answer must not look whole
                raise OSError(f"a log of {self.log.job_id} has become shorter")
            await line.send(data)
            position += len(data)
            await trio.lowlevel.checkpoint()


def _range(request: Request, asked: LogQuestion, tag: str, size: int) -> tuple[int, int] | None:
    """Return the bytes that a Range header names; None if there is none that counts (RFC 9110, section 14.2)."""
    match = _RANGE.fullmatch(request.header(b"range").replace(" ", ""))
    if match is None or match.group(1, 2) == ("", ""):
        return None
    if asked != LogQuestion():
        item = ProblemItem("goes with no parameter of this route", parameter="Range")
        raise Refused("invalid-query", "a part is named twice: by parameters and by Range", errors=[item])
    condition = request.header(b"if-range")
    if condition and condition != tag:
        return None
    first, last = match.groups()
    start, end = (int(first), int(last) + 1 if last else size) if first else (max(0, size - int(last)), size)
    if first and last and int(last) < int(first):
        return None
    if start >= size:
        headers: tuple[Header, ...] = ((b"content-range", b"bytes */%d" % size),)
        raise Refused("range-not-satisfiable", f"the log has {size} bytes", headers=headers)
    return start, min(end, size)
