"""Which jobs a list shows: read from the address of the page, so that a list can be kept and passed on."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import attrs

from prunner_trio.http.pages.visit import Refusal
from prunner_trio.http.port import RunnerPort
from prunner_trio.http.v1.models import Job
from prunner_trio.http.v1.views import job_of
from prunner_trio.model import JobQuery, JobView, State

__all__ = ["Filter", "JobsPage", "check_names", "filter_values", "find_jobs", "told"]

_PER_PAGE = 50
_DAY = 86400.0
_LONGEST_TEXT = 200
_PLACES = ("before", "after")
_FIELDS = ("pipeline", "state", "user", "text", "since", "until")


@attrs.frozen
class Filter:
    """What somebody looks for, as texts as they were entered; empty ones do not matter.

    Attributes:
        since: a day, in UTC.
        until: a day, in UTC, itself included.
    """

    pipeline: str = ""
    state: str = ""
    user: str = ""
    text: str = ""
    since: str = ""
    until: str = ""

    @classmethod
    def read(cls, query: Mapping[str, str], **fixed: str) -> "Filter":
        """Take the fields of a query, but for those that are given."""
        return cls(**{name: query.get(name, "").strip()[:_LONGEST_TEXT] for name in _FIELDS} | fixed)

    def question(self, *, before: int | None = None, after: int | None = None) -> JobQuery:
        """Return the question to the runner for one job more than a page holds.

        Raises:
            Refusal: something in it makes no sense.
        """
        if self.state and self.state not in set(State):
            raise Refusal(400, f"{self.state!r} is no state; there are {', '.join(State)}.")
        until = _day(self.until)
        if "\0" in "".join(attrs.astuple(self)):
            raise Refusal(400, "A NUL character is in no job.")
        return JobQuery(
            pipeline=self.pipeline or None,
            states=(State(self.state),) if self.state else (),
            user=self.user or None,
            text=self.text,
            since=None if (since := _day(self.since)) is None else since.timestamp(),
            until=None if until is None else until.timestamp() + _DAY,  # there is no day after the last one of 9999
            before=before,
            after=after,
            limit=_PER_PAGE + 1,
        )

    def address(self, *without: str, **more: object) -> str:
        """Return this as a query, without the question mark."""
        fields = {name: value for name, value in attrs.asdict(self).items() if value and name not in without}
        return urlencode({**fields, **more})

    @property
    def narrows(self) -> bool:
        """Whether it leaves out any job."""
        return any(attrs.astuple(self))


@attrs.frozen
class JobsPage:
    """Jobs, newest first, and what leads to the others.

    Attributes:
        jobs: each as it is, and as it is told.
        older: the number below which the next page begins; None: this is the last one.
        newer: the number above which the page before begins; None: this is the first one.
    """

    jobs: Sequence[tuple[JobView, Job]]
    older: int | None
    newer: int | None


async def find_jobs(runner: RunnerPort, wanted: Filter, query: Mapping[str, str]) -> JobsPage:
    """Return the page that the ``before`` or ``after`` of a query names, else the newest jobs.

    Raises:
        Refusal: the query makes no sense.
        StoreError: the store cannot be read.
    """
    before, after = _number(query, "before"), _number(query, "after")
    jobs = await runner.search(wanted.question(before=before, after=after))
    full = len(jobs) > _PER_PAGE
    if after is not None:  # it holds those right after a job, so the one too many is the newest
        jobs = jobs[-_PER_PAGE:]
        more_newer, more_older = full, True
    else:
        jobs = jobs[:_PER_PAGE]
        more_newer, more_older = before is not None, full
    return JobsPage(
        told(runner, jobs),
        jobs[-1].number if jobs and more_older else None,
        jobs[0].number if jobs and more_newer else None,
    )


def told(runner: RunnerPort, jobs: Sequence[JobView]) -> list[tuple[JobView, Job]]:
    """Return each job as it is and as it is told, with the places of those that wait."""
    waiting = {job.pipeline for job in jobs if job.state is State.WAITING}
    places = {job_id: place for name in waiting for job_id, place in runner.places(name).items()}
    return [(job, job_of(job, places.get(job.id))) for job in jobs]


def filter_values(wanted: Filter) -> Mapping[str, Any]:
    """Return what the template of the form is given."""
    return {"wanted": wanted, "states": [state for state in State if state is not State.SKIPPED]}


def check_names(query: Mapping[str, str]) -> None:
    """Raise `Refusal` for a query with names that a list of jobs does not know."""
    if unknown := sorted(query.keys() - {*_FIELDS, *_PLACES, "live"}):
        named = ", ".join(repr(name[:40]) for name in unknown[:5])
        allowed = ", ".join((*_FIELDS, *_PLACES))
        raise Refusal(400, f"The address holds {named}, which a list of jobs does not know; it knows {allowed}.")


def _day(text: str) -> datetime | None:
    if not text:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise Refusal(400, f"{text!r} is no day such as 2026-01-31.") from None


def _number(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Refusal(400, f"{name}: {text[:40]!r} is no number of a job.")
    return int(text)
