"""The tables of states and the rule of the outcome."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunner_trio.errors import IllegalMove
from prunner_trio.model import (
    JOB_MOVES,
    TASK_MOVES,
    Move,
    State,
    StopReason,
    StopRequest,
    TaskView,
    job_outcome,
    next_state,
)

LEGAL = {
    "job": {
        ("waiting", "start"): "running",
        ("waiting", "cancel"): "canceled",
        ("waiting", "fail"): "error",
        ("running", "succeed"): "done",
        ("running", "fail"): "error",
        ("running", "cancel"): "canceled",
    },
    "task": {
        ("waiting", "start"): "running",
        ("waiting", "cancel"): "canceled",
        ("waiting", "skip"): "skipped",
        ("running", "succeed"): "done",
        ("running", "fail"): "error",
        ("running", "cancel"): "canceled",
    },
}


@pytest.mark.parametrize(("table", "legal"), [(JOB_MOVES, LEGAL["job"]), (TASK_MOVES, LEGAL["task"])])
def test_exactly_these_moves_are_possible(table, legal):
    for state, move in itertools.product(State, Move):
        if (state.value, move.value) in legal:
            assert next_state(table, state, move) is State(legal[state.value, move.value])
        else:
            with pytest.raises(IllegalMove, match=state.value):
                next_state(table, state, move)


def test_nothing_follows_a_final_state():
    assert [state.value for state in State if state.final] == ["done", "error", "canceled", "skipped"]


def tasks(*states):
    return [
        TaskView(str(n), State(state.rstrip("?")), allow_failure=state.endswith("?")) for n, state in enumerate(states)
    ]


def stop(reason):
    return StopRequest(reason, 0.0) if reason else None


R = StopReason
OUTCOMES = [
    ((), None, Move.SUCCEED),
    (("done", "done"), None, Move.SUCCEED),
    (("done", "skipped"), None, Move.SUCCEED),
    (("done", "error"), None, Move.FAIL),
    (("done", "error?"), None, Move.SUCCEED),
    (("error", "canceled"), R.FAIL_FAST, Move.FAIL),
    (("done", "canceled"), R.USER, Move.CANCEL),
    (("error", "canceled"), R.USER, Move.CANCEL),
    (("done", "done"), R.USER, Move.SUCCEED),
    (("done", "error"), R.USER, Move.FAIL),
    (("done", "canceled"), R.SHUTDOWN, Move.CANCEL),
    (("error", "canceled"), R.TIMEOUT, Move.FAIL),
    (("error?", "canceled"), R.TIMEOUT, Move.FAIL),
    (("done", "done"), R.INTERNAL, Move.FAIL),
    (("canceled",), R.INTERNAL, Move.FAIL),
]


@pytest.mark.parametrize(("states", "reason", "move"), OUTCOMES)
def test_outcome(states, reason, move):
    assert job_outcome(tasks(*states), stop(reason)) is move


def test_a_task_that_was_canceled_alone_cancels_its_job_in_the_end_unless_it_may_fail_or_another_has_failed():
    alone = TaskView("x", State.CANCELED, stop=stop(R.USER))
    assert job_outcome([alone, *tasks("done", "canceled")], None) is Move.CANCEL
    assert job_outcome([alone, *tasks("error", "canceled")], stop(R.FAIL_FAST)) is Move.FAIL
    may_fail = TaskView("x", State.CANCELED, allow_failure=True, stop=stop(R.USER))
    assert job_outcome([may_fail, *tasks("done")], None) is Move.SUCCEED
    assert job_outcome([may_fail, *tasks("done")], stop(R.USER)) is Move.SUCCEED
    assert job_outcome([may_fail, *tasks("done")], stop(R.TIMEOUT)) is Move.SUCCEED
    assert (alone.passed, may_fail.passed, tasks("canceled?")[0].passed) == (False, True, False)


@given(st.lists(st.sampled_from(["done", "error", "error?", "canceled", "skipped"])), st.sampled_from([None, *R]))
def test_the_outcome_does_not_depend_on_the_order_of_tasks(states, reason):
    assert job_outcome(tasks(*states), stop(reason)) is job_outcome(tasks(*reversed(states)), stop(reason))


def test_an_outcome_before_the_end_is_a_mistake():
    with pytest.raises(ValueError, match="before its tasks have ended"):
        job_outcome(tasks("done", "running"), None)
