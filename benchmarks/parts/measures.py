"""What is measured of parts, and their figures; each runs in a process of its own."""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

from benchmarks.daemon import environment
from benchmarks.measure import Bench, Broken, Figure, Measure, Outcome

__all__ = ["PARTS"]

_ROOT = Path(__file__).resolve().parents[2]
_LIMIT = 300.0
_MASKED = 300


def _measure(name: str, bench: Bench) -> Outcome:
    bench.needs_own("parts of the program")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.parts", name, *(["--quick"] if bench.quick else [])],
        cwd=_ROOT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_LIMIT,
    )
    if done.returncode != 0:
        raise Broken(done.stderr.strip()[-1000:])
    return Outcome(**json.loads(done.stdout))


def _figures(unit: str, **about: str) -> tuple[Figure, ...]:
    """Return a figure and one for its processor time for each; underscores stand for spaces in names."""
    figures = []
    for name, text in about.items():
        shown = name.replace("_", " ")
        figures += [Figure(shown, unit, text), Figure(f"{shown} cpu", unit, "the same, processor time")]
    return tuple(figures)


def _rates(**about: str) -> tuple[Figure, ...]:
    return tuple(Figure(name, "MB/s", text, more=True, goal=_MASKED) for name, text in about.items())


def _part(name: str, about: str, *figures: Figure, reference: str = "") -> Measure:
    return Measure(name, "part", about, figures, partial(_measure, name), reference)


_MEANS = {
    "group": "by process groups",
    "subreaper": "as a subreaper",
    "cgroup": "in a control group of its own",
    "pidns": "in a PID namespace of its own",
}

PARTS: tuple[Measure, ...] = (
    _part(
        "spawn",
        "the whole life of one `/bin/true`: start, end, nobody left, by each means of containment; `held` is for how "
        "long its start keeps the loop from everything else",
        *_figures("ms", bare="`posix_spawn` and `waitpid`, nothing else"),
        *(
            figure
            for means, about in _MEANS.items()
            for figure in (*_figures("ms", **{means: about}), Figure(f"{means} held", "ms", "its start alone"))
        ),
        *_figures("ms", script="a compiled script in a shell, as a subreaper"),
        reference="posix_spawn, of the same program",
    ),
    _part(
        "commit",
        "the store: changes recorded and awaited until they are on disk",
        *_figures(
            "ms",
            one="a new job, alone in its transaction",
            life="all nine changes of a job of three tasks, 200 jobs at a time",
            page="the newest 50 jobs, read",
        ),
        reference="fdatasync, of 4 kB appended to a file",
    ),
    _part(
        "engine",
        "the engine with processes on paper, a store in memory and no HTTP",
        *_figures(
            "µs", chain="a task of a hundred in a row", fan="a task of a hundred at once", job="a job of one task"
        ),
    ),
    _part(
        "list",
        "the list of 10,000 jobs of three tasks that prunner's clients poll, without HTTP",
        *_figures("µs", job="encoding one job"),
        *_figures(
            "ms",
            first="the first time: all are read and encoded",
            again="when nothing has changed",
            changed="when one job has changed",
        ),
    ),
    _part(
        "template",
        "a line with a condition, a loop and a quoted value",
        *_figures("µs", parse="parsing it", render="filling it in"),
    ),
    _part(
        "script",
        "from entries to what is executed",
        *_figures(
            "µs",
            five="five entries, for bash",
            plain="one plain command",
            task="all that is prepared for a task: four entries, the template, the environment",
        ),
    ),
    _part(
        "events",
        "telling of one change",
        *_figures(
            "µs",
            listener="one listener that does nothing",
            subscriber="for each of a hundred subscribers",
            stream="numbered and encoded for all who listen over HTTP",
        ),
    ),
    _part(
        "mask",
        "masking output in pieces of 64 KiB, with five secrets, in all the forms in which they may appear",
        *_rates(
            lines="lines of a log without any secret",
            other="base64 of something else",
            rare="lines of which one in a hundred has a secret",
            near="lines of which each has the beginning of a secret, but not the rest",
        ),
        *_figures("ms", make="making ready for these secrets; tasks with the same ones share what comes of it"),
    ),
)
