"""The pipelines of the storm. Their tasks write down what they do, in a file that the daemon knows nothing of."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import attrs

__all__ = ["DELAYS", "PLACES", "REQUEUED", "Line", "read_evidence", "write_pipelines"]

DELAYS = {"later": 0.7, "debounce": 0.3}
PLACES = {"quick": 6, "long": 5, "queue": 1, "later": 6, "debounce": 2, "fails": 3, "hides": 3, "deaf": 2, "again": 2}
_TICKS = os.sysconf("SC_CLK_TCK")
REQUEUED = frozenset({"again"})

# One write for each line, so that lines of several tasks do not mix. The launch is told by the kernel's own record.
_HELPERS = r"""
stat=$(</proc/$$/stat)
set -- ${stat##*) }
launched=${20}
note() { printf '%s\n' "$1 $PRUNNER_VAR_N $TASK $$ $launched ${2-}" >>evidence; }
place() {
  local number
  for ((number = 0; number < PLACES; number++)); do
    exec 9>>"place-$PRUNNER_PIPELINE-$TASK-$number"
    if flock -n 9; then return; fi
  done
  note overlap
}
token=$PRUNNER_VAR_N${STORM_COPY-}
place
note begin
"""

_SCRIPTS = {
    "quick": {"a": "echo a", "b": "echo b"},
    "long": {"a": "for i in {1..%d}; do echo line $i; note line $i; sleep 0.05; done"},
    "queue": {"a": "sleep 0.12"},
    "later": {"a": "sleep 0.05"},
    "debounce": {"a": "sleep 0.05"},
    "fails": {"a": "sleep 0.05; exit 3", "b": "note never"},
    "hides": {
        "a": """
(setsid env -i /bin/sleep 30.$token &)
(setsid bash -c 'trap "" INT; sleep 30.'$token'; :' &)
setsid sleep 30.$token &
sleep 0.6"""
    },
    "deaf": {"a": "trap '' INT TERM; for i in {1..12}; do sleep 0.1; done"},
    "again": {"a": "sleep 0.3", "b": "(setsid sleep 30.$token &); sleep 0.4"},
}
_NEEDS = {"b": ["a"]}
_KEYS = {
    "queue": {"queue_limit": 30},
    "later": {"start_delay": "700ms"},
    "debounce": {"start_delay": "300ms", "queue_limit": 1, "queue_strategy": "replace"},
    "deaf": {"kill_timeout": "400ms", "queue_limit": 3},
    "again": {"on_daemon_crash": "requeue", "queue_limit": 10},
    "hides": {"kill_timeout": "600ms"},
}


@attrs.frozen
class Line:
    """A line of the evidence.

    Attributes:
        what: `begin`, `end`, `line`, `overlap`, or `never`, which no task should write.
        number: that of the job.
        launched: when the task was launched, in seconds since the boot, cut to hundredths.
        rest: what follows, if anything.
    """

    what: str
    number: str
    task: str
    pid: int
    launched: float
    rest: str = ""


def write_pipelines(folder: Path, lines: int = 30) -> None:
    """Write definitions and helpers into the directory of a daemon."""
    (folder / "helpers.sh").write_text(_HELPERS)
    pipelines = {
        name: {
            "concurrency": PLACES[name],
            "shell": "bash",
            "env": {"PLACES": str(PLACES[name])},
            "tasks": {
                task: {
                    "script": [f". ./helpers.sh; {script.replace('%d', str(lines))}\nnote end"],
                    "depends_on": _NEEDS.get(task, []),
                    "env": {"TASK": task},
                }
                for task, script in tasks.items()
            },
            **_KEYS.get(name, {}),
        }
        for name, tasks in _SCRIPTS.items()
    }
    (folder / "pipelines.yml").write_text(json.dumps({"pipelines": pipelines}))


def read_evidence(folder: Path) -> Iterator[Line]:
    """Yield what tasks have written so far, in the order in which they did."""
    file = folder / "evidence"
    if not file.exists():
        return
    for text in file.read_text().splitlines():
        what, number, task, pid, launched, *rest = text.split(" ")
        yield Line(what, number, task, int(pid), int(launched) / _TICKS, " ".join(rest))
