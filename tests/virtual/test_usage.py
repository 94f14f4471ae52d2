"""What tasks have used is kept with them, and a limit that was in the way is named as the reason."""

import pytest

from prunner_trio.definition.pipeline import Limits
from prunner_trio.execution.seams import Usage
from prunner_trio.testing import Act, simulate

FOREVER = float("inf")
ROOM = 64 << 20


def task_of(pipeline, act, *, cancel_at=None):
    views = []

    async def scenario(rig):
        job = await rig.schedule("p")
        if cancel_at is not None:
            await rig.at(cancel_at)
            job.cancel()
        views.append(await job.wait())

    simulate(pipeline, scenario, {"t": act})
    return views[0].tasks[0]


@pytest.mark.parametrize(
    ("exit_code", "reached", "reason"),
    [
        (-9, {"memory"}, "killed: out of memory (limit 64 MiB)"),
        (137, {"memory"}, "killed: out of memory (limit 64 MiB)"),
        (2, {"memory"}, "exit status 2, a process was killed: out of memory (limit 64 MiB)"),
        (2, {"processes"}, "exit status 2, no more than 9 processes were allowed"),
        (137, {}, "exit status 137"),
    ],
)
def test_a_limit_that_was_in_the_way_of_a_failed_task_is_named(one, exit_code, reached, reason):
    pipeline = one(task={"limits": Limits(processes=9)}, limits=Limits(memory=ROOM, processes=1000))
    task = task_of(pipeline, Act(1, exit_code=exit_code, usage=Usage(reached=frozenset(reached))))
    assert task.reason == reason
    assert task.exit_code == (137 if exit_code == -9 else exit_code)


def test_a_task_that_succeeds_all_the_same_has_no_reason(one):
    task = task_of(one(limits=Limits(memory=ROOM)), Act(1, usage=Usage(reached=frozenset({"memory"}))))
    assert (task.state.value, task.reason) == ("done", "")


@pytest.mark.parametrize("cancel_at", [None, 5])
def test_what_a_task_has_used_is_kept_however_it_ends(one, cancel_at):
    act = Act(10, on_sigint=0, usage=Usage(1.5, 4096))
    task = task_of(one(), act, cancel_at=cancel_at)
    assert (task.cpu_seconds, task.peak_memory) == (1.5, 4096)


def test_what_a_timed_out_task_has_used_is_kept(one):
    task = task_of(one(task={"timeout": 3.0}), Act(FOREVER, usage=Usage(1.5, 4096)))
    assert (task.cpu_seconds, task.peak_memory) == (1.5, 4096)


def test_a_task_that_never_ran_has_used_nothing_known(one):
    task = task_of(one(), Act(launch_error="no such program"))
    assert (task.cpu_seconds, task.peak_memory) == (None, None)
