"""How tests of real processes wait for what they cannot be told of."""

import time
from collections.abc import Callable
from typing import Any


def wait_for(check: Callable[[], Any], what: str, seconds: float = 30.0) -> Any:
    """Return the first true value of `check`; fail if there is none in time."""
    deadline = time.monotonic() + seconds
    while not (value := check()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)
    return value
