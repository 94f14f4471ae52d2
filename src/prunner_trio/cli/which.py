"""Which job is meant: by its id, the beginning of one, ``latest``, or the name of a pipeline for one of its jobs."""

import re
import sys
from collections.abc import Iterator, Sequence

from prunner_trio.cli.rows import SHORT_ID
from prunner_trio.cli.text import plain
from prunner_trio.cli.wording import guess, hint, not_defined
from prunner_trio.client import ClientError, Daemon, Job, JobPage, Kind, call
from prunner_trio.client.requests import get_job, list_jobs, list_pipelines

__all__ = ["LATEST", "SHORTEST", "find_job", "find_task", "no_such_pipeline", "pipeline_names"]

LATEST = "latest"

SHORTEST = 4
"""Letters of an id that are enough, if no other job begins like that."""

_WHOLE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PART = re.compile(rf"[0-9a-f-]{{{SHORTEST},36}}")
_PAGE = 200
_LISTED = 10


def find_job(daemon: Daemon, word: str, *, running: bool = False) -> Job:
    """Return the job that is meant by a word. Blocks.

    Args:
        running: the name of a pipeline stands for its newest job that runs, if there is one, and not for its newest;
            which one that is, is said on stderr if others run or wait.

    Raises:
        ClientError: there is none, or more than one.
    """
    part = word.lower()
    if _WHOLE.fullmatch(part):
        job: Job = call(daemon, get_job(part))
        return job
    if word == LATEST:
        if found := _page(daemon, limit=1)["jobs"]:
            return found[0]
        raise ClientError(Kind.NOT_FOUND, "there are no jobs yet")
    found = _of_pipeline(daemon, word, running=running)
    named = bool(found)
    if _PART.fullmatch(part):
        found += [job for job in _beginning(daemon, part) if job["id"] not in {other["id"] for other in found}]
    if len(found) == 1:
        if running and named:
            _tell_chosen(daemon, found[0])
        return found[0]
    if found:
        listed = "".join(f"\n  {job['id']}  {plain(job['pipeline'])}  {job['created']}" for job in found[:_LISTED])
        more = f"\n  and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
        raise ClientError(Kind.NOT_FOUND, f"{word!r} may be each of these jobs:{listed}{more}")
    raise ClientError(Kind.NOT_FOUND, f"no job is or begins with {word!r}{_no_job(daemon, word)}")


def _of_pipeline(daemon: Daemon, name: str, *, running: bool) -> list[Job]:
    first = _page(daemon, limit=1, pipeline=name, state="running")["jobs"] if running else []
    return list(first or _page(daemon, limit=1, pipeline=name)["jobs"])


def _tell_chosen(daemon: Daemon, job: Job) -> None:
    live = _page(daemon, limit=2, pipeline=job["pipeline"], state="waiting,running")["jobs"]
    if len(live) > 1:
        which = "that runs" if job["state"] == "running" else "one"
        name, short = plain(job["pipeline"]), job["id"][:SHORT_ID]
        print(f"{name} has several jobs that run or wait; this is {short}, the newest {which}", file=sys.stderr)


def _no_job(daemon: Daemon, word: str) -> str:
    names = pipeline_names(daemon)
    if word in names:
        return ", and the pipeline of that name has none yet"
    if re.fullmatch(rf"[0-9a-f]{{1,{SHORTEST - 1}}}", word):
        return f" (at least {SHORTEST} letters of an id are needed)"
    near = guess(word, [*names, LATEST])
    return f" (did you mean {near!r}?)" if near else f" (an id, {SHORTEST} of its letters, {LATEST}, or a pipeline)"


def _beginning(daemon: Daemon, part: str) -> Iterator[Job]:
    cursor: str | None = ""
    while cursor is not None:
        # The API looks for a text anywhere in a job, so most of what it finds may be others.
        page = _page(daemon, limit=_PAGE, text=part, cursor=cursor)
        yield from (job for job in page["jobs"] if job["id"].startswith(part))
        cursor = page["older"]


def _page(daemon: Daemon, limit: int, **filters: str) -> JobPage:
    page: JobPage = call(daemon, list_jobs(limit, **filters))
    return page


def find_task(job: Job, name: str) -> str:
    """Return the name of a task of a job, if it has it. Raises `ClientError`."""
    names = [task["name"] for task in job["tasks"]]
    if name in names:
        return name
    raise ClientError(Kind.NOT_FOUND, f"job {job['id'][:SHORT_ID]} has no task {name!r} ({hint(name, names)})")


def pipeline_names(daemon: Daemon) -> list[str]:
    """Return the names of all pipelines. Blocks. Raises `ClientError`."""
    return [pipeline["name"] for pipeline in call(daemon, list_pipelines())["pipelines"]]


def no_such_pipeline(name: str, names: Sequence[str]) -> ClientError:
    """Return the error for a pipeline that is not there."""
    return ClientError(Kind.NOT_FOUND, not_defined(name, names))
