"""Work in threads, and what becomes of it when there are none left."""

import pytest
import trio

from prunner_trio.execution.threads import in_thread


def test_work_is_done_on_the_spot_when_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    async def main() -> None:
        limiter = trio.CapacityLimiter(1)
        for abandon in (False, True):
            assert await in_thread(lambda: "done", limiter=limiter, abandon_on_cancel=abandon) == "done"
        assert limiter.borrowed_tokens == 0

    monkeypatch.setattr("trio._threads.start_thread_soon", refuse)
    trio.run(main)


def test_an_error_of_the_work_itself_is_passed_on_and_the_work_not_done_again() -> None:
    done: list[int] = []

    def fail() -> None:
        done.append(1)
        raise RuntimeError("of the work")

    async def main() -> None:
        with pytest.raises(RuntimeError, match="of the work"):
            await in_thread(fail, limiter=trio.CapacityLimiter(1))

    trio.run(main)
    assert done == [1]
