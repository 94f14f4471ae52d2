"""The output of tasks in memory, for programs that embed the runner with launchers of their own, and for tests."""

from collections import defaultdict
from collections.abc import Sequence

import attrs
import trio

from prunner_trio.execution.seams import Stream
from prunner_trio.model import JobId
from prunner_trio.output.limited import CopiedStream
from prunner_trio.policy.mask import Mask

__all__ = ["MemoryOutputStore", "MemoryTaskOutput"]


@attrs.define(eq=False)
class MemoryTaskOutput:
    """Collects what is written; no process can inherit it."""

    _buffers: dict[Stream, bytearray]
    _copied: dict[Stream, CopiedStream] = attrs.field(factory=dict)

    def fileno(self, stream: Stream) -> int:
        """Raise ``OSError``: there is no descriptor behind this output."""
        raise OSError(f"the {stream.value} of this task is kept in memory and has no descriptor")

    def write(self, stream: Stream, data: bytes) -> None:
        """Append."""
        if stream in self._copied:
            self._copied[stream].note(data)
        else:
            self._buffers[stream] += data

    def take(self, stream: Stream, data: bytes) -> None:
        """Append what a process of the task, real or on paper, has to say: this is what is limited and masked."""
        if stream in self._copied:
            self._copied[stream].take(data)
        else:
            self._buffers[stream] += data

    async def copy(self) -> None:
        """Let what the runner itself has to say from now on come last; what processes say comes by `take`."""
        for stream in self._copied.values():
            stream.begin()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """Write what comes last in a log that is limited or masked. What was written stays in the store."""
        while self._copied:
            self._copied.popitem()[1].finish()


@attrs.define(eq=False)
class MemoryOutputStore:
    """Keeps all output in memory until it is removed; see `OutputStore`."""

    _jobs: dict[JobId, dict[str, dict[Stream, bytearray]]] = attrs.field(
        factory=lambda: defaultdict(lambda: defaultdict(lambda: {stream: bytearray() for stream in Stream})), init=False
    )

    def open(self, job_id: JobId, task: str, limit: int | None = None, mask: Mask | None = None) -> MemoryTaskOutput:
        """Return the output of a task."""
        buffers = self._jobs[job_id][task]
        if limit is None and mask is None:
            return MemoryTaskOutput(buffers)
        copied = {stream: CopiedStream.of(log.extend, limit, mask) for stream, log in buffers.items()}
        return MemoryTaskOutput(buffers, copied)

    async def read(self, job_id: JobId, task: str, stream: Stream, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from `offset`."""
        await trio.lowlevel.checkpoint()
        return bytes(self._text(job_id, task, stream)[offset : offset + max(length, 0)])

    async def size(self, job_id: JobId, task: str, stream: Stream) -> int:
        """Return the number of bytes written so far."""
        await trio.lowlevel.checkpoint()
        return len(self._text(job_id, task, stream))

    async def set_aside(self, job_id: JobId, attempt: int) -> None:
        """Forget the output of the earlier attempt."""
        await trio.lowlevel.checkpoint()
        self._jobs.pop(job_id, None)

    async def remove(self, job_ids: Sequence[JobId]) -> None:
        """Forget all output of these jobs."""
        await trio.lowlevel.checkpoint()
        for job_id in job_ids:
            self._jobs.pop(job_id, None)

    def _text(self, job_id: JobId, task: str, stream: Stream) -> bytearray:
        return self._jobs.get(job_id, {}).get(task, {}).get(stream, bytearray())
