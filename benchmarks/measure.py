"""What a measure is: some work, the figures that come of it, and what is expected of them."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.daemon import Daemon

__all__ = ["Bench", "Broken", "Curve", "Figure", "Measure", "Outcome", "Points", "Skipped"]

Points = list[tuple[float, float]]
"""What was measured at which size."""


class Skipped(Exception):
    """This machine, or this daemon, has not what the measure needs; the message says what."""


class Broken(Exception):
    """The daemon did not do the work that was to be measured."""


@dataclass(frozen=True)
class Figure:
    """One number that a measure gives.

    Attributes:
        name: within its measure.
        unit: what it is counted in; empty for a bare count.
        about: what it is, for the page.
        more: whether a larger number is the better one.
        goal: what it has to reach: at most so much or, with `more`, at least.
        ratio_goal: the same for its ratio to the reference.
        fact: it says what was done, and is neither good nor bad.
    """

    name: str
    unit: str
    about: str
    more: bool = False
    goal: float | None = None
    ratio_goal: float | None = None
    fact: bool = False


@dataclass(frozen=True)
class Curve:
    """How something grows.

    Attributes:
        name: within its measure; several curves of one unit make one plot.
        across: what grows.
        unit: what the other axis is counted in.
        about: what it is, for the legend.
    """

    name: str
    across: str
    unit: str
    about: str


@dataclass
class Outcome:
    """What one run of a measure has given.

    Attributes:
        values: by the name of the figure.
        references: what the tool did that the daemon is compared with, in the unit of the figure of that name.
        curves: by the name of the curve.
        rounds: figures of which one run gives several values, each as good as any.
    """

    values: dict[str, float] = field(default_factory=dict)
    references: dict[str, float] = field(default_factory=dict)
    curves: dict[str, Points] = field(default_factory=dict)
    rounds: dict[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Bench:
    """What a measure is given.

    Attributes:
        command: the daemon under test; flags are appended.
        own: it is the one of this project.
        quick: the sizes are to be such that all is over soon; what comes out is no measurement.
        say: tells whoever waits how far it is.
    """

    command: tuple[str, ...]
    own: bool
    quick: bool
    say: Callable[[str], None] = lambda text: None

    def size(self, full: int, quick: int) -> int:
        """Return how much work there is to do."""
        return quick if self.quick else full

    def daemon(self, definitions: str, *flags: str) -> Daemon:
        """Return a daemon with these definitions that is not started yet; `flags` are known to ours only."""
        if flags:
            self.needs_own(f"the flags {shlex.join(flags)}")
        return Daemon((*self.command, *flags), definitions)

    def needs_own(self, what: str) -> None:
        """Skip the measure if the daemon is another one than ours."""
        if not self.own:
            raise Skipped(f"{what}: only prunner-trio has that")


@dataclass(frozen=True)
class Measure:
    """Some work and its figures.

    Attributes:
        group: `service` drives a daemon from outside, `part` is a piece of our code alone, `scale` makes curves.
        about: the work, for the page.
        reference: who does the same work for comparison, and how.
        once: it takes minutes, and is not repeated.
    """

    name: str
    group: str
    about: str
    figures: tuple[Figure, ...]
    run: Callable[[Bench], Outcome]
    reference: str = ""
    curves: tuple[Curve, ...] = ()
    once: bool = False
