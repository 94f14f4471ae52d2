"""The commands that look at a store and copy it: store check, store backup."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from prunner_trio.cli.flags import Parsed
from prunner_trio.cli.wording import count
from prunner_trio.errors import StoreError
from prunner_trio.storage import Condition, back_up, condition_of

__all__ = ["backup", "check"]

PATIENCE = 1.0
"""Seconds after which a person at a terminal is shown how far things are."""


def check(parsed: Parsed) -> int:
    """Show what is in a store and what is wrong with it; 1 if anything is."""
    values = parsed.values
    directory = Path(values.text("data"))
    try:
        condition = condition_of(directory)
    except (StoreError, OSError) as exc:
        condition = Condition(str(directory), problems=(str(exc),))
    if values.switch("json"):
        print(json.dumps(_as_json(condition), indent=2))
    else:
        print("\n".join(_as_text(condition)))
    return 1 if condition.problems else 0


def _as_json(condition: Condition) -> dict[str, object]:
    return {
        "store": condition.path,
        "ok": not condition.problems,
        "version": condition.version,
        "sizes": dict(condition.sizes),
        "jobs": dict(condition.jobs),
        "rows": dict(condition.rows),
        "last_number": condition.last_number,
        "problems": list(condition.problems),
        "reports": list(condition.reports),
        "last_good": condition.last_good,
    }


def _as_text(condition: Condition) -> Iterator[str]:
    if condition.version is not None:
        sizes = ", ".join(f"{name} {size:,} bytes" for name, size in condition.sizes.items())
        states = ", ".join(f"{count} {state}" for state, count in condition.jobs.items())
        yield f"store:     {condition.path}, version {condition.version} ({sizes})"
        yield f"jobs:      {states or 'none'}; the highest number is {condition.last_number}"
        yield "rows:      " + ", ".join(f"{count} {name}" for name, count in condition.rows.items())
    if condition.last_good is not None:
        moment = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(condition.last_good))
        yield f"last good: {moment}"
    for report in condition.reports:
        yield f"earlier damage: see {report}"
    for problem in condition.problems:
        yield f"problem: {problem}"
    yield "all is well" if not condition.problems else count(len(condition.problems), "problem")


def backup(parsed: Parsed) -> int:
    """Copy a data directory; 1 if that fails."""
    values = parsed.values
    (target,) = parsed.operands
    progress = _Progress()
    try:
        jobs = back_up(
            Path(values.text("data")), Path(target), logs=not values.switch("without-logs"), progress=progress
        )
    except (StoreError, OSError) as exc:
        progress.end()
        print(f"backing up to {target}: {exc}", file=sys.stderr)
        return 1
    progress.end()
    print(f"{target}: {count(jobs, 'job')}, checked")
    return 0


class _Progress:
    """A line on stderr that is written over and over, if that is a terminal and the thing takes a while."""

    def __init__(self) -> None:
        self._next = time.monotonic() + PATIENCE if sys.stderr.isatty() else float("inf")
        self._shown = False

    def __call__(self, what: str, done: int, total: int) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + 0.1
            self._shown = True
            sys.stderr.write(f"\r\033[K{what}" + (f": {done * 100 // total} %" if total else ""))
            sys.stderr.flush()

    def end(self) -> None:
        """Take the line away."""
        if self._shown:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
