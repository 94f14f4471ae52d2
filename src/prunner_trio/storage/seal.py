"""A note beside the store that it was left whole, so that the next start need not look at all of it."""

import contextlib
import os
from pathlib import Path

__all__ = ["break_seal", "is_sealed", "seal", "seal_file"]


def seal_file(path: Path) -> Path:
    """Return where the note on a store is."""
    return Path(f"{path}.sealed")


def seal(path: Path) -> None:
    """Note that a store has been closed, and nothing was found broken; never raises.

    The note names the file by what any later change of it, or its replacement, would alter. A write-ahead log that is
    not folded in is such a change: then there is no note.
    """
    with contextlib.suppress(OSError):
        if (facts := _facts(path)) and not _log_is_left(path):
            note = seal_file(path)
            fd = os.open(note, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                os.write(fd, facts)
            finally:
                os.close(fd)


def is_sealed(path: Path) -> bool:
    """Tell whether a store is exactly as `seal` has seen it."""
    try:
        return not _log_is_left(path) and seal_file(path).read_bytes() == _facts(path)
    except OSError:
        return False


def break_seal(path: Path) -> None:
    """Take the note away, before the store is changed. Raises ``OSError``."""
    seal_file(path).unlink(missing_ok=True)


def _facts(path: Path) -> bytes:
    found = path.stat()
    return b"%d %d %d %d\n" % (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def _log_is_left(path: Path) -> bool:
    log = Path(f"{path}-wal")
    return log.exists() and log.stat().st_size > 0
