"""Run a pipeline from your own Trio program, and look at what came of it.

python examples/embedding/one_job.py
"""

import sys

import trio

from prunner_trio import Definitions, PipelineDef, State, TaskDef, open_runner

BUILD = PipelineDef(
    name="build",
    tasks=(
        TaskDef("compile", script=('echo "compiling $PRUNNER_VAR_WHAT"',)),
        TaskDef("test", script=("echo testing", "exit 3"), depends_on=("compile",), allow_failure=True),
        TaskDef("package", script=("echo packaging",), depends_on=("test",)),
    ),
)


async def main() -> int:
    async with open_runner(Definitions.of(BUILD)) as runner:
        job = await runner.schedule("build", variables={"what": "the example"})
        view = await job.wait()
    for task in view.tasks:
        print(task.name, task.state.value, task.reason)
    return 0 if view.state is State.DONE else 1


if __name__ == "__main__":
    sys.exit(trio.run(main))
