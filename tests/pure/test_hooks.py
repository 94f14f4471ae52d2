"""What the end of a job means, what is told of it, and how that is signed."""

import hashlib
import hmac
import json

import pytest

from prunner_trio.hooks import Moment, Notice, moments, sign
from prunner_trio.hooks.moments import last_end
from prunner_trio.model import JobId, JobView, State, TaskView


def job(number: int, state: State, ended: float | None = None, **more: object) -> JobView:
    return JobView(JobId(f"j{number}"), number, "p", state, (), 0.0, ended=ended, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (None, State.ERROR, ["failure"]),
        (State.ERROR, State.ERROR, ["failure"]),
        (None, State.DONE, ["success"]),
        (State.DONE, State.DONE, ["success"]),
        (State.ERROR, State.DONE, ["recovery", "success"]),
        (State.ERROR, State.CANCELED, []),
        (None, State.CANCELED, []),
    ],
)
def test_a_recovery_is_the_first_success_after_a_failure(before: State | None, now: State, expected: list[str]) -> None:
    assert [moment.value for moment in moments(before, now)] == expected


def test_the_job_before_is_the_last_that_ended_and_was_not_canceled() -> None:
    kept = [
        job(5, State.DONE, 50.0),  # the one that is asked about
        job(4, State.CANCELED, 45.0),
        job(3, State.DONE, 30.0),
        job(2, State.ERROR, 40.0),  # older, but it took longer
        job(1, State.RUNNING),
    ]
    assert last_end(kept, kept[0]) is State.ERROR
    assert last_end(kept, job(9, State.DONE, 35.0)) is State.DONE
    assert last_end(kept, job(9, State.DONE, 1.0)) is None
    assert last_end([], kept[0]) is None


def test_a_notice_has_what_happened_and_no_variables() -> None:
    tasks = (
        TaskView("build", State.ERROR, exit_code=3, reason="exit status 3"),
        TaskView("lint", State.ERROR, exit_code=1, reason="exit status 1", allow_failure=True),
        TaskView("publish", State.CANCELED, reason="needs 'build', which is error"),
    )
    view = JobView(
        JobId("1-2"),
        7,
        "site",
        State.ERROR,
        tasks,
        1767323045.5,
        started=1767323046.0,
        ended=1767323050.25,
        variables={"password": "hush"},
        user="jane",
        error="exit status 3",
    )
    body = Notice("d-1", Moment.FAILURE, view).body()
    assert json.loads(body) == {
        "event": "failure",
        "delivery": "d-1",
        "pipeline": "site",
        "job": {
            "id": "1-2",
            "number": 7,
            "state": "error",
            "user": "jane",
            "error": "exit status 3",
            "created": "2026-01-02T03:04:05.500Z",
            "started": "2026-01-02T03:04:06.000Z",
            "ended": "2026-01-02T03:04:10.250Z",
            "tasks": 3,
            "failed_tasks": [{"name": "build", "exit_code": 3, "reason": "exit status 3"}],
        },
    }
    assert b"hush" not in body
    environment = Notice("d-1", Moment.FAILURE, view).environment()
    assert (environment["PRUNNER_EVENT"], environment["PRUNNER_JOB_ID"]) == ("failure", "1-2")
    assert json.loads(environment["PRUNNER_NOTICE"]) == json.loads(body)


def test_a_notice_of_a_huge_job_stays_small_and_what_no_variable_can_hold_is_replaced() -> None:
    tasks = tuple(TaskView(f"t{n}", State.ERROR, exit_code=1, reason="x" * 5000) for n in range(2000))
    view = JobView(JobId("1-2"), 1, "p", State.ERROR, tasks, 0.0, user="a\0b", error="\0" * 5000)
    notice = Notice("d", Moment.FAILURE, view)
    assert len(notice.body()) < 60_000
    assert len(json.loads(notice.body())["job"]["failed_tasks"]) == 20
    assert json.loads(notice.body())["job"]["tasks"] == 2000
    assert not any("\0" in value for value in notice.environment().values())


def test_the_signature_is_an_hmac_over_time_and_body() -> None:
    expected = hmac.new(b"key", b'1700000000.{"a": 1}', hashlib.sha256).hexdigest()
    assert sign("key", 1700000000, b'{"a": 1}') == f"t=1700000000,v1={expected}"
    assert sign("key", 1700000001, b'{"a": 1}') != f"t=1700000001,v1={expected}"
