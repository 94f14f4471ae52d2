"""The logs of a task as JSON, a piece at a time: a gigabyte of log never is in memory."""

import codecs
import re
from collections.abc import AsyncGenerator, Mapping
from json.encoder import encode_basestring

import attrs

from prunner_trio.execution.seams import OutputStore, Stream
from prunner_trio.http.facts import Answer, json_answer
from prunner_trio.model import JobId

__all__ = ["BadRange", "LogRange", "logs_answer"]

_PIECE = 65_536
_STRANGE = re.compile("[\udc80-\udcff]")
_LONGEST_CHARACTER = 4


class BadRange(Exception):
    """A parameter that selects a part of a log makes no sense; the message says why."""


@attrs.frozen
class LogRange:
    """The part of both logs that a client wants; all of it unless it says otherwise.

    Attributes:
        tail: at most this many bytes from the end.
        stdout_offset: the first byte of stdout that is wanted.
        stderr_offset: the same for stderr.
    """

    tail: int | None = None
    stdout_offset: int | None = None
    stderr_offset: int | None = None

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> "LogRange":
        """Read the parameters ``tail``, ``offset``, ``stdoutOffset`` and ``stderrOffset``, all in bytes.

        Raises:
            BadRange: one of them is not a whole number of at least 0.
        """
        both = _whole_number(parameters, "offset")
        stdout = _whole_number(parameters, "stdoutOffset")
        stderr = _whole_number(parameters, "stderrOffset")
        return cls(
            tail=_whole_number(parameters, "tail"),
            stdout_offset=both if stdout is None else stdout,
            stderr_offset=both if stderr is None else stderr,
        )

    @property
    def partial(self) -> bool:
        """Whether the client asked for a part."""
        return self != LogRange()

    def offset(self, stream: Stream) -> int | None:
        """Return the first byte wanted of a stream, if the client said so."""
        return self.stdout_offset if stream is Stream.STDOUT else self.stderr_offset


@attrs.frozen
class _Span:
    """Bytes `start` to `end` (excluded) of one log."""

    stream: Stream
    start: int
    end: int


async def logs_answer(output: OutputStore, job_id: JobId, task: str, wanted: LogRange, *, growing: bool) -> Answer:
    """Return both logs of a task, as far as they are written now.

    Each byte that is not UTF-8 becomes one U+FFFD. If a part was asked for, the members ``stdoutSize`` and
    ``stderrSize`` say where it ended, that is, the offset with which to ask for what follows. Of a task that is still
    `growing`, such a part ends with a whole character.
    """
    spans = [await _span(output, job_id, task, stream, wanted, growing=growing) for stream in Stream]
    body = _body(output, job_id, task, spans, sizes=wanted.partial)
    if sum(span.end - span.start for span in spans) > _PIECE:
        return json_answer(body)
    return json_answer(b"".join([piece async for piece in body]))


async def _span(
    output: OutputStore, job_id: JobId, task: str, stream: Stream, wanted: LogRange, *, growing: bool
) -> _Span:
    end = await output.size(job_id, task, stream)
    start = min(wanted.offset(stream) or 0, end)
    if not wanted.partial:
        return _Span(stream, start, end)
    if growing and end > start:
        first = max(start, end - _LONGEST_CHARACTER)
        end = first + _whole_characters(await output.read(job_id, task, stream, first, end - first))
    if wanted.tail is not None and end - wanted.tail > start:
        start = end - wanted.tail
        lead = await output.read(job_id, task, stream, start, min(_LONGEST_CHARACTER - 1, end - start))
        start += _continuation_bytes(lead)
    return _Span(stream, start, end)


async def _body(
    output: OutputStore, job_id: JobId, task: str, spans: list[_Span], *, sizes: bool
) -> AsyncGenerator[bytes, None]:
    opening = b"{"
    for span in spans:
        yield opening + b'"%s":"' % span.stream.value.encode()
        decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        position = span.start
        while position < span.end:
            data = await output.read(job_id, task, span.stream, position, min(_PIECE, span.end - position))
            if not data:  # the file was cut or removed meanwhile
                break
            position += len(data)
            yield _escaped(decoder.decode(data))
        yield _escaped(decoder.decode(b"", final=True)) + b'"'
        opening = b","
    if sizes:
        yield b',"stdoutSize":%d,"stderrSize":%d' % (spans[0].end, spans[1].end)
    yield b"}\n"


def _escaped(text: str) -> bytes:
    if not text.isascii():
        text = _STRANGE.sub("\ufffd", text)
    return encode_basestring(text)[1:-1].encode()


def _whole_characters(data: bytes) -> int:
    """Return how many bytes come before a character whose rest is missing."""
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    decoder.decode(data)
    return len(data) - len(decoder.getstate()[0])


def _continuation_bytes(data: bytes) -> int:
    """Return how many bytes at the beginning belong to a character that began before."""
    return next((index for index, byte in enumerate(data) if byte & 0xC0 != 0x80), len(data))


def _whole_number(parameters: Mapping[str, str], name: str) -> int | None:
    text = parameters.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise BadRange(f"{name}: expected a whole number of bytes, got {text[:40]!r}")
    return int(text)
