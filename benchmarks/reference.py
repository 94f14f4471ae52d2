"""The same work done by tools that are everywhere: absolute figures drift from machine to machine, ratios less."""

import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median

__all__ = ["head", "make", "xargs"]


def make(makefile: str, jobs: int) -> float | None:
    """Return the seconds that make takes with so many jobs at once; None if there is no make."""
    program = shutil.which("make")
    if program is None:
        return None
    with tempfile.NamedTemporaryFile("w", suffix=".mk") as file:
        file.write(makefile)
        file.flush()
        return median(_timed([program, "-s", f"-j{jobs}", "-f", file.name]) for _ in range(3))


def xargs(count: int, at_once: int) -> float | None:
    """Return the seconds in which xargs runs /bin/true so often; None if there is no xargs."""
    program = shutil.which("xargs")
    if program is None:
        return None
    words = "".join(f"{number}\n" for number in range(count)).encode()
    return _timed([program, f"-P{at_once}", "-n1", "/bin/true"], words)


def head(source: Path, size: int, target: Path) -> float | None:
    """Return the seconds in which head copies so many bytes into a file; None if there is no head."""
    program = shutil.which("head")
    if program is None:
        return None
    began = time.perf_counter()
    with target.open("wb") as file:
        subprocess.run([program, "-c", str(size), str(source)], stdout=file, check=True)
    return time.perf_counter() - began


def _timed(argv: list[str], given: bytes = b"") -> float:
    began = time.perf_counter()
    subprocess.run(argv, input=given, check=True)
    return time.perf_counter() - began
