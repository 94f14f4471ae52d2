"""For which job and task the present code works: for lines in the log, never for decisions.

A child task and a call in a thread inherit it from whoever starts them.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from prunner_trio.model import JobId

__all__ = ["about", "working_for"]

_ABOUT: ContextVar[Mapping[str, str] | None] = ContextVar("about", default=None)


@contextmanager
def working_for(job: JobId, pipeline: str, task: str = "") -> Iterator[None]:
    """Work for a job, or for one task of it, as long as the block lasts."""
    token = _ABOUT.set({"job": job, "pipeline": pipeline, **({"task": task} if task else {})})
    try:
        yield
    finally:
        _ABOUT.reset(token)


def about() -> Mapping[str, str]:
    """Return what the present code works for: `job`, `pipeline`, `task`, as far as there are any."""
    return _ABOUT.get() or {}
