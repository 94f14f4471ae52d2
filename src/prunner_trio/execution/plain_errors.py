"""Lets an exception of a block come out of the nursery around it as itself."""

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["plain_errors"]


@contextmanager
def plain_errors() -> Iterator[None]:
    """Unwrap groups that hold exactly one exception.

    A nursery wraps whatever leaves it in an `ExceptionGroup`, even the one exception of its own block. Users of a
    runner did not open that nursery, and nothing else in it raises: they can catch what they raised.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        if (error := _only(group)) is None:
            raise
        raise error from error.__cause__


def _only(error: BaseException) -> BaseException | None:
    while isinstance(error, BaseExceptionGroup):
        if len(error.exceptions) != 1:
            return None
        (error,) = error.exceptions
    return error
