"""Writes to the terminal, or whatever stands in its place, without being held up by it."""

import os
from collections.abc import Callable, Iterable

import trio

from prunner_trio.cli.log_lines import front

__all__ = ["Screen"]


class Screen:
    """Writes whole lines to two descriptors, in a thread, so that a slow reader holds up nothing else."""

    def __init__(self, stdout: int, stderr: int, *, colored: Callable[[int], bool]) -> None:
        self._fds = {"stdout": stdout, "stderr": stderr}
        self._colored = {stream: colored(fd) for stream, fd in self._fds.items()}
        self._terminals = {stream: os.isatty(fd) for stream, fd in self._fds.items()}
        self._turn = trio.Lock()
        self._thread = trio.CapacityLimiter(1)
        self._deaf: set[str] = set()

    def colored(self, stream: str) -> bool:
        """Whether there are colors on a stream."""
        return self._colored[stream]

    def terminal(self, stream: str) -> bool:
        """Whether a stream is a terminal."""
        return self._terminals[stream]

    async def lines(self, stream: str, prefix: str, color: int, lines: Iterable[bytes | bytearray]) -> bool:
        """Write lines, each with a prefix; False if nobody reads them any more."""
        head = front(prefix, color, colored=self._colored[stream])
        return await self.write(stream, b"".join(head + line + b"\n" for line in lines))

    async def note(self, text: str, *, good: bool = True) -> None:
        """Say something of our own, on stderr."""
        await self.lines("stderr", "==> ", 32 if good else 31, [text.encode(errors="backslashreplace")])

    async def out(self, text: str) -> None:
        """Write a line to stdout. Raises `BrokenPipeError` if nobody reads it any more."""
        if not await self.write("stdout", f"{text}\n".encode(errors="replace")):
            raise BrokenPipeError

    async def write(self, stream: str, data: bytes) -> bool:
        """Write to a stream, `stdout` or `stderr`; False if nobody reads it any more."""
        async with self._turn:
            if stream not in self._deaf and not await trio.to_thread.run_sync(
                _write_all, self._fds[stream], data, abandon_on_cancel=True, limiter=self._thread
            ):
                self._deaf.add(stream)
        return stream not in self._deaf


def _write_all(fd: int, data: bytes) -> bool:
    """Write everything; False if nobody reads any more."""
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(fd, view) :]
    except OSError:
        return False
    return True
