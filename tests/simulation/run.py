"""What `scripts/simulate` does: many runs on all the cores it is given, or one run with all that happens in it."""

import argparse
import multiprocessing
import sys
import time
from collections.abc import Iterable, Iterator

import attrs
from tests.simulation import document
from tests.simulation.invariants import INVARIANTS
from tests.simulation.mutants import MUTANTS, hunt
from tests.simulation.plan import Plan, draw_plan
from tests.simulation.reduce import reduced
from tests.simulation.world import Outcome, play_seed

from prunner_trio.definition.pipeline import PipelineDef, TaskDef

__all__ = ["main"]

CHUNK = 50
MUTANT_RUNS = 5000


@attrs.define
class Tally:
    """What has been done so far."""

    runs: int = 0
    jobs: int = 0
    crashes: int = 0

    def add(self, outcome: Outcome) -> None:
        self.runs += 1
        self.jobs += outcome.jobs
        self.crashes += outcome.crashes

    def __str__(self) -> str:
        return f"{self.runs} runs, {self.jobs} jobs, {self.crashes} crashes"


def main(words: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    arguments = _parse(words)
    if arguments.mutants or arguments.document:
        return _mutants(arguments.document)
    if arguments.reduce:
        return _reduce(arguments.seed)
    if arguments.verbose:
        print(describe(draw_plan(arguments.seed)))
    tally, began, shown = Tally(), time.monotonic(), time.monotonic()
    seeds = range(arguments.seed, arguments.seed + arguments.runs)
    for outcome in _outcomes(seeds, arguments.jobs):
        tally.add(outcome)
        if arguments.verbose:
            print("\n".join(outcome.transcript))
        if outcome.violation is not None:
            print(report(outcome, with_transcript=not arguments.verbose))
            return 1
        if time.monotonic() - shown >= 1:
            shown = time.monotonic()
            _progress(f"{tally}, {tally.runs / (shown - began):.0f} runs/s")
    _progress("")
    took = time.monotonic() - began
    print(f"{tally}: all {len(INVARIANTS)} promises kept, {tally.runs / took:.0f} runs/s")
    return 0


def report(outcome: Outcome, *, with_transcript: bool = True) -> str:
    """Say what went wrong in a run, and how to see it again."""
    assert outcome.violation is not None
    lines = list(outcome.transcript) if with_transcript else []
    return "\n".join(
        [
            *lines,
            "",
            f"A promise was broken: {outcome.violation.invariant}",
            f"  {INVARIANTS[outcome.violation.invariant]}",
            f"  {outcome.violation.what}",
            f"Again: scripts/simulate --seed {outcome.seed} --runs 1 --verbose",
            f"Smaller: scripts/simulate --seed {outcome.seed} --reduce",
        ]
    )


def describe(plan: Plan) -> str:
    """Say what a run does."""
    lines = [f"seed {plan.seed}"]
    for number, definitions in enumerate(plan.versions):
        lines.append(f"definitions {number}")
        for pipeline in definitions:
            lines.append(f"  {_keys(pipeline, PipelineDef(pipeline.name), leave_out=('tasks', 'on_error'))}")
            handler = (pipeline.on_error,) if pipeline.on_error is not None else ()
            lines += [f"    {_keys(task, TaskDef(task.name), ('script',))}" for task in (*pipeline.tasks, *handler)]
    for number, life in enumerate(plan.lives, 1):
        crash = "" if life.crash_at is None else f", crash at store call {life.crash_at}"
        room = "" if life.most_tasks is None else f", room for {life.most_tasks} tasks"
        about = f"definitions {life.version % len(plan.versions)}, commits take {life.commit_seconds:g} s{crash}{room}"
        lines.append(f"life {number}: {about}, end: {life.end}")
        lines += [f"  {step}" for step in life.steps]
    return "\n".join(lines)


def _keys(thing: PipelineDef | TaskDef, default: PipelineDef | TaskDef, leave_out: tuple[str, ...] = ()) -> str:
    """Name what differs from the default."""
    names = [field.name for field in attrs.fields(type(thing)) if field.name not in ("name", *leave_out)]
    keys = [f"{name}={getattr(thing, name)}" for name in names if getattr(thing, name) != getattr(default, name)]
    return " ".join([thing.name, *keys])


def _outcomes(seeds: range, jobs: int) -> Iterator[Outcome]:
    if jobs == 1:
        yield from map(play_seed, seeds)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        chunks = [seeds[start : start + CHUNK] for start in range(0, len(seeds), CHUNK)]
        for outcomes in pool.imap_unordered(_play_chunk, chunks):
            yield from outcomes


def _play_chunk(seeds: Iterable[int]) -> list[Outcome]:
    """Play some runs; the transcripts of the good ones stay behind."""
    outcomes = map(play_seed, seeds)
    return [o if o.violation is not None else attrs.evolve(o, transcript=()) for o in outcomes]


def _reduce(seed: int) -> int:
    try:
        plan, outcome = reduced(draw_plan(seed))
    except ValueError as exc:
        print(exc)
        return 0
    print(describe(plan))
    print(report(outcome))
    return 1


def _mutants(write: bool) -> int:
    found: dict[str, tuple[int, str]] = {}
    for mutant in MUTANTS:
        prey = hunt(mutant, MUTANT_RUNS)
        if prey is None:
            print(f"survives {MUTANT_RUNS} runs: {mutant}")
            continue
        found[mutant] = prey[0], prey[1].invariant
        print(f"{prey[0]:5} runs: {mutant}: {prey[1].invariant}")
    if len(found) < len(MUTANTS):
        return 1
    if write:
        document.write(found)
        print("docs/invariants.md is up to date")
    return 0


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _parse(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/simulate",
        description="Runs the whole engine on paper, with random pipelines, operations, faults and crashes, and checks "
        "the promises of docs/invariants.md after every step. Equal seeds are equal runs.",
    )
    parser.add_argument("--runs", type=int, default=1000, help="how many runs (1000)")
    parser.add_argument("--seed", type=int, default=0, help="the seed of the first one (0); the next ones count up")
    parser.add_argument("--jobs", type=int, default=1, help="processes to use (1)")
    parser.add_argument("--verbose", action="store_true", help="show what is done and what happens")
    parser.add_argument("--reduce", action="store_true", help="make the failing run of this seed smaller")
    parser.add_argument("--mutants", action="store_true", help="break the engine in all known ways, and see it found")
    parser.add_argument("--document", action="store_true", help="the same, and write the tables of docs/invariants.md")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main())
