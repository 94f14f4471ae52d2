"""Signs of life for a service manager that restarts whoever gives none.

They come from the loop that runs the jobs, so a loop that is stuck gives none, and one that has a lot to do does. A
thread of ours that has died of a defect stops them too: without the one that writes the store, no job is ever accepted
again, however well the loop turns. A disk that does not answer stops nothing, since a restart would not mend it but
would cancel the running jobs.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager

import trio

from prunner_trio.daemon.logs import FATAL

__all__ = ["feed_watchdog", "noticing_dead_threads", "watchdog_interval"]

log = logging.getLogger(__name__)


def watchdog_interval(environ: MutableMapping[str, str]) -> float | None:
    """Return the seconds between two signs of life, half of what ``WATCHDOG_USEC`` allows; None: nobody waits for them.

    Takes the variables away: they are not for tasks.
    """
    allowed, pid = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
    if not (allowed.isascii() and allowed.isdigit()) or int(allowed) == 0 or pid not in ("", str(os.getpid())):
        return None
    return int(allowed) / 2_000_000


async def feed_watchdog(sign: Callable[[], None], interval: float, well: Callable[[], bool]) -> None:
    """Call `sign` now and every `interval` seconds, as long as all is `well`."""
    while well():
        sign()
        await trio.sleep(interval)


@contextmanager
def noticing_dead_threads() -> Iterator[Callable[[], bool]]:
    """Log each thread that dies of an exception, and yield a function that says whether none has.

    Threads in which Trio runs functions are none of these: there an exception goes to the caller.
    """
    dead: list[str] = []

    def note(args: threading.ExceptHookArgs) -> None:
        if args.exc_type is SystemExit or args.exc_value is None:
            return
        name = args.thread.name if args.thread is not None else "unknown"
        dead.append(name)
        text = "Error: a thread died; this is a defect of prunner-trio, and only a restart helps"
        log.log(FATAL, text, exc_info=args.exc_value, extra={"thread_name": name})

    before, threading.excepthook = threading.excepthook, note
    try:
        yield lambda: not dead
    finally:
        threading.excepthook = before
