"""What is looked at before anything is read or written, so that a value that cannot be right leaves nothing behind."""

import errno
import os
import stat
from pathlib import Path

from prunner_trio.errors import PrunnerError

__all__ = ["check_data"]


def check_data(directory: Path) -> None:
    """Look whether a data directory can be used or made. Blocks on the disk, and changes nothing there.

    Raises:
        PrunnerError: it cannot.
    """
    at = directory
    try:
        while True:
            try:
                mode = at.stat().st_mode
                break
            except FileNotFoundError:
                at = at.parent
        if not stat.S_ISDIR(mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if not os.access(at, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as exc:
        verb = "use" if at == directory else "make"
        raise PrunnerError(f"cannot {verb} the data directory {directory}: {exc.strerror}") from exc
