"""What logs and streams of events hold."""

import attrs

from prunner_trio.http.v1.models._scalars import Time, Uuid
from prunner_trio.model import State

__all__ = [
    "Closing",
    "LogEnd",
    "LogLines",
    "LogMatches",
    "LogPart",
    "LogPiece",
    "Logs",
    "Occurrence",
    "StreamStart",
]


@attrs.frozen
class LogPart:
    """A part of a log.

    Attributes:
        text: what is new; bytes that are not UTF-8 are shown as U+FFFD.
        offset: where it begins, in bytes.
        next: where it ends.
        size: how much there is.
    """

    text: str
    offset: int
    next: int
    size: int


@attrs.frozen
class Logs:
    """What a task has written since the last time.

    Attributes:
        stdout: of its standard output.
        stderr: of its standard error.
        since: to be sent with the next request.
        complete: the task is over, and there is no more than this.
    """

    stdout: LogPart
    stderr: LogPart
    since: str
    complete: bool


@attrs.frozen
class LogLines:
    """Where the lines of a log are.

    Attributes:
        offset: where the first of these blocks begins, in bytes.
        next: where the last one ends: the `offset` of the next request, if that is less than `size`.
        size: how much there is.
        block: the bytes of each block, but the last of the log may have less.
        feeds: how many line feeds are in each block.
        open: the last line of the log has no line feed.
        complete: the task is over, so that no more comes.
    """

    offset: int
    next: int
    size: int
    block: int
    feeds: tuple[int, ...]
    open: bool
    complete: bool


@attrs.frozen
class LogMatches:
    """Which lines of a part of a log hold a text.

    Attributes:
        offset: where this part begins, in bytes.
        next: where it ends, behind a line feed unless a line is very long or the last: the `offset` of the next
            request, if that is less than `size`.
        size: how much there is.
        line: the number of the line at `next`: the `line` of the next request.
        lines: the numbers of the lines, counted from 0.
    """

    offset: int
    next: int
    size: int
    line: int
    lines: tuple[int, ...]


@attrs.frozen
class LogPiece:
    """A piece of a log that is followed, the data of an event ``log``.

    Attributes:
        offset: where it begins, in bytes.
        next: where it ends: also the event's id.
        text: bytes that are not UTF-8 are shown as U+FFFD.
    """

    offset: int
    next: int
    text: str


@attrs.frozen
class LogEnd:
    """The end of a log that is followed, the data of an event ``end``.

    Attributes:
        size: how much there was, in bytes.
        state: the final state of the task.
        exit_code: null if no process has given one.
    """

    size: int
    state: State
    exit_code: int | None


@attrs.frozen
class Occurrence:
    """One change, the data of the events ``job``, ``task``, ``moved``, ``pipeline`` and ``removed``.

    Attributes:
        seq: counts up by one per change since the daemon started.
        at: when.
        job: the id of the job; null for changes of a pipeline.
        pipeline: its pipeline.
        task: the name of the task; null for all other changes.
        state: the state after the change; of a pipeline `waiting` while it is paused, else `running`.
        reason: why; may be empty. Of a job that comes to be as the retry of another one it says so, with its id.
    """

    seq: int
    at: Time
    job: Uuid | None
    pipeline: str
    task: str | None
    state: State
    reason: str


@attrs.frozen
class StreamStart:
    """Where a stream begins, the data of the events ``ready`` and ``reset``.

    Attributes:
        seq: the number of the latest change that the stream will not show.
    """

    seq: int


@attrs.frozen
class Closing:
    """Why a stream ends, the data of the events ``end`` and ``closing``.

    Attributes:
        reason: as a sentence.
    """

    reason: str
