"""The pytest plugin: one fixture, loaded when it is asked for."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from prunner_trio.testing.transcript import Transcript

__all__ = ["simulate"]


@pytest.fixture
def simulate() -> "Callable[..., Transcript]":
    """The function `prunner_trio.testing.simulate`: run a scenario on virtual time, get the transcript."""
    from prunner_trio.testing.simulation import simulate as function

    return function
