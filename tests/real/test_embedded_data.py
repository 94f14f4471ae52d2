"""An embedded runner and its data directory."""

from pathlib import Path

import pytest
import trio

from prunner_trio import Definitions, PipelineDef, State, TaskDef, open_runner
from prunner_trio.testing import FakeLauncher


def test_all_data_stays_together_when_the_program_changes_its_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        definitions = Definitions.of(PipelineDef("p", tasks=(TaskDef("t", script=("true",)),)))
        async with open_runner(definitions, data=Path("data"), launcher=FakeLauncher()) as runner:
            monkeypatch.chdir("elsewhere")
            job = await runner.schedule("p")
            with trio.fail_after(30):
                assert (await job.wait()).state is State.DONE
        assert (tmp_path / "data" / "logs" / job.id / "t-stdout.log").exists()

    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    trio.run(main)
    assert list((tmp_path / "elsewhere").iterdir()) == []
