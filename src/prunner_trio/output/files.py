"""The output of tasks as files: ``logs/<job>/<task>-stdout.log`` and ``-stderr.log`` below the data directory.

A child inherits the open file, so its output needs no pipe, no copy, and outlives the daemon. (Only if the log is to be
limited in size, or secrets masked in it, there is a pipe in between.) The descriptors append: what a second process (or
the runner itself) writes goes behind, never over.
"""

import contextlib
import hashlib
import logging
import os
import re
import shutil
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path

import attrs
import trio

from prunner_trio.errors import LaunchError
from prunner_trio.execution.seams import Stream
from prunner_trio.execution.threads import in_thread
from prunner_trio.model import JobId
from prunner_trio.output.limited import CopiedStream, CopiedTaskOutput, Pipe, Pipes
from prunner_trio.output.spares import OPEN_FLAGS, Spares
from prunner_trio.policy.mask import Mask

__all__ = ["FileOutputStore", "FileTaskOutput", "file_stem"]

log = logging.getLogger(__name__)

_LONGEST_STEM = 200
_UNSAFE = re.compile(r"[%/\0\ud800-\udfff]|^\.")
_CURRENT = tuple(f"-{stream.value}.log" for stream in Stream)
_USUAL_ID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_READERS = 8
_AT_ONCE = 64


@lru_cache(maxsize=10_000)
def file_stem(task: str) -> str:
    """Return the part of a file name that stands for a task; different tasks have different ones.

    Usual names are kept as they are. What a path cannot hold (``/``, NUL, a leading dot, a lone surrogate) and ``%``
    itself become ``%`` and two hexadecimal digits per byte. An over-long name is cut and gets a digest of the whole.
    """
    stem = _UNSAFE.sub(lambda match: "".join(f"%{byte:02X}" for byte in _encode(match[0])), task)
    encoded = stem.encode()
    if len(encoded) <= _LONGEST_STEM:
        return stem
    digest = hashlib.sha256(_encode(task)).hexdigest()[:32]
    return f"{encoded[: _LONGEST_STEM - 34].decode('utf-8', 'ignore')}%_{digest}"


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


@attrs.define(eq=False)
class FileTaskOutput:
    """The two files of a running task; see `TaskOutput`."""

    _fds: dict[Stream, int]
    _closed: Callable[[Stream, int], None]

    def fileno(self, stream: Stream) -> int:
        """Return the descriptor of one file."""
        return self._fds[stream]

    def add(self, stream: Stream, fd: int) -> None:
        """Take over the descriptor of one file."""
        self._fds[stream] = fd

    def write(self, stream: Stream, data: bytes) -> None:
        """Append to one file, as far as the disk lets us."""
        with contextlib.suppress(OSError):
            self.append(stream, data)

    def append(self, stream: Stream, data: bytes) -> None:
        """Append to one file. Raises ``OSError``, perhaps after a part of it."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._fds[stream], view) :]

    async def copy(self) -> None:
        """Do nothing: processes write into the files themselves."""
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """Close both files."""
        while self._fds:
            stream, fd = self._fds.popitem()
            size = os.fstat(fd).st_size
            os.close(fd)
            self._closed(stream, size)


@attrs.define(eq=False)
class FileOutputStore:
    """Keeps the output of tasks in files below `root`; see `OutputStore`.

    Only the user of the daemon can read them. Job ids must be UUIDs: anything else never becomes part of a path. A log
    in which nothing was written may be gone once its task has ended, and become that of another one: see `Spares`.

    Attributes:
        root: the data directory; the store makes the directory ``logs`` in it.
    """

    root: Path
    _limiter: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(_READERS), init=False)
    _spares: Spares = attrs.field(factory=Spares, init=False)
    _pipes: Pipes = attrs.field(factory=Pipes, init=False)

    def open(
        self, job_id: JobId, task: str, limit: int | None = None, mask: Mask | None = None
    ) -> FileTaskOutput | CopiedTaskOutput:
        """Create the files of a task, or open them again. Raises `LaunchError` with the path and the reason."""
        files = self._open(job_id, task)
        return files if limit is None and mask is None else _with_pipes(self._pipes, files, limit, mask)

    def _open(self, job_id: JobId, task: str) -> FileTaskOutput:
        folder = self._folder(job_id)
        if folder is None:
            raise LaunchError(f"cannot create log files: {job_id!r} is no job id")
        names = {stream: _name(file_stem(task), stream) for stream in Stream}
        files = FileTaskOutput({}, lambda stream, size: self._spares.closed(folder, names[stream], size == 0))
        ready: dict[str, int] | None = None
        try:
            new = not os.path.lexists(folder)
            if new and (ready := self._spares.move_folder(folder, tuple(names.values()))) is None:
                _make_folder(folder)
            for stream, name in names.items():
                fd = ready.pop(name, None) if ready else None
                files.add(stream, self._open_file(folder, name) if fd is None else fd)
                self._spares.opened(folder, new=new)
        except OSError as exc:
            for fd in (ready or {}).values():
                os.close(fd)
            files.close()
            raise LaunchError(f"cannot create log files: {exc.filename or folder}: {exc.strerror}") from exc
        return files

    def _open_file(self, folder: str, name: str) -> int:
        fd = self._spares.take(folder, name)
        return os.open(f"{folder}/{name}", OPEN_FLAGS | os.O_CREAT, 0o600) if fd is None else fd

    async def read(self, job_id: JobId, task: str, stream: Stream, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from `offset`, in a thread of its own; none if there is no such file."""
        folder = self._folder(job_id)
        if folder is None or length <= 0:
            await trio.lowlevel.checkpoint()
            return b""
        path = _path(folder, task, stream)
        work = partial(_read, path, offset, length)
        return await in_thread(work, abandon_on_cancel=True, limiter=self._limiter)

    async def size(self, job_id: JobId, task: str, stream: Stream) -> int:
        """Return the size of a file in bytes; 0 if there is no such file."""
        await trio.lowlevel.checkpoint()
        folder = self._folder(job_id)
        try:
            return 0 if folder is None else os.stat(_path(folder, task, stream)).st_size
        except OSError:
            return 0

    async def set_aside(self, job_id: JobId, attempt: int) -> None:
        """Rename ``<task>-stdout.log`` to ``<task>-stdout.<attempt>.log``, likewise stderr. Problems are logged."""
        folder = self._folder(job_id)
        if folder is None:
            await trio.lowlevel.checkpoint()
        else:
            self._spares.forget(folder)
            await in_thread(partial(_set_aside, folder, attempt), limiter=self._limiter)

    async def remove(self, job_ids: Sequence[JobId]) -> None:
        """Delete the directories of these jobs, some at a time. Problems are logged, the others are still deleted."""
        folders = [folder for job_id in job_ids if (folder := self._folder(job_id)) is not None]
        await trio.lowlevel.checkpoint()
        for folder in folders:  # before a thread empties what may have got the name of another job by then
            self._spares.forget(folder)
        for start in range(0, len(folders), _AT_ONCE):
            await in_thread(partial(_remove, folders[start : start + _AT_ONCE]), limiter=self._limiter)

    def _folder(self, job_id: str) -> str | None:
        return f"{self.root}/logs/{job_id}" if _USUAL_ID.fullmatch(job_id) else None


def _with_pipes(made: Pipes, files: FileTaskOutput, limit: int | None, mask: Mask | None) -> CopiedTaskOutput:
    pipes: dict[Stream, Pipe] = {}
    try:
        for stream in Stream:
            pipes[stream] = made.open()
    except OSError as exc:
        for pipe in pipes.values():
            pipe.close()
        files.close()
        raise LaunchError(f"cannot make pipes for the output: {exc.strerror}") from exc
    streams = {stream: CopiedStream.of(partial(files.append, stream), limit, mask) for stream in Stream}
    return CopiedTaskOutput(pipes, streams, files.close)


def _path(folder: str, task: str, stream: Stream) -> str:
    return f"{folder}/{_name(file_stem(task), stream)}"


def _name(stem: str, stream: Stream) -> str:
    return f"{stem}-{stream.value}.log"


def _make_folder(folder: str) -> None:
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        return
    except FileNotFoundError:
        Path(folder).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.mkdir(folder, 0o700)


def _read(path: str, offset: int, length: int) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            file.seek(offset)
            parts = []
            while length > 0 and (part := file.read(min(length, 1 << 20))):
                parts.append(part)
                length -= len(part)
            return b"".join(parts)
    except FileNotFoundError:
        return b""
    except OSError as exc:
        log.warning("log file not readable", extra=_facts(path, exc.strerror))
        return b""


def _set_aside(folder: str, attempt: int) -> None:
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return
    for name in names:
        if name.endswith(_CURRENT):
            try:
                os.rename(f"{folder}/{name}", f"{folder}/{name.removesuffix('.log')}.{attempt}.log")
            except OSError as exc:
                log.warning("log file not renamed", extra=_facts(f"{folder}/{name}", exc.strerror))


def _remove(folders: Sequence[str]) -> None:
    for folder in folders:
        shutil.rmtree(folder, onerror=_report)


def _report(function: object, path: str, problem: tuple[type[BaseException], BaseException, object]) -> None:
    if not isinstance(problem[1], FileNotFoundError):
        log.warning("log file not removed", extra=_facts(path, problem[1]))


def _facts(path: str, error: object) -> dict[str, str]:
    """Return what belongs to a message about a log file, or about the directory of a job."""
    job, _, _ = path.rpartition("/logs/")[2].partition("/")
    return {"job": job, "path": path, "error": str(error)}
