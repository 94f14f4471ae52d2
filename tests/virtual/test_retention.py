"""Old jobs go, in the engine."""

import attrs
import pytest

from prunner_trio.definition.pipeline import Definitions, PipelineDef
from prunner_trio.errors import JobNotFound
from prunner_trio.execution import housekeeping
from prunner_trio.execution.seams import JobsRemoved
from prunner_trio.testing import Act, MemoryJournal, simulate


def test_the_newest_jobs_stay_and_logs_go_with_their_job(one):
    async def scenario(rig):
        jobs = [await rig.schedule("p") for _ in range(4)]
        for job in jobs:
            await job.wait()
        await rig.at(10)
        assert [view.id for view in await rig.runner.jobs()] == [jobs[3].id, jobs[2].id]
        with pytest.raises(JobNotFound):
            await rig.runner.find(jobs[0].id)
        sizes = [await rig.output.size(job.id, "t", "stdout") for job in jobs]
        assert sizes == [0, 0, 3, 3]

    transcript = simulate(one(retention_count=2), scenario, {"t": Act(stdout="abc")})
    assert {entry.job for entry in transcript if entry.what == "removed (retention)"} == {"p#1", "p#2"}


def test_many_jobs_go_a_few_at_a_time(one, monkeypatch):
    monkeypatch.setattr(housekeeping, "_AT_ONCE", 3)
    batches = []

    class Watched(MemoryJournal):
        def record(self, change):
            if isinstance(change, JobsRemoved) and change.job_ids:
                batches.append(len(change.job_ids))
            return super().record(change)

    async def scenario(rig):
        for _ in range(9):
            await (await rig.schedule("p")).wait()
        rig.runner.replace_definitions(Definitions.of(attrs.evolve(rig.runner.definitions.get("p"), retention_count=1)))
        await rig.at(100)
        assert len(await rig.runner.jobs()) == 1

    simulate(one(), scenario, journal=Watched())
    assert batches == [3, 3, 2]


def test_jobs_go_when_their_period_has_passed_although_nothing_else_happens(one):
    async def scenario(rig):
        await rig.at(7)
        await (await rig.schedule("p")).wait()
        await rig.at(66)
        assert len(await rig.runner.jobs()) == 1
        await rig.at(69)
        assert await rig.runner.jobs() == []

    simulate(one(retention_period=60.0), scenario)


def test_running_and_waiting_jobs_stay(one):
    async def scenario(rig):
        jobs = [await rig.schedule("p") for _ in range(3)]
        await rig.at(100)
        assert len(list(rig.runner.live())) == 3
        for job in jobs:
            job.cancel()

    simulate(one(retention_period=1.0, retention_count=1), scenario, {"t": Act(1000)})


def test_without_a_rule_everything_stays(one):
    async def scenario(rig):
        for _ in range(5):
            await (await rig.schedule("p")).wait()
        await rig.at(1e6)
        assert len(await rig.runner.jobs()) == 5

    simulate(one(), scenario, time_limit=1e7)


def test_jobs_of_a_pipeline_that_is_gone_go_a_day_after_their_end(one):
    journal = MemoryJournal()

    async def before(rig):
        await (await rig.schedule("p")).wait()

    simulate(one(), before, journal=journal)

    async def after(rig):
        await rig.at(80_000)
        assert len(await rig.runner.jobs()) == 1
        await rig.at(200_000)
        assert await rig.runner.jobs() == []

    async def with_nothing_defined(rig):
        await rig.at(7 * 86_400)
        assert len(await rig.runner.jobs()) == 1

    simulate(Definitions(), with_nothing_defined, journal=journal)
    simulate(Definitions.of(PipelineDef("q")), after, journal=journal)
