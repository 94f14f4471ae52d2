"""Reloading definitions, with real files and a real thread."""

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

import prunner_trio.daemon.reload as module
from prunner_trio.daemon.reload import Reloader
from prunner_trio.definition import Definitions


@attrs.define(eq=False)
class Holder:
    """Holds definitions as a runner does, and tells when something happens."""

    current: Definitions = attrs.field(factory=Definitions)
    replaced: int = 0
    changed: trio.Event = attrs.field(factory=trio.Event)

    def replace(self, definitions: Definitions) -> None:
        self.current = definitions
        self.replaced += 1
        self.changed.set()
        self.changed = trio.Event()

    async def until(self, *names: str) -> None:
        with trio.fail_after(10):
            while list(self.current.pipelines) != list(names):
                await self.changed.wait()


def write(folder: Path, *names: str) -> None:
    content = "".join(f"  {name}: {{tasks: {{t: {{script: [echo]}}}}}}\n" for name in names)
    temporary = folder / "temporary"
    temporary.write_text(f"pipelines:\n{content}")
    temporary.replace(folder / "pipelines.yml")


def reloading(
    folder: Path, scenario: Callable[[Reloader, Holder], Awaitable[None]], interval: float | None = None
) -> Holder:
    holder = Holder()

    async def main() -> None:
        reloader = Reloader("*.yml", folder, lambda: holder.current, holder.replace, interval)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reloader.run)
            await scenario(reloader, holder)
            nursery.cancel_scope.cancel()

    trio.run(main, strict_exception_groups=True)
    return holder


def test_new_definitions_come_on_request(tmp_path: Path) -> None:
    async def scenario(reloader: Reloader, holder: Holder) -> None:
        for names in (("a",), ("a", "b"), ("b",)):
            write(tmp_path, *names)
            reloader.request()
            await holder.until(*names)

    reloading(tmp_path, scenario)


def test_of_many_requests_the_last_one_is_not_lost(tmp_path: Path) -> None:
    async def scenario(reloader: Reloader, holder: Holder) -> None:
        for number in range(30):
            write(tmp_path, f"p{number}")
            reloader.request()
            await trio.lowlevel.checkpoint()
        await holder.until("p29")

    assert reloading(tmp_path, scenario).replaced <= 30


def test_with_an_interval_nobody_has_to_ask(tmp_path: Path) -> None:
    async def scenario(reloader: Reloader, holder: Holder) -> None:
        write(tmp_path, "a")
        await holder.until("a")
        write(tmp_path, "b")
        await holder.until("b")

    assert reloading(tmp_path, scenario, interval=0.01).replaced == 2


def until_logged(caplog: pytest.LogCaptureFixture, text: str, times: int = 1) -> Callable[[], Awaitable[None]]:
    """Return a wait for a text in the log, by a handler and an event."""
    seen = trio.Event()

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if sum(text in entry.getMessage() for entry in [*caplog.records, record]) >= times:
                seen.set()

    handler = Handler()
    logging.getLogger(module.__name__).addHandler(handler)

    async def wait() -> None:
        with trio.fail_after(10):
            await seen.wait()
        logging.getLogger(module.__name__).removeHandler(handler)

    return wait


def test_broken_files_are_complained_about_and_change_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def scenario(reloader: Reloader, holder: Holder) -> None:
        write(tmp_path, "a")
        reloader.request()
        await holder.until("a")
        complained = until_logged(caplog, "stay as they were")
        (tmp_path / "pipelines.yml").write_text("pipelines: [")
        reloader.request()
        await complained()
        assert list(holder.current.pipelines) == ["a"]
        write(tmp_path, "b")
        reloader.request()
        await holder.until("b")

    reloading(tmp_path, scenario)
    assert any("pipelines.yml" in message for message in caplog.messages)


def test_a_watch_complains_once_about_the_same_problem(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    (tmp_path / "pipelines.yml").write_text("pipelines: [")
    load, looks = module.load_definitions, 0

    def counted(*asked: Any, **more: Any) -> Definitions:
        nonlocal looks
        looks += 1
        if looks == 4:
            write(tmp_path, "a")
        return load(*asked, **more)

    monkeypatch.setattr(module, "load_definitions", counted)

    async def scenario(reloader: Reloader, holder: Holder) -> None:
        await holder.until("a")

    reloading(tmp_path, scenario, interval=0.001)
    assert sum("stay as they were" in message for message in caplog.messages) == 1


def test_a_request_complains_each_time(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    (tmp_path / "pipelines.yml").write_text("pipelines: [")

    async def scenario(reloader: Reloader, holder: Holder) -> None:
        for times in (1, 2):
            complained = until_logged(caplog, "stay as they were", times)
            reloader.request()
            await complained()

    reloading(tmp_path, scenario)


def test_a_defect_in_reading_is_logged_and_the_next_request_is_served(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def defective(*_: object, **__: object) -> Definitions:
        monkeypatch.undo()
        raise RuntimeError("a defect")

    monkeypatch.setattr(module, "load_definitions", defective)
    write(tmp_path, "a")

    async def scenario(reloader: Reloader, holder: Holder) -> None:
        failed = until_logged(caplog, "reloading failed")
        reloader.request()
        await failed()
        reloader.request()
        await holder.until("a")

    reloading(tmp_path, scenario)


def test_files_that_did_not_change_replace_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    write(tmp_path, "a")

    async def scenario(reloader: Reloader, holder: Holder) -> None:
        reloader.request()
        await holder.until("a")
        again = until_logged(caplog, "reloaded definitions", times=2)
        reloader.request()
        await again()

    assert reloading(tmp_path, scenario).replaced == 1


def test_the_loss_of_the_last_file_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def scenario(reloader: Reloader, holder: Holder) -> None:
        write(tmp_path, "a")
        reloader.request()
        await holder.until("a")
        warned = until_logged(caplog, "no definition file")
        (tmp_path / "pipelines.yml").unlink()
        reloader.request()
        await warned()

    reloading(tmp_path, scenario)
    (record,) = [record for record in caplog.records if record.message == "no definition file"]
    assert (record.levelname, record.pattern, record.path) == ("WARNING", "*.yml", str(tmp_path))  # type: ignore[attr-defined]
