"""For which job and task the present code works: for lines in the log, never for decisions.

A child task and a call in a thread inherit it from whoever starts them.
"""

from collections.abc import Mapping
from contextvars import ContextVar, Token

from prunner_trio.model import JobId

__all__ = ["about", "working_for"]

_ABOUT: ContextVar[tuple[str, str, str]] = ContextVar("about", default=("", "", ""))


class working_for:  # noqa: N801 - reads as a verb; a class is entered in a third of the time of a generator
    """Work for a job, or for one task of it, as long as the block lasts."""

    __slots__ = ("_about", "_token")

    def __init__(self, job: JobId, pipeline: str, task: str = "") -> None:
        self._about = (job, pipeline, task)

    def __enter__(self) -> None:
        self._token: Token[tuple[str, str, str]] = _ABOUT.set(self._about)

    def __exit__(self, *_: object) -> None:
        _ABOUT.reset(self._token)


def about() -> Mapping[str, str]:
    """Return what the present code works for: `job`, `pipeline`, `task`, as far as there are any."""
    return {name: value for name, value in zip(("job", "pipeline", "task"), _ABOUT.get(), strict=True) if value}
