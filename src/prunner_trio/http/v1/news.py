"""Both logs of a task as JSON, from where the client stands: for those whose proxies gather an answer first.

`since` holds two offsets, of stdout and of stderr, and the attempt of the job that they belong to.
"""

import codecs
import re

import trio

from prunner_trio.http.v1.follow import grown
from prunner_trio.http.v1.logs import Log
from prunner_trio.http.v1.models import LogPart, Logs, ProblemItem
from prunner_trio.http.v1.problems import Refused
from prunner_trio.http.v1.ring import Ring

__all__ = ["log_news"]

_SINCE = re.compile(r"(\d{1,18})\.(\d{1,18})\.(\d{1,9})", re.ASCII)
_MOST = 256 * 1024


async def log_news(out: Log, err: Log, ring: Ring, since: str, wait: float) -> Logs:
    """Return what both logs have gained, at most 256 KiB of each; if that is nothing, wait for it.

    A `since` of an earlier attempt of the job is as good as none: those logs are gone.

    Args:
        wait: seconds.

    Raises:
        Refused: `since` is none of ours.
    """
    places = _places(since, out.attempt)
    with trio.move_on_after(wait):
        while True:
            state = out.task().state  # before the sizes: if it is final, nothing comes after them
            sizes = await out.size(), await err.size()
            if state.final or any(size > place for size, place in zip(sizes, places, strict=True)) or wait == 0:
                break
            async with trio.open_nursery() as nursery:
                for log, size in ((out, sizes[0]), (err, sizes[1])):
                    nursery.start_soon(_first, log, ring, size, nursery.cancel_scope)
    final = out.task().state.final
    parts = [await _part(log, place, final=final) for log, place in ((out, places[0]), (err, places[1]))]
    return Logs(
        stdout=parts[0],
        stderr=parts[1],
        since=f"{parts[0].next}.{parts[1].next}.{out.attempt}",
        complete=final and all(part.next >= part.size for part in parts),
    )


async def _first(log: Log, ring: Ring, size: int, scope: trio.CancelScope) -> None:
    state = log.task().state
    if not state.final:
        await grown(log, ring, state, size, trio.current_time())
    scope.cancel()


def _places(since: str, attempt: int) -> tuple[int, int]:
    match = _SINCE.fullmatch(since)
    if since and match is None:
        item = ProblemItem("must be that of an answer before, or left out", parameter="since")
        raise Refused("invalid-query", "since: must be that of an answer before", errors=[item])
    return (int(match[1]), int(match[2])) if match and int(match[3]) == attempt else (0, 0)


async def _part(log: Log, place: int, *, final: bool) -> LogPart:
    size = await log.size()
    start = min(place, size)
    data = await log.read(start, min(_MOST, size - start))
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    # Half a character at the end is left for the next time, unless nothing will complete it.
    text = decoder.decode(data, final=final and start + len(data) >= size)
    return LogPart(text, start, start + len(data) - len(decoder.getstate()[0]), size)
