"""Follow what happens as it happens, and cancel a job once it is under way.

python examples/embedding/watch_and_cancel.py
"""

import trio

from prunner_trio import Definitions, PipelineDef, State, TaskDef, open_runner

SLOW = PipelineDef(name="slow", tasks=(TaskDef("work", script=("sleep 3600 &", "sleep 3600")),))


async def main() -> None:
    async with open_runner(Definitions.of(SLOW)) as runner, runner.subscribe() as events:
        job = await runner.schedule("slow")
        async for event in events:
            print(event.task or "job", event.state, event.reason)
            if event.task == "work" and event.state is State.RUNNING:
                job.cancel(by="the example")
            if event.job_id == job.id and not event.task and event.state.final:
                break
    view = job.view()
    assert view.stop is not None
    print(f"stopped because of {view.stop.reason}, by {view.stop.by}; none of its processes is left")


if __name__ == "__main__":
    trio.run(main)
