"""What the journal has reported as committed is there after SIGKILL, whatever moment that comes in."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trio

from prunner_trio.execution.seams import SavedJob
from prunner_trio.model import State
from prunner_trio.storage import open_journal

pytestmark = pytest.mark.real

ROUNDS = 12

WORKER = """
import sys, time, uuid
from pathlib import Path
import attrs, trio
from prunner_trio.definition.pipeline import PipelineDef, TaskDef
from prunner_trio.execution.seams import JobAdded, JobChanged, JobsRemoved, TaskChanged
from prunner_trio.model import JobId, JobView, State, TaskView
from prunner_trio.storage import open_journal

PIPELINE = PipelineDef("p", (TaskDef("a"),))

def say(*words):
    sys.stdout.write(" ".join(map(str, words)) + chr(10))
    sys.stdout.flush()

async def client(journal, numbers):
    for number in numbers:
        job = JobView(JobId(str(uuid.uuid4())), number, "p", State.WAITING, (TaskView("a"),), time.time())
        await journal.committed(journal.record(JobAdded(job, PIPELINE)))
        say("added", job.id)
        journal.record(TaskChanged(job.id, 0, TaskView("a", State.DONE, exit_code=number % 100)))
        ticket = journal.record(JobChanged(attrs.evolve(job, state=State.DONE, ended=time.time())))
        await journal.committed(ticket)
        say("done", job.id, number % 100)
        if number % 10 == 0:
            await journal.committed(journal.record(JobsRemoved((job.id,))))
            say("removed", job.id)

async def main():
    async with open_journal(Path(sys.argv[1]), now=time.time) as journal:
        first = await journal.last_number() + 1
        say("open", first)
        async with trio.open_nursery() as nursery:
            for lane in range(4):
                nursery.start_soon(client, journal, range(first + lane, first + 4_000_000, 4))

trio.run(main)
"""


def one_life(directory: Path, lines: int) -> list[list[str]]:
    """Run a worker until it has said so many lines, kill it in whatever it is doing, return all that it said."""
    with subprocess.Popen([sys.executable, "-c", WORKER, directory], stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        said = [worker.stdout.readline() for _ in range(lines)]
        worker.kill()
        said += worker.stdout.readlines()
    assert worker.returncode == -signal.SIGKILL
    return [line.split() for line in said if line.endswith("\n")]


def test_nothing_that_was_reported_is_lost_by_a_kill(tmp_path: Path) -> None:
    chance = random.Random(4)
    expected: dict[str, list[str]] = {}
    for _ in range(ROUNDS):
        for what, *rest in one_life(tmp_path, chance.randrange(1, 400)):
            if what != "open":
                expected[rest[0]] = [what, *rest[1:]]
    assert len(expected) > ROUNDS

    async def check() -> None:
        async with open_journal(tmp_path, now=time.time) as journal:
            for job_id, (what, *rest) in expected.items():
                saved = await journal.find(job_id)
                if what == "removed":
                    assert saved is None
                elif what == "done" and saved is None:
                    assert int(rest[0]) % 10 == 0  # its removal was under way
                else:
                    assert isinstance(saved, SavedJob)
                    assert what == "added" or saved.job.state is State.DONE
                    assert what == "added" or saved.job.tasks[0].exit_code == int(rest[0])

    trio.run(check)
