"""States of jobs and tasks, and the tables of moves between them."""

from collections.abc import Mapping
from enum import StrEnum

from prunner_trio.errors import IllegalMove

__all__ = ["JOB_MOVES", "TASK_MOVES", "Move", "MoveTable", "State", "next_state"]


class State(StrEnum):
    """Where a job or a task stands; the last four are final."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    ERROR = "error"
    CANCELED = "canceled"
    SKIPPED = "skipped"

    @property
    def final(self) -> bool:
        """Whether nothing can follow."""
        return self not in (State.WAITING, State.RUNNING)


class Move(StrEnum):
    """What may happen to a job or a task."""

    START = "start"
    SUCCEED = "succeed"
    FAIL = "fail"
    CANCEL = "cancel"
    SKIP = "skip"


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
