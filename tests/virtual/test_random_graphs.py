"""Whatever the graph, the behavior of the processes and the moment of a cancel: the promises hold."""

import math

import attrs
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prunner_trio.definition.pipeline import PipelineDef, TaskDef
from prunner_trio.execution import StopLevel
from prunner_trio.model import EventKind, State, StopReason
from prunner_trio.testing import Act, simulate

MOMENTS = st.sampled_from([0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0])
REACTIONS = st.sampled_from([0.0, 0.0, 0.0, 0.5, 1.5, None, math.inf])

ACTS = st.builds(
    Act,
    seconds=st.sampled_from([0.0, 0.0, 0.5, 1.0, 1.0, 2.0, math.inf]),
    exit_code=st.sampled_from([0, 0, 0, 0, 1, 3, -9]),
    on_sigint=REACTIONS,
    on_sigterm=REACTIONS,
    leftovers=st.sampled_from([0.0, 0.0, 0.0, 1.0, math.inf]),
    immortal=st.sampled_from([False] * 15 + [True]),
    launch_seconds=st.sampled_from([0.0, 0.0, 0.5]),
    launch_error=st.sampled_from([""] * 12 + ["no such program"]),
)


@attrs.frozen
class Case:
    pipeline: PipelineDef
    acts: dict
    stop_at: float
    how: str


@st.composite
def cases(draw):
    count = draw(st.integers(1, 12))
    names = [f"t{n:02}" for n in range(count)]
    tasks, acts = [], {}
    for position, name in enumerate(names):
        needs = draw(st.sets(st.sampled_from(names[:position]), max_size=3)) if position else set()
        tasks.append(
            TaskDef(
                name,
                ("work",),
                tuple(sorted(needs)),
                allow_failure=draw(st.sampled_from([False, False, False, True])),
                timeout=draw(st.sampled_from([None, None, None, 1.5, 4.0])),
                kill_timeout=draw(st.sampled_from([None, None, 0.0, 3.0])),
            )
        )
        acts[name] = draw(ACTS)
    pipeline = PipelineDef(
        "p",
        tuple(tasks),
        continue_running_tasks_after_failure=draw(st.booleans()),
        timeout=draw(st.sampled_from([None, None, 2.5])),
        on_error=draw(st.sampled_from([None, TaskDef("on_error", ("work",), timeout=3.0)])),
    )
    acts["on_error"] = draw(ACTS)
    how = draw(st.sampled_from(["nothing", "cancel", "drain", "shutdown", "kill"]))
    return Case(pipeline, acts, draw(MOMENTS), how)


async def stop(rig, job, case):
    await rig.at(case.stop_at)
    match case.how:
        case "cancel":
            job.cancel()
        case "drain":
            rig.runner.request_shutdown(StopLevel.DRAIN)
        case "shutdown":
            rig.runner.request_shutdown(StopLevel.CANCEL)
        case "kill":
            rig.runner.request_shutdown(StopLevel.KILL)
    await rig.at(60)  # whatever would run for ever is stopped in the end
    if not job.state.final:
        job.cancel()


def check(case, view, rig, events):
    tasks = {task.name: task for task in view.tasks}
    specs = {task.name: task for task in case.pipeline.tasks}

    assert view.state.final
    assert all(task.state.final for task in view.tasks)
    assert rig.launcher.open == set(), "a process tree was never closed"

    last = [event for event in events if event.kind is EventKind.JOB][-1]
    assert events[-1] is last, "the job's final event comes last"
    assert last.state is view.state

    for name, spec in specs.items():
        task = tasks[name]
        passed = all(
            tasks[need].state is State.DONE or (tasks[need].state is State.ERROR and tasks[need].allow_failure)
            for need in spec.depends_on
        )
        assert passed or task.started is None, f"{name} ran although a dependency had not passed"
        if task.started is not None:
            assert all(tasks[need].ended <= task.started for need in spec.depends_on)
        if task.state in (State.DONE, State.ERROR):
            assert task.started is not None
            assert task.ended is not None

    failed = [task for task in view.tasks if task.failed and task.name != "on_error"]
    canceled = [task for task in view.tasks if task.state is State.CANCELED and task.name != "on_error"]
    if view.state is State.DONE:
        assert not failed
        assert not canceled
    if view.state is State.ERROR:
        assert failed or view.stop.reason is StopReason.TIMEOUT
        assert view.error
    if view.state is State.CANCELED:
        assert view.stop.reason in (StopReason.USER, StopReason.SHUTDOWN)
        assert canceled or view.started is None
    if case.how == "nothing" and view.stop is None and not failed:
        assert view.state is State.DONE
    if "on_error" in tasks:
        assert view.state is State.ERROR
        others = [task.ended for task in view.tasks if task.name != "on_error" and task.ended is not None]
        handler = tasks["on_error"]
        assert handler.started is None or handler.started >= max(others)

    runs = [launch.task for launch in rig.launcher.launches]
    assert len(runs) == len(set(runs)), "a task was launched twice"


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases())
def test_every_job_ends_with_all_promises_kept(case):
    async def scenario(rig):
        events = []
        with rig.runner.observe(events.append):
            job = await rig.schedule("p")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stop, rig, job, case)
                view = await job.wait()
                nursery.cancel_scope.cancel()
        check(case, view, rig, events)

    simulate(case.pipeline, scenario, case.acts)
