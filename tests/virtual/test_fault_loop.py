"""Every single call through the seams fails once: jobs end, slots come back, the next job runs."""

import math

import pytest
import trio

from prunner_trio.definition.pipeline import Definitions, PipelineDef
from prunner_trio.errors import LaunchError, ProcessesSurvived, PrunnerError, StoreError
from prunner_trio.execution import run_engine
from prunner_trio.model import State
from prunner_trio.output.memory import MemoryOutputStore
from prunner_trio.testing import Act, FakeLauncher, MemoryJournal

SEAMS = {
    "launch": LaunchError,
    "wait": RuntimeError,
    "signal_tree": RuntimeError,
    "wait_gone": RuntimeError,
    "open": LaunchError,
    "fileno": RuntimeError,
    "read": OSError,
    "size": OSError,
}


class Faults:
    """Counts the calls through the seams and makes the n-th one fail."""

    def __init__(self, number, error):
        self.number = number
        self.error = error
        self.calls = 0
        self.hit = ""

    def step(self, name):
        self.calls += 1
        if self.calls == self.number:
            self.hit = name
            raise self.error if self.error is not None else SEAMS[name]("an injected fault")


class Faulty:
    """Wraps a fake: each call of its seam methods may fail, before or after the real thing."""

    def __init__(self, inner, faults, wrap=None):
        self._inner, self._faults, self._wrap = inner, faults, wrap

    def __getattr__(self, name):
        attribute = getattr(self._inner, name)
        if name not in SEAMS:
            return attribute
        if name in ("signal_tree", "open", "fileno"):

            def call(*args):
                self._faults.step(name)
                return attribute(*args)

            return call

        async def acall(*args):
            self._faults.step(name)
            result = await attribute(*args)
            return Faulty(result, self._faults) if name == "launch" else result

        return acall


def scenario_run(number, error, cancel):
    pipeline = PipelineDef(
        "p",
        tuple(
            __import__("prunner_trio.definition.pipeline", fromlist=["TaskDef"]).TaskDef(name, ("work",), needs, **keys)
            for name, needs, keys in (
                ("a", (), {}),
                ("b", ("a",), {"log_limit": 4096}),
                ("c", ("a",), {"timeout": 3.0, "log_limit": 4096}),
                ("d", ("b",), {}),
            )
        ),
        on_error=__import__("prunner_trio.definition.pipeline", fromlist=["TaskDef"]).TaskDef("on_error", ("work",)),
    )
    acts = {
        "a": Act(1, leftovers=5),
        "b": Act(2, exit_code=1),
        "c": Act(math.inf, on_sigint=math.inf, on_sigterm=0.5),
        "on_error": Act(1),
    }
    faults = Faults(number, error)
    outcome = []

    async def main():
        launcher = FakeLauncher(acts)
        async with run_engine(
            Definitions.of(pipeline),
            launcher=Faulty(launcher, faults),
            journal=MemoryJournal(),
            output=Faulty(MemoryOutputStore(), faults),
            env={},
            cwd="/",
        ) as runner:
            jobs = [await runner.schedule("p"), await runner.schedule("p")]
            if cancel is not None:
                await trio.sleep(cancel)
                if not jobs[0].state.final:
                    jobs[0].cancel()
            with trio.fail_after(1000):
                for job in jobs:
                    view = await job.wait()
                    assert view.state in (State.ERROR, State.CANCELED)
                    assert all(task.state.final for task in view.tasks)
                    outcome.append(view)
            assert runner.counts() == (0, 0)
        assert launcher.open == set()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    return faults


@pytest.mark.parametrize("cancel", [None, 0.5, 2.5])
@pytest.mark.parametrize("error", [None, ZeroDivisionError("a defect"), ProcessesSurvived("still there")])
def test_any_call_may_fail_once(error, cancel):
    number = 1
    while True:
        faults = scenario_run(number, error, cancel)
        if not faults.hit:
            break
        number += 1
    assert number > 20, "the loop has to have met many calls"
    assert issubclass(StoreError, PrunnerError)
