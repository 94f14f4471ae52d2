"""How much the daemon uses of memory and disk."""

import os
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import trio

from prunner_trio.http.about import Sizes

__all__ = ["measured"]

_PAGE = os.sysconf("SC_PAGE_SIZE")


async def measured(data: Path, store: Sequence[Path]) -> Sizes:
    """Return the sizes of this process and of its files; in a thread, since a disk may take its time.

    Args:
        data: a folder on the disk of the data.
        store: files, of which some may not be there.
    """
    return await trio.to_thread.run_sync(partial(_measure, data, store), abandon_on_cancel=True)


def _measure(data: Path, store: Sequence[Path]) -> Sizes:
    with open("/proc/self/statm") as statm:
        memory = int(statm.read().split()[1]) * _PAGE
    found = [size for file in store if (size := _size(file)) is not None]
    return Sizes(memory, sum(found) if found else None, _free(data))


def _size(file: Path) -> int | None:
    try:
        return file.stat().st_size
    except OSError:
        return None


def _free(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None
