"""Plays one run: the real engine, on virtual time, between processes and a store on paper, with a watch on it all."""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager

import attrs
import trio
import trio._core._run as trio_run
import trio.testing
from tests.simulation.disk import Disk, Platter
from tests.simulation.invariants import KILL_TIMEOUT, REAP_TIMEOUT, Known, Violation, Watch
from tests.simulation.plan import STEERING, TASKS, Life, Plan, Step, act, draw_plan
from tests.simulation.steering import Steering

from prunner_trio.definition.pipeline import ON_ERROR, Definitions
from prunner_trio.errors import (
    JobAlreadyFinished,
    JobNotFound,
    PipelineNotFound,
    PrunnerError,
    QueueDisabled,
    QueueFull,
    ShuttingDown,
    StoreError,
)
from prunner_trio.execution import Job, Runner, StopLevel, bus, run_engine
from prunner_trio.execution.seams import Command, TaskOutput, Usage
from prunner_trio.model import Event, EventKind, JobId, JobView, PipelineView, State
from prunner_trio.output.memory import MemoryOutputStore
from prunner_trio.testing import EPOCH, Act, FakeLauncher, FakeProc, Launch

__all__ = ["BACKLOG", "Outcome", "play", "play_seed"]

BACKLOG = 8
"""Events that a subscriber may lag behind in a simulation: few, so that some do."""

PATIENCE = 40.0
"""Seconds after which an operator loses patience with a drain, or somebody cancels what runs for ever."""

TIME_LIMIT = 2000.0
"""Virtual seconds after which a run counts as hanging."""

TURN_LIMIT = 20_000
"""Turns of Trio's loop without time passing after which a run counts as spinning."""

DURATIONS = (0.25, 1.0, 2.0, 6.0)
PARTITIONS = ("", "x", "y")


class Boom(Exception):
    """What goes wrong in a program that embeds the runner."""


@attrs.frozen
class Outcome:
    """What came of a run.

    Attributes:
        violation: the first invariant that did not hold; None if all did.
        transcript: what happened, as lines; only as far as the violation.
        jobs: how many were submitted.
        crashes: how many lives ended by one.
    """

    seed: int
    violation: Violation | None
    transcript: tuple[str, ...]
    jobs: int
    crashes: int


def play_seed(seed: int) -> Outcome:
    """Play the run of a seed: always the same to the letter."""
    return play(draw_plan(seed))


def play(plan: Plan) -> Outcome:
    """Play a run until its end or until an invariant does not hold."""
    with _repeatable(plan.seed):
        return World(plan).play()


@contextmanager
def _repeatable(seed: int) -> Iterator[None]:
    """Let Trio's scheduler take its decisions from the seed.

    Trio shuffles the tasks that are ready with a generator of its own, after sorting them if this private switch is on:
    that is what its own authors offer to property tests. A test here fails if a new version of Trio does it otherwise.
    """
    scheduler, backlog = trio_run._r, bus.BACKLOG
    switch, state = trio_run._ALLOW_DETERMINISTIC_SCHEDULING, scheduler.getstate()
    level = logging.getLogger("prunner_trio").level
    trio_run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]
    bus.BACKLOG = BACKLOG
    scheduler.seed(seed)
    logging.getLogger("prunner_trio").setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        trio_run._ALLOW_DETERMINISTIC_SCHEDULING = switch  # type: ignore[misc]
        bus.BACKLOG = backlog
        scheduler.setstate(state)
        logging.getLogger("prunner_trio").setLevel(level)


class Turns(trio.abc.Instrument):
    """Finds out that a run goes round and round: then the clock never jumps, and no deadline comes."""

    def __init__(self, watch: Watch) -> None:
        self.count = 0
        self._watch = watch

    def before_io_wait(self, timeout: float) -> None:
        self.count += 1
        if self.count == TURN_LIMIT:
            self._watch.expect(False, "everything ends", "the run goes round without time passing")


class World:
    """Everything around the engine, for all lives of a run."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.log: list[tuple[float, str]] = []
        self.platter = Platter()
        self.watch = Watch(self.clock, self.platter.states, self._alarm)
        self.output = MemoryOutputStore()
        self.submitted = 0
        self.ids = 0
        self.crashes = 0
        self.kept: dict[str, PaperProc] = {}
        """What may outlive its runner, by key, until its end need not be kept any more."""
        self._started = 0.0
        self._all = trio.CancelScope()

    def clock(self) -> float:
        """Seconds since the run began."""
        return trio.current_time() - self._started

    def say(self, what: str) -> None:
        """Write a line of the transcript."""
        if not self.watch.violations:
            self.log.append((self.clock(), what))

    def _alarm(self) -> None:
        self._all.cancel()

    def play(self) -> Outcome:
        clock = trio.testing.MockClock(autojump_threshold=0)
        jump, turns = clock.jump, Turns(self.watch)

        def on_jump(seconds: float) -> None:
            turns.count = 0
            self.watch.quiet()
            self.watch.expect(self.clock() < TIME_LIMIT, "everything ends", f"the run hangs after {TIME_LIMIT:g} s")
            jump(seconds)

        clock.jump = on_jump  # type: ignore[method-assign]
        trio.run(self._play, clock=clock, instruments=[turns], strict_exception_groups=True)
        violation = next(iter(self.watch.violations), None)
        lines = tuple(f"{at:8.2f}  {what}" for at, what in self.log)
        return Outcome(self.plan.seed, violation, lines, self.submitted, self.crashes)

    async def _play(self) -> None:
        self._started = trio.current_time()
        with self._all, trio.move_on_after(TIME_LIMIT + 1):  # so that there is always a next moment to jump to
            for number, life in enumerate(self.plan.lives, 1):
                self.say(f"=== life {number}")
                await Living(self, life, last=number == len(self.plan.lives)).run()
            self.watch.the_end([saved.job for saved in self.platter.journal.snapshot()])

    def version(self, choice: int) -> Definitions:
        return self.plan.versions[choice % len(self.plan.versions)]


class Living:
    """One life: a runner and all who deal with it."""

    def __init__(self, world: World, life: Life, *, last: bool) -> None:
        self._world = world
        self._watch = world.watch
        self._life = life
        self._last = last
        self._calls = 0
        self._scope = trio.CancelScope()
        self._over = trio.Event()
        self._runner: Runner
        self._clients: trio.Nursery
        self._disk = Disk(
            world.platter, life.commit_seconds, self._store_called, self._watch.recorded, self._watch.written
        )
        self._launcher = PaperLauncher(world, self)
        self._steering = Steering(world.watch, self)

    def say(self, what: str) -> None:
        """Write a line of the transcript."""
        self._world.say(what)

    def answer(self, answered: Callable[[], None]) -> None:
        """Call this when all that has happened is on the disk."""

        async def wait() -> None:
            try:
                await self._runner.flush()
            except PrunnerError as exc:
                self._watch.expect(False, "no defects", f"the flush failed: {exc}")
            answered()

        self._clients.start_soon(wait)

    @property
    def dead(self) -> bool:
        """Whether the runner has died: what it still does reaches nobody."""
        return self._disk.dead

    def _store_called(self, name: str) -> None:
        self._calls += 1
        if self._calls == self._life.crash_at:
            self._crash(f"during store call {self._calls}: {name}")

    def _crash(self, when: str) -> None:
        if not self.dead:
            self._disk.advance()
            self._world.say(f"--- crash {when}")
            self._world.crashes += 1
            self._disk.dead = True
            if self._life.power_cut:
                self._world.say("--- the power fails")
                self._world.kept.clear()
            self._watch.life_ends(crashed=True)
            self._scope.cancel()

    # ---------------------------------------------------------------------------------------------------- the runner

    async def run(self) -> None:
        kept = [saved.job for saved in self._world.platter.journal.snapshot()]
        definitions = self._world.version(self._life.version)
        with self._scope:
            async with trio.open_nursery() as clients:
                self._clients = clients
                try:
                    await self._serve(definitions, kept)
                except* Boom:
                    pass
                except* Exception as group:  # noqa: BLE001  # whatever it is, it is a finding
                    if not self.dead:
                        self._watch.expect(False, "no defects", f"the engine raised {group.exceptions!r}")
                finally:
                    self._over.set()
                clients.cancel_scope.deadline = trio.current_time() + 10 * max(1.0, self._life.commit_seconds)
            if clients.cancel_scope.cancelled_caught and not self.dead:
                self._watch.expect(False, "who waits is told", "somebody waits for a runner that has ended")
        if not self.dead:
            self._watch.life_ends(crashed=False)
            self._disk.close()

    async def _serve(self, definitions: Definitions, kept: list[JobView]) -> None:
        world = self._world
        with trio.CancelScope() as outer:
            async with run_engine(
                definitions,
                launcher=self._launcher,
                journal=self._disk,
                output=world.output,
                env={},
                cwd="/",
                kill_timeout=KILL_TIMEOUT,
                reap_timeout=REAP_TIMEOUT,
                most_tasks=self._life.most_tasks,
                outlive=self._life.outlive,
                now=lambda: EPOCH + world.clock(),
                new_id=self._new_id,
            ) as runner:
                self._runner = runner
                watching = runner.observe(self._event)
                watching.__enter__()  # until the end of the life, which is later than that of this block
                self._watch.life_begins(runner, definitions, kept, self._life.most_tasks, self._launcher.found)
                began = trio.current_time()
                for step in self._life.steps:
                    await trio.sleep_until(began + step.at)
                    self._do(step)
                await self._end(outer)

    async def _end(self, outer: trio.CancelScope) -> None:
        how, runner = self._life.end, self._runner
        await trio.sleep(self._life.crash_at is None and how in ("drain", "cancel"))
        self._world.say(f"--- end: {how}")
        if self._last:
            await self._let_all_end()
        match how:
            case "drain":
                self._clients.start_soon(self._operator)
            case "cancel" | "kill":
                self._level(StopLevel.CANCEL if how == "cancel" else StopLevel.KILL)
                await runner.finished()
            case "raise":
                self._watch.forced()
                raise Boom
            case "outer cancel":
                self._watch.forced()
                outer.cancel()
                await trio.sleep_forever()
            case "hand over":
                self._clients.start_soon(self._operator)
                await self._hand_over()
                await runner.finished()
            case "hand over and crash":
                self._clients.start_soon(self._hand_over)
                await trio.sleep(0)
                self._crash("during the handover")
                await trio.sleep_forever()
            case "cancel and crash":
                for view in list(runner.live()):
                    self._cancel(self._watch.jobs[view.id])
                await trio.sleep(max(0.25, self._life.commit_seconds))
                self._crash("after the cancel of all jobs")
                await trio.sleep_forever()
            case "crash":
                self._crash("at the end")
                await trio.sleep_forever()
        self._watch.level_up(StopLevel.DRAIN)

    async def _hand_over(self) -> None:
        self._watch.level_up(StopLevel.DRAIN)
        await self._runner.hand_over()
        if self._runner.level is StopLevel.DRAIN and not self.dead:
            self._world.say("> all is let go")
            self._watch.handed_over()

    async def _let_all_end(self) -> None:
        """Wait for all jobs, canceling those that would run for ever."""
        for _ in range(30):
            self._steering.resume_all(self._runner)
            if not list(self._runner.live()):
                break
            await trio.sleep(PATIENCE)
            for view in list(self._runner.live()):
                if view.state is State.RUNNING:
                    self._cancel(self._watch.jobs[view.id])
        self._watch.expect(not list(self._runner.live()), "everything ends", "jobs are left after a long time")
        await trio.sleep(60.0)  # retention has its turn

    async def _operator(self) -> None:
        """Somebody who does not wait for ever for a drain."""
        with trio.move_on_after(PATIENCE) as waited:
            await self._over.wait()
        if waited.cancelled_caught:
            self._level(StopLevel.CANCEL)

    def _level(self, level: StopLevel) -> None:
        self._world.say(f"> {level.name}")
        self._runner.request_shutdown(level)
        self._watch.level_up(level)

    def _new_id(self) -> JobId:
        self._world.ids += 1
        return JobId(f"00000000-0000-4000-8000-{self._world.ids:012d}")

    def _event(self, event: Event) -> None:
        if self.dead:
            return
        known = self._watch.jobs.get(event.job_id)
        who = known.name if known is not None else f"{event.pipeline}#{self._world.submitted}"
        if event.kind in (EventKind.MOVED, EventKind.PIPELINE):
            self._watch.event(event)
            return
        task = f"/{event.task}" if event.task else ""
        self._world.say(f"{who}{task} {event.kind if event.kind == 'removed' else event.state} {event.reason}")
        self._watch.event(event)

    # ---------------------------------------------------------------------------------------------------- operations

    def _do(self, step: Step) -> None:
        now = trio.current_time()
        seconds = DURATIONS[step.choice % len(DURATIONS)]
        match step.verb:
            case "schedule":
                self._schedule(step.choice)
            case "schedule three" | "schedule three on a full disk":
                if step.verb.endswith("full disk"):
                    self._world.say("> the store cannot be written for 0.25 s")
                    self._disk.break_down(now + 0.25)
                for _ in range(3):
                    self._schedule(step.choice)
            case "cancel" | "cancel twice":
                for _ in range(1 + (step.verb == "cancel twice")):
                    self._cancel_some(step.choice)
            case "look":
                self._clients.start_soon(self._look, step.choice)
            case "reload":
                self._reload(self._world.version(step.choice))
            case "hold commits":
                self._world.say(f"> commits are held for {seconds:g} s")
                self._disk.hold(now + seconds)
            case "refuse writes":
                self._world.say(f"> the store cannot be written for {seconds:g} s")
                self._disk.break_down(now + seconds)
            case "refuse reads":
                self._world.say(f"> the store cannot be read for {seconds:g} s")
                self._disk.hide(now + seconds)
            case "follow" | "lag":
                self._clients.start_soon(self._follow, step.verb == "lag")
            case "schedule nonsense":
                self._nonsense()
            case verb if verb in STEERING:
                self._steering.do(self._runner, verb, step.choice)
            case "drain":
                self._level(StopLevel.DRAIN)
            case "shut down":
                self._level(StopLevel.CANCEL)
            case "kill":
                self._level(StopLevel.KILL)

    def _reload(self, definitions: Definitions) -> None:
        self._world.say(f"> reload: {', '.join(definitions.pipelines)}")
        self._watch.reloaded(definitions)
        self._runner.replace_definitions(definitions)

    def _schedule(self, choice: int) -> None:
        pipelines = list(self._runner.definitions)
        if not pipelines:
            return
        pipeline = pipelines[choice % len(pipelines)].name
        partition = PARTITIONS[choice // 7 % len(PARTITIONS)]
        self.offer(
            pipeline, partition, choice, lambda: self._runner.submit(pipeline, partition=partition, user="somebody")
        )

    def offer(self, pipeline: str, partition: str, choice: int, submit: Callable[[], Job]) -> Known | None:
        """Submit a job, and watch what comes of it; None if it was refused."""
        defined = self._runner.definitions.get(pipeline) is not None
        before = self._pipeline(pipeline) if defined else PipelineView(pipeline, False, False, 0)
        self._world.submitted += 1
        try:
            job = submit()
        except ShuttingDown:
            self._watch.expect(self._runner.level > StopLevel.SERVE, "refused for a reason", "nothing is shutting down")
        except (QueueFull, QueueDisabled) as exc:
            self._world.say(f"> schedule {pipeline}: {exc}")
            self._watch.refused(pipeline, exc, before)
        else:
            if self.dead:
                return None
            nth = self._world.submitted
            known = self._watch.submitted(nth, job, partition, before, self._pipeline(pipeline))
            self._world.say(f"> schedule {known.name} {'as one that waits' if known.listed else 'into a slot'}")
            self._clients.start_soon(self._client, known, job, DURATIONS[choice // 3 % 4] if choice % 5 == 0 else None)
            return known
        return None

    def _pipeline(self, name: str) -> PipelineView:
        return next(view for view in self._runner.pipelines() if view.name == name)

    async def _client(self, known: Known, job: Job, patience: float | None) -> None:
        """A client that waits for its answer, perhaps not for long, and then for the end of its job."""
        with trio.move_on_after(patience if patience is not None else float("inf")):
            try:
                await job.saved()
            except StoreError:
                if self._watch.orderly:
                    self._world.say(f"< {known.name} could not be saved")
                    self._watch.not_saved(known)
                return
            self._world.say(f"< {known.name} is accepted")
            self._watch.answered(known)
            try:
                view = await job.wait()
            except ShuttingDown:
                self._watch.expect(
                    not known.state.final and self._runner.level > StopLevel.SERVE,
                    "who waits is told",
                    f"{known.name} was given up early",
                )
            else:
                self._watch.expect(view.state.final, "who waits is told", f"{known.name} is called ended")

    def _nonsense(self) -> None:
        for pipeline in ("nowhere", ""):
            try:
                self._runner.submit(pipeline)
            except (PipelineNotFound, ShuttingDown):
                continue
            self._watch.expect(False, "refused for a reason", "a pipeline that is not defined was accepted")

    def _cancel_some(self, choice: int) -> None:
        jobs = list(self._watch.jobs.values())[-8:]
        if jobs:
            self._cancel(jobs[choice % len(jobs)])

    def _cancel(self, known: Known) -> None:
        """Cancel a job and wait for the answer, as an HTTP request does."""
        was_live, ended = self._runner.job(known.id) is not None, known.state.final
        self._world.say(f"> cancel {known.name}")
        self._watch.cancels(known)
        try:
            self._runner.cancel(known.id, by="somebody")
        except (JobNotFound, JobAlreadyFinished):
            self._watch.expect(not was_live, "accepted jobs stay known", f"{known.name} is live and cannot be canceled")
            self._watch.has_canceled(known, found=False)
            return
        self._watch.has_canceled(known, found=True)
        if known.state.final and not ended and not self.dead:  # it was waiting, and the answer makes that a promise
            self._clients.start_soon(self._flush, known)

    async def _flush(self, known: Known) -> None:
        try:
            await self._runner.flush()
        except PrunnerError as exc:
            self._watch.expect(False, "no defects", f"the flush failed: {exc}")
        self._watch.flushed(known)

    async def _look(self, choice: int) -> None:
        firm = {known.id: known.firm for known in self._watch.jobs.values() if known.firm is not None}
        told = {known.id for known in self._watch.jobs.values() if known.told}
        try:
            listed = await self._runner.jobs(limit=1000)
            views = list(listed)
            jobs = list(self._watch.jobs.values())[-8:]
            one = jobs[choice % len(jobs)] if jobs else None
            if one is not None and one.told and not one.gone:
                views.append(await self._runner.find(one.id))
        except (StoreError, JobNotFound) as exc:
            lost = isinstance(exc, JobNotFound) and one is not None and not one.gone
            self._watch.expect(not lost, "accepted jobs stay known", f"{exc}")
            return
        for view in views:
            self._watch.seen(view, firm.get(view.id))
        numbers = [view.number for view in listed]
        self._watch.expect(
            numbers == sorted(set(numbers), reverse=True), "accepted jobs stay known", f"the listing has {numbers}"
        )
        missing = {job_id for job_id in told - {view.id for view in listed} if not self._watch.jobs[job_id].gone}
        self._watch.expect(not missing, "accepted jobs stay known", f"the listing does not have {missing}")

    async def _follow(self, lag: bool) -> None:
        first, seqs = self._watch.seq + 1, []
        async with self._runner.subscribe() as events:
            async for event in events:
                seqs.append(event.seq)
                if lag:
                    with trio.move_on_after(0.5):
                        await self._over.wait()
        self._watch.subscriber(seqs, first, cut=not self._over.is_set(), backlog=BACKLOG)


class PaperLauncher:
    """Launches on paper; implements `Launcher`."""

    def __init__(self, world: World, living: Living) -> None:
        self._world = world
        self._living = living
        self.found: dict[JobId, dict[str, FakeProc]] = {}
        names = (*TASKS, ON_ERROR)
        self._acts: dict[str, Act] = {}
        self._inner = FakeLauncher(dict.fromkeys(names, self._act), self._signaled)

    def _act(self, launch: Launch) -> Act:
        known = self._world.watch.jobs[JobId(launch.job_id)]
        return act(self._world.plan.seed, known.nth, launch.task)

    def _signaled(self, launch: Launch, what: str) -> None:
        known = self._world.watch.jobs[JobId(launch.job_id)]
        self._world.say(f"{known.name}/{launch.task} gets {what}")

    async def launch(self, command: Command, env: Mapping[str, str], output: TaskOutput) -> "PaperProc":
        if self._living.dead:
            await trio.sleep_forever()
        known, task = self._world.watch.jobs[JobId(env["PRUNNER_JOB_ID"])], env["TASK_NAME"]
        self._world.watch.launching(known, task)
        proc = await self._inner.launch(command, env, output)
        self._world.say(f"{known.name}/{task} has processes")
        self._world.watch.launched(known, task, proc)
        paper = PaperProc(self._world, self._living, known, task, proc)
        if command.outlives:
            self._world.kept[command.key] = paper
        return paper

    async def remains(self, keys: Collection[str]) -> dict[str, "PaperRemains"]:
        await trio.lowlevel.checkpoint()
        if self._living.dead:
            return {}
        self._world.kept = {key: paper for key, paper in self._world.kept.items() if key in keys}
        left = {key: PaperRemains(self._world, self._living, paper) for key, paper in self._world.kept.items()}
        for remains in left.values():
            self.found.setdefault(remains.known.id, {})[remains.task] = remains.inner
        self._world.kept.update(left)
        return left

    def forget(self, keys: Collection[str]) -> None:
        if not self._living.dead:
            for key in keys:
                self._world.kept.pop(key, None)


class PaperProc:
    """A process tree on paper that is watched and dies with its runner; implements `Proc`."""

    def __init__(self, world: World, living: Living, known: Known, task: str, inner: FakeProc) -> None:
        self._world = world
        self._living = living
        self._known = self.known = known
        self._task = self.task = task
        self._inner = self.inner = inner
        self._immortal = act(world.plan.seed, known.nth, task).immortal
        self._let_go = False
        self._handed_over = False
        self.closed = False

    @property
    def pid(self) -> int:
        return self._inner.pid

    async def wait(self) -> int:
        status = await self._inner.wait()
        if not self._living.dead:
            self._world.watch.exited(self._known, self._task, status)
        return status

    @property
    def gone(self) -> bool:
        return self._living.dead or self.closed or not self._inner.alive

    async def wait_gone(self) -> None:
        if self._living.dead:
            return
        await self._inner.wait_gone()

    @property
    def outlives(self) -> bool:
        return self._inner.outlives

    def hand_over(self) -> None:
        self._handed_over = True

    def signal_tree(self, sig: int) -> None:
        if not self._living.dead and self._inner.alive:
            self._world.watch.signaled(self._known, self._task)
        self._tell(lambda: self._inner.signal_tree(sig))

    def signaled(self) -> tuple[str, ...]:
        return self._inner.signaled()

    def let_go(self) -> None:
        self._let_go = True
        self._tell(self._inner.let_go)

    def close(self) -> Usage:
        alive = self._inner.alive
        if self._living.dead:
            return Usage() if self.outlives else self._inner.close()
        if self._handed_over:
            self._world.watch.passed_on(self._known, self._task)
            return Usage()
        self.closed = True
        self._world.watch.closed(
            self._known, self._task, alive=alive and not self._let_go, immortal=self._immortal, let_go=self._let_go
        )
        try:
            return self._inner.close()
        except RuntimeError as exc:
            self._world.watch.expect(False, "trees are left alone once closed", f"{self._known.name}: {exc}")
            raise

    def _tell(self, what: Callable[[], None]) -> None:
        if self._living.dead:
            return
        try:
            what()
        except RuntimeError as exc:
            self._world.watch.expect(False, "trees are left alone once closed", f"{self._known.name}: {exc}")


class PaperRemains(PaperProc):
    """What an earlier runner has left: the tree itself, or, if that had been closed, just the record of its end."""

    def __init__(self, world: World, living: Living, left: PaperProc) -> None:
        super().__init__(world, living, left.known, left.task, left.inner)
        self.closed = left.closed

    @property
    def ended(self) -> float | None:
        ends = self._inner._ends
        return EPOCH + ends - self._world._started if ends <= trio.current_time() else None

    @property
    def age(self) -> float | None:
        return None

    async def wait_gone(self) -> None:
        if self.closed or not self._inner.alive:
            await trio.lowlevel.cancel_shielded_checkpoint()
        else:
            await super().wait_gone()

    def signal_tree(self, sig: int) -> None:
        if not self.closed:
            super().signal_tree(sig)

    def close(self) -> Usage:
        if not self.closed:
            return super().close()
        if not self._living.dead:
            self._world.watch.closed(self._known, self._task, alive=False, immortal=False, let_go=False)
        return Usage()
