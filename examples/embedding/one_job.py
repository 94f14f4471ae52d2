"""Run a pipeline from your own Trio program, look at what came of it, and read what its tasks wrote.

python examples/embedding/one_job.py
"""

import sys

import trio

from prunner_trio import Definitions, PipelineDef, State, Stream, TaskDef, open_runner

BUILD = PipelineDef(
    name="build",
    tasks=(
        TaskDef("compile", script=('echo "compiling $PRUNNER_VAR_WHAT"',)),
        TaskDef("test", script=("echo testing", "exit 3"), depends_on=("compile",), allow_failure=True),
        TaskDef("package", script=("echo packaging {{ quote .what }}",), depends_on=("test",)),
    ),
)


async def main() -> int:
    async with open_runner(Definitions.of(BUILD)) as runner:
        job = await runner.schedule("build", variables={"what": "the example"})
        view = await job.wait()
        for task in view.tasks:
            written = await runner.output.read(job.id, task.name, Stream.STDOUT, 0, 1000)
            print(f"{task.name}: {task.state} {task.reason}".rstrip(), "|", written.decode().strip())
    return 0 if view.state is State.DONE else 1


if __name__ == "__main__":
    sys.exit(trio.run(main))
