"""Where jobs wait, and why."""

from prunner_trio.model import JobId, WaitPlace, WaitReason
from prunner_trio.policy import Waiting, wait_places

LINE = [Waiting(JobId("a")), Waiting(JobId("b"), due=10.0), Waiting(JobId("c"))]


def places(*, draining: bool, now: float) -> dict[JobId, WaitPlace]:
    return wait_places(LINE, {JobId("c")}, taken=2, slots=2, draining=draining, now=now)


def test_each_job_has_a_position_and_a_reason_of_its_own() -> None:
    assert places(draining=False, now=9.0) == {
        "a": WaitPlace(WaitReason.SLOTS, 1, 3, 2, 2),
        "b": WaitPlace(WaitReason.DELAYED, 2, 3, 2, 2),
        "c": WaitPlace(WaitReason.SAVING, 3, 3, 2, 2),
    }


def test_a_delay_that_has_passed_is_no_reason() -> None:
    assert places(draining=False, now=10.0)[JobId("b")].reason is WaitReason.SLOTS


def test_when_nothing_starts_any_more_that_is_the_reason_for_all() -> None:
    assert {place.reason for place in places(draining=True, now=0.0).values()} == {WaitReason.DRAINING}
