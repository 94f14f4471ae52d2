"""The whole web application over the real runner, on a clock that jumps."""

from collections.abc import Awaitable, Callable
from typing import Any

import trio
import trio.testing
from quart_trio import QuartTrio

from prunner_trio.definition.pipeline import Definitions, PipelineDef
from prunner_trio.http.app import create_app
from prunner_trio.storage.memory import MemoryJournal
from prunner_trio.testing import EPOCH, Acts, Rig, open_rig

SECRET = "a-secret-of-more-than-32-bytes-for-tests"

Scenario = Callable[[QuartTrio, Rig, trio.Event], Awaitable[object]]
"""Takes the application, what it runs on, and what tells it that the server is about to end."""


def play_app(
    scenario: Scenario, *pipelines: PipelineDef, acts: Acts | None, journal: MemoryJournal | None, **options: Any
) -> None:
    """Run a scenario against an application over a runner with these definitions; `options` are of `create_app`."""

    async def main() -> None:
        with trio.fail_after(1_000_000):
            async with open_rig(Definitions.of(*pipelines), acts, journal=journal) as rig:
                closing = trio.Event()
                began = trio.current_time()
                app = create_app(
                    rig.runner,
                    secret=SECRET,
                    now=lambda: EPOCH + trio.current_time() - began,
                    closing=closing,
                    **options,
                )
                async with app.test_app():
                    await scenario(app, rig, closing)
                with trio.CancelScope() as scope:
                    for job in list(rig.runner.live()):
                        rig.runner.cancel(job.id)
                    scope.cancel()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0), strict_exception_groups=True)
