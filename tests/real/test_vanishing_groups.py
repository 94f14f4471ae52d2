"""Other daemons make and remove control groups while this one looks at them."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from prunner_trio.launch.cgroup import abandoned_homes, claim, end_abandoned

pytestmark = pytest.mark.real

LOOKS: dict[str, Callable[[Path], object]] = {
    "claim": lambda parent: claim(parent, "owner", ["owner-1"]),
    "end_abandoned": lambda parent: end_abandoned(parent, "place"),
    "abandoned_homes": abandoned_homes,
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS.keys())
@pytest.mark.parametrize("vanishes", ["home", "parent"])
def test_a_group_that_vanishes_while_it_is_looked_at_is_not_there(
    look: Callable[[Path], object], vanishes: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = tmp_path / "groups"
    home = parent / "prunner.999999999-1-1-place"
    home.mkdir(parents=True)
    gone = {"home": home, "parent": parent}[vanishes]
    scan = os.scandir

    def scandir(path: str | os.PathLike[str]) -> object:
        if Path(path) == gone and gone.exists():
            if home.exists():
                home.rmdir()
            if vanishes == "parent":
                parent.rmdir()
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    look(parent)
