"""What the runner's surroundings say while they work for a task, a job or nobody, is known to be about them."""

import math

from prunner_trio.definition.pipeline import PipelineDef, TaskDef
from prunner_trio.execution.context import about
from prunner_trio.testing import Act, simulate


def test_every_launch_happens_in_the_context_of_its_own_task(task):
    seen = []

    def launched(launch):
        seen.append((dict(about()), launch.job_id, launch.task))
        return Act(1, exit_code=1 if launch.task == "b" else 0)

    async def scenario(rig):
        first = await rig.schedule("p")
        second = await rig.schedule("p")
        await first.wait()
        await second.wait()
        assert about() == {}

    pipeline = PipelineDef("p", (task("a"), task("b", "a"), task("c")), on_error=TaskDef("on_error", ("mail",)))
    simulate(pipeline, scenario, dict.fromkeys(("a", "b", "c", "on_error"), launched))
    assert len(seen) == 8
    for context, job, name in seen:
        assert context == {"job": job, "pipeline": "p", "task": name}


def test_a_cancel_is_made_in_the_context_of_the_task_that_it_stops(one):
    seen = []

    async def scenario(rig):
        job = await rig.schedule("p")
        with rig.runner.observe(lambda event: seen.append((event.task, event.state.value, dict(about())))):
            rig.runner.cancel(job.id)
            await job.wait()

    simulate(one(), scenario, {"t": Act(math.inf)})
    assert [(task, state) for task, state, _ in seen][-2:] == [("t", "canceled"), ("", "canceled")]
    assert [context.get("pipeline") for *_, context in seen][-2:] == ["p", "p"]
