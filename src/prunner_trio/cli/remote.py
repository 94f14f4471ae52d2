"""What all commands for a daemon share: access to it, and how failures are told."""

import os
import sys
from collections.abc import Callable

from prunner_trio.cli.access import TOKEN_SECONDS, Access, NoAccess, find_access
from prunner_trio.cli.flags import Parsed
from prunner_trio.cli.paper import Paper
from prunner_trio.cli.status import failed_status
from prunner_trio.client import ClientError, Daemon, Kind

__all__ = ["at_daemon"]

Work = Callable[[Daemon, Parsed, Paper], int]


def at_daemon(work: Work, *, token_seconds: int = TOKEN_SECONDS) -> Callable[[Parsed], int]:
    """Return a command that does its work at a daemon, and tells each failure in one line and by its exit status.

    Args:
        token_seconds: how long a token is good that is made from a secret.
    """

    def command(parsed: Parsed) -> int:
        try:
            access = find_access(parsed.values, os.environ, token_seconds)
        except NoAccess as exc:
            print(exc, file=sys.stderr)
            return failed_status(Kind.UNAUTHORIZED) if exc.token else 1
        paper = Paper(plain=parsed.values.switch("disable-ansi"))
        try:
            return work(access.daemon, parsed, paper)
        except ClientError as exc:
            return _tell(exc, access)
        except ExceptionGroup as group:
            return _tell(_only(group), access)

    return command


def _only(group: "ExceptionGroup[Exception]") -> ClientError:
    """Return the one failure that a nursery has handed out, raise a broken output, or else all of it."""
    for kind in (BrokenPipeError, ClientError):
        found, rest = group.split(kind)
        if found is not None and rest is None:
            first: BaseException = found
            while isinstance(first, BaseExceptionGroup):
                first = first.exceptions[0]
            if isinstance(first, ClientError):
                return first
            raise first
    raise group


def _tell(exc: ClientError, access: Access) -> int:
    address = access.daemon.address
    match exc.kind:
        case Kind.UNREACHABLE:
            text = f"no daemon answers at {address}: {exc} (the address is from {access.address_from})"
        case Kind.STRANGE:
            text = f"{address}: {exc} (the address is from {access.address_from})"
        case Kind.UNAUTHORIZED:
            text = f"{address} refuses the token from {access.token_from}: {exc}"
        case _:
            text = str(exc)
    print(text, file=sys.stderr)
    return failed_status(exc.kind)
