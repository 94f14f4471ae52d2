"""What the pipelines of this website promise, tried in no time: nothing here starts a process or waits for a clock.

pytest examples/testing-your-pipelines
"""

import math
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from prunner_trio import State
from prunner_trio.testing import Act, Launch, MemoryJournal, Rig, Transcript

PIPELINES = Path(__file__).with_name("pipelines.yml")
MINUTE = 60.0
USUAL = {"build": Act(4 * MINUTE), "check-links": Act(50), "test": Act(3 * MINUTE), "publish": Act(20)}

Simulate = Callable[..., Transcript]


async def deploy(rig: Rig) -> None:
    await rig.schedule("deploy", version="1.2")


async def edits(rig: Rig) -> None:
    for second in (0, 2, 4):
        await rig.at(second)
        await rig.schedule("search-index")
    await rig.at(60)


# ---------------------------------------------------------------------------------------------------- when all is well


def test_what_can_run_side_by_side_does(simulate: Simulate) -> None:
    happened = simulate(PIPELINES, deploy, USUAL)
    for task in ("build", "check-links", "test"):
        assert happened.when(f"deploy#1/{task}", "running") == 0
    assert happened.when("deploy#1/publish", "running") == 4 * MINUTE
    assert happened.when("deploy#1", "done") == 4 * MINUTE + 20


# -------------------------------------------------------------------------------------------------------- failures


def test_a_failing_test_ends_the_build_at_once_and_nothing_is_published(simulate: Simulate) -> None:
    happened = simulate(PIPELINES, deploy, {**USUAL, "test": Act(30, exit_code=2)})
    assert happened.lines("deploy#1", "build") == [
        "0 deploy#1/build running",
        "30 deploy#1/build SIGINT",
        "30 deploy#1/build canceled (stopped: fail_fast)",
    ]
    assert happened.lines("deploy#1", "publish") == ["30 deploy#1/publish canceled (stopped: fail_fast)"]
    assert happened.when("deploy#1", "error (exit status 2)") == 30


def test_a_dead_link_keeps_nobody_from_publishing(simulate: Simulate) -> None:
    happened = simulate(PIPELINES, deploy, {**USUAL, "check-links": Act(50, exit_code=1)})
    assert happened.when("deploy#1/check-links", "error (exit status 1)") == 50
    assert happened.when("deploy#1", "done") == 4 * MINUTE + 20


def test_somebody_is_told_which_task_has_failed(simulate: Simulate) -> None:
    told: list[Launch] = []

    async def scenario(rig: Rig) -> None:
        job = await rig.schedule("deploy", version="1.2")
        await job.wait()
        told.extend(launch for launch in rig.launcher.launches if launch.task == "on_error")

    simulate(PIPELINES, scenario, {"publish": Act(exit_code=1, stderr="no space left on device")})
    assert [launch.env["PRUNNER_VAR_FAILEDTASKNAME"] for launch in told] == ["publish"]
    assert [launch.env["PRUNNER_VAR_FAILEDTASKSTDERR"] for launch in told] == ["no space left on device"]


def test_a_build_that_hangs_is_given_up_after_ten_minutes(simulate: Simulate) -> None:
    happened = simulate(PIPELINES, deploy, {**USUAL, "build": Act(math.inf)})
    assert happened.when("deploy#1/build", "error (timed out after 600s)") == 10 * MINUTE


# ---------------------------------------------------------------------------------------------------------- cancel


@pytest.mark.parametrize(
    ("publish", "steps"),
    [
        (Act(math.inf), ["300 SIGINT", "300 canceled"]),
        (Act(math.inf, on_sigint=12), ["300 SIGINT", "312 canceled"]),
        (Act(math.inf, on_sigint=math.inf), ["300 SIGINT", "315 SIGTERM", "315 canceled"]),
        (
            Act(math.inf, on_sigint=math.inf, on_sigterm=math.inf),
            ["300 SIGINT", "315 SIGTERM", "330 SIGKILL", "330 canceled"],
        ),
    ],
    ids=["obedient", "with something to finish", "deaf to SIGINT", "deaf to all"],
)
def test_a_canceled_upload_has_thirty_seconds_to_end(simulate: Simulate, publish: Act, steps: list[str]) -> None:
    async def scenario(rig: Rig) -> None:
        job = await rig.schedule("deploy", version="1.2")
        await rig.at(300)
        job.cancel(by="jane")
        view = await job.wait()
        assert view.state is State.CANCELED
        assert not rig.launcher.open  # canceled means: none of its processes is left

    happened = simulate(PIPELINES, scenario, {**USUAL, "publish": publish})
    seen = [f"{entry.at:g} {entry.what.split()[0]}" for entry in happened if entry.task == "publish"]
    assert seen[1:] == steps


# ------------------------------------------------------------------------------------------------------- wait list


def test_of_all_versions_that_wait_only_the_newest_is_published(simulate: Simulate) -> None:
    async def scenario(rig: Rig) -> None:
        for version in ("1", "2", "3"):
            await rig.schedule("deploy", version=version)
        await rig.at(60 * MINUTE)

    happened = simulate(PIPELINES, scenario, USUAL)
    assert happened.when("deploy#2", "canceled (replaced)") == 0
    assert happened.when("deploy#3", "running") == happened.when("deploy#1", "done")


def test_the_index_is_made_once_after_five_quiet_seconds(simulate: Simulate) -> None:
    happened = simulate(PIPELINES, edits)
    assert [str(entry) for entry in happened if entry.task == "index" and entry.what == "running"] == [
        "9 search-index#3/index running"
    ]


def test_requests_are_accepted_while_an_index_is_being_made(simulate: Simulate) -> None:
    async def scenario(rig: Rig) -> None:
        await rig.schedule("search-index")
        await rig.at(6)  # it runs by now
        for _ in range(2):
            await rig.schedule("search-index")

    happened = simulate(PIPELINES, scenario, {"index": Act(10 * MINUTE)})
    assert happened.when("search-index#1", "done") == 5 + 10 * MINUTE
    assert happened.lines("search-index#3") == ["6 search-index#3 waiting"]


# --------------------------------------------------------------------------------------------------------- restart


def test_a_deploy_that_waits_is_done_after_a_restart(simulate: Simulate) -> None:
    journal = MemoryJournal()

    async def before(rig: Rig) -> None:
        await rig.schedule("deploy", version="1")
        await rig.schedule("deploy", version="2")

    async def after(rig: Rig) -> None:
        await rig.at(60 * MINUTE)

    first = simulate(PIPELINES, before, USUAL, journal=journal)  # leaving the scenario drains
    assert first.when("deploy#1", "done") == 4 * MINUTE + 20
    assert first.lines("deploy#2") == ["0 deploy#2 waiting"]

    second = simulate(PIPELINES, after, USUAL, journal=journal)
    assert second.when("deploy#2", "done") == 4 * MINUTE + 20


# ------------------------------------------------------------------------------------------- what would be executed


@pytest.mark.parametrize("version", ["1.2", "1; touch hacked", "$(touch hacked)"])
def test_a_version_is_one_word_for_publish_whatever_it_holds(simulate: Simulate, version: str) -> None:
    published: list[Launch] = []

    async def scenario(rig: Rig) -> None:
        job = await rig.schedule("deploy", version=version)
        await job.wait()
        published.extend(launch for launch in rig.launcher.launches if launch.task == "publish")

    simulate(PIPELINES, scenario)
    assert [shlex.split(entry) for launch in published for entry in launch.entries] == [["./publish", "site", version]]
