"""Runs the command of a hook like a task: contained, bounded in time and in output."""

import os
from collections.abc import Mapping
from contextlib import suppress

import attrs
import trio

from prunner_trio.definition.pipeline import Orphans
from prunner_trio.errors import LaunchError, ProcessesSurvived
from prunner_trio.execution.leaving import see_off
from prunner_trio.execution.seams import Command, Launcher, Stream
from prunner_trio.execution.stop import Hurry, StopPolicy
from prunner_trio.hooks.failed import HookFailed

__all__ = ["KILL_TIMEOUT", "OUTPUT_LIMIT", "run_command"]

KILL_TIMEOUT = 1.0
"""Seconds from the first signal to SIGKILL, for a command whose time is over."""

OUTPUT_LIMIT = 2000
"""Bytes of its output that are kept, counted from its end; the rest is read and forgotten."""

_LAST_WORDS = 1.0
"""Seconds for the end of the output once no process is left."""


@attrs.define(eq=False)
class _Pipe:
    """Both outputs of a command in one pipe; implements `TaskOutput`."""

    _read: trio.lowlevel.FdStream
    _write: int
    _tail: bytes = b""
    ended: trio.Event = attrs.field(factory=trio.Event)

    @classmethod
    def open(cls) -> "_Pipe":
        read, write = os.pipe2(os.O_CLOEXEC)
        return cls(trio.lowlevel.FdStream(read), write)

    def fileno(self, stream: Stream) -> int:
        return self._write

    def write(self, stream: Stream, data: bytes) -> None:
        self._tail = (self._tail + data)[-OUTPUT_LIMIT:]

    def close(self) -> None:
        """Close our end for writing; the command's processes have theirs."""
        if self._write >= 0:
            os.close(self._write)
            self._write = -1

    async def copy(self) -> None:
        """Read to the end, which comes when nobody has the other end open any more."""
        with suppress(trio.ClosedResourceError):
            async for data in self._read:
                self.write(Stream.STDOUT, bytes(data))
        self.ended.set()

    async def aclose(self) -> None:
        self.close()
        with trio.CancelScope(shield=True, deadline=trio.current_time() + _LAST_WORDS):
            await self._read.aclose()

    def text(self) -> str:
        return self._tail.decode(errors="replace").strip()


async def run_command(
    launcher: Launcher,
    text: str,
    env: Mapping[str, str],
    *,
    seconds: float,
    cwd: str,
    shell: str,
    hurry: Hurry,
) -> str:
    """Run shell text with exactly the environment `env`, and return the end of its output.

    When its time is over, or this is canceled, all its processes are stopped; background processes are stopped when it
    has ended. That takes at most `KILL_TIMEOUT` and the usual time to die.

    Raises:
        HookFailed: it could not be started, its status was not 0, it took too long, or something of it survived.
    """
    pipe = _Pipe.open()
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pipe.copy, name="output of a hook")
            problem = await _to_its_end(launcher, Command((shell, "-c", text), cwd), env, pipe, seconds, hurry)
            with trio.move_on_after(_LAST_WORDS):
                await pipe.ended.wait()
            nursery.cancel_scope.cancel()
    finally:
        await pipe.aclose()
    if problem:
        said = pipe.text()
        raise HookFailed(f"{problem}, its output ends: {said}" if said else problem)
    return pipe.text()


async def _to_its_end(
    launcher: Launcher, command: Command, env: Mapping[str, str], pipe: _Pipe, seconds: float, hurry: Hurry
) -> str:
    """Return what went wrong; empty if nothing did."""
    status = None
    try:
        with trio.move_on_after(seconds):
            proc = await launcher.launch(command, env, pipe)
            pipe.close()
            status = await see_off(
                proc,
                None,
                orphans=Orphans.KILL,
                policy=StopPolicy.from_kill_timeout(KILL_TIMEOUT),
                hurry=hurry,
                used=lambda usage: None,
            )
    except (LaunchError, ProcessesSurvived) as exc:
        return str(exc)
    finally:
        pipe.close()
    if status is None:
        return f"timed out after {seconds:g}s"
    return "" if status == 0 else f"exit status {status if status > 0 else 128 - status}"
