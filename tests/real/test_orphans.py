"""Processes in the background of real tasks: stopped, waited for, or let go."""

import os
import re
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from tests.processes import cgroup_works, sleeping

from prunner_trio import Containment, Definitions, JobView, Orphans, PipelineDef, State, Stream, TaskDef, open_runner
from prunner_trio.launch import open_launcher

pytestmark = pytest.mark.real


def namespaces_work() -> bool:
    async def main() -> bool:
        try:
            async with open_launcher(Containment.PIDNS):
                return True
        except RuntimeError:
            return False

    return trio.run(main)


ALL = [
    Containment.GROUP,
    Containment.SUBREAPER,
    pytest.param(
        Containment.CGROUP, marks=pytest.mark.skipif(not cgroup_works(), reason="needs a writable cgroup v2 directory")
    ),
    pytest.param(Containment.PIDNS, marks=pytest.mark.skipif(not namespaces_work(), reason="may not make namespaces")),
]


@pytest.fixture
def token() -> Iterator[str]:
    token = f"96{uuid.uuid4().int % 10**9:09}.5"
    yield token
    for pid in sleeping(token):
        os.kill(pid, signal.SIGKILL)


async def until_sleeping(token: str, count: int) -> list[int]:
    while len(found := sleeping(token)) != count:
        await trio.sleep(0.01)
    return found


def run(containment: Containment, orphans: Orphans, script: str) -> tuple[JobView, str]:
    results = []

    async def main() -> None:
        pipeline = PipelineDef("p", (TaskDef("t", (script,), orphans=orphans),))
        with trio.fail_after(30):
            async with open_runner(Definitions.of(pipeline), containment=containment) as runner:
                job = await runner.schedule("p")
                view = await job.wait()
                results.append((view, (await runner.output.read(job.id, "t", Stream.STDERR, 0, 9999)).decode()))

    trio.run(main)
    return results[0]


@pytest.mark.parametrize("containment", ALL)
@pytest.mark.parametrize("kill_at_once", [False, True])
def test_the_log_names_who_was_stopped(containment: Containment, token: str, kill_at_once: bool) -> None:
    pipeline = PipelineDef(
        "p",
        (TaskDef("t", (f"sleep {token} & setsid sleep {token} & sleep 0.2; exit 4",)),),
        kill_timeout=0.0 if kill_at_once else None,
    )

    async def main() -> None:
        with trio.fail_after(30):
            async with open_runner(Definitions.of(pipeline), containment=containment) as runner:
                job = await runner.schedule("p")
                view = await job.wait()
                assert view.tasks[0].exit_code == 4
                said = (await runner.output.read(job.id, "t", Stream.STDERR, 0, 9999)).decode()
                one = r"sleep \(pid \d+\)"
                assert re.fullmatch(
                    f"prunner-trio: stopped 2 processes left in the background: {one}, {one}\n", said
                ), said

    trio.run(main)
    assert sleeping(token) == []


@pytest.mark.parametrize("containment", ALL)
def test_a_task_can_last_as_long_as_its_background(containment: Containment, tmp_path: Path) -> None:
    mark = tmp_path / "written"
    view, said = run(containment, Orphans.WAIT, f"(setsid sh -c 'sleep 0.4; echo late >{mark}' &); exit 0")
    assert (view.state, mark.read_text(), said) == (State.DONE, "late\n", "")


@pytest.mark.parametrize("containment", ALL[:3])
@pytest.mark.parametrize(
    "script", ["sleep TOKEN &", "setsid sleep TOKEN &", "(env -i /usr/bin/setsid /bin/sleep TOKEN &)"]
)
def test_who_is_kept_outlives_the_task_and_the_runner(containment: Containment, token: str, script: str) -> None:
    async def main() -> None:
        keeping = PipelineDef(
            "keeping", (TaskDef("t", (script.replace("TOKEN", token), "sleep 0.2")),), orphans=Orphans.KEEP
        )
        other = PipelineDef("other", (TaskDef("t", ("setsid sleep 9999 & exit 0",)),))
        with trio.fail_after(30):
            async with open_runner(Definitions.of(keeping, other), containment=containment) as runner:
                view = await (await runner.schedule("keeping")).wait()
                assert view.state is State.DONE
                kept = await until_sleeping(token, 1)
                # A task that ends, and stops its own leftovers, does not take them for its own.
                assert (await (await runner.schedule("other")).wait()).state is State.DONE
                assert sleeping(token) == kept
        assert sleeping(token) == kept

    trio.run(main)


@pytest.mark.parametrize("containment", ALL)
def test_a_cancel_stops_also_what_would_have_been_kept(containment: Containment, token: str) -> None:
    async def main() -> None:
        pipeline = PipelineDef("p", (TaskDef("t", (f"setsid sleep {token} & sleep {token}",)),), orphans=Orphans.KEEP)
        with trio.fail_after(30):
            async with open_runner(Definitions.of(pipeline), containment=containment) as runner:
                job = await runner.schedule("p")
                await until_sleeping(token, 2)
                job.cancel()
                assert (await job.wait()).state is State.CANCELED
                assert sleeping(token) == []

    trio.run(main)
