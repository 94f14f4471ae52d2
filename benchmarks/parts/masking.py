"""How fast secrets are masked in output that comes in pieces."""

import base64
from collections.abc import Callable
from itertools import pairwise
from random import Random

from benchmarks.measure import Outcome
from benchmarks.parts.timing import repeat
from prunner_trio.policy.mask import Mask, Masking
from prunner_trio.policy.secret_forms import secret_forms

__all__ = ["measure"]

_PIECE = 64 * 1024
_PIECES = 64
_LINE = b"2026-01-01 12:00:00 INFO a line of log output number 0123456789 of some task\n"


def measure(quick: bool) -> Outcome:
    """Return figures of output of several kinds, with five secrets of different kinds in all their forms."""
    chance = Random(1)
    secrets = [
        chance.randbytes(20).hex(),
        "p@ss'word!/ 123",
        base64.b64encode(chance.randbytes(30)).decode(),
        "hunter22",
        f"ghp_{chance.randbytes(15).hex()}",
    ]
    size = _PIECE * (2 if quick else _PIECES)
    lines, other = _LINE * (size // len(_LINE)), base64.b64encode(chance.randbytes(size * 3 // 4))
    rare = (_LINE * 99 + _LINE.replace(b"task", secrets[0].encode())) * (size // len(_LINE) // 100 or 1)
    near = _LINE.replace(b"task", secrets[4][:12].encode()) * (size // len(_LINE))
    outcome = Outcome()

    def make() -> Mask:
        return Mask.of(form for secret in secrets for form in secret_forms(secret))

    repeat(make, quick=quick).into(outcome, "make", 1e3)
    mask = make()
    for name, output in {"lines": lines, "other": other, "rare": rare, "near": near}.items():
        timing = repeat(_through(mask, output), quick=quick)
        outcome.rounds[name] = [len(output) / 1e6 / seconds for seconds in timing.wall]
    return outcome


def _through(mask: Mask, output: bytes) -> Callable[[], object]:
    edges = [*range(0, len(output), _PIECE), len(output)]
    pieces = [output[start:end] for start, end in pairwise(edges)]

    def work() -> None:
        stream = Masking(mask)
        for piece in pieces:
            stream.feed(piece)
        stream.finish()

    return work
