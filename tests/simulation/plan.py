"""What one simulated run does, drawn from its seed alone: definitions, behavior of processes, operations, faults.

All times are multiples of a quarter of a second, so that many things happen in the same instant: that is where
schedulers go wrong.
"""

import math
import random

import attrs

from prunner_trio.definition.pipeline import (
    ON_ERROR,
    Definitions,
    OnDaemonCrash,
    Orphans,
    PipelineDef,
    QueueStrategy,
    TaskDef,
)
from prunner_trio.testing import Act

__all__ = ["Life", "Plan", "Step", "act", "draw_plan"]

FOREVER = math.inf
TASKS = ("a", "b", "c", "d")

VERBS = {
    "schedule": 12,
    "schedule three": 2,
    "schedule three on a full disk": 1,
    "cancel": 5,
    "cancel twice": 1,
    "look": 2,
    "reload": 2,
    "hold commits": 2,
    "refuse writes": 2,
    "refuse reads": 1,
    "follow": 1,
    "lag": 2,
    "schedule nonsense": 1,
    "drain": 1,
    "shut down": 1,
    "kill": 1,
}


STEERING = {"retry": 3, "retry what failed": 5, "move": 5, "pause": 2, "resume": 3, "cancel a task": 5}


@attrs.frozen
class Step:
    """One thing that somebody does.

    Attributes:
        at: seconds since the life began.
        verb: a key of `VERBS` or `STEERING`.
        choice: which pipeline, job, version or duration is meant: taken modulo what there is.
    """

    at: float
    verb: str
    choice: int

    def __str__(self) -> str:
        return f"{self.at:g} {self.verb} ({self.choice})"


@attrs.frozen
class Life:
    """One runner, from its start to its end.

    Attributes:
        commit_seconds: how long every commit takes.
        crash_at: the call of the store during which the runner dies, counted from 1; None: it does not.
        end: how it ends otherwise: `drain`, `cancel`, `kill`, `raise`, `outer cancel`, `crash`, `cancel and crash`
            (all jobs are canceled, and a moment later it dies), `hand over`, or `hand over and crash` (it dies before
            all is let go).
        version: the definitions that it starts with.
        most_tasks: how many tasks it has room for; None: any number.
        outlive: all tasks may outlive it, and not only those of pipelines that are adopted.
        power_cut: if it dies, so does every process, and what was kept of their ends is lost.
    """

    steps: tuple[Step, ...]
    commit_seconds: float
    crash_at: int | None
    end: str
    version: int
    most_tasks: int | None
    outlive: bool = False
    power_cut: bool = False


@attrs.frozen
class Plan:
    """A whole run. The last life has no faults, so that everything has to come to an end in it."""

    seed: int
    versions: tuple[Definitions, ...]
    lives: tuple[Life, ...]


def draw_plan(seed: int) -> Plan:
    """Return the plan of a seed, always the same."""
    rng = random.Random(seed)
    names = ["p", "q"][: rng.choice((1, 1, 2))]
    versions = []
    for number in range(rng.choice((1, 2, 3))):
        kept = [name for name in names if number == 0 or rng.random() < 0.85]
        versions.append(Definitions.of(*(_pipeline(rng, name) for name in kept)))
    lives = [_life(rng, len(versions)) for _ in range(rng.choice((0, 1, 1, 1, 2, 2, 3)))]
    last = Life(_steps(rng, rng.randint(3, 8)), rng.choice((0.0, 0.0, 0.25)), None, "drain", rng.randrange(6), None)
    quiet = tuple(
        step for step in last.steps if step.verb in ("schedule", "schedule three", "cancel", "look", "reload", "follow")
    )
    return _with_steering(_with_adoption(Plan(seed, tuple(versions), (*lives, attrs.evolve(last, steps=quiet)))))


def _with_adoption(plan: Plan) -> Plan:
    """Let some jobs outlive their runners. The chances are drawn apart, so that all else of a seed is as it was."""
    rng = random.Random(f"{plan.seed} adoption")
    ways = (OnDaemonCrash.CANCEL, OnDaemonCrash.CANCEL, OnDaemonCrash.ADOPT)
    way = {name: rng.choice(ways) for name in ("p", "q")}
    versions = [
        Definitions.of(*(attrs.evolve(pipeline, on_daemon_crash=way[pipeline.name]) for pipeline in version))
        for version in plan.versions
    ]
    lives = [
        attrs.evolve(
            life,
            outlive=rng.random() < 0.5,
            power_cut=rng.random() < 0.15,
            end=rng.choice(("hand over", "hand over", "hand over and crash")) if rng.random() < 0.3 else life.end,
        )
        for life in plan.lives[:-1]
    ]
    return attrs.evolve(plan, versions=tuple(versions), lives=(*lives, plan.lives[-1]))


def _with_steering(plan: Plan) -> Plan:
    """Let people steer in some runs. What they do is drawn apart, so that all other runs are as they were."""
    rng = random.Random(f"{plan.seed} interventions")
    if rng.random() >= 0.4:
        return plan
    lives = []
    for life in plan.lives:
        end = max((step.at for step in life.steps), default=0.0) + 2.0
        verbs = rng.choices(list(STEERING), list(STEERING.values()), k=rng.randint(2, 9))
        more = [Step(rng.randrange(int(end * 4)) / 4, verb, rng.randrange(1000)) for verb in verbs]
        lives.append(attrs.evolve(life, steps=tuple(sorted((*life.steps, *more), key=lambda step: step.at))))
    return attrs.evolve(plan, lives=tuple(lives))


def act(seed: int, job: int, task: str) -> Act:
    """Return how a task of the job that was the n-th to be submitted behaves."""
    rng = random.Random(f"{seed} {job} {task}")
    reactions = (0.0, 0.0, 0.0, 0.5, 1.5, None, FOREVER)
    return Act(
        seconds=rng.choice((0.0, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, FOREVER)),
        exit_code=rng.choice((0, 0, 0, 0, 0, 1, 3, -9)),
        on_sigint=rng.choice(reactions),
        on_sigterm=rng.choice(reactions),
        leftovers=rng.choice((0.0, 0.0, 0.0, 0.0, 1.0, FOREVER)),
        immortal=rng.random() < 0.04,
        launch_seconds=rng.choice((0.0, 0.0, 0.0, 0.5)),
        launch_error="no such program" if rng.random() < 0.05 else "",
    )


def _pipeline(rng: random.Random, name: str) -> PipelineDef:
    strategy = rng.choice((QueueStrategy.APPEND, QueueStrategy.REPLACE, QueueStrategy.PARTITIONED_REPLACE))
    partitioned = strategy is QueueStrategy.PARTITIONED_REPLACE
    limit = None if partitioned else rng.choice((None, 0, 1, 1, 2, 3))
    tasks: list[TaskDef] = []
    for task in TASKS[: rng.choice((1, 1, 2, 3, 4))]:
        needs = tuple(sorted(other.name for other in tasks if rng.random() < 0.4))
        tasks.append(
            TaskDef(
                task,
                ("work",),
                needs,
                allow_failure=rng.random() < 0.25,
                timeout=rng.choice((None, None, None, 1.5, 4.0)),
                kill_timeout=rng.choice((None, None, None, 0.0, 3.0)),
                orphans=rng.choice((None, None, None, *Orphans)),
            )
        )
    return PipelineDef(
        name,
        tuple(tasks),
        concurrency=rng.choice((1, 1, 1, 2, 3)),
        queue_limit=limit,
        queue_strategy=strategy,
        queue_partition_limit=rng.choice((1, 2)) if partitioned else None,
        start_delay=rng.choice((0.0, 0.0, 1.0, 2.5)) if limit != 0 else 0.0,
        continue_running_tasks_after_failure=rng.random() < 0.3,
        retention_period=rng.choice((0.0, 0.0, 0.0, 30.0)),
        retention_count=rng.choice((0, 0, 1, 3)),
        on_error=TaskDef(ON_ERROR, ("work",), timeout=rng.choice((None, 2.0))) if rng.random() < 0.3 else None,
        timeout=rng.choice((None, None, None, 2.5, 6.0)),
        kill_timeout=rng.choice((None, None, 0.0, 1.0)),
    )


def _life(rng: random.Random, versions: int) -> Life:
    return Life(
        steps=_steps(rng, rng.randint(3, 14)),
        commit_seconds=rng.choice((0.0, 0.0, 0.25, 1.0)),
        crash_at=rng.randint(1, 60) if rng.random() < 0.4 else None,
        end=rng.choice(
            ("drain", "drain", "cancel", "kill", "raise", "outer cancel", "crash", "crash", "cancel and crash")
        ),
        version=rng.randrange(versions),
        most_tasks=rng.choice((None, None, None, 1, 2)),
    )


def _steps(rng: random.Random, count: int) -> tuple[Step, ...]:
    verbs = rng.choices(list(VERBS), list(VERBS.values()), k=count)
    steps, at = [], 0.0
    for verb in verbs:
        at += rng.choice((0.0, 0.0, 0.0, 0.25, 0.25, 0.5, 1.0, 2.0))
        steps.append(Step(at, verb, rng.randrange(1000)))
    return tuple(steps)
