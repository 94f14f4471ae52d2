"""What happened when, as lines that a test can compare."""

from collections.abc import Iterator

import attrs

__all__ = ["Entry", "Transcript"]


@attrs.frozen
class Entry:
    """One thing that happened.

    Attributes:
        at: seconds since the start of the simulation.
        job: `pipeline#n` for the n-th job that the runner ever accepted.
        task: empty for what concerns the job as a whole.
        what: a state with its reason, or a signal.
    """

    at: float
    job: str
    task: str
    what: str

    def __str__(self) -> str:
        who = f"{self.job}/{self.task}" if self.task else self.job
        return f"{self.at:g} {who} {self.what}"


class Transcript:
    """All entries of a simulation, in order; prints and compares as text."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def add(self, entry: Entry) -> None:
        """Append an entry."""
        self.entries.append(entry)

    def lines(self, job: str = "", task: str = "") -> list[str]:
        """Return the entries as text, all or those of one job or task: `1.5 deploy#1/build running`."""
        return [
            str(entry) for entry in self.entries if (not job or entry.job == job) and (not task or entry.task == task)
        ]

    def when(self, who: str, what: str) -> float:
        """Return the time of the first entry of `who` (`deploy#1` or `deploy#1/build`) that begins with `what`.

        Raises:
            LookupError: there is none; the message holds the whole transcript.
        """
        for entry in self.entries:
            name = f"{entry.job}/{entry.task}" if entry.task else entry.job
            if name == who and entry.what.startswith(what):
                return entry.at
        raise LookupError(f"{who} was never {what!r} in:\n{self}")

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __str__(self) -> str:
        return "\n".join(self.lines())
