"""The bytes of the job listing, kept ready: clients poll it every few seconds, with all jobs ever kept in it.

The jobs are kept in blocks of consecutive numbers. A change touches one block; the others stay as they are, each one
piece of bytes that is sent as it is. A job that is over lives here only as its JSON.
"""

import hashlib
import secrets
import sys
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack

import attrs
import trio

from prunner_trio.http.facts import Answer, Request, json_answer
from prunner_trio.http.port import JobPort, RunnerPort
from prunner_trio.http.rights import EVERYTHING, Rights
from prunner_trio.http.wire import encode_job, encode_pipelines
from prunner_trio.model import Event, EventKind, JobId, JobView, StopReason

__all__ = ["Listing"]

_JOBS_PER_BLOCK = 256
_PAGE = 500
_CHUNK = 131_072
_READ_AHEAD = 20_000


@attrs.define(eq=False)
class _Block:
    """Jobs of neighboring numbers, newest first.

    Either open: `jobs` holds each as its bytes or, if those would be out of date, as a handle to look at. Or sealed,
    until the next change: `jobs` is empty, and only `text` is left, in which job `numbers[i]` ends at `ends[i]`.
    """

    jobs: dict[int, JobPort | bytes] = attrs.field(factory=dict)
    text: bytes | None = None
    numbers: "array[int]" = attrs.field(factory=lambda: array("Q"))
    ends: "array[int]" = attrs.field(factory=lambda: array("Q"))

    def put(self, number: int, job: JobPort | bytes) -> None:
        """Add or replace a job: the JSON of one that is over, the handle of one that may still change."""
        self._open()
        self.jobs[number] = job

    def remove(self, number: int) -> bool:
        """Forget a job that is here; return whether it was the last one."""
        self._open()
        del self.jobs[number]
        return not self.jobs

    def get(self, number: int) -> bytes:
        """Return the JSON of a job that is here."""
        if self.text is not None:
            index = self.numbers.index(number)
            return self.text[self._start(index) : self.ends[index]]
        job = self.jobs[number]
        if not isinstance(job, bytes):
            job = self.jobs[number] = encode_job(job.view())
        return job

    def render(self) -> bytes:
        """Return the JSON of all jobs, a comma in front of each."""
        if self.text is None:
            self._seal()
        return self.text or b""

    def render_some(self, wanted: Callable[[int], bool]) -> bytes:
        """Return the JSON of some jobs, a comma in front of each."""
        text = self.render()
        numbers = enumerate(self.numbers)
        return b"".join(text[self._start(i) - 1 : self.ends[i]] for i, number in numbers if wanted(number))

    def _seal(self) -> None:
        pieces = []
        end = 0
        for number in sorted(self.jobs, reverse=True):
            piece = b"," + self.get(number)
            pieces.append(piece)
            end += len(piece)
            self.numbers.append(number)
            self.ends.append(end)
        self.text = b"".join(pieces)
        self.jobs = {}

    def _open(self) -> None:
        if self.text is not None:
            self.jobs = {
                number: self.text[self._start(index) : self.ends[index]] for index, number in enumerate(self.numbers)
            }
            self.text, self.numbers, self.ends = None, array("Q"), array("Q")

    def _start(self, index: int) -> int:
        return (self.ends[index - 1] if index else 0) + 1


class Listing:
    """All jobs of a runner, live and kept, as JSON, newest first.

    Follows the runner's events from its `start` on.
    """

    def __init__(self, runner: RunnerPort) -> None:
        """Make an empty listing; it fills itself at its first `start`."""
        self._runner = runner
        self._blocks: dict[int, _Block] = {}
        self._numbers: dict[JobId, int] = {}
        self._pipelines: dict[int, str] = {}
        self._watch: ExitStack | None = None
        self._loading = trio.Lock()
        self._loaded = False
        self._removed: set[JobId] = set()
        self._epoch = secrets.token_hex(4)
        self._version = 0

    async def start(self) -> None:
        """Watch the runner and read the jobs that it keeps; does nothing the second time.

        A checkpoint only while there is something to read. If it fails or is canceled half-way, it may be called again.

        Raises:
            StoreError: the kept jobs cannot be read.
        """
        await self._read(most=None)

    async def read_ahead(self) -> None:
        """Do what `start` does, so that nobody has to wait for it, unless so many jobs are kept that it costs much.

        Then it is left to the first who asks for the listing: perhaps nobody does.

        Raises:
            StoreError: see `start`.
        """
        await self._read(most=_READ_AHEAD)

    def stop(self) -> None:
        """Stop watching, and forget everything; `start` begins anew."""
        if self._watch is not None:
            self._watch.close()
        self._watch, self._loaded = None, False
        self._forget()

    def job(self, job_id: JobId, rights: Rights = EVERYTHING) -> bytes | None:
        """Return the JSON of a job without a newline; None if the listing does not (yet) have it, or it is hidden."""
        number = self._numbers.get(job_id)
        if number is None or not rights.sees(self._pipelines[number]):
            return None
        return self._blocks[number // _JOBS_PER_BLOCK].get(number)

    async def answer(self, request: Request, rights: Rights = EVERYTHING) -> Answer:
        """Answer ``GET /pipelines/jobs`` with what somebody with these rights sees.

        The tag of the answer changes with every event, so a client that sends it back gets a short 304 when nothing
        happened. Where something is hidden, the tag is made from the answer itself, and tells nothing of the rest.

        Raises:
            StoreError: see `start`.
        """
        await self.start()
        pipelines = [view for view in self._runner.pipelines() if rights.sees(view.name)]
        head = b'{"pipelines":' + encode_pipelines(pipelines) + b',"jobs":['
        chunks: tuple[bytes, ...] | None = None
        if rights.restricted:
            chunks = tuple(_chunks(head, await self._texts(rights)))
            tag = f'"{_digest(*chunks)}"'
        else:
            # Before the blocks are encoded: should a job change meanwhile, the tag is too old, never too new.
            tag = f'"{self._epoch}-{self._version}-{_digest(head)}"'
        caching = (b"cache-control", b"private, no-cache")
        headers = ((b"etag", tag.encode()),)
        if tag in request.header(b"if-none-match"):
            return Answer(304, headers=(caching, *headers))
        if chunks is None:
            chunks = tuple(_chunks(head, await self._texts(rights)))
        return json_answer(chunks, caching=caching, headers=headers)

    def note(self, event: Event) -> None:
        """Take over what an event changed."""
        self._version += 1
        if event.kind is EventKind.REMOVED:
            self._remove(event.job_id)
        elif (job := self._runner.job(event.job_id)) is not None:
            self._update(job, over=event.kind is EventKind.JOB and event.state.final)

    async def _read(self, *, most: int | None) -> None:
        if self._loaded:
            return
        async with self._loading:
            if not self._loaded:
                self._follow()
                await self._load(most)
                if not self._loaded:
                    self.stop()

    def _follow(self) -> None:
        if self._watch is None:
            self._forget()  # what a load has brought that was under way when `stop` was called
            with ExitStack() as stack:
                stack.enter_context(self._runner.observe(self.note))
                self._watch = stack.pop_all()
            for view in self._runner.live():
                if (job := self._runner.job(view.id)) is not None:
                    self._update(job, over=False)

    def _update(self, job: JobPort, *, over: bool) -> None:
        if not over:
            number = self._numbers.get(job.id)
            if number is None:
                number = self._add(job.view())
            self._block(number).put(number, job)
            return
        view = job.view()
        if view.stop is not None and view.stop.reason is StopReason.NOT_SAVED:
            self._remove(view.id)  # whoever asked for it was told that it does not exist
        else:
            self._put_over(view)

    async def _load(self, most: int | None) -> None:
        before: int | None = None
        count = 0
        while page := await self._runner.jobs(before=before, limit=_PAGE):
            count += len(page)
            if most is not None and count > most:
                return
            for job in page:
                # Of those that were live when the page was read, events tell; and removed since then is removed.
                if job.state.final and job.id not in self._removed:
                    self._put_over(job)
            before = page[-1].number
        self._loaded = self._watch is not None
        self._removed = set()
        self._version += 1

    def _forget(self) -> None:
        self._blocks, self._numbers, self._pipelines, self._removed = {}, {}, {}, set()

    def _put_over(self, job: JobView) -> None:
        self._block(self._add(job)).put(job.number, encode_job(job))

    def _add(self, job: JobView) -> int:
        number = self._numbers[job.id] = job.number
        self._pipelines[number] = sys.intern(job.pipeline)  # each row of the store brings a text of its own
        return number

    def _block(self, number: int) -> _Block:
        return self._blocks.setdefault(number // _JOBS_PER_BLOCK, _Block())

    def _remove(self, job_id: JobId) -> None:
        if not self._loaded:
            self._removed.add(job_id)
        number = self._numbers.pop(job_id, None)
        if number is None:
            return
        del self._pipelines[number]
        index = number // _JOBS_PER_BLOCK
        if self._blocks[index].remove(number):
            del self._blocks[index]

    async def _texts(self, rights: Rights) -> list[bytes]:
        texts = []
        for index in sorted(self._blocks, reverse=True):
            block = self._blocks.get(index)
            if block is None:  # its last job was removed meanwhile
                continue
            quick = block.text is not None and not rights.restricted
            text = block.render_some(self._seen(rights)) if rights.restricted else block.render()
            if text:
                texts.append(text)
            if not quick:  # encoding and choosing take a while: each block gets a turn of the loop to itself
                await trio.lowlevel.checkpoint()
        return texts

    def _seen(self, rights: Rights) -> Callable[[int], bool]:
        return lambda number: rights.sees(self._pipelines[number])


def _digest(*texts: bytes) -> str:
    made = hashlib.blake2b(digest_size=8)
    for text in texts:
        made.update(text)
    return made.hexdigest()


def _chunks(head: bytes, texts: list[bytes]) -> Iterator[bytes]:
    pieces: Iterable[bytes] = (head, texts[0][1:], *texts[1:], b"]}\n") if texts else (head, b"]}\n")
    gathered: list[bytes] = []
    size = 0
    for piece in pieces:
        gathered.append(piece)
        size += len(piece)
        if size >= _CHUNK:
            yield b"".join(gathered)  # of a single piece this is no copy
            gathered, size = [], 0
    if gathered:
        yield b"".join(gathered)
