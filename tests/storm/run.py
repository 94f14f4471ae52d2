"""What `scripts/storm` does: rounds of kills, with figures at the end and a transcript when a promise is broken."""

import argparse
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.storm.flat import flat
from tests.storm.rounds import ROUNDS_PER_STORE, Figures, Storm

__all__ = ["main"]


def main(words: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    arguments = _parse(words)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # an end like any other: the daemon ends, too
    if arguments.flat:
        return flat(arguments.flat, arguments.containment)
    figures, began = Figures(), time.monotonic()

    def progress() -> None:
        if sys.stderr.isatty():
            print(
                f"\r{figures.rounds} of {arguments.rounds} rounds, {figures.accepted} jobs\x1b[K",
                end="",
                file=sys.stderr,
            )
        elif figures.rounds % ROUNDS_PER_STORE == 0:
            print(
                f"{figures.rounds} of {arguments.rounds} rounds, {figures.accepted} jobs", file=sys.stderr, flush=True
            )

    for first in range(0, arguments.rounds, ROUNDS_PER_STORE):
        rounds = range(first, min(first + ROUNDS_PER_STORE, arguments.rounds))
        folder = Path(tempfile.mkdtemp(prefix="storm-"))
        storm = Storm(folder, f"{arguments.seed}/{first}", arguments.containment, figures)
        try:
            storm.run(rounds, progress=progress)
        except AssertionError as exc:
            print(storm.ledger.transcript(getattr(exc, "number", "")))
            print(f"\nA promise was broken in round {figures.rounds}: {exc}")
            print(f"Everything is in {folder}")
            again = f"--seed {arguments.seed} --rounds {rounds.stop} --containment {arguments.containment}"
            print(f"Again, as far as real time allows: scripts/storm {again}")
            return 1
        shutil.rmtree(folder)
    print(f"\n{figures}; {time.monotonic() - began:.0f} s: all promises kept")
    return 0


def _parse(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/storm",
        description="Kills a daemon under load at random moments, again and again, and checks that nothing was lost.",
    )
    parser.add_argument("--rounds", type=int, default=20, metavar="N")
    parser.add_argument(
        "--seed", type=int, default=0, metavar="S", help="what is drawn depends on it alone; when, does not"
    )
    parser.add_argument("--containment", default="auto", choices=["auto", "cgroup", "subreaper", "group"])
    parser.add_argument(
        "--flat", type=int, default=0, metavar="TASKS", help="no kills: run so many tasks, and show memory"
    )
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main())
