"""A few rounds of `scripts/storm`, and that it would find something: each lie breaks the promise that it should."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.storm.flat import samples
from tests.storm.ledger import Broken, Entry, Ledger
from tests.storm.rounds import Storm
from tests.storm.tasks import Line

pytestmark = pytest.mark.whole

NUMBERS = ("1234567800000", "1234567800001")
FIRST, SECOND = NUMBERS


def test_kills_at_random_moments_lose_nothing_and_leave_nothing_behind(tmp_path: Path) -> None:
    storm = Storm(tmp_path, "test")
    try:
        storm.run(range(4), ways=("serving", "starting twice", "copy", "SIGTERM"))
    except AssertionError as exc:
        pytest.fail(f"{storm.ledger.transcript(getattr(exc, 'number', ''))}\n{exc}")
    assert storm.figures.rounds == 4
    assert storm.figures.accepted > 0


def test_descriptors_memory_and_zombies_are_flat_over_some_hundred_tasks(tmp_path: Path) -> None:
    early, late = samples(600, "auto", tmp_path, (200, 600))
    assert late.descriptors <= early.descriptors + 2  # a connection or two that is just being closed
    assert late.zombies == 0
    assert late.memory < early.memory * 1.5


# ------------------------------------------------------------------------------------------------- it would find a lie


def job(number: str, **more: Any) -> dict[str, Any]:
    tasks = [{"name": "a", "status": "done"}]
    found = {"id": f"id {number}", "variables": {"n": number}, "start": "then", "tasks": tasks}
    return {**found, "completed": True, "canceled": False, "errored": False, **more}


def begin(number: str, launched: float, **more: Any) -> Line:
    return Line(**{"what": "begin", "number": number, "task": "a", "pid": 7, "launched": launched, **more})


def accepted(pipeline: str = "quick", **more: Any) -> Ledger:
    ledger = Ledger("12345678")
    for at, number in enumerate(NUMBERS):
        entry = Entry(number, pipeline, sent=10.0 + at, answered=10.5 + at, id=f"id {number}", **more)
        ledger.entries[number] = entry
    return ledger


def listing(*found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["id"]: one for one in found}


def look(ledger: Ledger, *found: dict[str, Any]) -> None:
    ledger.look(listing(*found), [entry for entry in ledger.entries.values() if entry.answered is not None])


def forgotten() -> None:
    look(accepted(), job(FIRST))


def changed() -> None:
    ledger = accepted()
    look(ledger, job(FIRST), job(SECOND))
    look(ledger, job(FIRST), job(SECOND, errored=True))


def known_although_refused() -> None:
    ledger = accepted()
    ledger.entries[SECOND].answered, ledger.entries[SECOND].refused = None, 503
    look(ledger, job(FIRST), job(SECOND))


def canceled_by_nobody() -> None:
    look(accepted(), job(FIRST, canceled=True), job(SECOND))


def given_up_after_a_crash() -> None:
    ledger = accepted("again")
    ledger.stops.append((11.0, "SIGKILL"))
    look(ledger, job(FIRST, canceled=True), job(SECOND))


def failed_by_itself() -> None:
    look(accepted(), job(FIRST, errored=True), job(SECOND))


def never_ended() -> None:
    ledger = accepted()
    look(ledger, job(FIRST), job(SECOND))
    ledger.judge([begin(FIRST, 10.6)])


def ran_after_the_cancel() -> None:
    accepted(canceled=12.0).judge([begin(FIRST, 12.5)])


def ran_after_the_end() -> None:
    ledger = accepted()
    look(ledger, job(FIRST), job(SECOND))
    ledger.judge([begin(FIRST, ledger.entries[FIRST].seen + 1)])


def ran_twice() -> None:
    accepted().judge([begin(FIRST, 12.0), begin(FIRST, 13.0)])


def ran_again_after_a_crash() -> None:
    ledger = accepted()
    ledger.stops.append((15.0, "SIGKILL"))
    ledger.judge([begin(FIRST, 10.8), begin(FIRST, 16.0)])


def overtook() -> None:
    accepted("queue").judge([begin(SECOND, 12.0), begin(FIRST, 13.0)])


def too_early() -> None:
    accepted("later").judge([begin(FIRST, 10.6)])


def too_many() -> None:
    accepted().judge([begin(FIRST, 12.0, what="overlap")])


def test_a_start_that_no_commit_has_followed_may_be_lost() -> None:
    ledger = accepted()
    ledger.stops.append((15.0, "SIGKILL"))
    ledger.judge([begin(FIRST, 12.0), begin(FIRST, 16.0)])
    assert ledger.again == 1


@pytest.mark.parametrize(
    ("lie", "promise"),
    [
        (forgotten, "202 means known for ever"),
        (changed, "what is over does not change"),
        (known_although_refused, "refused means unknown"),
        (canceled_by_nobody, "nobody is canceled without a reason"),
        (given_up_after_a_crash, "on_daemon_crash: requeue"),
        (failed_by_itself, "the outcome is true"),
        (never_ended, "done means done"),
        (ran_after_the_cancel, "what is canceled does not run"),
        (ran_after_the_end, "what is over does not run"),
        (ran_twice, "launched once"),
        (ran_again_after_a_crash, "launched once"),
        (overtook, "order of arrival"),
        (too_early, "delays are kept"),
        (too_many, "concurrency"),
    ],
)
def test_a_lie_is_found(lie: Callable[[], None], promise: str) -> None:
    with pytest.raises(Broken, match=f"^{promise}: "):
        lie()
