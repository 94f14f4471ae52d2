"""States of jobs and tasks, and the tables of moves between them."""

from collections.abc import Mapping
from enum import StrEnum

from prunner_trio.errors import IllegalMove

__all__ = ["JOB_MOVES", "TASK_MOVES", "Move", "MoveTable", "State", "next_state"]


class State(StrEnum):
    """Where a job or a task stands; the last four are final.

    Attributes:
        final: nothing can follow.
    """

    final: bool

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    ERROR = "error"
    CANCELED = "canceled"
    SKIPPED = "skipped"

    def __init__(self, value: str) -> None:
        """Decide once what is asked several times per task; asking is then a tenth of a property."""
        self.final = value not in ("waiting", "running")

    __hash__ = str.__hash__  # that of enumerations is a function in Python, twice per look into a table of moves


class Move(StrEnum):
    """What may happen to a job or a task."""

    START = "start"
    SUCCEED = "succeed"
    FAIL = "fail"
    CANCEL = "cancel"
    SKIP = "skip"

    __hash__ = str.__hash__  # as above


MoveTable = Mapping[tuple[State, Move], State]

_SHARED: MoveTable = {
    (State.WAITING, Move.START): State.RUNNING,
    (State.WAITING, Move.CANCEL): State.CANCELED,
    (State.RUNNING, Move.SUCCEED): State.DONE,
    (State.RUNNING, Move.FAIL): State.ERROR,
    (State.RUNNING, Move.CANCEL): State.CANCELED,
}

JOB_MOVES: MoveTable = {**_SHARED, (State.WAITING, Move.FAIL): State.ERROR}
"""A job fails while waiting only through an internal error before its first task."""

TASK_MOVES: MoveTable = {**_SHARED, (State.WAITING, Move.SKIP): State.SKIPPED}
"""A task is skipped when a condition says so; that counts as passed for its dependents."""


def next_state(table: MoveTable, now: State, move: Move) -> State:
    """Return the state that `move` leads to.

    Raises:
        IllegalMove: the table does not have this move; that is a defect of the runner.
    """
    try:
        return table[now, move]
    except KeyError:
        raise IllegalMove(f"{move.value!r} is not possible in state {now.value!r}") from None
