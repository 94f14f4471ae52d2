"""How much the daemon says that it uses."""

from pathlib import Path

import trio

from prunner_trio.daemon.measuring import measured


def test_files_that_are_there_are_counted_and_others_are_not_missed(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 5000)
    (tmp_path / "b").write_bytes(b"x" * 500)
    found = trio.run(measured, tmp_path, (tmp_path / "a", tmp_path / "b", tmp_path / "not-there"))
    assert found.store == 5500
    assert found.free is not None
    assert found.memory is not None
    assert found.memory > 1 << 20


def test_what_cannot_be_measured_is_left_open(tmp_path: Path) -> None:
    found = trio.run(measured, tmp_path / "gone", (tmp_path / "gone" / "store",))
    assert (found.store, found.free) == (None, None)
