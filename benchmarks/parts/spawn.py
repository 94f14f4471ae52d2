"""Starting a process by each means of containment, beside the barest start that there is."""

import os
import time
from collections.abc import Awaitable, Callable
from statistics import median

import trio

from benchmarks.measure import Outcome
from benchmarks.parts.timing import repeat, repeat_async
from prunner_trio.definition.script import compile_script
from prunner_trio.execution.seams import Command, Stream
from prunner_trio.launch import Containment, PosixLauncher, open_launcher

__all__ = ["MEANS", "measure"]

MEANS = ("group", "subreaper", "cgroup", "pidns")
_SHELL = "sh"
_TRUE = Command(("/bin/true",), os.getcwd())


class _Nowhere:
    """Output that nobody reads."""

    def __init__(self) -> None:
        self.fd = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)

    def fileno(self, stream: Stream) -> int:
        return self.fd

    def write(self, stream: Stream, data: bytes) -> None:
        os.write(self.fd, data)

    async def copy(self) -> None:
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        os.close(self.fd)


def measure(quick: bool) -> Outcome:
    """Return a figure for each means that this machine has."""
    outcome = Outcome()
    bare = repeat(_bare, quick=quick)
    bare.into(outcome, "bare", 1e3)
    for means in MEANS:
        trio.run(_measure, means, outcome, quick)
        if means in outcome.rounds:
            outcome.references[means] = median(outcome.rounds["bare"])
    return outcome


async def _measure(means: str, outcome: Outcome, quick: bool) -> None:
    try:
        async with open_launcher(Containment(means), alone=True) as launcher:
            held: list[float] = []
            whole = await repeat_async(_life(launcher, _TRUE, held), quick=quick)
            whole.into(outcome, means, 1e3)
            outcome.values[f"{means} held"] = median(held[len(held) // 2 :]) * 1e3  # the later half: all is warm
            if means == "subreaper":
                text = compile_script(["true; true"], shell=_SHELL, keep_going=False, cwd=os.getcwd())
                script = Command(text.argv, os.getcwd(), script=text.script)
                (await repeat_async(_life(launcher, script, []), quick=quick)).into(outcome, "script", 1e3)
    except RuntimeError:
        return  # this machine does not offer it


def _life(launcher: PosixLauncher, command: Command, held: list[float]) -> Callable[[], Awaitable[None]]:
    """Return one whole life of a task's processes; `held` gets the seconds for which the loop was kept from others."""
    output, env = _Nowhere(), dict(os.environ)

    async def live() -> None:
        began = time.perf_counter()
        proc = await launcher.launch(command, env, output)
        held.append(time.perf_counter() - began)
        try:
            if await proc.wait() != 0:
                raise RuntimeError("a program that does nothing has failed")
            await proc.wait_gone()
        finally:
            proc.close()

    return live


def _bare() -> None:
    os.waitpid(os.posix_spawn("/bin/true", ["/bin/true"], os.environ), 0)
