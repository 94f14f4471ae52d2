"""Follow what happens as it happens, and cancel a job; its processes are gone when `wait` returns.

python examples/embedding/watch_and_cancel.py
"""

import trio

from prunner_trio import Definitions, Event, PipelineDef, TaskDef, open_runner

SLOW = PipelineDef(name="slow", tasks=(TaskDef("sleep", script=("sleep 3600 &", "sleep 3600")),))


async def show(events: trio.MemoryReceiveChannel[Event]) -> None:
    async for event in events:
        print(event.task or "job", event.state.value, event.reason)


async def main() -> None:
    async with open_runner(Definitions.of(SLOW)) as runner, runner.subscribe() as events:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(show, events)
            job = await runner.schedule("slow")
            await trio.sleep(0.2)
            job.cancel()
            with trio.fail_after(10):
                view = await job.wait()
            nursery.cancel_scope.cancel()
    print("the end:", view.state.value)


if __name__ == "__main__":
    trio.run(main)
