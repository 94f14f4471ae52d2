"""The line in which a service manager shows what the daemon is doing."""

from collections.abc import Callable

import attrs
import trio

from prunner_trio.execution import StopLevel

__all__ = ["PAUSE", "StatusLine", "status_text"]

PAUSE = 1.0
"""Seconds between two lines, at least."""

_DOING = {
    StopLevel.SERVE: "",
    StopLevel.DRAIN: "draining, ",
    StopLevel.CANCEL: "canceling, ",
    StopLevel.KILL: "killing, ",
}


def status_text(level: StopLevel, running: int, waiting: int, problems: int) -> str:
    """Return such a line.

    Args:
        running: how many jobs run.
        waiting: how many wait.
        problems: how many there are in the definition files, so that older definitions are in use.
    """
    text = f"{_DOING[level]}{running} running, {waiting} waiting"
    return f"{text}; the definition files have problems, see the log" if problems else text


@attrs.define(eq=False)
class StatusLine:
    """Shows a text again whenever it may have changed, but not more often than every `PAUSE` seconds.

    Attributes:
        text: returns the present text.
        show: shows one.
    """

    text: Callable[[], str]
    show: Callable[[str], None]
    _shown: str = attrs.field(default="", init=False)
    _changed: trio.Event = attrs.field(factory=trio.Event, init=False)

    def look_again(self, _event: object = None) -> None:
        """Say that the text may have changed. Costs next to nothing."""
        self._changed.set()

    async def run(self) -> None:
        """Show the text, until canceled."""
        while True:
            await self._changed.wait()
            self._changed = trio.Event()
            text = self.text()
            if text != self._shown:
                self.show(text)
                self._shown = text
            await trio.sleep(PAUSE)
