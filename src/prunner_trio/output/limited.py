"""Output of limited size or without secrets: processes write into pipes, and what the log is to have of it is copied.

The pipes are read on the loop's thread, as fast as they are filled and to their end, one large piece per turn of the
loop: whoever writes never waits for longer than it takes to copy a piece of each, whatever becomes of the bytes.
"""

import array
import contextlib
import fcntl
import logging
import os
import termios
import time
from collections.abc import Callable

import attrs
import trio

from prunner_trio.execution.seams import Stream
from prunner_trio.output.cut import Cut
from prunner_trio.policy.mask import Mask, Masking

__all__ = ["CopiedStream", "CopiedTaskOutput", "Pipe", "Pipes"]

log = logging.getLogger(__name__)

_PIECE = 256 * 1024
"""Bytes, of what a pipe holds and of what is read at a time: a quarter less processor time than with Linux's 64 KiB."""
_MOST_LARGE = 32
"""Pipes that hold so much at once: Linux gives one user 64 MiB for pipes and, beyond that, two pages for each."""
_FIRST_PIECE = 4096
"""So much is copied without waiting for a turn: for small outputs that takes a third less processor time."""
_SMALL_PIECE = 1024
_LONG = 0.001
"""Seconds of the processor for a piece; after a longer one, as where secrets stand side by side, they get smaller."""


@attrs.define(eq=False)
class CopiedStream:
    """One log, of which not everything is kept as it comes.

    Attributes:
        put: appends to the log. May raise ``OSError``: then the rest of that piece is missing in the log.
    """

    put: Callable[[bytes], None]
    _masking: Masking | None
    _cut: Cut | None
    _begun: bool = attrs.field(default=False, init=False)
    _notes: bytearray = attrs.field(factory=bytearray, init=False)
    _problem: OSError | None = attrs.field(default=None, init=False)

    @classmethod
    def of(cls, put: Callable[[bytes], None], limit: int | None, mask: Mask | None) -> "CopiedStream":
        """Begin a log of at most `limit` bytes in which nothing is that `mask` hides; None stands for neither."""
        return cls(put, None if mask is None else Masking(mask), None if limit is None else Cut(limit))

    def begin(self) -> None:
        """Let all notes from now on come last: processes write by now."""
        self._begun = True

    def take(self, data: bytes) -> None:
        """Take what a process has written."""
        self._keep(data if self._masking is None else self._masking.feed(data))

    def note(self, data: bytes) -> None:
        """Take what the runner has to say: in front of what processes write or, if they do already, behind it."""
        if self._begun:
            self._notes += data
        else:
            self._write(data)

    def finish(self) -> None:
        """Write what comes last."""
        if self._masking is not None:
            self._keep(self._masking.finish())
        if self._cut is not None:
            self._write(self._cut.finish())
        if self._problem is not None:
            missing = f"prunner-trio: part of this output could not be written: {self._problem.strerror}\n"
            self._write(missing.encode())
        self._write(bytes(self._notes))

    def _keep(self, data: bytes) -> None:
        self._write(data if self._cut is None else self._cut.feed(data))

    def _write(self, data: bytes) -> None:
        if data:
            try:
                self.put(data)
            except OSError as exc:
                if self._problem is None:
                    log.warning("output of a task is lost", extra={"error": exc.strerror})
                self._problem = exc


@attrs.define(eq=False)
class Pipe:
    """A pipe of which processes have one end and we have the other."""

    reader: int
    writer: int | None
    _turn: trio.Lock
    _closed: Callable[[], None]

    def close_writer(self) -> None:
        """Close our copy of the end that processes have; may be called twice."""
        if self.writer is not None:
            os.close(self.writer)
            self.writer = None

    def close(self) -> None:
        """Close both ends, once."""
        self.close_writer()
        os.close(self.reader)
        self._closed()

    async def copy(self, take: Callable[[bytes], None]) -> None:
        """Give each piece to `take`, until nobody can write any more. A cancel loses nothing."""
        size, more = _FIRST_PIECE, False
        while True:
            if not more:
                await trio.lowlevel.wait_readable(self.reader)
            async with self._turn if more else contextlib.nullcontext():
                most = size if more else min(size, _FIRST_PIECE)
                more = False
                try:
                    piece = os.read(self.reader, most)
                except BlockingIOError:  # the last piece was all there was
                    continue
                if not piece:
                    break
                more = len(piece) == most
                began = time.thread_time()
                take(piece)
                took = time.thread_time() - began
                size = max(_SMALL_PIECE, size // 2) if took > _LONG else min(_PIECE, size * 2)

    def drain(self, take: Callable[[bytes], None]) -> None:
        """Give what is in the pipe now to `take`, and nothing that comes later: somebody may go on writing for ever."""
        count = array.array("i", [0])
        fcntl.ioctl(self.reader, termios.FIONREAD, count)
        left = count[0]
        while left > 0 and (piece := os.read(self.reader, min(left, _PIECE))):
            left -= len(piece)
            take(piece)


@attrs.define(eq=False)
class Pipes:
    """The pipes of all running tasks: few of them are large, and one large piece is copied in a turn of the loop.

    Were each pipe to have one in the same turn, no timer and no request would get theirs before the last of them.
    """

    _turn: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    _large: int = attrs.field(default=0, init=False)

    def open(self) -> Pipe:
        """Make a pipe that can be read without waiting. Raises ``OSError``."""
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        if self._large < _MOST_LARGE:
            with contextlib.suppress(OSError):  # other programs of this user have used up what there is
                fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, _PIECE)
                self._large += 1
                return Pipe(reader, writer, self._turn, self._closed_large)
        return Pipe(reader, writer, self._turn, lambda: None)

    def _closed_large(self) -> None:
        self._large -= 1


@attrs.define(eq=False)
class CopiedTaskOutput:
    """The two logs of a running task, with a pipe in front of each; see `TaskOutput`.

    Attributes:
        pipes: closed by `close`.
        streams: what becomes of what is read from them.
    """

    pipes: dict[Stream, Pipe]
    streams: dict[Stream, CopiedStream]
    _close: Callable[[], None]

    def fileno(self, stream: Stream) -> int:
        """Return the descriptor of the writing end of one pipe. Raises ``OSError`` after the launch."""
        writer = self.pipes[stream].writer
        if writer is None:
            raise OSError(f"the {stream.value} of this task belongs to its processes by now")
        return writer

    def write(self, stream: Stream, data: bytes) -> None:
        """Say something in the log; if processes run already, behind all that they have written."""
        self.streams[stream].note(data)

    async def copy(self) -> None:
        """Copy both pipes until nobody can write into them any more."""
        for stream, pipe in self.pipes.items():
            pipe.close_writer()
            self.streams[stream].begin()
        async with trio.open_nursery() as nursery:
            for stream, pipe in self.pipes.items():
                nursery.start_soon(pipe.copy, self.streams[stream].take, name=f"copy {stream.value}")

    def close(self) -> None:
        """Copy what is in the pipes now, finish the logs and close everything.

        Whoever still has a pipe, and only processes can that escaped or were given it by others, writes in vain.
        """
        with contextlib.ExitStack() as at_last:
            at_last.callback(self._close)
            pipes, self.pipes = self.pipes, {}
            for pipe in pipes.values():
                at_last.callback(pipe.close)
            for stream, pipe in pipes.items():
                pipe.drain(self.streams[stream].take)
                self.streams[stream].finish()
