"""Keep jobs over a restart: what waits when one runner ends is taken up by the next one.

python examples/embedding/keep_jobs.py
"""

import tempfile
from pathlib import Path

import trio

from prunner_trio import Definitions, PipelineDef, StopLevel, TaskDef, open_runner

HELLO = PipelineDef(name="hello", tasks=(TaskDef("greet", script=('echo "Hello, $PRUNNER_VAR_NAME!"',)),))


async def main(data: Path) -> None:
    definitions = Definitions.of(HELLO)
    async with open_runner(definitions, data=data) as runner:
        first = await runner.schedule("hello", variables={"name": "first"})
        second = await runner.schedule("hello", variables={"name": "second"})  # waits: one runs at a time
        runner.request_shutdown(StopLevel.DRAIN)
        await runner.finished()
    print("after the first runner:", first.state, "and", second.state)

    async with open_runner(definitions, data=data) as runner:
        if (job := runner.job(second.id)) is not None:  # None once it is over
            await job.wait()
        for view in await runner.jobs(pipeline="hello"):
            print(f"#{view.number} {view.variables['name']}: {view.state}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        trio.run(main, Path(folder))
