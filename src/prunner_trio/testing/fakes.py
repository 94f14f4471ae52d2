"""Processes that exist only on paper: they take virtual time, print, fail and resist as they are told."""

import math
import signal
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

import attrs
import trio

from prunner_trio.errors import EndLost, LaunchError
from prunner_trio.execution.seams import Command, Stream, TaskOutput, Usage
from prunner_trio.output.memory import MemoryTaskOutput

__all__ = ["Act", "Acts", "FakeLauncher", "FakeProc", "FakeRemains", "Launch"]


@attrs.frozen
class Act:
    """How the processes of one task behave.

    Attributes:
        seconds: how long the task's own process runs when nobody stops it; `math.inf`: until it is stopped.
        exit_code: its exit status then; -n: it dies of signal n.
        stdout: what it prints at its start.
        stderr: likewise.
        on_sigint: seconds from SIGINT to its end; `math.inf`: it handles SIGINT and stays; None: it ignores SIGINT, as
            shells arrange for background jobs, so the runner sends it SIGTERM instead.
        on_sigterm: seconds from SIGTERM to its end; `math.inf` or None: it stays.
        leftovers: seconds for which background processes outlive it; they end at the first signal.
        immortal: not even SIGKILL ends it (think of a dead network file system).
        usage: what it has used in the end.
        launch_seconds: how long it takes to start it.
        launch_error: if not empty, it cannot be started, and this is why.
        end_lost: of something that an earlier daemon has left: nobody knows how it ends.
        age: likewise: for how long it has been there; None: only the wall clock tells.
    """

    seconds: float = 0.0
    exit_code: int = 0
    stdout: str = ""
    stderr: str = ""
    on_sigint: float | None = 0.0
    on_sigterm: float | None = 0.0
    leftovers: float = 0.0
    immortal: bool = False
    usage: Usage = attrs.field(factory=Usage)
    launch_seconds: float = 0.0
    launch_error: str = ""
    end_lost: bool = False
    age: float | None = None


@attrs.frozen
class Launch:
    """One thing that was launched.

    Attributes:
        at: the time on Trio's clock.
        command: what was to be executed, with the script's text.
        env: the task's whole environment.
    """

    at: float
    pipeline: str
    task: str
    job_id: str
    command: Command
    env: Mapping[str, str] = attrs.field(repr=False)

    @property
    def entries(self) -> tuple[str, ...]:
        """The entries of the task's script, with their templates filled in."""
        return self.command.entries


Acts = Mapping[str, Act | Sequence[Act] | Callable[[Launch], Act]]
"""By `task` or `pipeline/task`: one act for every launch, one per launch in turn (the last repeats), or a function."""


class FakeProc:
    """A process tree on paper; implements `Proc`."""

    def __init__(
        self,
        pid: int,
        act: Act,
        said: Callable[[str], None],
        closed: Callable[["FakeProc"], None],
        *,
        outlives: bool = False,
    ) -> None:
        self._pid = pid
        self._act = act
        self._said = said
        self._on_close = closed
        now = trio.current_time()
        self._status = act.exit_code
        self._ends = now + act.seconds
        self._gone = self._ends + act.leftovers
        self._changed = trio.Event()
        self._closed = False
        self._signaled = False
        self._outlives = outlives

    @property
    def pid(self) -> int:
        """A number that no process has."""
        return self._pid

    @property
    def outlives(self) -> bool:
        """See `Proc.outlives`."""
        return self._outlives

    @property
    def alive(self) -> bool:
        """Whether anything of the tree lives now."""
        return trio.current_time() < self._gone

    @property
    def gone(self) -> bool:
        """See `Proc.gone`."""
        return not self.alive

    async def wait(self) -> int:
        """See `Proc.wait`."""
        await self._until(lambda: self._ends)
        return self._status

    async def wait_gone(self) -> None:
        """See `Proc.wait_gone`."""
        await self._until(lambda: self._gone)

    async def _until(self, moment: Callable[[], float]) -> None:
        await trio.lowlevel.checkpoint()
        while trio.current_time() < moment():
            changed = self._changed
            with trio.move_on_at(moment()):
                await changed.wait()

    def signal_tree(self, sig: int) -> None:
        """See `Proc.signal_tree`; signals to the living are noted in the transcript."""
        if self._closed:
            raise RuntimeError("a signal was sent to a closed process tree, whose pid may be somebody else's by now")
        if not self.alive:
            return
        self._said(signal.Signals(sig).name)
        self._signaled = True
        if sig == signal.SIGINT and self._act.on_sigint is None:
            sig = signal.SIGTERM
            self._said(f"{signal.Signals(sig).name} instead")
        delay = self._delay(sig)
        now = trio.current_time()
        if now < self._ends and now + delay < self._ends:
            self._ends = now + delay
            self._status = -sig
        self._gone = self._ends if now < self._ends else now
        if self._act.immortal:
            self._gone = math.inf
        self._changed.set()
        self._changed = trio.Event()

    def _delay(self, sig: int) -> float:
        if self._act.immortal:
            return math.inf
        if sig == signal.SIGKILL:
            return 0.0
        reaction = self._act.on_sigint if sig == signal.SIGINT else self._act.on_sigterm
        return math.inf if reaction is None else reaction

    def signaled(self) -> tuple[str, ...]:
        """See `Proc.signaled`; all processes of a task are one here."""
        return (f"fake (pid {self._pid})",) if self._signaled else ()

    def let_go(self) -> None:
        """See `Proc.let_go`; noted in the transcript if anybody is alive."""
        if self.alive:
            self._said("let go")

    def hand_over(self) -> None:
        """See `Proc.hand_over`; noted in the transcript."""
        self._said("handed over")

    def close(self) -> Usage:
        """See `Proc.close`."""
        if self._closed:
            raise RuntimeError("a process tree was closed twice")
        self._closed = True
        self._on_close(self)
        return self._act.usage


class FakeRemains(FakeProc):
    """What an earlier daemon has left on paper; implements `Remaining`."""

    def __init__(
        self,
        pid: int,
        act: Act,
        said: Callable[[str], None],
        closed: Callable[[FakeProc], None],
        now: Callable[[], float],
    ) -> None:
        super().__init__(pid, act, said, closed, outlives=not act.end_lost)
        self._ended = now() + act.seconds if act.seconds <= 0 else None

    @property
    def ended(self) -> float | None:
        """See `Remaining.ended`."""
        return None if self._act.end_lost else self._ended

    @property
    def age(self) -> float | None:
        """See `Remaining.age`."""
        return self._act.age

    async def wait(self) -> int:
        """See `Remaining`."""
        status = await super().wait()
        if self._act.end_lost:
            raise EndLost
        return status

    async def wait_gone(self) -> None:
        """See `Proc.wait_gone`; no time-out comes before the news that nobody is there."""
        if self.alive:
            await super().wait_gone()
        else:
            await trio.lowlevel.cancel_shielded_checkpoint()


class FakeLauncher:
    """A launcher that starts nothing; implements `Launcher`.

    Attributes:
        launches: everything that was asked for, in order.
        open: the process trees that were launched and not yet closed.
        forgotten: the keys of all commands whose ends need not be kept any more.
    """

    def __init__(
        self,
        acts: Acts | None = None,
        note: Callable[[Launch, str], None] | None = None,
        remains: Mapping[str, Act] | None = None,
        now: Callable[[], float] = trio.current_time,
    ) -> None:
        """Start nothing, as `acts` say.

        Args:
            note: told of signals to what was launched.
            remains: what an earlier daemon left alive, by task or `job id/task`: an `Act` that begins when the new
                daemon does. With `seconds` of 0 or less it had ended by then, so many seconds before, and only the
                record of its end is there.
            now: wall time.
        """
        self.launches: list[Launch] = []
        self.open: set[FakeProc] = set()
        self.forgotten: list[str] = []
        self._now = now
        self._acts = dict(acts or {})
        self._note = note or (lambda launch, what: None)
        self._counts: dict[str, int] = {}
        self._started = 0
        self._remains = dict(remains or {})

    async def launch(self, command: Command, env: Mapping[str, str], output: TaskOutput) -> FakeProc:
        """See `Launcher.launch`."""
        launch = Launch(
            trio.current_time(),
            env.get("PRUNNER_PIPELINE", ""),
            env.get("TASK_NAME", ""),
            env.get("PRUNNER_JOB_ID", ""),
            command,
            env,
        )
        act = self._act(launch)
        await trio.sleep(act.launch_seconds)
        self.launches.append(launch)
        if act.launch_error:
            raise LaunchError(act.launch_error)
        say = output.take if isinstance(output, MemoryTaskOutput) else output.write
        say(Stream.STDOUT, act.stdout.encode())
        say(Stream.STDERR, act.stderr.encode())
        return self._proc(launch, act)

    def forget(self, keys: Collection[str]) -> None:
        """See `Launcher.forget`."""
        self.forgotten += keys

    async def remains(self, keys: Collection[str]) -> Mapping[str, FakeRemains]:
        """See `Launcher.remains`."""
        await trio.lowlevel.checkpoint()
        found: dict[str, FakeRemains] = {}
        for key in keys:
            job_id, _, task = key.partition("/")
            act = self._remains.get(key, self._remains.get(task))
            if act is not None:
                launch = Launch(trio.current_time(), "", task, job_id, Command((), "/", key=key), {})
                self._started += 1
                said = partial(self._note, launch)
                proc = FakeRemains(1_000_000 + self._started, act, said, self.open.discard, self._now)
                self.open.add(proc)
                found[key] = proc
        return found

    def _proc(self, launch: Launch, act: Act) -> FakeProc:
        self._started += 1
        pid, said, outlives = 1_000_000 + self._started, partial(self._note, launch), launch.command.outlives
        proc = FakeProc(pid, act, said, self.open.discard, outlives=outlives)
        self.open.add(proc)
        return proc

    def _act(self, launch: Launch) -> Act:
        key = f"{launch.pipeline}/{launch.task}"
        found = self._acts.get(key, self._acts.get(launch.task, Act()))
        if isinstance(found, Act):
            return found
        if callable(found):
            return found(launch)
        turn = self._counts.get(key, 0)
        self._counts[key] = turn + 1
        return found[min(turn, len(found) - 1)]
