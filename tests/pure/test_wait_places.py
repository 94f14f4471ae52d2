"""Where jobs wait, and why."""

from prunner_trio.model import JobId, Pause, WaitPlace, WaitReason
from prunner_trio.policy import Waiting, wait_places

HOLDERS = (JobId("x"), JobId("y"))
LINE = [Waiting(JobId("a")), Waiting(JobId("b"), due=10.0), Waiting(JobId("c"))]


def places(*, now: float, draining: bool = False, pause: Pause | None = None) -> dict[JobId, WaitPlace]:
    return wait_places(LINE, {JobId("c")}, holders=HOLDERS, slots=2, draining=draining, pause=pause, now=now)


def test_each_job_has_a_position_and_a_reason_of_its_own() -> None:
    assert places(now=9.0) == {
        "a": WaitPlace(WaitReason.SLOTS, 1, 3, 2, 2, HOLDERS),
        "b": WaitPlace(WaitReason.DELAYED, 2, 3, 2, 2, HOLDERS),
        "c": WaitPlace(WaitReason.SAVING, 3, 3, 2, 2, HOLDERS),
    }


def test_a_delay_that_has_passed_is_no_reason() -> None:
    assert places(now=10.0)[JobId("b")].reason is WaitReason.SLOTS


def test_while_a_pipeline_is_paused_that_is_the_reason_for_all() -> None:
    pause = Pause(5.0, "jane")
    found = places(now=0.0, pause=pause).values()
    assert {(place.reason, place.pause) for place in found} == {(WaitReason.PAUSED, pause)}
    assert places(now=0.0, pause=pause, draining=True)[JobId("a")].reason is WaitReason.DRAINING


def test_when_nothing_starts_any_more_that_is_the_reason_for_all() -> None:
    assert {place.reason for place in places(draining=True, now=0.0).values()} == {WaitReason.DRAINING}
