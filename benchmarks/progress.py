"""Says what is being done while it lasts."""

import sys

__all__ = ["Progress"]


class Progress:
    """One line on the terminal that says what is being done; without a terminal, a line for each measure."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._name = ""

    def begin(self, name: str, run: int, runs: int) -> None:
        """Tell that a run of a measure begins."""
        self._name = name if runs == 1 else f"{name}, run {run} of {runs}"
        self._show("")
        if not self._terminal:
            print(self._name, file=sys.stderr, flush=True)

    def warn(self, text: str) -> None:
        """Tell what whoever reads the figures has to know."""
        print(f"scripts/bench: {text}", file=sys.stderr, flush=True)

    def say(self, text: str) -> None:
        """Tell how far it is."""
        self._show(f": {text}")

    def end(self, text: str) -> None:
        """Tell what came of it, if that is not what one expects."""
        if self._terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
        if text:
            print(f"{self._name}: {text}", file=sys.stderr, flush=True)

    def _show(self, text: str) -> None:
        if self._terminal:
            print(f"\r{self._name}{text}\x1b[K", end="", file=sys.stderr, flush=True)
