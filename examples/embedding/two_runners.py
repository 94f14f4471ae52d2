"""Use several runners in one program, each with its own pipelines, directory and environment.

python examples/embedding/two_runners.py
"""

import tempfile
from pathlib import Path

import trio

from prunner_trio import Definitions, PipelineDef, Runner, Stream, TaskDef, open_runner

WHERE = Definitions.of(PipelineDef("where", tasks=(TaskDef("say", script=('echo "$STAGE in $(basename "$PWD")"',)),)))


async def ask(runner: Runner) -> None:
    job = await runner.schedule("where")
    await job.wait()
    print((await runner.output.read(job.id, "say", Stream.STDOUT, 0, 1000)).decode().strip())


async def main(folder: Path) -> None:
    live, test = folder / "live", folder / "test"
    for directory in (live, test):
        directory.mkdir()
    path = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
    async with (
        open_runner(WHERE, cwd=live, env={**path, "STAGE": "live"}) as first,
        open_runner(WHERE, cwd=test, env={**path, "STAGE": "test"}) as second,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(ask, first)
        nursery.start_soon(ask, second)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        trio.run(main, Path(name))
