"""Signals that arrive before the daemon listens to them, or after: remembered, instead of ending it half-way."""

import signal

__all__ = ["HEARD", "remember_signals"]

HEARD = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)
"""All signals that have a meaning of ours."""


def remember_signals() -> list[int]:
    """Take over all signals that mean something to the daemon, for the rest of the process.

    Whoever listens properly later begins with what is in the list by then. What comes after that listener has closed,
    during the last steps of the process, changes nothing any more.
    """
    early: list[int] = []
    for number in HEARD:
        signal.signal(number, lambda received, _frame: early.append(received))
    return early
