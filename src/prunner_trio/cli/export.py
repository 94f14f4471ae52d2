"""The command that writes all jobs for another program: store export."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from prunner_trio.cli.flags import Parsed
from prunner_trio.errors import StoreError
from prunner_trio.storage import export_prunner

__all__ = ["export"]


def export(parsed: Parsed) -> int:
    """Write prunner's data.json to a file or to stdout; 1 if that fails."""
    values = parsed.values
    target = values.text("output")
    try:
        with _opened(target) as file:
            for part in export_prunner(Path(values.text("data"))):
                file.write(part)
    except BrokenPipeError:
        raise
    except (StoreError, OSError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else None  # without the name of the temporary file
        print(f"exporting jobs{f' to {target}' if target else ''}: {reason or exc}", file=sys.stderr)
        return 1
    return 0


@contextmanager
def _opened(target: str) -> Iterator[BinaryIO]:
    """Open stdout or a file, which appears whole or not at all and is for its owner only: variables are private."""
    if not target:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(target)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # new, so nobody else has it open
    temporary = Path(name)
    try:
        with open(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
