"""Logs of limited size, and that the copying into them changes nothing of how tasks end."""

import math

import pytest
import trio

from prunner_trio.definition.pipeline import Definitions, Orphans, PipelineDef
from prunner_trio.errors import ProcessesSurvived
from prunner_trio.execution import run_engine
from prunner_trio.execution.copying import copying
from prunner_trio.execution.seams import Stream
from prunner_trio.model import State, StopReason
from prunner_trio.output import MemoryOutputStore
from prunner_trio.testing import Act, FakeLauncher, MemoryJournal, simulate

FOREVER = math.inf
LONG = "".join(f"line {number}\n" for number in range(5000))


def logs(pipeline, act, *, log_limit=None, cancel_at=None):
    """Run one job; return the two logs of its task."""
    found = []

    async def main():
        async with run_engine(
            Definitions.of(pipeline),
            launcher=FakeLauncher({"t": act}),
            journal=MemoryJournal(),
            output=MemoryOutputStore(),
            env={},
            cwd="/",
            log_limit=log_limit,
        ) as runner:
            job = await runner.schedule("p")
            if cancel_at is not None:
                await trio.sleep(cancel_at)
                job.cancel()
            await job.wait()
            for stream in Stream:
                found.append((await runner.output.read(job.id, "t", stream, 0, 1 << 20)).decode())

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    return tuple(found)


def test_both_logs_have_the_beginning_the_end_and_what_is_missing(one):
    for log in logs(one(log_limit=8192), Act(1, stdout=LONG, stderr=LONG)):
        assert len(log) <= 8192
        assert log.startswith("line 0\nline 1\n")
        assert log.endswith("line 4998\nline 4999\n")
        beginning, _, rest = log.partition("prunner-trio: log limit of 8 KiB reached, ")
        left_out, _, end = rest.partition(" bytes left out here\n")
        assert len(beginning) + int(left_out) + len(end) == len(LONG)


@pytest.mark.parametrize("cancel_at", [None, 5])
def test_the_log_is_complete_however_the_task_ends(one, cancel_at):
    out, _ = logs(one(log_limit=8192), Act(10, stdout=LONG), cancel_at=cancel_at)
    assert out.endswith("line 4999\n")


@pytest.mark.parametrize(
    ("of_task", "of_pipeline", "of_runner", "limited"),
    [
        (None, None, None, False),
        (None, None, 4096, True),
        (None, 4096, None, True),
        (4096, None, None, True),
        (None, 0, 4096, False),
        (0, 4096, 4096, False),
        (4096, 0, None, True),
    ],
)
def test_the_word_of_a_task_wins_over_its_pipeline_and_that_over_the_runner(
    one, of_task, of_pipeline, of_runner, limited
):
    out, _ = logs(one(task={"log_limit": of_task}, log_limit=of_pipeline), Act(stdout=LONG), log_limit=of_runner)
    assert (out != LONG, len(out) <= 4096) == (limited, limited)


@pytest.mark.parametrize("keys", [{"orphans": Orphans.KEEP}, {"task": {"orphans": Orphans.KEEP}}])
def test_the_limit_of_the_runner_is_not_for_tasks_whose_processes_may_outlive_them(one, keys):
    assert logs(one(**keys), Act(stdout=LONG), log_limit=4096) == (LONG, "")


def test_what_the_runner_says_is_not_cut_and_stands_before_and_behind_what_processes_say(one):
    spec = one(log_limit=4096)
    _, err = logs(spec, Act(1, stderr=LONG, leftovers=FOREVER))
    assert err.endswith("line 4999\nprunner-trio: stopped 1 process left in the background: fake (pid 1000001)\n")
    assert len(err[: err.rindex("prunner-trio")]) <= 4096


def test_a_note_from_before_the_launch_comes_first(one):
    said = []

    async def scenario(rig):
        job = await rig.schedule("p", **{"odd-name": 1, "odd name": 2})
        await job.wait()
        said.append((await rig.output.read(job.id, "t", Stream.STDERR, 0, 9999)).decode())

    simulate(one(log_limit=4096), scenario, {"t": Act(1, stderr="mine\n")})
    first, second = said[0].splitlines()
    assert first.startswith("prunner-trio: ")
    assert second == "mine"


def test_the_handler_of_a_failure_gets_the_end(task):
    handler = task("on_error", script=("{{ .failedTaskStdout }}",))
    pipeline = PipelineDef("p", (task("t", log_limit=8192),), on_error=handler)
    launched = []

    async def scenario(rig):
        await (await rig.schedule("p")).wait()
        launched.extend(rig.launcher.launches)

    simulate(pipeline, scenario, {"t": Act(1, exit_code=3, stdout=LONG)})
    (text,) = launched[1].entries
    assert text.startswith("line 0\n")
    assert "left out here\n" in text
    assert text.endswith("line 4999\n")


class PaperOutput:
    """Output whose copying does what a test wants, and tells when."""

    def __init__(self, copy):
        self._copy = copy
        self.happened = []

    def open(self, job_id, task, limit=None, mask=None):
        self.note(f"open {limit}")
        return self

    def note(self, what):
        self.happened.append((trio.current_time(), what))

    def write(self, stream, data):
        pass

    async def copy(self):
        try:
            await self._copy()
            self.note("copied")
        except trio.Cancelled:
            self.note("stopped")
            raise

    def close(self):
        self.note("closed")


def run(pipeline, act, copy, *, cancel_at=None, launcher=None):
    """Run one job to its end; return what became of it and of the copying."""
    output, views = PaperOutput(copy), []

    async def main():
        used = launcher or FakeLauncher({"t": act})
        async with run_engine(
            Definitions.of(pipeline), launcher=used, journal=MemoryJournal(), output=output, env={}, cwd="/"
        ) as runner:
            job = await runner.schedule("p")
            if launcher is not None:
                launcher.job = job
            if cancel_at is not None:
                await trio.sleep(cancel_at)
                job.cancel()
            views.append(await job.wait())
        assert used.open == set()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    return views[0], output.happened


def test_nothing_is_copied_without_a_limit(one):
    _, happened = run(one(), Act(1), trio.sleep_forever)
    assert happened == [(0, "open None"), (1, "closed")]


def test_the_end_of_the_processes_ends_the_copying(one):
    view, happened = run(one(log_limit=4096), Act(1), trio.sleep_forever)
    assert view.state is State.DONE
    assert happened == [(0, "open 4096"), (1, "stopped"), (1, "closed")]


def test_the_end_of_the_copying_does_not_end_the_task(one):
    view, happened = run(one(log_limit=4096), Act(5, exit_code=3), trio.lowlevel.checkpoint)
    assert view.tasks[0].exit_code == 3
    assert happened == [(0, "open 4096"), (0, "copied"), (5, "closed")]


def test_what_processes_say_while_they_are_stopped_is_still_copied(one):
    view, happened = run(
        one(log_limit=4096, kill_timeout=10.0), Act(FOREVER, on_sigint=4), trio.sleep_forever, cancel_at=2
    )
    assert view.state is State.CANCELED
    assert happened == [(0, "open 4096"), (6, "stopped"), (6, "closed")]


def test_copying_lasts_until_nobody_is_left_in_the_background(one):
    view, happened = run(one(log_limit=4096, orphans=Orphans.WAIT), Act(1, leftovers=60), trio.sleep_forever)
    assert view.state is State.DONE
    assert happened == [(0, "open 4096"), (61, "stopped"), (61, "closed")]


def test_survivors_cannot_keep_the_copying(one):
    view, happened = run(one(log_limit=4096), Act(FOREVER, immortal=True), trio.sleep_forever, cancel_at=1)
    assert "survived SIGKILL" in view.tasks[0].reason
    assert view.tasks[0].state is State.ERROR
    assert happened == [(0, "open 4096"), (8, "stopped"), (8, "closed")]


def test_a_time_out_is_one_with_a_limit_too(one):
    view, happened = run(one(task={"timeout": 3.0, "log_limit": 4096}), Act(FOREVER), trio.sleep_forever)
    assert view.error == "timed out after 3s"
    assert happened[1:] == [(3, "stopped"), (3, "closed")]


def test_a_launch_that_fails_is_what_it_is_with_a_limit_too(one):
    view, happened = run(one(log_limit=4096), Act(launch_error="no such program"), trio.sleep_forever)
    assert view.error == "no such program"
    assert happened == [(0, "open 4096"), (0, "closed")]


def test_a_defect_in_the_copying_ends_the_job_and_its_processes(one):
    async def broken():
        await trio.sleep(1)
        raise RuntimeError("a defect")

    view, happened = run(one(log_limit=4096), Act(FOREVER), broken)
    assert (view.state, view.error, view.stop.reason) == (State.ERROR, "internal error", StopReason.INTERNAL)
    assert happened == [(0, "open 4096"), (1, "closed")]


class CancelsAtLaunch(FakeLauncher):
    """Cancels the job in the step in which its process comes to be."""

    job = None

    async def launch(self, command, env, output):
        proc = await super().launch(command, env, output)
        self.job.cancel()
        return proc


def test_a_process_has_an_owner_from_its_first_moment(one):
    launcher = CancelsAtLaunch({"t": Act(FOREVER, launch_seconds=1)})
    view, happened = run(one(log_limit=4096), None, trio.sleep_forever, launcher=launcher)
    assert view.state is State.CANCELED
    assert happened[-1] == (1, "closed")


def test_a_task_that_has_ended_stays_ended_if_a_cancel_comes_with_the_end_of_the_copying(one):
    job = []

    async def copy():
        try:
            await trio.sleep_forever()
        finally:
            job[0].cancel()

    class Launcher(FakeLauncher):
        @property
        def job(self):
            return job[0]

        @job.setter
        def job(self, value):
            job.append(value)

    view, _ = run(one(log_limit=4096), None, copy, launcher=Launcher({"t": Act(1)}))
    assert view.tasks[0].state is State.DONE


def test_exceptions_come_out_of_the_block_as_they_are():
    output = PaperOutput(trio.sleep_forever)

    async def main():
        async with copying(output):
            await trio.sleep(1)
            raise ProcessesSurvived("somebody is there")

    with pytest.raises(ProcessesSurvived):
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
