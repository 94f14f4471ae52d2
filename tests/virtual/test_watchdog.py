"""Signs of life and the status line, on a clock that jumps."""

import threading
from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing

from prunner_trio.daemon.status import StatusLine, status_text
from prunner_trio.daemon.watchdog import feed_watchdog, noticing_dead_threads, watchdog_interval
from prunner_trio.execution import StopLevel


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    trio.run(scenario, clock=trio.testing.MockClock(autojump_threshold=0), strict_exception_groups=True)


def test_half_of_the_time_that_is_allowed_passes_between_two_signs() -> None:
    environ = {"WATCHDOG_USEC": "30000000", "OTHER": "kept"}
    assert watchdog_interval(environ) == 15.0
    assert environ == {"OTHER": "kept"}


@pytest.mark.parametrize(
    "variables",
    [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}],
)
def test_nobody_is_given_signs_who_does_not_wait_for_ours(variables: dict[str, str]) -> None:
    assert watchdog_interval(variables) is None
    assert variables == {}


def test_signs_come_at_their_interval() -> None:
    signs: list[float] = []

    async def scenario() -> None:
        began = trio.current_time()
        with trio.move_on_after(7):
            await feed_watchdog(lambda: signs.append(trio.current_time() - began), 2.0, lambda: True)

    run(scenario)
    assert signs == [0.0, 2.0, 4.0, 6.0]


def test_they_end_when_a_thread_has_died(caplog: pytest.LogCaptureFixture) -> None:
    signs: list[float] = []

    async def scenario() -> None:
        with noticing_dead_threads() as well:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(feed_watchdog, lambda: signs.append(trio.current_time()), 2.0, well)
                await trio.sleep(5)
                thread = threading.Thread(target=lambda: 1 / 0, name="the writer")
                thread.start()
                thread.join()

    run(scenario)
    assert len(signs) == 3
    (record,) = caplog.records
    assert record.levelname == "CRITICAL"
    assert "ZeroDivisionError" in caplog.text
    assert vars(record)["thread_name"] == "the writer"


def test_a_thread_that_leaves_in_order_has_not_died() -> None:
    with noticing_dead_threads() as well:
        thread = threading.Thread(target=lambda: exec("raise SystemExit"))
        thread.start()
        thread.join()
        assert well()


def test_an_exception_that_goes_to_the_caller_is_no_dead_thread() -> None:
    def fail() -> None:
        raise ValueError("of the function")

    async def scenario() -> None:
        with noticing_dead_threads() as well:
            with pytest.raises(ValueError, match="of the function"):
                await trio.to_thread.run_sync(fail)
            assert well()

    trio.run(scenario, strict_exception_groups=True)


def test_the_status_is_shown_on_a_change_and_at_most_once_a_second() -> None:
    shown: list[tuple[float, str]] = []
    state = 0

    async def scenario() -> None:
        nonlocal state
        began = trio.current_time()
        line = StatusLine(lambda: str(state), lambda text: shown.append((trio.current_time() - began, text)))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(line.run)
            await trio.sleep(10)
            for _ in range(30):
                state += 1
                line.look_again()
                await trio.sleep(0.1)
            await trio.sleep(10)
            line.look_again()
            await trio.sleep(10)
            nursery.cancel_scope.cancel()

    run(scenario)
    assert [round(at) for at, _ in shown] == [10, 11, 12, 13]
    assert shown[0][1] == "1"
    assert shown[-1][1] == "30"


@pytest.mark.parametrize(
    ("level", "problems", "text"),
    [
        (StopLevel.SERVE, 0, "3 running, 2 waiting"),
        (StopLevel.DRAIN, 0, "draining, 3 running, 2 waiting"),
        (StopLevel.CANCEL, 0, "canceling, 3 running, 2 waiting"),
        (StopLevel.KILL, 0, "killing, 3 running, 2 waiting"),
        (StopLevel.SERVE, 1, "3 running, 2 waiting; the definition files have problems, see the log"),
    ],
)
def test_the_status_says_what_is_going_on(level: StopLevel, problems: int, text: str) -> None:
    assert status_text(level, 3, 2, problems) == text
