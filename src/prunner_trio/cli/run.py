"""The command that runs one job in the foreground: run."""

import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import attrs
import trio

from prunner_trio.cli.assigned import assigned_variables
from prunner_trio.cli.definitions import no_such_pipeline, show_problems
from prunner_trio.cli.flags import Parsed
from prunner_trio.cli.live import LiveOutput
from prunner_trio.cli.screen import Screen
from prunner_trio.daemon.logs import set_up_logs
from prunner_trio.daemon.world import World, look_around
from prunner_trio.definition import ON_ERROR, Definitions, PipelineDef, load_definitions
from prunner_trio.errors import InvalidDefinition, PrunnerError
from prunner_trio.execution import Job, Runner, StopLevel, run_engine
from prunner_trio.launch import missing_limits, open_launcher
from prunner_trio.model import Event, EventKind, JobView, State
from prunner_trio.model.reasons import in_words, state_in_words
from prunner_trio.storage import MemoryJournal

__all__ = ["run"]

CANCELED = 130


def run(parsed: Parsed) -> int:
    """Run one job of one pipeline without a daemon; return its exit status."""
    values = parsed.values
    set_up_logs(verbose=False, plain=values.switch("disable-ansi"))
    logging.getLogger("prunner_trio").setLevel(logging.WARNING)
    try:
        world = look_around(dict(os.environ), values.list("env-files"))
        definitions = load_definitions(values.text("pattern"), Path(values.text("path")), missing_limits)
        pipeline = definitions.get(parsed.operands[0])
        if pipeline is None:
            return no_such_pipeline(definitions, parsed.operands[0])
        foreground = _Foreground(pipeline, assigned_variables(values), world, plain=values.switch("disable-ansi"))
        return trio.run(foreground.run, strict_exception_groups=True)
    except InvalidDefinition as exc:
        return show_problems(exc)
    except (PrunnerError, OSError) as exc:
        print(exc, file=sys.stderr)
        return 1


@attrs.define(eq=False)
class _Foreground:
    """One job, its output on this terminal, and the signals of whoever sits there."""

    pipeline: PipelineDef
    variables: Mapping[str, object]
    world: World
    plain: bool
    _stops: int = attrs.field(default=0, init=False)
    _runner: Runner | None = attrs.field(default=None, init=False)
    _job: Job | None = attrs.field(default=None, init=False)

    async def run(self) -> int:
        """Run the job to its end, show all of its output, and return the exit status."""
        refusal: PrunnerError | None = None
        view: JobView | None = None
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
            async with trio.open_nursery() as nursery:
                async with trio.open_nursery() as pumps:
                    screen = Screen(1, 2, colored=self._colored)
                    nursery.start_soon(self._hear, signals, screen, nursery, pumps, name="signals")
                    tasks: dict[str, Sequence[str]] = {task.name: task.depends_on for task in self.pipeline.tasks}
                    if self.pipeline.on_error is not None:
                        tasks[ON_ERROR] = tuple(tasks)
                    output = LiveOutput(pumps, screen, tasks)
                    try:
                        view = await self._job_to_its_end(output, screen)
                    except PrunnerError as exc:
                        refusal = exc
                nursery.cancel_scope.cancel()
        if refusal is not None:
            raise refusal
        return _exit_status(view) if view is not None else CANCELED

    async def _job_to_its_end(self, output: LiveOutput, screen: Screen) -> JobView:
        # One job in the foreground waits for nobody: neither for a quiet moment nor for a slot.
        pipeline = attrs.evolve(self.pipeline, start_delay=0.0)
        async with (
            open_launcher(alone=True) as launcher,
            run_engine(
                Definitions.of(pipeline),
                launcher=launcher,
                journal=MemoryJournal(),
                output=output,
                env=self.world.env,
                cwd=self.world.cwd,
                shell=self.world.shell,
                most_tasks=launcher.most_tasks,
            ) as runner,
            runner.subscribe() as events,
        ):
            self._runner = runner
            self._job = job = runner.submit(pipeline.name, variables=self.variables)
            if self._stops:
                job.cancel()
            await self._tell(events, output, screen)
            view = await job.wait()
        await screen.note(_summary(view), good=view.state is State.DONE)
        return view

    async def _tell(self, events: AsyncIterator[Event], output: LiveOutput, screen: Screen) -> None:
        async for event in events:
            if event.kind is EventKind.JOB and event.state.final:
                return
            if event.kind is EventKind.TASK and event.state in (State.DONE, State.ERROR):
                await output.shown(event.task)
                reason = f": {in_words(event.reason)}" if event.reason else ""
                await screen.note(f"{event.task} {state_in_words(event.state)}{reason}", good=event.state is State.DONE)

    async def _hear(
        self, signals: AsyncIterator[int], screen: Screen, nursery: trio.Nursery, pumps: trio.Nursery
    ) -> None:
        async for _ in signals:
            self._stops += 1
            if self._job is None or self._runner is None:
                continue
            if self._job.state.final or self._stops > 2:
                pumps.cancel_scope.cancel()
            elif self._stops == 1:
                self._job.cancel()
                # Not here: the terminal may be stuck, and the next signal must be heard all the same.
                nursery.start_soon(partial(screen.note, "canceling; once more kills", good=False))
            else:
                self._runner.request_shutdown(StopLevel.KILL)

    def _colored(self, fd: int) -> bool:
        return os.isatty(fd) and not self.plain and not os.environ.get("NO_COLOR")


def _summary(view: JobView) -> str:
    seconds = f" after {view.ended - view.started:.1f} s" if view.started and view.ended else ""
    reason = f": {view.error}" if view.error and view.state is State.ERROR else ""
    return f"{view.pipeline} {state_in_words(view.state)}{seconds}{reason}"


def _exit_status(view: JobView) -> int:
    if view.state is State.DONE:
        return 0
    if view.state is State.CANCELED:
        return CANCELED
    failed = [task for task in view.tasks if task.failed and task.ended is not None]
    first = min(failed, key=lambda task: task.ended or 0.0, default=None)
    return first.exit_code if first is not None and 0 < first.exit_code < 256 else 1
