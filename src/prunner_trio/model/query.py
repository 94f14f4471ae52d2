"""What somebody looks for among the jobs, and whether a job is it: the same for live and for kept jobs."""

import json

import attrs

from prunner_trio.model.states import State
from prunner_trio.model.values import JobId, JobView

__all__ = ["JobQuery", "fold", "json_needle"]

_CAPITALS = {capital: capital + 32 for capital in range(ord("A"), ord("Z") + 1)}


@attrs.frozen
class JobQuery:
    """A question for a page of jobs; what is None or empty does not matter.

    Attributes:
        among: of one of these pipelines; None: of any.
        states: one of these.
        text: part of the id, the pipeline, the user, the partition, the first error, or the variables as JSON; ASCII
            letters count as equal in either case.
        retry_of: the job that they retry.
        since: created at this time or later.
        until: created before this time.
        before: with a lower number.
        after: with a higher number; then the page holds those that come right after it.
        limit: jobs on the page at most.
    """

    pipeline: str | None = None
    among: tuple[str, ...] | None = None
    states: tuple[State, ...] = ()
    user: str | None = None
    retry_of: JobId | None = None
    text: str = ""
    since: float | None = None
    until: float | None = None
    before: int | None = None
    after: int | None = None
    limit: int = 100

    def matches(self, job: JobView) -> bool:
        """Tell whether a job is one of those."""
        return (
            self.pipeline in (None, job.pipeline)
            and (self.among is None or job.pipeline in self.among)
            and (not self.states or job.state in self.states)
            and self.user in (None, job.user)
            and self.retry_of in (None, job.retry_of)
            and (self.since is None or job.created >= self.since)
            and (self.until is None or job.created < self.until)
            and (self.before is None or job.number < self.before)
            and (self.after is None or job.number > self.after)
            and (not self.text or self._is_in(job))
        )

    def page(self, jobs: list[JobView]) -> list[JobView]:
        """Return those of matching jobs that are on the page, newest first."""
        newest_first = sorted(jobs, key=lambda job: -job.number)
        return newest_first[: self.limit] if self.after is None else newest_first[-self.limit :]

    def _is_in(self, job: JobView) -> bool:
        needle = fold(self.text)
        texts = (job.id, job.pipeline, job.user, job.partition, job.error)
        if any(needle in fold(text) for text in texts):
            return True
        variables = json.dumps(dict(job.variables), separators=(",", ":")) if job.variables else ""
        return fold(json_needle(self.text)) in fold(variables)


def fold(text: str) -> str:
    """Return `text` with ASCII letters in lower case: the only ones whose case SQLite looks past."""
    return text.translate(_CAPITALS)


def json_needle(text: str) -> str:
    """Return `text` as it stands within JSON."""
    return json.dumps(text)[1:-1]
