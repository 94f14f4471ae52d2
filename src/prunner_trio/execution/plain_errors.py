"""Lets an exception of a block come out of the nurseries around it as itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

__all__ = ["Block", "plain_errors"]


class Block:
    """Goes around the block itself, inside of the nurseries, and remembers what left it."""

    def __init__(self) -> None:
        self.raised: BaseException | None = None

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remember."""
        self.raised = error


@contextmanager
def plain_errors() -> Iterator[Block]:
    """Unwrap groups that hold exactly one exception, down to the one that left the block, itself perhaps a group.

    A nursery wraps whatever leaves it in an `ExceptionGroup`, even the one exception of its own block. Users of a
    runner did not open that nursery, and nothing else in it raises: they can catch what they raised.
    """
    block = Block()
    try:
        yield block
    except BaseExceptionGroup as group:
        error = _only(group, block.raised)
        if error is None or error is group:
            raise
        raise error from error.__cause__


def _only(error: BaseException, own: BaseException | None) -> BaseException | None:
    while isinstance(error, BaseExceptionGroup):
        if own is not None and _same(error, own):
            return own
        if len(error.exceptions) != 1:
            return None
        (error,) = error.exceptions
    return error


def _same(error: BaseException, own: BaseException) -> bool:
    """Compare what is in them: a scope that is canceled looks for `Cancelled` in groups, and makes copies of them."""
    if not isinstance(error, BaseExceptionGroup) or not isinstance(own, BaseExceptionGroup):
        return error is own
    return len(error.exceptions) == len(own.exceptions) and all(map(_same, error.exceptions, own.exceptions))
