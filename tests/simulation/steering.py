"""What people do in a simulation to jobs that are there: retries, moves, pauses, cancels of single tasks."""

from collections.abc import Callable
from typing import Protocol

from tests.simulation.invariants import Known, Watch
from tests.simulation.wait_lists import order_of

from prunner_trio.definition.pipeline import ON_ERROR, PipelineDef
from prunner_trio.errors import (
    JobNotFinished,
    JobNotFound,
    JobNotStarted,
    JobNotWaiting,
    NothingToRetry,
    PipelineNotFound,
    TaskAlreadyFinished,
    TaskNotFound,
    TasksChanged,
)
from prunner_trio.execution import Job, Runner
from prunner_trio.model import JobView, State

__all__ = ["Steering"]


class Around(Protocol):
    """What the steering needs of a life."""

    @property
    def dead(self) -> bool: ...

    def say(self, what: str) -> None: ...

    def offer(self, pipeline: str, partition: str, choice: int, submit: Callable[[], Job]) -> Known | None:
        """Submit a job, and watch what comes of it; None if it was refused."""
        ...

    def answer(self, answered: Callable[[], None]) -> None:
        """Call this when all that has happened is on the disk."""
        ...


class Steering:
    """Does what the steps of a life say, and checks the answers."""

    def __init__(self, watch: Watch, around: Around) -> None:
        self._watch = watch
        self._around = around

    def do(self, runner: Runner, verb: str, choice: int) -> None:
        """Do one thing."""
        match verb:
            case "retry" | "retry what failed":
                self._retry(runner, choice, only_failed=verb.endswith("failed"))
            case "move":
                self._move(runner, choice)
            case "pause" | "resume":
                self._set_pause(runner, choice, pause=verb == "pause")
            case "cancel a task":
                self._cancel_task(runner, choice)

    def resume_all(self, runner: Runner) -> None:
        """Resume whatever is paused."""
        for name in sorted({known.pipeline for known in self._watch.jobs.values()} | set(runner.definitions.pipelines)):
            if runner.pause_of(name) is not None:
                self._tell(runner, name, pause=False)

    # ------------------------------------------------------------------------------------------------------- retries

    def _retry(self, runner: Runner, choice: int, *, only_failed: bool) -> None:
        jobs = [known for known in self._watch.jobs.values() if not known.gone][-8:]
        if not jobs:
            return
        known = jobs[choice % len(jobs)]
        live = runner.job(known.id)
        original = live.view() if live is not None else known.firm or known.ended
        if original is None:
            return
        definition = runner.definitions.get(known.pipeline)
        self._around.say(f"> retry {known.name}{', what failed' if only_failed else ''}")
        wanted = _kept(original, definition) if only_failed and definition is not None else set()

        def submit() -> Job:
            return runner.submit_retry(original, only_failed=only_failed, by="somebody")

        try:
            retry = self._around.offer(known.pipeline, original.partition, choice, submit)
        except JobNotFinished:
            self._true(not original.state.final, f"{known.name} has ended")
        except PipelineNotFound:
            self._true(definition is None, f"{known.pipeline} is defined")
        except TasksChanged:
            self._true(definition is not None and wanted is None, f"{known.name} has the same tasks as before")
        except NothingToRetry:
            self._true(
                wanted is not None and definition is not None and len(wanted) == len(definition.tasks), known.name
            )
        else:
            if retry is not None:
                view = runner.job(retry.id)
                assert view is not None
                self._watch.expect(
                    view.view().retry_of == known.id and set(retry.kept) == wanted,
                    "a retry keeps what was done",
                    f"{retry.name} keeps {sorted(retry.kept)} of {known.name}, which has done {wanted}",
                )
                for task, job_id in retry.kept.items():
                    ran = self._watch.jobs[job_id]
                    self._watch.expect(
                        job_id == known.id or known.kept.get(task) == job_id,
                        "a retry keeps what was done",
                        f"{retry.name}/{task} is said to be run by {ran.name}",
                    )

    # ---------------------------------------------------------------------------------------------------------- lists

    def _move(self, runner: Runner, choice: int) -> None:
        jobs = [known for known in self._watch.jobs.values() if runner.job(known.id) is not None]
        waiting = [known for known in jobs if known.id in order_of(runner, known.pipeline)]
        jobs = waiting if waiting and choice % 5 else jobs[-8:] or list(self._watch.jobs.values())[-8:]
        if not jobs:
            return
        known = jobs[choice % len(jobs)]
        before = order_of(runner, known.pipeline)
        others = [job_id for job_id in before if job_id != known.id]
        place = choice // 7 % (len(others) + 2)
        self._around.say(f"> move {known.name} to {place + 1}")
        way = choice // 3 % 3
        try:
            if way == 0 and place < len(others):
                runner.move(known.id, before=others[place], by="somebody")
            elif way == 1 and 0 < place <= len(others):
                runner.move(known.id, after=others[place - 1], by="somebody")
            else:
                runner.move(known.id, to=place + 1, by="somebody")
        except JobNotFound:
            self._true(runner.job(known.id) is None, f"{known.name} is live")
            return
        except JobNotWaiting:
            self._true(known.id not in before, f"{known.name} is on the list")
            return
        if self._around.dead:
            return
        others.insert(place, known.id)
        after = order_of(runner, known.pipeline)
        self._watch.expect(
            known.id in before and after == others,
            "a move holds",
            f"{known.name} was to be moved to {place + 1} of {before}, and the list is {after}",
        )
        self._around.answer(self._watch.moved(known.pipeline, after))

    def _set_pause(self, runner: Runner, choice: int, *, pause: bool) -> None:
        names = sorted(runner.definitions.pipelines)
        if names:
            self._tell(runner, names[choice % len(names)], pause=pause)

    def _tell(self, runner: Runner, name: str, *, pause: bool) -> None:
        self._around.say(f"> {'pause' if pause else 'resume'} {name}")
        (runner.pause if pause else runner.resume)(name, by="somebody")
        answered = self._watch.lists.told(name, pause=pause)
        if not self._around.dead:
            self._around.answer(answered)

    # ---------------------------------------------------------------------------------------------------- single tasks

    def _cancel_task(self, runner: Runner, choice: int) -> None:
        jobs = [known for known in self._watch.jobs.values() if runner.job(known.id) is not None]
        running = [known for known in jobs if known.state is State.RUNNING]
        jobs = running if running and choice % 5 else list(self._watch.jobs.values())[-8:]
        if not jobs:
            return
        known = jobs[choice % len(jobs)]
        names = [*(task.name for task in known.definition.tasks), ON_ERROR]
        task = names[choice // 5 % len(names)]
        live = runner.job(known.id)
        state = known.tasks.get(task)
        self._around.say(f"> cancel {known.name}/{task}")
        try:
            runner.cancel_task(known.id, task, by="somebody")
        except JobNotFound:
            self._true(live is None, f"{known.name} is live")
        except JobNotStarted:
            self._true(known.state is State.WAITING, f"{known.name} has started")
        except TaskNotFound:
            self._true(task == ON_ERROR and state is None, f"{known.name} has {task}")
        except TaskAlreadyFinished:
            self._true(state is not None and state.final, f"{known.name}/{task} is {state}")
        else:
            if live is not None and not self._around.dead:
                view = live.view().task(task)
                assert view is not None
                self._watch.task_canceled(known, task, noted=view.stop is not None)

    def _true(self, holds: object, what: str) -> None:
        self._watch.expect(self._around.dead or holds, "refused for a reason", what)


def _kept(job: JobView, definition: PipelineDef) -> set[str] | None:
    """Return what a retry is to keep; None if the tasks are others."""
    before = {task.name: task for task in job.tasks if task.name != ON_ERROR}
    if {name: set(task.depends_on) for name, task in before.items()} != {
        task.name: set(task.depends_on) for task in definition.tasks
    }:
        return None
    kept: set[str] = set()
    grown = True
    while grown:
        more = {n for n, task in before.items() if task.state is State.DONE and kept.issuperset(task.depends_on)}
        grown, kept = more != kept, more
    return kept
