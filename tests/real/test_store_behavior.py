"""What every journal promises, on disk or in memory: one list of scenarios for both."""

import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio

from prunner_trio.definition.pipeline import PipelineDef, QueueStrategy, TaskDef
from prunner_trio.execution.seams import (
    Expired,
    JobAdded,
    JobChanged,
    JobReset,
    JobsRemoved,
    Journal,
    SavedJob,
    TaskChanged,
)
from prunner_trio.model import JobId, JobQuery, JobView, State, StopReason, StopRequest, TaskView
from prunner_trio.storage import MemoryJournal, open_journal

pytestmark = pytest.mark.real

Restart = Callable[[], AbstractAsyncContextManager[Journal]]
Scenario = Callable[[Restart], Awaitable[None]]

PIPELINE = PipelineDef(
    "build",
    (
        TaskDef("a", ("echo a", "true"), env={"X": "1"}),
        TaskDef("b", ("echo b",), depends_on=("a",), allow_failure=True, timeout=2.5, shell="sh"),
    ),
    concurrency=3,
    queue_limit=4,
    queue_strategy=QueueStrategy.REPLACE,
    start_delay=1.5,
    env={"Y": "ü"},
    on_error=TaskDef("on_error", ("echo oh",)),
    timeout=60.0,
    file="pipelines.yml",
)
NEW_TASKS = (TaskView("a"), TaskView("b", depends_on=("a",), allow_failure=True))


def new_job(number: int, *, pipeline: str = "build", created: float = 0.0, **rest: object) -> JobView:
    return attrs.evolve(
        JobView(JobId(str(uuid.uuid4())), number, pipeline, State.WAITING, NEW_TASKS, created or 1000.0 + number),
        **rest,
    )


def added(job: JobView, *evicted: JobView) -> JobAdded:
    return JobAdded(job, attrs.evolve(PIPELINE, name=job.pipeline), evicted)


def finished(job: JobView, *, state: State = State.DONE, ended: float | None = None) -> JobView:
    tasks = tuple(attrs.evolve(task, state=state, started=1.0, ended=2.0) for task in job.tasks)
    return attrs.evolve(job, state=state, started=job.created, ended=ended or job.created + 1, tasks=tasks)


async def save(journal: Journal, *changes: JobAdded | JobChanged | TaskChanged | JobsRemoved) -> None:
    for change in changes:
        ticket = journal.record(change)
    await journal.committed(ticket)


@asynccontextmanager
async def memory(saved: list[tuple[SavedJob, ...]]) -> AsyncIterator[Journal]:
    journal = MemoryJournal(saved[-1] if saved else ())
    yield journal
    saved.append(journal.snapshot())


@pytest.fixture(params=["disk", "memory"])
def restart(request: pytest.FixtureRequest, tmp_path: Path) -> Restart:
    """Open the same journal again and again."""
    if request.param == "disk":
        return lambda: open_journal(tmp_path / "data", now=time.time)
    saved: list[tuple[SavedJob, ...]] = []
    return lambda: memory(saved)


def run(scenario: Scenario, restart: Restart) -> None:
    async def bounded() -> None:
        with trio.fail_after(60):
            await scenario(restart)

    trio.run(bounded)


def test_a_new_journal_is_empty(restart: Restart) -> None:
    async def scenario(restart: Restart) -> None:
        async with restart() as journal:
            assert await journal.unfinished() == []
            assert await journal.last_number() == 0
            assert await journal.find(JobId(str(uuid.uuid4()))) is None
            assert await journal.jobs(pipeline=None, before=None, limit=10) == []
            assert await journal.pipelines() == []
            assert await journal.expired("x", keep=1, created_before=9e9, ended_before=9e9) == Expired((), None)

    run(scenario, restart)


def test_a_job_comes_back_whole_with_its_definition(restart: Restart) -> None:
    job = new_job(
        7,
        created=1234.5678901,
        not_before=1300.25,
        variables={"s": 'x ✓ "\ud800', "n": 12345678901234567890, "f": 0.1, "l": [1, {"k": None}], "b": True},
        user="jane",
        partition="ten ant",
    )

    async def scenario(restart: Restart) -> None:
        async with restart() as journal:
            await save(journal, added(job))
            assert await journal.find(job.id) == SavedJob(job, PIPELINE)
        async with restart() as journal:
            assert await journal.unfinished() == [SavedJob(job, PIPELINE)]
            assert await journal.find(job.id) == SavedJob(job, PIPELINE)

    run(scenario, restart)


def test_the_fields_of_a_job_and_of_its_tasks_change_apart(restart: Restart) -> None:
    job = new_job(1)
    running = attrs.evolve(job, state=State.RUNNING, started=5.5)
    a = TaskView("a", State.RUNNING, started=6.5)
    b = TaskView("b", State.ERROR, ("a",), 7.0, 8.0, 137, "exit status 137", True)

    async def scenario(restart: Restart) -> None:
        async with restart() as journal:
            await save(journal, added(job), JobChanged(running), TaskChanged(job.id, 0, a), TaskChanged(job.id, 1, b))
            await save(journal, JobChanged(attrs.evolve(running, tasks=(), error="oh")))
        async with restart() as journal:
            found = await journal.find(job.id)
            assert found is not None
            assert found.job == attrs.evolve(running, tasks=(a, b), error="oh")

    run(scenario, restart)


def test_of_changes_that_go_together_the_last_holds_also_around_a_new_beginning(restart: Restart) -> None:
    job = new_job(1)
    running = attrs.evolve(job, state=State.RUNNING, started=5.5)
    again = attrs.evolve(job, attempt=2)
    before = [TaskView("a", state, started=6.0) for state in (State.RUNNING, State.DONE)]
    lost, after = TaskView("b", State.RUNNING, ("a",), 6.5), TaskView("a", State.RUNNING, started=7.0)

    async def scenario(restart: Restart) -> None:
        async with restart() as journal:
            first = [TaskChanged(job.id, 0, task) for task in before]
            await save(journal, added(job), JobChanged(running), *first, JobChanged(attrs.evolve(running, error="oh")))
            second = [*first, TaskChanged(job.id, 1, lost), JobReset(again), TaskChanged(job.id, 0, after)]
            await save(journal, JobChanged(running), *second)
        async with restart() as journal:
            found = await journal.find(job.id)
            assert found is not None
            assert found.job == attrs.evolve(again, tasks=(after, NEW_TASKS[1]))

    run(scenario, restart)


def test_the_handler_of_a_failure_is_appended_to_the_tasks(restart: Restart) -> None:
    job = new_job(1)
    handler = TaskView("on_error", State.RUNNING, started=3.0)

    async def scenario(restart: Restart) -> None:
        async with restart() as journal:
            await save(journal, added(job), TaskChanged(job.id, 2, handler))
            found = await journal.find(job.id)
            assert found is not None
            assert found.job.tasks == (*NEW_TASKS, handler)

    run(scenario, restart)


@pytest.mark.parametrize("reason", list(StopReason))
def test_why_a_job_was_stopped_is_kept(restart: Restart, reason: StopReason) -> None:
    job = new_job(1)
    stopped = attrs.evolve(job, state=State.RUNNING, stop=StopRequest(reason, 12.25, "jane"))

    async def scenario(restart: Restart) -> None:
        async with restart() as journal:
            await save(journal, added(job), JobChanged(stopped))
            found = await journal.find(job.id)
            assert found is not None
            assert found.job == stopped

    run(scenario, restart)


@pytest.mark.parametrize("state", list(State))
def test_every_state_of_a_task_is_kept(restart: Restart, state: State) -> None:
    job = new_job(1)

    async def scenario(restart: Restart) -> None:
        async with restart() as journal:
            await save(journal, added(job), TaskChanged(job.id, 0, attrs.evolve(NEW_TASKS[0], state=state)))
            found = await journal.find(job.id)
            assert found is not None
            assert found.job.tasks[0].state is state

    run(scenario, restart)


def test_a_job_that_took_the_place_of_others_is_saved_together_with_their_end(restart: Restart) -> None:
    old, new = new_job(1), new_job(2)
    evicted = attrs.evolve(old, state=State.CANCELED, ended=9.0, stop=StopRequest(StopReason.REPLACED, 9.0), tasks=())

    async def scenario(restart: Restart) -> None:
        async with restart() as journal:
            await save(journal, added(old))
            await save(journal, added(new, evicted))
        async with restart() as journal:
            assert [saved.job.id for saved in await journal.unfinished()] == [new.id]
            found = await journal.find(old.id)
            assert found is not None
            assert attrs.evolve(found.job, tasks=()) == evicted

    run(scenario, restart)


def test_tasks_that_were_never_reached_are_canceled_once_their_job_has_ended(restart: Restart) -> None:
    job = new_job(1)
    ended = attrs.evolve(job, state=State.CANCELED, ended=9.0, stop=StopRequest(StopReason.REPLACED, 9.0))

    async def scenario(restart: Restart) -> None:
        async with restart() as journal:
            await save(journal, added(job), TaskChanged(job.id, 0, TaskView("a", State.DONE)), JobChanged(ended))
            found = await journal.find(job.id)
            assert found is not None
            assert [task.state for task in found.job.tasks] == [State.DONE, State.CANCELED]
            assert found.job.tasks[1].reason == "stopped: replaced"
            assert found.job.tasks[1].depends_on == ("a",)

    run(scenario, restart)


def test_unfinished_jobs_come_by_number(restart: Restart) -> None:
    jobs = [new_job(number, created=1.0) for number in (3, 1, 2, 5)]

    async def scenario(restart: Restart) -> None:
        async with restart() as journal:
            await save(journal, *map(added, jobs))
            await save(journal, JobChanged(finished(jobs[2])), JobChanged(attrs.evolve(jobs[0], state=State.RUNNING)))
        async with restart() as journal:
            unfinished = await journal.unfinished()
            assert [saved.job.number for saved in unfinished] == [1, 3, 5]
            assert [saved.job.state for saved in unfinished] == [State.WAITING, State.RUNNING, State.WAITING]

    run(scenario, restart)


def test_pages_are_newest_first_below_a_number(restart: Restart) -> None:
    jobs = [new_job(number, pipeline="even" if number % 2 == 0 else "odd") for number in range(1, 10)]

    async def scenario(restart: Restart) -> None:
        async with restart() as journal:
            await save(journal, *map(added, jobs))

            async def numbers(pipeline: str | None, before: int | None, limit: int) -> list[int]:
                page = await journal.jobs(pipeline=pipeline, before=before, limit=limit)
                assert all(job == jobs[job.number - 1] for job in page)
                return [job.number for job in page]

            assert await numbers(None, None, 3) == [9, 8, 7]
            assert await numbers(None, 7, 3) == [6, 5, 4]
            assert await numbers(None, 3, 10) == [2, 1]
            assert await numbers("even", None, 2) == [8, 6]
            assert await numbers("even", 6, 10) == [4, 2]
            assert await numbers("none", None, 10) == []
            assert await numbers(None, None, 0) == []

    run(scenario, restart)


QUERIES = [
    JobQuery(),
    JobQuery(pipeline="test"),
    JobQuery(among=("build", 'p"ü')),
    JobQuery(among=("test", "build"), before=7, limit=3),
    JobQuery(pipeline="test", among=("build",)),
    JobQuery(among=()),
    JobQuery(states=(State.DONE, State.RUNNING)),
    JobQuery(user="jane"),
    JobQuery(since=1003.0, until=1006.0),
    JobQuery(before=4, limit=2),
    JobQuery(after=4, limit=2),
    JobQuery(after=1, before=6, states=(State.WAITING,), limit=1),
    *(JobQuery(text=text) for text in ("MAIN", "größe", "GRÖSSE", "5%", "5_", "_", "\\", '"', "oh", "p-7", "a\nb")),
]


@pytest.mark.parametrize("query", QUERIES, ids=repr)
def test_a_question_finds_what_matches_it(restart: Restart, query: JobQuery) -> None:
    async def scenario(restart: Restart) -> None:
        variables = [{}, {"branch": "Main"}, {"b": "Größe", "n": "50%"}, {"b": "5_0"}, {"b": 'a\nb\\"'}]
        jobs = [
            new_job(
                number,
                pipeline="test" if number % 2 else "build",
                variables=variables[number % 5],
                user="jane" if number < 5 else "",
                partition=f"p-{number}",
                error="oh no" if number == 4 else "",
            )
            for number in range(1, 9)
        ]
        jobs[2] = attrs.evolve(jobs[2], state=State.DONE)
        async with restart() as journal:
            await save(journal, *map(added, jobs))
            expected = query.page([job for job in jobs if query.matches(job)])
            assert [job.number for job in await journal.search(query)] == [job.number for job in expected]
            without = {3, 4}
            expected = query.page([job for job in jobs if query.matches(job) and job.number not in without])
            found = await journal.search(query, without=without)
            assert [job.number for job in found] == [job.number for job in expected]

    run(scenario, restart)


def test_the_last_number_outlives_the_job(restart: Restart) -> None:
    jobs = [new_job(number) for number in (1, 2, 3)]

    async def scenario(restart: Restart) -> None:
        async with restart() as journal:
            await save(journal, *map(added, jobs))
            assert await journal.last_number() == 3
            for job in reversed(jobs):
                await save(journal, JobsRemoved((job.id,)))
                assert await journal.last_number() == 3

    run(scenario, restart)


def test_removed_jobs_are_gone_with_their_tasks(restart: Restart) -> None:
    jobs = [new_job(number) for number in (1, 2)]
    again = new_job(1)

    async def scenario(restart: Restart) -> None:
        async with restart() as journal:
            await save(journal, *map(added, jobs), TaskChanged(jobs[0].id, 0, TaskView("a", State.DONE)))
            await save(journal, JobsRemoved((jobs[0].id, JobId("unknown"))))
            await save(journal, TaskChanged(jobs[0].id, 1, TaskView("b", State.DONE)), JobChanged(finished(jobs[0])))
            assert await journal.find(jobs[0].id) is None
            assert [job.id for job in await journal.jobs(pipeline=None, before=None, limit=9)] == [jobs[1].id]
            await save(journal, added(again))
            found = await journal.find(again.id)
            assert found is not None
            assert found.job == again

    run(scenario, restart)


def test_only_pipelines_with_finished_jobs_are_named(restart: Restart) -> None:
    jobs = [new_job(number, pipeline=name) for number, name in enumerate(("z", "a", "z", "m", "b"), 1)]

    async def scenario(restart: Restart) -> None:
        async with restart() as journal:
            await save(journal, *map(added, jobs), *(JobChanged(finished(job)) for job in jobs[:4]))
            assert await journal.pipelines() == ["a", "m", "z"]

    run(scenario, restart)


EXPIRY = {
    "nothing asked": ({"keep": None, "created_before": None}, [], 1001.0),
    "keep many": ({"keep": 9, "created_before": None}, [], 1001.0),
    "keep two": ({"keep": 2, "created_before": None}, [1, 2], 1003.0),
    "keep none": ({"keep": 0, "created_before": None}, [1, 2, 3, 4], None),
    "by age": ({"keep": None, "created_before": 1002.5}, [1, 2], 1003.0),
    "exactly as old": ({"keep": None, "created_before": 1002.0}, [1], 1002.0),
    "by count or age": ({"keep": 3, "created_before": 1003.5}, [1, 2, 3], 1004.0),
    "by end": ({"keep": None, "created_before": None, "ended_before": 2000.0}, [2, 3, 4], 1001.0),
    "by all of them": ({"keep": 3, "created_before": 0.0, "ended_before": 1004.5}, [1, 2, 3], 1004.0),
}


@pytest.mark.parametrize("case", EXPIRY)
def test_retention_is_told_what_to_delete_and_what_stays(restart: Restart, case: str) -> None:
    question, numbers, oldest = EXPIRY[case]
    jobs = {number: new_job(number) for number in range(1, 5)}
    others = [new_job(11, pipeline="other"), new_job(12)]

    async def scenario(restart: Restart) -> None:
        async with restart() as journal:
            await save(journal, *map(added, [*jobs.values(), *others]))
            await save(
                journal,
                JobChanged(finished(others[0])),
                JobChanged(finished(jobs[1], ended=5000.0)),
                *(JobChanged(finished(job)) for number, job in jobs.items() if number > 1),
            )
            expired = await journal.expired("build", **question)
            assert expired == Expired(tuple(jobs[number].id for number in numbers), oldest)

    run(scenario, restart)


def test_a_job_without_an_end_expires_by_its_creation(restart: Restart) -> None:
    job = new_job(1)

    async def scenario(restart: Restart) -> None:
        async with restart() as journal:
            await save(journal, added(job), JobChanged(attrs.evolve(job, state=State.CANCELED)))
            expired = await journal.expired("build", keep=None, created_before=None, ended_before=1001.5)
            assert expired.job_ids == (job.id,)

    run(scenario, restart)


def test_tickets_grow_and_may_be_awaited_late_and_often(restart: Restart) -> None:
    async def scenario(restart: Restart) -> None:
        async with restart() as journal:
            tickets = [journal.record(added(new_job(number))) for number in range(1, 50)]
            assert tickets == sorted(set(tickets))
            for ticket in (*reversed(tickets), *tickets):
                await journal.committed(ticket)
            with pytest.raises(ValueError, match="no change"):
                await journal.committed(tickets[-1] + 1)

    run(scenario, restart)


def test_many_callers_can_wait_at_once_and_some_can_give_up(restart: Restart) -> None:
    async def scenario(restart: Restart) -> None:
        committed = []

        async def client(journal: Journal, number: int) -> None:
            ticket = journal.record(added(new_job(number)))
            with trio.CancelScope() as scope:
                if number % 3 == 0:
                    scope.cancel()
                await journal.committed(ticket)
                committed.append(number)

        async with restart() as journal:
            async with trio.open_nursery() as nursery:
                for number in range(1, 200):
                    nursery.start_soon(client, journal, number)
            assert sorted(committed) == [number for number in range(1, 200) if number % 3]
        async with restart() as journal:
            assert len(await journal.unfinished()) == 199

    run(scenario, restart)
