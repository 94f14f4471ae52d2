"""A data directory as it was at any instant, under load and amid checkpoints, has every job that had been answered."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trio

from prunner_trio.model import JobId, State
from prunner_trio.storage import open_journal

pytestmark = pytest.mark.real

COPIES = 10
ORDERS = (
    ("store.db", "store.db-wal", "store.db-shm"),
    ("store.db-wal", "store.db"),
    ("store.db-wal", "store.db-shm", "store.db"),
)

sys.path.insert(0, str(Path(__file__).parent))
from test_store_crash import WORKER  # noqa: E402


def stopped(pid: int) -> bool:
    """Whether every thread of a process stands still."""
    states = [
        Path(task, "stat").read_text().rpartition(")")[2].split()[0] for task in Path(f"/proc/{pid}/task").iterdir()
    ]
    return all(state in "Tt" for state in states)


def freeze(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    end = time.monotonic() + 30
    while not stopped(pid):
        assert time.monotonic() < end
        os.sched_yield()


def missing_in(directory: Path, answered: dict[str, str]) -> set[str]:
    """Open a copy, find every job in it as it was answered, and return those that are not there."""
    missing: set[str] = set()

    async def main() -> None:
        async with open_journal(directory, now=time.time) as journal:
            assert journal.recovered is None
            for job_id, what in answered.items():
                saved = await journal.find(JobId(job_id))
                if saved is None:
                    missing.add(job_id)
                else:
                    assert what == "added" or saved.job.state is State.DONE

    trio.run(main)
    return missing


def test_a_copy_of_any_instant_has_every_job_that_was_answered(tmp_path: Path) -> None:
    """The writer stands still while its files are copied, as for a snapshot of the file system, in whatever order."""
    chance = random.Random(8)
    data = tmp_path / "data"
    answered: dict[str, str] = {}
    with subprocess.Popen([sys.executable, "-c", WORKER, data], stdout=subprocess.PIPE, text=True) as worker:
        try:
            said = map(str.split, worker.stdout or ())
            for copy in range(COPIES):
                for _ in range(chance.randrange(20, 300)):
                    what, job_id, *_ = next(said)
                    if what != "open":
                        answered[job_id] = what
                freeze(worker.pid)
                directory = tmp_path / str(copy)
                directory.mkdir()
                for name in chance.choice(ORDERS):
                    if (data / name).exists():
                        shutil.copyfile(data / name, directory / name)
                os.kill(worker.pid, signal.SIGCONT)
                removed = {job_id for job_id in missing_in(directory, answered) if answered[job_id] != "removed"}
                while removed:  # it does not have to say so at once, but it must
                    what, job_id, *_ = next(said)
                    answered[job_id] = what
                    assert len(answered) < 100_000
                    removed -= {job_id} if what == "removed" else set()
        finally:
            worker.kill()
    assert len(answered) > COPIES
