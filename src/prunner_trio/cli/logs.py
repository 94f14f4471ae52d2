"""The command that shows what tasks have written: logs."""

import codecs
import os
import sys
from collections.abc import Sequence

from prunner_trio.cli.flags import Parsed, Values
from prunner_trio.cli.log_lines import PALETTE, LogLines, front, prefix
from prunner_trio.cli.paper import Paper, colors_on
from prunner_trio.cli.remote import at_daemon
from prunner_trio.cli.rows import SHORT_ID
from prunner_trio.cli.text import plain
from prunner_trio.cli.which import find_job, find_task
from prunner_trio.client import Daemon, Job, pieces
from prunner_trio.client.exchange import Head
from prunner_trio.client.requests import STREAMS, get_log

__all__ = ["logs"]


@at_daemon
def logs(daemon: Daemon, parsed: Parsed, paper: Paper) -> int:
    """Show logs as they are now, or as they grow."""
    values = parsed.values
    job = find_job(daemon, parsed.operands[0], running=True)
    if job["waiting"]:
        print(
            f"{plain(job['pipeline'])} {job['id'][:SHORT_ID]} waits: {plain(job['waiting']['text'])}", file=sys.stderr
        )
    tasks = [find_task(job, name) for name in values.list("task")] or [task["name"] for task in job["tasks"]]
    streams = (values.text("stream"),) if values.text("stream") else STREAMS
    tail = int(values.text("tail")) if values.text("tail") else None
    if values.switch("follow"):
        from prunner_trio.cli.following import Wish, follow

        wish = Wish(
            logs=True,
            quiet=True,
            as_json=values.switch("json"),
            plain=values.switch("disable-ansi"),
            tasks=tuple(tasks) if values.list("task") else None,
            streams=streams,
            tail=tail,
        )
        return follow(daemon, job, wish)
    begun = {task["name"] for task in job["tasks"] if task["started"] is not None}
    for index, task in enumerate(tasks):
        if task in begun:
            for stream in streams:
                _show(daemon, job, task, stream, tail, _writer(values, paper, tasks, index, stream))
    return 0


def _show(daemon: Daemon, job: Job, task: str, stream: str, tail: int | None, writer: "_Writer") -> None:
    def begun(head: Head) -> None:
        writer.start = int(head.headers.get("log-offset", "0"))

    for data in pieces(daemon, get_log(job["id"], task, stream, tail=tail), begun=begun):
        writer.take(data)
    writer.end()


def _writer(values: Values, paper: Paper, tasks: Sequence[str], index: int, stream: str) -> "_Writer":
    if values.switch("json"):
        return _JsonWriter(paper, tasks[index], stream)
    fd = STREAMS.index(stream) + 1
    terminal, colors = os.isatty(fd), colors_on(fd, plain=values.switch("disable-ansi"))
    if len(tasks) == 1 and not terminal:
        return _Writer(fd)
    head = front(prefix(tasks[index], tasks), PALETTE[index % len(PALETTE)], colored=colors)
    return _LineWriter(fd, head, LogLines(terminal=terminal, colors=colors))


class _Writer:
    """Writes bytes as they come.

    Attributes:
        start: where the part of the log begins, in bytes.
    """

    start = 0

    def __init__(self, fd: int) -> None:
        self._file = sys.stdout.buffer if fd == 1 else sys.stderr.buffer

    def take(self, data: bytes) -> None:
        self._file.write(data)
        self._file.flush()

    def end(self) -> None:
        """Write what is left."""


class _LineWriter(_Writer):
    """Writes lines with something in front."""

    def __init__(self, fd: int, head: bytes, lines: LogLines) -> None:
        super().__init__(fd)
        self._head = head
        self._lines = lines

    def take(self, data: bytes) -> None:
        self._write(self._lines.feed(data))

    def end(self) -> None:
        self._write(self._lines.end())

    def _write(self, lines: Sequence[bytes]) -> None:
        super().take(b"".join(self._head + line + b"\n" for line in lines))


class _JsonWriter(_Writer):
    """Writes pieces as JSON, with the offsets of their bytes."""

    def __init__(self, paper: Paper, task: str, stream: str) -> None:
        super().__init__(1)
        self._paper = paper
        self._where = {"type": "log", "task": task, "stream": stream}
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._taken = self._told = 0

    def take(self, data: bytes) -> None:
        self._taken += len(data)
        self._tell(self._decoder.decode(data))

    def end(self) -> None:
        self._tell(self._decoder.decode(b"", final=True))

    def _tell(self, text: str) -> None:
        end = self._taken - len(self._decoder.getstate()[0])
        if text:
            piece = {"offset": self.start + self._told, "next": self.start + end, "text": text}
            self._paper.json({**self._where, **piece}, indent=None)
            self._told = end
