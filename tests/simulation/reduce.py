"""Makes a run that breaks a promise smaller, as long as it breaks the same one."""

from collections.abc import Iterator

import attrs
from tests.simulation.plan import Plan
from tests.simulation.world import Outcome, play

__all__ = ["reduced"]


def reduced(plan: Plan) -> tuple[Plan, Outcome]:
    """Return a smaller plan that violates the same invariant, and what comes of it.

    Raises:
        ValueError: the plan violates nothing.
    """
    outcome = play(plan)
    if outcome.violation is None:
        raise ValueError(f"the run of seed {plan.seed} keeps all promises")
    smaller = True
    while smaller:
        smaller = False
        for candidate in _smaller(plan):
            tried = play(candidate)
            if tried.violation is not None and tried.violation.invariant == outcome.violation.invariant:
                plan, outcome, smaller = candidate, tried, True
                break
    return plan, outcome


def _smaller(plan: Plan) -> Iterator[Plan]:
    for number, life in enumerate(plan.lives):
        rest = (*plan.lives[:number], *plan.lives[number + 1 :])
        if number + 1 < len(plan.lives):
            yield attrs.evolve(plan, lives=rest)
        for position in range(len(life.steps)):
            steps = (*life.steps[:position], *life.steps[position + 1 :])
            lives = (*plan.lives[:number], attrs.evolve(life, steps=steps), *plan.lives[number + 1 :])
            yield attrs.evolve(plan, lives=lives)
