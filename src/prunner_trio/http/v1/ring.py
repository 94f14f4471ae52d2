"""The latest events of a runner, numbered, each encoded once for all who listen.

A listener is a place in the ring and nothing else: it costs no memory per event, and one that does not read holds up
nobody. Whoever falls behind by more than the ring holds is told to begin anew.
"""

import secrets
from weakref import WeakValueDictionary

import trio

from prunner_trio.http.rights import EVERYTHING, Rights
from prunner_trio.http.v1.encode import time_text
from prunner_trio.http.v1.models import Occurrence, Uuid
from prunner_trio.http.v1.sse import sse
from prunner_trio.model import Event, JobId

__all__ = ["KEPT", "Ring"]

KEPT = 4096
"""Events that are kept."""

_PER_TURN = 10


class Ring:
    """The last `KEPT` events of one runner; `note` is to hear all of them.

    Attributes:
        last: the number of the latest event; 0 before the first.
        turn: to be taken, and given back at once, by each listener before it sends. Only a few get it in one turn of
            the loop, so two hundred listeners that are woken together hold up nobody else.
    """

    def __init__(self) -> None:
        self.turn = trio.CapacityLimiter(_PER_TURN)
        # Weak: who asks about a job that is over waits for an event that never comes, and goes away.
        self._changed: WeakValueDictionary[JobId | None, trio.Event] = WeakValueDictionary()
        self.begin()

    def begin(self) -> None:
        """Forget everything: all ids that were given out are unknown from now on."""
        # What another daemon, or an earlier server, has numbered must not look like an event of this one.
        self._epoch = secrets.token_hex(4)
        self._events: list[Event | None] = [None] * KEPT
        self._encoded: list[bytes] = [b""] * KEPT
        self._first = 0
        self.last = 0
        self._joined: tuple[int, int, bytes] = (0, 0, b"")

    def note(self, event: Event) -> None:
        """Take over an event and wake those who wait for it."""
        if self._first == 0:
            self._first = event.seq
        self.last = event.seq
        self._events[event.seq % KEPT] = event
        self._encoded[event.seq % KEPT] = b""
        for key in (None, event.job_id):
            if (changed := self._changed.pop(key, None)) is not None:
                changed.set()

    def changed(self, job_id: JobId | None = None) -> trio.Event:
        """Return what is set by the next event, or the next one of a job. To be taken before looking."""
        changed = self._changed.get(job_id)
        if changed is None:
            changed = self._changed[job_id] = trio.Event()
        return changed

    def id_of(self, seq: int) -> str:
        """Return the id under which a listener can go on after an event."""
        return f"{self._epoch}-{seq}"

    def place(self, event_id: str) -> int | None:
        """Return the number of the event with that id; None if what came after it is not (or not all) here."""
        epoch, _, number = event_id.partition("-")
        if epoch != self._epoch or not (number.isascii() and number.isdigit() and len(number) < 19):
            return None
        seq = int(number)
        return seq if self._holds(seq) and seq <= self.last else None

    def after(self, seq: int, job_id: JobId | None = None, rights: Rights = EVERYTHING) -> bytes | None:
        """Return all events after a number that are seen with these rights, or those of a job, as server-sent events.

        None if some are gone.
        """
        if not self._holds(seq):
            return None
        seq = max(seq, self._first - 1)
        if job_id is not None or rights.restricted:
            events = (self._events[number % KEPT] for number in range(seq + 1, self.last + 1))
            wanted = (
                event.seq
                for event in events
                if event is not None and job_id in (None, event.job_id) and rights.sees(event.pipeline)
            )
            return b"".join(map(self._text, wanted))
        if self._joined[:2] != (seq, self.last):  # listeners mostly stand at the same place
            self._joined = seq, self.last, b"".join(map(self._text, range(seq + 1, self.last + 1)))
        return self._joined[2]

    def _holds(self, seq: int) -> bool:
        # 0 is where those stand who came before the first event, whatever its number is.
        first = self._first - 1
        return (first if seq == 0 else seq) >= max(first, self.last - KEPT)

    def _text(self, seq: int) -> bytes:
        text = self._encoded[seq % KEPT]
        if not text:
            event = self._events[seq % KEPT]
            assert event is not None
            text = self._encoded[seq % KEPT] = sse(event.kind.value, self.id_of(seq), _occurrence(event))
        return text


def _occurrence(event: Event) -> Occurrence:
    return Occurrence(
        event.seq,
        time_text(event.at),
        Uuid(event.job_id) if event.job_id else None,
        event.pipeline,
        event.task or None,
        event.state,
        event.reason,
    )
