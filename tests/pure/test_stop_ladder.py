"""What a signal asks for, from each step of the stop ladder."""

import signal

import pytest

from prunner_trio.daemon.signals import next_level
from prunner_trio.execution import StopLevel


@pytest.mark.parametrize(
    ("level", "received", "expected"),
    [
        (StopLevel.SERVE, signal.SIGINT, StopLevel.DRAIN),
        (StopLevel.DRAIN, signal.SIGINT, StopLevel.CANCEL),
        (StopLevel.CANCEL, signal.SIGINT, StopLevel.KILL),
        (StopLevel.KILL, signal.SIGINT, StopLevel.KILL),
        (StopLevel.SERVE, signal.SIGTERM, StopLevel.CANCEL),
        (StopLevel.DRAIN, signal.SIGTERM, StopLevel.CANCEL),
        (StopLevel.CANCEL, signal.SIGTERM, StopLevel.KILL),
        (StopLevel.KILL, signal.SIGTERM, StopLevel.KILL),
    ],
)
def test_the_ladder_only_goes_up(level: StopLevel, received: signal.Signals, expected: StopLevel) -> None:
    assert next_level(level, received) is expected
