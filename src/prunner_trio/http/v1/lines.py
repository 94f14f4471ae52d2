"""Where the lines of a log are, and which of them hold a text, so that nobody has to load all of it to find out.

A log only grows. So what was counted once stays true, and of the logs that were asked for lately it is kept.
"""

from array import array
from collections import OrderedDict
from collections.abc import Sequence

import attrs
import trio

from prunner_trio.http.v1.logs import Log
from prunner_trio.http.v1.models import LogLines, LogMatches

__all__ = ["BLOCK", "LineCounts", "find_lines"]

BLOCK = 65_536
"""Bytes for which lines are counted together."""

_MOST_BLOCKS = 4096
_KEPT = 64
_AT_ONCE = 4 * BLOCK
"""Bytes that are read and looked through in one turn of the loop: a fraction of a millisecond."""

_MOST_SEARCHED = 16 * 1024 * 1024
_MOST_FOUND = 10_000
_LONGEST_LINE = 1024 * 1024


@attrs.define(eq=False)
class _Counted:
    """The line feeds of one log, block by block, as far as it has whole ones."""

    feeds: "array[int]" = attrs.field(factory=lambda: array("I"))
    counting: trio.Lock = attrs.field(factory=trio.Lock)


class LineCounts:
    """Counts lines, and keeps the numbers of the latest logs: four bytes for each 64 KiB of them."""

    def __init__(self) -> None:
        self._kept: OrderedDict[object, _Counted] = OrderedDict()

    async def feeds(self, log: Log, size: int) -> Sequence[int]:
        """Return how many line feeds are in each block of the first `size` bytes; the last may be a part of one."""
        counted = self._counted(log)
        async with counted.counting:
            whole = counted.feeds
            while len(whole) < size // BLOCK:
                begin = len(whole) * BLOCK
                data = await log.read(begin, min(_AT_ONCE, size // BLOCK * BLOCK - begin))
                if len(data) < BLOCK:  # the file was cut or removed
                    return whole[:]
                whole.extend(data.count(b"\n", at, at + BLOCK) for at in range(0, len(data) // BLOCK * BLOCK, BLOCK))
                await trio.lowlevel.checkpoint()
        feeds = whole[: size // BLOCK]
        if size % BLOCK:
            rest = await log.read(size - size % BLOCK, size % BLOCK)
            feeds.append(rest.count(b"\n"))
        return feeds

    async def start_of_line(self, log: Log, line: int, feeds: Sequence[int]) -> int:
        """Return where a line begins; lines are counted from 0. `feeds` says that there are so many."""
        before = 0
        for index, count in enumerate(feeds):
            if line > 0 and before + count >= line:
                data = await log.read(index * BLOCK, BLOCK)
                at = -1
                for _ in range(line - before):
                    at = data.find(b"\n", at + 1)
                return index * BLOCK + at + 1
            before += count
        return 0

    async def answer(self, log: Log, offset: int) -> LogLines:
        """Return the counts of the blocks from the one with that byte on."""
        growing, size = not log.task().state.final, await log.size()
        first = min(offset, size) // BLOCK
        until = min(size, (first + _MOST_BLOCKS) * BLOCK)
        feeds = await self.feeds(log, until)
        last = await log.read(size - 1, 1) if size else b"\n"
        return LogLines(first * BLOCK, until, size, BLOCK, tuple(feeds[first:]), last != b"\n", not growing)

    def _counted(self, log: Log) -> _Counted:
        key = (log.job_id, log.attempt, log.view.name, log.stream)
        counted = self._kept.setdefault(key, _Counted())
        self._kept.move_to_end(key)
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return counted


async def find_lines(log: Log, text: str, offset: int, line: int) -> LogMatches:
    """Return which lines from `offset` on hold a text; ASCII letters count as equal in either case.

    Args:
        text: at least one character, and no line feed.
        line: the number of the line that begins at `offset`.
    """
    size = await log.size()
    searched = _Searched(text.encode().lower(), line)
    start = position = min(offset, size)
    rest = b""
    while position < size and position - start < _MOST_SEARCHED and len(searched.lines) < _MOST_FOUND:
        data = await log.read(position, min(_AT_ONCE, size - position))
        if not data:
            break
        position += len(data)
        data = rest + data
        cut = data.rfind(b"\n") + 1
        if position == size or (not cut and len(data) > _LONGEST_LINE):
            cut = len(data)
        searched.look_through(data[:cut].lower())
        rest = data[cut:]
        await trio.lowlevel.checkpoint()
    return LogMatches(start, position - len(rest), size, searched.line, tuple(searched.lines))


@attrs.define(eq=False)
class _Searched:
    """What has been found so far, and the number of the line that comes next."""

    wanted: bytes
    line: int
    lines: list[int] = attrs.field(factory=list)

    def look_through(self, data: bytes) -> None:
        done, found = 0, data.find(self.wanted)
        while found >= 0:
            self.line += data.count(b"\n", done, found)
            if not self.lines or self.lines[-1] != self.line:
                self.lines.append(self.line)
            done = data.find(b"\n", found)
            if done < 0:
                return
            found = data.find(self.wanted, done + 1)  # that is a step on, whatever is wanted
        self.line += data.count(b"\n", done)
