"""What the daemon's signals mean, and the loop that hears them."""

import logging
import signal
from collections.abc import AsyncIterator, Callable, Iterable

from prunner_trio.execution import StopLevel

__all__ = ["HANDS_OVER", "RELOADS", "hear_signals", "next_level"]

RELOADS = frozenset({signal.SIGUSR1, signal.SIGHUP})
"""Those that ask for new definitions."""

HANDS_OVER = signal.SIGUSR2
"""Asks to leave all running jobs to the next daemon, and to end."""

log = logging.getLogger(__name__)


def next_level(level: StopLevel, received: signal.Signals) -> StopLevel:
    """Return where on the stop ladder a signal leads; it only goes up.

    SIGINT climbs one step at a time: drain, cancel, kill. SIGTERM begins with cancel.
    """
    lowest = StopLevel.CANCEL if received is signal.SIGTERM else StopLevel.DRAIN
    return max(lowest, StopLevel(min(level + 1, StopLevel.KILL)))


async def hear_signals(
    early: Iterable[int],
    signals: AsyncIterator[int],
    *,
    level: Callable[[], StopLevel],
    stop: Callable[[StopLevel], None],
    reload: Callable[[], None],
    hand_over: Callable[[], None],
) -> None:
    """Act on signals until canceled.

    Args:
        early: those that came before `signals` was opened.
        signals: what ``trio.open_signal_receiver`` gave.
        level: the present level.
        stop: called with each new level.
        reload: called for each request to reload; must not block.
        hand_over: likewise, for each request to hand over.
    """

    def act(received: signal.Signals) -> None:
        if received is HANDS_OVER:
            hand_over()
        elif received not in RELOADS:
            new = next_level(level(), received)
            log.info(_MEANING[new], extra={"signal": received.name})
            stop(new)
        elif level() is StopLevel.SERVE:
            reload()
        else:
            log.info("not reloading, the daemon is about to end", extra={"signal": received.name})

    for number in early:
        act(signal.Signals(number))
    async for number in signals:
        act(signal.Signals(number))


_MEANING = {
    StopLevel.DRAIN: "draining: running jobs end, nothing new starts; once more cancels them",
    StopLevel.CANCEL: "canceling all running jobs; once more kills them",
    StopLevel.KILL: "killing all running jobs",
}
