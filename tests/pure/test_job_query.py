"""Which jobs a question finds."""

import attrs
import pytest

from prunner_trio.model import JobId, JobQuery, JobView, State

JOB = JobView(
    JobId("0a"), 7, "build", State.RUNNING, (), 100.0, variables={"branch": "Größe/50%"}, user="Jane", partition="p1"
)

FOUND = [
    JobQuery(),
    JobQuery(pipeline="build", states=(State.DONE, State.RUNNING), user="Jane"),
    JobQuery(among=("test", "build")),
    JobQuery(since=100.0, until=100.1, before=8, after=6),
    *(JobQuery(text=text) for text in ("0A", "UIL", "jane", "P1", "größe", "50%", "BRANCH")),
]
NOT_FOUND = [
    JobQuery(pipeline="buil"),
    JobQuery(among=("test",)),
    JobQuery(among=()),
    JobQuery(pipeline="build", among=("test",)),
    JobQuery(states=(State.DONE,)),
    JobQuery(user="jane"),
    JobQuery(user=""),
    JobQuery(since=100.1),
    JobQuery(until=100.0),
    JobQuery(before=7),
    JobQuery(after=7),
    *(JobQuery(text=text) for text in ("GRÖSSE", "5_%", "b%d", "jane doe", "\\", '"branch"')),
]


@pytest.mark.parametrize("query", FOUND, ids=repr)
def test_a_job_that_matches_all_that_is_asked_is_found(query: JobQuery) -> None:
    assert query.matches(JOB)


@pytest.mark.parametrize("query", NOT_FOUND, ids=repr)
def test_a_job_that_does_not_match_one_thing_is_not_found(query: JobQuery) -> None:
    assert not query.matches(JOB)


def test_a_page_is_cut_where_it_does_not_begin() -> None:
    jobs = [attrs.evolve(JOB, number=number) for number in (3, 1, 5, 2, 4)]

    def page(query: JobQuery) -> list[int]:
        return [job.number for job in query.page(jobs)]

    assert page(JobQuery(limit=2)) == [5, 4]
    assert page(JobQuery(limit=2, after=0)) == [2, 1]
    assert page(JobQuery(limit=9)) == [5, 4, 3, 2, 1]
