"""A name for a data directory that its copies do not share.

Job ids are copied with the store, so they alone do not tell whose processes these are: a daemon on a copy of the store
(a backup that is tried out, a snapshot) would take those of a daemon that is alive for what its own predecessor left.
"""

import os
from pathlib import Path

__all__ = ["place_of"]


def place_of(directory: Path) -> str:
    """Return the name of an existing directory: it stays when the directory is renamed, and a copy has another one.

    It may also change when a file system is mounted anew, but then nobody is alive who used the old one.

    Raises:
        OSError: the directory cannot be looked at.
    """
    found = os.stat(directory)
    return f"{found.st_dev:x}.{found.st_ino:x}"
