"""The stages of scripts/test: run all, show their output as it comes, add up at the end. Standard library only."""

import argparse
import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from strays import Stray, holders, kill_holders

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent

TALLY = re.compile(r"^(?:=+ )?((?:\d+ [a-z]+(?:, )?)+) in [\d.]+s")
"""pytest's last line, with or without its frame: `12 passed, 1 xfailed in 3.21s`."""

STOP_SECONDS = 20.0
DRAIN_SECONDS = 5.0
"""How long a stage's output may stay open after its end before whoever holds it is reported."""
BAD = ("failed", "error", "errors")

CANNOT_RUN = 77
"""The status of a stage that cannot run on this machine; its last line says why."""


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        limit: seconds after which it has failed, several times what a slow machine needs; a hanging test must not hang
            the whole run.
        pytest: it is a run of pytest, so it gets the extra arguments, and its tests are counted.
        asked: it runs only when it is asked for.
        optional: it may end with `CANNOT_RUN`, which is no failure.
    """

    name: str
    about: str
    command: tuple[str, ...]
    limit: float = 120
    pytest: bool = False
    asked: bool = False
    optional: bool = False


@dataclass
class Result:
    """How a stage went."""

    stage: Stage
    status: int
    seconds: float
    counts: Counter[str] = field(default_factory=Counter)
    last_line: str = ""

    @property
    def skipped(self) -> bool:
        return self.stage.optional and self.status == CANNOT_RUN

    @property
    def good(self) -> bool:
        return self.status == 0 or self.skipped

    @property
    def summary(self) -> str:
        if self.skipped:
            return f"skipped: {self.last_line}"
        if self.counts:
            return ", ".join(f"{number} {word}" for word, number in self.counts.items())
        return "ok" if self.good else "failed"


def python(*words: str) -> tuple[str, ...]:
    return (sys.executable, "-m", *words)


STAGES = (
    Stage("ruff", "mistakes that a linter sees", (str(BIN / "ruff"), "check", ".")),
    Stage("format", "one way to lay out code", (str(BIN / "ruff"), "format", "--check", ".")),
    Stage("types", "mypy, strict", python("mypy", "--strict", "src", "scripts/lib", "benchmarks")),
    Stage("layering", "imports point one way", python("pytest", "tests/pure/test_layering.py"), pytest=True),
    Stage(
        "unit",
        "the pure and the virtual layer: no processes, no waiting",
        python("pytest", "tests/pure", "tests/virtual", "--ignore=tests/pure/test_layering.py", "-n", "2"),
        limit=240,
        pytest=True,
    ),
    Stage(
        "simulation",
        "the whole engine through random lives, faults and crashes",
        python("pytest", "tests/simulation", "-n", "2"),
        limit=240,
        pytest=True,
    ),
    Stage(
        "real",
        "real processes, sockets and files, on both cores",
        python("pytest", "tests/real", "-n", "2", "--dist", "loadfile"),
        limit=1500,
        pytest=True,
    ),
    Stage(
        "whole",
        "the installed command, as a daemon and in the foreground, on both cores",
        python("pytest", "tests/whole", "-n", "2", "--dist", "loadfile"),
        limit=1500,
        pytest=True,
    ),
    Stage(
        "browser",
        "the page in a real browser: Debian's chromium, installed if that can be done",
        (sys.executable, str(ROOT / "scripts" / "lib" / "browser.py"), "-n", "2", "--dist", "loadfile"),
        limit=1200,
        pytest=True,
        optional=True,
    ),
    Stage(
        "conformance",
        "the installed command as a drop-in for prunner, on both cores",
        python("pytest", "tests/conformance", "-n", "2"),
        limit=1500,
        pytest=True,
    ),
    Stage(
        "systemd",
        "the service under a real systemd in a box; takes root; only when asked for",
        (
            str(ROOT / "tests" / "systemd" / "box"),
            *(word for place in (ROOT, sys.prefix, sys.base_prefix) for word in ("-b", str(place))),
            "--",
            *python("pytest", "tests/systemd", "-p", "no:cacheprovider"),
        ),
        limit=480,
        pytest=True,
        asked=True,
        optional=True,
    ),
    Stage(
        "containers",
        "the image of the example under Podman; takes root; only when asked for",
        python("pytest", "tests/containers", "-p", "no:cacheprovider", "-rs"),
        limit=600,
        pytest=True,
        asked=True,
        optional=True,
    ),
)


class Output:
    """What a stage says: each line is passed on as it comes, the tally of pytest is read from it."""

    def __init__(self, stage: Stage, pipe: IO[str]) -> None:
        self.counts: Counter[str] = Counter()
        self.last_line = ""
        self._stage = stage
        self._pipe = pipe
        # Whoever still holds the pipe when all is over must not hold this program as well.
        self._thread = threading.Thread(target=self._pass_on, daemon=True)
        self._thread.start()

    def _pass_on(self) -> None:
        for line in self._pipe:
            print(line, end="", flush=True)
            self.last_line = line.strip()
            if self._stage.pytest and (found := TALLY.match(line)):
                self.counts = Counter({word: int(number) for number, word in re.findall(r"(\d+) ([a-z]+)", found[1])})

    def drain(self) -> list[Stray]:
        """Wait for its end, which comes with that of the last who can write; return those who had to be killed."""
        self._thread.join(DRAIN_SECONDS)
        if not self._thread.is_alive():
            return []
        strays = holders(self._pipe.fileno())
        kill_holders(self._pipe.fileno())
        self._thread.join(DRAIN_SECONDS)
        return strays


def run(stage: Stage, extra: list[str]) -> Result:
    """Run a stage, passing on each line of its output; it and all its children end with it."""
    command = [*stage.command, *(extra if stage.pytest else [])]
    print(f"\n--- {stage.name}: {stage.about}", flush=True)
    print("$ " + " ".join(Path(word).name if word.startswith(str(BIN)) else word for word in command), flush=True)
    began = time.monotonic()
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    assert process.stdout is not None
    output = Output(stage, process.stdout)
    try:
        late = not ended(process, stage.limit)
        if late:
            stop(process)
        strays = output.drain()
    finally:
        stop(process)
    if late:
        print(f"{stage.name} took longer than {stage.limit:g} s and was stopped", flush=True)
    for stray in strays:
        print(f"{stage.name} left a process that held its output: pid {stray.pid}: {stray.command}", flush=True)
    status = process.returncode or int(late or bool(strays))
    return Result(stage, status, time.monotonic() - began, output.counts, output.last_line)


def ended(process: subprocess.Popen[str], seconds: float) -> bool:
    """Wait for the end of a process, but not longer than that; tell whether it has come."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    return process.returncode is not None


def stop(process: subprocess.Popen[str]) -> None:
    """End a stage that still runs, giving it time to end the daemons it has started; nothing of its group stays."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        ended(process, STOP_SECONDS)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def environment() -> dict[str, str]:
    """Return the environment of a stage: the tests are about the installed command, with its own settings."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PRUNNER_")}
    env["PATH"] = f"{BIN}{os.pathsep}{env.get('PATH', os.defpath)}"
    env.setdefault("CONFORMANCE_PATIENCE", "3")
    return env


def report(results: list[Result]) -> int:
    """Print the summary, its last line in the words of pytest; return the exit status."""
    print("\n--- summary", flush=True)
    passed = failed = 0
    for result in results:
        mark = "-   " if result.skipped else "ok  " if result.good else "FAIL"
        print(f"{mark} {result.stage.name:<12} {result.seconds:6.1f} s  {result.summary}")
        bad = sum(result.counts[word] for word in BAD)
        passed += result.counts["passed"] if result.stage.pytest else int(result.good)
        failed += bad or int(not result.good)
    print(f"     {'all':<12} {sum(result.seconds for result in results):6.1f} s")
    print("\nTests, and each of the other stages as one:")
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


def parse() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        prog="scripts/test",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Makes .venv and installs into it if that has to be done, then runs these stages, all of them\n"
        "even if one fails, and ends with status 1 if any did:\n\n"
        + "\n".join(f"  {stage.name:<12} {stage.about}" for stage in STAGES),
        epilog="Arguments behind -- go to pytest: scripts/test --only unit -- -k cancel -x\n"
        "CONFORMANCE_PATIENCE=6 makes all deadlines of the conformance suite six times as long (3 by default).\n"
        "PYTHON=/path/to/python chooses the Python (3.11 to 3.13) for a .venv that is not there yet.",
    )
    parser.add_argument("--fast", action="store_true", help="leave out the conformance suite")
    parser.add_argument("--browser", action="store_true", help="run that stage alone, as --only browser does")
    parser.add_argument("--systemd", action="store_true", help="run that stage too")
    parser.add_argument(
        "--only", action="append", choices=[stage.name for stage in STAGES], help="run this stage; may be repeated"
    )
    words = sys.argv[1:]
    cut = words.index("--") if "--" in words else len(words)
    return parser.parse_args(words[:cut]), words[cut + 1 :]


def main() -> int:
    arguments, extra = parse()
    names = set(arguments.only or (stage.name for stage in STAGES if not stage.asked))
    names -= {"conformance"} if arguments.fast else set()
    names |= {"systemd"} if arguments.systemd else set()
    names = {"browser"} if arguments.browser else names
    chosen = [stage for stage in STAGES if stage.name in names]
    results: list[Result] = []
    try:
        for stage in chosen:
            results.append(run(stage, extra))
    except KeyboardInterrupt:
        print("\ninterrupted", flush=True)
        report(results)
        return 130
    return report(results)


if __name__ == "__main__":
    sys.exit(main())
