"""Finding and reading definition files; the only module of the room that touches the disk."""

import os
import posixpath
import re
import stat
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from wcmatch import glob

# It is in wcmatch's manual, but has no public home as of wcmatch 12.
from wcmatch._wcparse import PatternLimitException

from prunner_trio.definition.check import check_files
from prunner_trio.definition.pipeline import Definitions
from prunner_trio.definition.yaml_nodes import MAX_BYTES
from prunner_trio.errors import InvalidDefinition, Problem

__all__ = ["load_definitions"]

_FLAGS = glob.GLOBSTAR | glob.BRACE | glob.DOTMATCH | glob.FORCEUNIX
_DATA = frozenset({"lock", "store.db"})
"""By these files a data directory is known."""
_MAGIC = re.compile(r"[*?\[{\\]")


def load_definitions(
    pattern: str, base: Path, lacking: Callable[[], Mapping[str, str]] = dict, *, no_keep: str = ""
) -> Definitions:
    """Return the pipelines of all files below `base` that match `pattern`; no file is fine. Blocks on the disk.

    `*` stands for any text without a slash, `**` for any number of folders, `{a,b}` for either, hidden ones included as
    in prunner. Links to folders are followed; a file or folder that can be reached in several ways is read once.
    Folders that may not be read are passed over, and so are the logs in a data directory.

    Args:
        lacking: returns the limits that cannot be enforced where the pipelines are to run, and why; asked only if there
            are limits.
        no_keep: why nothing can outlive its task where the pipelines are to run; empty: it can.

    Raises:
        InvalidDefinition: with every problem of every file, those of reading included.
    """
    texts: dict[str, str] = {}
    problems: list[Problem] = []
    try:
        for path in _find(pattern, base):
            name = os.fsencode(path).decode("utf-8", "backslashreplace")
            try:
                texts[name] = _decode(_read(base / path))
            except OSError as exc:
                problems.append(Problem(name, 0, 0, "", f"cannot be read: {exc.strerror or exc}"))
            except _BadText as exc:
                problems.append(Problem(name, 0, 0, "", f"decoding YAML: {exc}", exc.hint))
    except OSError as exc:
        problems.append(Problem(os.fspath(base), 0, 0, "", f"the directory cannot be read: {exc.strerror or exc}"))
    except (PatternLimitException, ValueError) as exc:
        problems.append(Problem(pattern, 0, 0, "", f"the pattern for definition files cannot be used: {exc}"))
    definitions, more = check_files(texts, lacking, no_keep=no_keep)
    if problems or more:
        raise InvalidDefinition([*problems, *more])
    return definitions


class _BadText(Exception):
    def __init__(self, message: str, hint: str = "") -> None:
        self.hint = hint
        super().__init__(message)


def _find(pattern: str, base: Path) -> list[str]:
    """Return the matching paths, relative to `base` and sorted.

    Raises:
        OSError: `base` is no directory that can be read.
    """
    pattern = posixpath.normpath(pattern.lstrip("/"))
    wanted = [re.compile(each) for each in glob.translate(pattern, flags=_FLAGS)[0]]
    found: dict[tuple[int, int], str] = {}
    with os.scandir(base):
        pass
    for path in _walk(pattern, base):
        if any(each.fullmatch(path) for each in wanted):
            found.setdefault(_identity(base / path), path)
    return sorted(found.values())


def _walk(pattern: str, base: Path) -> Iterator[str]:
    """Yield all that is not a folder below the part of `pattern` that is fixed, as deep as it may reach.

    What is reached without following links comes first: it has the better name.
    """
    fixed = _fixed_folder(pattern)
    levels = None if "**" in pattern else pattern.count("/") + 1
    seen: set[tuple[int, int]] = set()
    plain, linked = deque([fixed]), deque[str]()
    while plain or linked:
        folder = plain.popleft() if plain else linked.popleft()
        identity = _identity(base / folder)
        if identity in seen:
            continue
        seen.add(identity)
        entries = _entries(base / folder)
        # Usually the data directory is here, too, with the logs of all jobs: a hundred thousand folders took 7 seconds.
        logs = "logs" if _DATA.issubset(entry.name for entry in entries) else None
        for entry in entries:
            path = posixpath.join(folder, entry.name)
            if not _is_folder(entry):
                yield path
            elif entry.name == logs:
                continue
            elif levels is None or path.count("/") + 1 < levels:
                (linked if entry.is_symlink() else plain).append(path)


def _fixed_folder(pattern: str) -> str:
    parts = pattern.split("/")
    fixed = next((index for index, part in enumerate(parts) if _MAGIC.search(part)), len(parts))
    return "/".join(parts[: min(fixed, len(parts) - 1)])


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            # A link is sorted behind what it may point to, so that the same file is found under its own name.
            return sorted(entries, key=lambda entry: (entry.is_symlink(), entry.name))
    except OSError:
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link that leads nowhere; should the pattern want it, reading it will say so.
        return False


def _identity(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        # What cannot be looked at is told from all else by its name; reading it will say what is wrong.
        return -1, hash(path)
    return status.st_dev, status.st_ino


def _read(path: Path) -> bytes:
    # Non-blocking, for opening a named pipe would wait for its writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _BadText("it is not a regular file")
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise _BadText("the file is longer than 4 MiB")
    return content


def _decode(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise _BadText(f"the byte 0x{content[exc.start]:02x} at {exc.start} is not UTF-8", "save it as UTF-8") from exc
