"""New definitions while the daemon runs: on request, and with `--watch` at intervals."""

import gc
import logging
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs
import trio

from prunner_trio.definition import Definitions, load_definitions
from prunner_trio.errors import InvalidDefinition, Problem

__all__ = ["Reloader"]

log = logging.getLogger(__name__)

_PATIENCE = 0.0005
"""Seconds for which the loop lets the thread that reads definitions go on."""


@attrs.define(eq=False)
class Reloader:
    """Reads the definition files again and hands them on if all is well; if not, says why and changes nothing.

    Attributes:
        current: returns the definitions in use.
        replace: takes the new ones.
        interval: seconds between two looks without a request; None: none.
        before: called before each look that was requested.
        after: called after each look, with whether it was requested.
        read_more: called with definitions that have no problem, in the thread that has read them.
        lacking: see `load_definitions`, as of `no_keep`.
    """

    pattern: str
    base: Path
    current: Callable[[], Definitions]
    replace: Callable[[Definitions], None]
    interval: float | None = None
    before: Callable[[], None] = attrs.field(default=lambda: None, kw_only=True)
    after: Callable[[bool], None] = attrs.field(default=lambda _asked: None, kw_only=True)
    read_more: Callable[[Definitions], None] = attrs.field(default=lambda _found: None, kw_only=True)
    lacking: Callable[[], Mapping[str, str]] = attrs.field(default=dict, kw_only=True)
    no_keep: str = attrs.field(default="", kw_only=True)
    _requested: trio.Event = attrs.field(factory=trio.Event, init=False)
    _known_problems: tuple[Problem, ...] = attrs.field(default=(), init=False)
    _thread: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(1), init=False)

    @property
    def problems(self) -> int:
        """How many problems the files had at the last look, so that the definitions in use are older ones."""
        return len(self._known_problems)

    @property
    def found(self) -> tuple[Problem, ...]:
        """What these problems are."""
        return self._known_problems

    def request(self) -> None:
        """Ask for a reload. Returns at once; requests while one is under way lead to one more after it."""
        self._requested.set()

    async def run(self) -> None:
        """Reload whenever it is asked for or the interval has passed, until canceled."""
        while True:
            with trio.move_on_after(self.interval if self.interval is not None else float("inf")):
                await self._requested.wait()
            asked, self._requested = self._requested.is_set(), trio.Event()
            if asked:
                self.before()
            try:
                await self._reload(asked=asked)
            except Exception:  # the reload boundary: a defect in reading files must not end the daemon and its jobs
                log.exception("reloading failed, the definitions stay as they were")
            self.after(asked)

    async def _reload(self, *, asked: bool) -> None:
        try:
            found = await trio.to_thread.run_sync(self._read, abandon_on_cancel=True, limiter=self._thread)
        except InvalidDefinition as exc:
            if asked or exc.problems != self._known_problems:
                for problem in exc.problems:
                    log.error("reloading definitions: %s", problem)
                log.error("the definitions stay as they were", extra={"problems": len(exc.problems)})
            self._known_problems = exc.problems
            return
        self._known_problems = ()
        changed = found != self.current()
        if changed:
            self.replace(found)
        if changed or asked:
            log.info("reloaded definitions", extra={"pipelines": len(found), "changed": str(changed).lower()})
            if not found.files:
                log.warning("no definition file", extra={"path": str(self.base), "pattern": self.pattern})

    def _read(self) -> Definitions:
        # Of all that is made here, hardly anything is left in the end and nothing is a cycle. To look through it again
        # and again, the collector would stop the loop, too: for a fifth of a second with a thousand pipelines.
        gc.disable()
        # Each time the loop has waited for the kernel it has to wait for this thread, too: 5 ms, unless it says less.
        patience = sys.getswitchinterval()
        sys.setswitchinterval(_PATIENCE)
        try:
            found = load_definitions(self.pattern, self.base, self.lacking, no_keep=self.no_keep)
            self.read_more(found)
        finally:
            sys.setswitchinterval(patience)
            gc.enable()
        return found
