"""Masking: wherever a secret stands in a stream of bytes, in any of its forms, `***` stands instead. Pure."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import attrs

from prunner_trio.policy.secret_forms import SHORTEST_SECRET, as_bytes, secret_forms

if TYPE_CHECKING:
    from ahocorasick_rs import BytesAhoCorasick

__all__ = ["Mask", "Masking", "mask_for"]

_MASK = b"***"
_HEAD = 16
"""Bytes of each form that are searched for; what begins so is compared with the form. So long keys cost no more."""

_AT_ONCE = 64
"""Heads for one search: for more there is no fast one, and two searches take a third of the time of a slow one."""

_WORTH = 512
"""Bytes that can be searched through in the time in which a further search begins."""


@attrs.frozen
class Mask:
    """The forms of some secrets, ready to be searched for; any number of streams may share one."""

    _forms: Sequence[tuple[bytes, ...]] = attrs.field(repr=False)  # those with one head, for each head; longest first
    _beginnings: frozenset[bytes] = attrs.field(repr=False)  # of heads
    _some: Sequence["BytesAhoCorasick"] = attrs.field(repr=False)
    _all: "BytesAhoCorasick" = attrs.field(repr=False)

    @classmethod
    def of(cls, forms: Iterable[bytes]) -> "Mask":
        """Make a mask; no form may be empty."""
        # A megabyte of memory that only tasks with secrets need.
        from ahocorasick_rs import BytesAhoCorasick, Implementation, MatchKind

        by_head: dict[bytes, tuple[bytes, ...]] = {}
        for form in sorted(set(forms), key=len, reverse=True):
            head = form[:_HEAD]
            by_head[head] = (*by_head.get(head, ()), form)
        heads = list(by_head)
        groups = -(-len(heads) // _AT_ONCE)
        return cls(
            tuple(by_head.values()),
            frozenset(head[:count] for head in by_head for count in range(1, len(head))),
            # These look at many bytes at a time, 6 GB/s, but may pass over heads that overlap others. The last finds
            # all, at 0.4 GB/s, and is asked only where the others have found something.
            [
                BytesAhoCorasick(heads[at::groups], MatchKind.LeftmostLongest, implementation=Implementation.DFA)
                for at in range(groups)
            ],
            BytesAhoCorasick(heads, MatchKind.Standard, implementation=Implementation.DFA),
        )

    def text(self, text: str) -> str:
        """Return a text without the secrets; one without any as it is."""
        stream, data = Masking(self), as_bytes(text)
        masked = stream.feed(data) + stream.finish()
        return text if masked == data else masked.decode("utf-8", "replace")

    def look(self, data: bytes) -> tuple[Sequence[tuple[int, int]], int]:
        """Return where forms stand in `data`, in order, and from where on its rest may become one."""
        found: list[tuple[int, int]] = []
        size = len(data)
        undecided = size
        for head, start in self._heads(data):
            for form in self._forms[head]:
                if data.startswith(form, start):
                    found.append((start, start + len(form)))
                    break
                if len(form) > size - start and form.startswith(data[start:]):
                    undecided = min(undecided, start)
        for start in range(max(0, size - _HEAD + 1), undecided):
            if data[start:] in self._beginnings:
                undecided = start
                break
        return sorted(found), undecided

    def _heads(self, data: bytes) -> Sequence[tuple[int, int]]:
        """Return which heads stand in `data`, and where; some perhaps twice."""
        some = [place for search in self._some for place in search.find_matches_as_indexes(data)]
        if len(some) * _WORTH > len(data):
            return [(head, start) for head, start, _ in self._all.find_matches_as_indexes(data, overlapping=True)]
        return [
            (head, first + start)
            for _, first, end in some
            # What was passed over begins within something that was found.
            for head, start, _ in self._all.find_matches_as_indexes(data[first : end + _HEAD], overlapping=True)
        ]


@attrs.define(eq=False)
class Masking:
    """One stream, in pieces; what comes out does not depend on where these begin and end.

    Where forms overlap, one `***` stands for all of them, so that none leaves a rest. What cannot be the beginning of a
    form any more comes out at once, and so does the `***` of a form that is complete. At most one byte less than the
    longest form is held back. A form that is cut off at the end counts too, if there is as much of it as the shortest
    secret has.
    """

    _mask: Mask
    _rest: bytes = attrs.field(default=b"", init=False, repr=False)
    _told: int = attrs.field(default=0, init=False)  # bytes of the rest for which a `***` is out already

    def feed(self, data: bytes) -> bytes:
        """Take the next piece; return what can be shown by now."""
        data = self._rest + data
        found, undecided = self._mask.look(data)
        return self._release(data, found, undecided)

    def finish(self) -> bytes:
        """Return what was held back, once, or what stands for it; nothing may be fed any more."""
        if len(self._rest.strip()) < SHORTEST_SECRET:
            return self._rest[self._told :]
        return b"" if self._told else _MASK

    def _release(self, data: bytes, found: Sequence[tuple[int, int]], undecided: int) -> bytes:
        out: list[bytes] = []
        done = self._told
        for start, end in found:
            if start >= done:
                if start > undecided:  # what stands before it may yet become a secret with it
                    break
                out += data[done:start], _MASK
            done = max(done, end)
        out.append(data[done:undecided])
        self._rest, self._told = data[undecided:], max(0, done - undecided)
        return b"".join(out)


@lru_cache(maxsize=32)  # to make one takes two milliseconds, and all tasks of a pipeline often have the same
def mask_for(values: frozenset[str]) -> Mask | None:
    """Return the mask for values from the environment; None if all are too short."""
    forms = frozenset[bytes]().union(*map(secret_forms, values))
    return Mask.of(forms) if forms else None
