"""Streams of events: of all jobs, or of one until it is over."""

from collections.abc import Callable

import trio

from prunner_trio.http.facts import Answer
from prunner_trio.http.line import HEARTBEAT, Line, Streamed
from prunner_trio.http.rights import EVERYTHING, Rights
from prunner_trio.http.v1.models import Closing, StreamStart
from prunner_trio.http.v1.ring import Ring
from prunner_trio.http.v1.sse import SILENCE, STREAM_HEADERS, sse
from prunner_trio.model import JobId

__all__ = ["EventStream", "all_events", "job_events"]

_PACE = 0.02
"""Seconds between two sends to one listener: what comes in between goes out together."""

_OVER = "/end"
"""At the end of the id of the last event of a stream that need not be asked for again."""


def all_events(ring: Ring, last_id: str, rights: Rights = EVERYTHING) -> Streamed:
    """Answer with the events of all jobs that are seen, after the one with that id or, without one, from now on."""
    return Streamed(EventStream(ring, last_id, rights=rights).write, STREAM_HEADERS)


def job_events(ring: Ring, last_id: str, job_id: JobId, over: Callable[[], bool]) -> Streamed | Answer:
    """Answer with the events of one job until its end; 204 to a client that has seen that.

    Args:
        over: tells whether the job has ended.
    """
    if last_id.endswith(_OVER):
        return Answer(204)
    return Streamed(EventStream(ring, last_id, job_id, over).write, STREAM_HEADERS)


class EventStream:
    """One listener."""

    def __init__(
        self,
        ring: Ring,
        last_id: str,
        job_id: JobId | None = None,
        over: Callable[[], bool] = lambda: False,
        rights: Rights = EVERYTHING,
    ) -> None:
        """Stand behind the event `last_id`; `job_id`: hear only of this one, until it is `over`.

        Nothing is heard of what is hidden to those with these `rights`.
        """
        self._ring = ring
        self._job_id = job_id
        self._over = over
        self._rights = rights
        place = ring.place(last_id) if last_id else None
        self._lost = bool(last_id) and place is None
        self._seq = ring.last if place is None else place
        self._new = not last_id

    async def write(self, line: Line) -> None:
        """Write events until the job is over, or the line closes."""
        if self._lost or self._new:
            await line.send(self._start("reset" if self._lost else "ready"))
        silence = trio.current_time() + HEARTBEAT
        while True:
            changed = self._ring.changed(self._job_id)  # before the look: what comes after it is not missed
            over = self._over()  # likewise: if it is, all its events are there
            last, text = self._ring.last, self._ring.after(self._seq, self._job_id, self._rights)
            moved, self._seq = last != self._seq, last
            if text is None:
                text = self._start("reset")
            if text:
                async with self._ring.turn:
                    pass
                await line.send(text)
            if over:
                await line.send(sse("end", self._ring.id_of(self._seq) + _OVER, Closing("the job is over")))
                return
            if line.closing:
                await line.send(sse("closing", self._ring.id_of(self._seq), Closing("the daemon is about to end")))
                return
            if text:
                silence = trio.current_time() + HEARTBEAT
            if text or moved:
                with line.rest(_PACE):
                    await trio.sleep_forever()
            woken = False
            # What is hidden wakes, too, and must not be noticed: the silence counts from the last send.
            with line.rest(max(0.0, silence - trio.current_time())):
                await changed.wait()
                woken = True
            if not woken and not line.closing:
                await line.send(SILENCE)
                silence = trio.current_time() + HEARTBEAT

    def _start(self, name: str) -> bytes:
        return sse(name, self._ring.id_of(self._seq), StreamStart(self._seq))
