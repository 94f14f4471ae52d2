"""Who is below a process, when numbers may be given to others between two looks. The list of processes is on paper."""

from collections.abc import Callable

import pytest

from prunner_trio.launch import procfs
from prunner_trio.launch.procfs import Stat, descendants

NOW = 1000


class Table:
    """Processes by number. `turn` changes something after a list of children has been read."""

    def __init__(self, *processes: tuple[int, int, int]) -> None:
        self.processes = {pid: Stat(pid, start, parent, pid, alive=True) for pid, parent, start in processes}
        self.turns: dict[int, Callable[[], None]] = {}

    def stat(self, pid: int) -> Stat | None:
        return self.processes.get(pid)

    def children(self, pid: int) -> list[int]:
        found = [child.pid for child in self.processes.values() if child.parent == pid]
        self.turns.pop(pid, lambda: None)()
        return found

    def is_now(self, pid: int, parent: int, start: int) -> None:
        self.processes[pid] = Stat(pid, start, parent, pid, alive=True)


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Table:
    table = Table((10, 1, 100), (11, 10, 110), (12, 11, 120), (13, 10, 130), (50, 1, 90), (51, 50, 95))
    monkeypatch.setattr(procfs, "stat", table.stat)
    monkeypatch.setattr(procfs, "children", table.children)
    monkeypatch.setattr(procfs, "_ticks_since_boot", lambda: NOW)
    return table


def below(table: Table, *roots: int) -> list[int]:
    return list(descendants([table.processes[root] for root in roots]))


def test_all_are_found_parents_before_children(table: Table) -> None:
    assert below(table, 10) == [10, 11, 13, 12]


def test_a_root_whose_number_is_another_s_by_now_is_none(table: Table) -> None:
    root = table.processes[10]
    table.is_now(10, 1, NOW + 1)
    assert descendants([root]) == {}


def test_a_child_whose_number_goes_to_a_stranger_is_left_out(table: Table) -> None:
    table.turns[10] = lambda: table.is_now(13, 50, NOW + 1)
    assert below(table, 10) == [10, 11, 12]


def test_children_of_a_stranger_who_has_the_number_of_a_parent_are_left_out(table: Table) -> None:
    def rival() -> None:
        table.is_now(11, 1, NOW + 1)
        table.is_now(12, 11, NOW + 2)

    table.turns[10] = lambda: None
    table.turns[11] = rival
    assert below(table, 10) == [10, 11, 13]


def test_a_child_whose_parent_ends_while_we_look_is_found(table: Table) -> None:
    def rival() -> None:
        del table.processes[11]
        table.is_now(12, 1, 120)

    table.turns[11] = rival
    assert below(table, 10) == [10, 11, 13, 12]


def test_who_is_not_to_be_found_is_left_out_with_all_below(table: Table) -> None:
    assert list(descendants([table.processes[10]], without={11})) == [10, 13]
