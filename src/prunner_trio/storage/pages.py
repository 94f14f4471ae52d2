"""The pages of a store that SQLite itself may refuse to open: the file, and its write-ahead log laid over it.

Pure functions over bytes. Nothing here raises for what the bytes say: what cannot be read is missing, and said so.
The formats are those that SQLite documents ("Database File Format", "WAL-mode File Format").
"""

import struct
from collections.abc import Iterator

import attrs

__all__ = ["HEADER_SIZE", "LogEnd", "Pages", "freelist", "header_problem", "log_end", "read_pages"]

HEADER_SIZE = 100
PAGE_SIZE = 4096
"""What SQLite makes; assumed when the header does not tell."""

_MAGIC = b"SQLite format 3\0"
_LOG_HEADER = struct.Struct(">8I")
_FRAME_HEADER = struct.Struct(">6I")
_LOG_MAGICS = (0x377F0682, 0x377F0683)
_LOG_FORMAT = 3007000
_ENCODING_UTF8 = 1


@attrs.frozen
class LogEnd:
    """What stands in a write-ahead log behind the last frame that SQLite can read.

    Attributes:
        transactions: how many ends of transactions there are; each one but the last was certainly committed.
        header: what is wrong with the header, so that nothing of the log can be read; empty if all is well.
    """

    transactions: int = 0
    header: str = ""


@attrs.define
class Pages:
    """All pages of a store, by number from 1.

    Attributes:
        size: bytes per page.
        expected: how many pages there should be, as far as anything says so.
        fresh: pages that are newer than all that cannot be read of the log; None if all of it can be read.
        problems: what could not be read, in words for a person.
    """

    size: int
    expected: int = 0
    fresh: set[int] | None = None
    problems: list[str] = attrs.field(factory=list)
    _file: bytes = attrs.field(default=b"", repr=False)
    _log: dict[int, bytes] = attrs.field(factory=dict, repr=False)

    @property
    def count(self) -> int:
        """The number of the last page."""
        return max([-(-len(self._file) // self.size), *self._log])

    def is_stale(self, number: int) -> bool:
        """Whether a newer content of a page may have been in a part of the log that cannot be read."""
        return self.fresh is not None and number not in self.fresh

    def get(self, number: int) -> bytes:
        """Return a page, short or empty if it is cut off."""
        if number in self._log:
            return self._log[number]
        return self._file[(number - 1) * self.size : number * self.size] if number >= 1 else b""


def header_problem(header: bytes) -> str:
    """Return why the first bytes of a file are not the header of a store; empty if they can be."""
    if not header.startswith(_MAGIC):
        return "it is not a database: it does not begin as one"
    if len(header) < HEADER_SIZE:
        return "its header is cut off"
    if _page_size(header) is None:
        return "its header is damaged: no page has such a size"
    fields = {"version": header[18:20], "room in pages": header[20:21], "fractions": header[21:24]}
    allowed = {"version": (b"\1\1", b"\2\2"), "room in pages": (b"\0",), "fractions": (b"\x40\x20\x20",)}
    wrong = [name for name, value in fields.items() if value not in allowed[name]]
    schema_format, encoding = struct.unpack_from(">I", header, 44)[0], struct.unpack_from(">I", header, 56)[0]
    if schema_format > 4:
        wrong.append("format of the tables")
    if encoding not in (0, _ENCODING_UTF8):
        wrong.append("encoding")
    return f"its header is damaged: {', '.join(wrong)}" if wrong else ""


def log_end(log: bytes, readable: int) -> LogEnd:
    """Look behind the frames of a write-ahead log that SQLite can read.

    Args:
        readable: how many these are.
    """
    header = _log_header(log)
    if header is None:
        return LogEnd(header="its header is damaged") if len(log) > _LOG_HEADER.size else LogEnd()
    size, salts, _ = header
    step = _FRAME_HEADER.size + size
    transactions = 0
    for start in range(_LOG_HEADER.size + readable * step, len(log) - step + 1, step):
        page, pages, *rest = _FRAME_HEADER.unpack_from(log, start)
        transactions += bool(page and pages and tuple(rest[:2]) == salts)
    return LogEnd(transactions)


def read_pages(file: bytes, log: bytes) -> Pages:
    """Lay the log over the file, frame by frame as far as each frame's checksum is right."""
    header = _log_header(log)
    size = _page_size(file) if file.startswith(_MAGIC) else None
    pages = Pages(size or (header[0] if header is not None else PAGE_SIZE), file=file)
    if size is not None and not header_problem(file[:HEADER_SIZE]):
        pages.expected = int.from_bytes(file[28:32], "big")
    if len(log) > _LOG_HEADER.size and header is None:
        pages.problems.append("the header of the write-ahead log is damaged: what was only there is lost")
    elif header is not None and header[0] != pages.size:
        pages.problems.append("the write-ahead log belongs to another file: nothing of it was used")
    elif header is not None:
        _lay_over(pages, log, header)
    return pages


@attrs.frozen
class _Frame:
    page: int
    commit: int
    content: bytes | None


def _lay_over(pages: Pages, log: bytes, header: tuple[int, tuple[int, int], str]) -> None:
    """Use all frames up to the last end of a transaction, also behind bad ones."""
    frames = list(_frames(log, header))
    last = max((place for place, frame in enumerate(frames) if frame.commit), default=-1)
    bad = [place for place, frame in enumerate(frames[: last + 1]) if frame.content is None]
    for place, frame in enumerate(frames[: last + 1]):
        if frame.content is not None:
            pages._log[frame.page] = frame.content
            pages.expected = frame.commit or pages.expected
            if bad and place > bad[-1]:
                pages.fresh = (pages.fresh or set()) | {frame.page}
    if bad:
        # Which page a bad frame was of is as unsure as its content.
        pages.fresh = pages.fresh or set()
        pages.problems.append(f"{len(bad)} of {last + 1} frames of the write-ahead log are damaged")


def _frames(log: bytes, header: tuple[int, tuple[int, int], str]) -> Iterator[_Frame]:
    """Yield all frames; those that are not of this log, or are damaged, without a content."""
    size, salts, order = header
    step = _FRAME_HEADER.size + size
    sums = struct.unpack_from(">2I", log, 24)
    for start in range(_LOG_HEADER.size, len(log) - step + 1, step):
        page, commit, salt_1, salt_2, *found = _FRAME_HEADER.unpack_from(log, start)
        ours = (salt_1, salt_2) == salts
        content = log[start + _FRAME_HEADER.size : start + step]
        good = ours and 0 < page < 2**31 and tuple(found) == _checksum(log[start : start + 8] + content, order, sums)
        # Each sum goes on from the one before, as that is written: so one bad frame does not hide those behind it.
        sums = found[0], found[1]
        yield _Frame(page, commit if ours and page else 0, content if good else None)


def _checksum(data: bytes, order: str, sums: tuple[int, int]) -> tuple[int, int]:
    first, second = sums
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for one, other in zip(words[::2], words[1::2], strict=True):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + other + first) & 0xFFFFFFFF
    return first, second


def _log_header(log: bytes) -> tuple[int, tuple[int, int], str] | None:
    """Return page size, salts and byte order of the sums; None if the header cannot be read."""
    if len(log) < _LOG_HEADER.size:
        return None
    magic, version, size, _, salt_1, salt_2, *sums = _LOG_HEADER.unpack_from(log)
    order = ">" if magic & 1 else "<"
    if magic not in _LOG_MAGICS or version != _LOG_FORMAT or not _is_page_size(size):
        return None
    if tuple(sums) != _checksum(log[:24], order, (0, 0)):
        return None
    return size, (salt_1, salt_2), order


def _page_size(header: bytes) -> int | None:
    size = int.from_bytes(header[16:18], "big")
    size = 65536 if size == 1 else size
    return size if _is_page_size(size) else None


def _is_page_size(size: int) -> bool:
    return 512 <= size <= 65536 and size & (size - 1) == 0


def freelist(pages: Pages) -> Iterator[int]:
    """Yield the numbers of all free pages.

    Raises:
        ValueError: the list is damaged.
    """
    header = pages.get(1)[:HEADER_SIZE]
    if header_problem(header):
        raise ValueError("no header")
    trunk, expected = struct.unpack_from(">2I", header, 32)
    seen: set[int] = set()
    while trunk:
        content = pages.get(trunk)
        if trunk in seen or len(content) < pages.size or pages.is_stale(trunk):
            raise ValueError("a trunk is not there")
        following, count = struct.unpack_from(">2I", content)
        if count > pages.size // 4 - 2:
            raise ValueError("a trunk is damaged")
        found = (trunk, *struct.unpack_from(f">{count}I", content, 8))
        if seen.intersection(found) or not all(2 <= page <= pages.count for page in found):
            raise ValueError("a trunk is damaged")
        seen.update(found)
        yield from found
        trunk = following
    if len(seen) != expected:
        raise ValueError("the list is too short")
