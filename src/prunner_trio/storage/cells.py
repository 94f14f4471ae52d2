"""Records out of the pages of a store, one by one, whatever is around them. Pure; nothing here trusts a byte."""

import struct
from collections.abc import Iterator

import attrs

from prunner_trio.storage.pages import HEADER_SIZE, Pages

__all__ = ["INDEX_PAGES", "TABLE_LEAF", "Row", "children", "is_tree_page", "rows_of"]

INDEX_INTERIOR, TABLE_INTERIOR, INDEX_LEAF, TABLE_LEAF = 2, 5, 10, 13
INDEX_PAGES = frozenset({INDEX_INTERIOR, INDEX_LEAF})
_KINDS = frozenset({INDEX_INTERIOR, TABLE_INTERIOR, INDEX_LEAF, TABLE_LEAF})
_INTERIOR = frozenset({INDEX_INTERIOR, TABLE_INTERIOR})
_INTEGERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
MOST_BYTES = 1_000_000_000
"""SQLite's own limit for one record."""

Value = int | float | str | bytes | None


@attrs.frozen
class Row:
    """One record.

    Attributes:
        rowid: None in an index or a table without rowids.
    """

    page: int
    rowid: int | None
    values: tuple[Value, ...]


def is_tree_page(pages: Pages, number: int) -> bool:
    """Whether a page can be one of a tree: of a known kind, with as many cells as have room."""
    return _head(pages, number) is not None


def children(pages: Pages, number: int) -> Iterator[int]:
    """Yield the pages below a page, as it says; none for a leaf."""
    head = _head(pages, number)
    if head is None or head[0] not in _INTERIOR:
        return
    content, base = pages.get(number), head[1]
    for start in _cells(pages, number):
        if start is not None:
            yield int.from_bytes(content[start : start + 4], "big")
    yield int.from_bytes(content[base + 8 : base + 12], "big")


def rows_of(pages: Pages, number: int) -> Iterator[Row | None]:
    """Yield the records in a page; None for each that cannot be read."""
    head = _head(pages, number)
    if head is None or head[0] == TABLE_INTERIOR:
        return
    for start in _cells(pages, number):
        try:
            yield None if start is None else _row(pages, number, head[0], start)
        except (ValueError, IndexError, struct.error):
            yield None


def _head(pages: Pages, number: int) -> tuple[int, int, int] | None:
    """Return kind, offset of the header and number of cells."""
    content = pages.get(number)
    base = HEADER_SIZE if number == 1 else 0
    if len(content) < pages.size or content[base] not in _KINDS:
        return None
    count = int.from_bytes(content[base + 3 : base + 5], "big")
    return (content[base], base, count) if count <= (pages.size - base) // 4 else None


def _cells(pages: Pages, number: int) -> Iterator[int | None]:
    head = _head(pages, number)
    assert head is not None
    kind, base, count = head
    first = base + (12 if kind in _INTERIOR else 8)
    for (start,) in struct.iter_unpack(">H", pages.get(number)[first : first + 2 * count]):
        yield start if first + 2 * count <= start < pages.size else None


def _row(pages: Pages, number: int, kind: int, start: int) -> Row:
    content = pages.get(number)
    if kind in _INTERIOR:
        start += 4
    length, start = _varint(content, start)
    rowid: int | None = None
    if kind == TABLE_LEAF:
        rowid, start = _varint(content, start)
        rowid -= (rowid >> 63) << 64
    return Row(number, rowid, _record(_payload(pages, content, start, length, kind == TABLE_LEAF)))


def _payload(pages: Pages, content: bytes, start: int, length: int, table: bool) -> bytes:
    if length > MOST_BYTES or length > pages.size * pages.count:
        raise ValueError("too long")
    usable = pages.size
    most = usable - 35 if table else (usable - 12) * 64 // 255 - 23
    least = (usable - 12) * 32 // 255 - 23
    local = length
    if length > most:
        local = least + (length - least) % (usable - 4)
        local = local if local <= most else least
    parts = [content[start : start + local]]
    if len(parts[0]) < local:
        raise ValueError("cut off")
    if local < length:
        parts.extend(
            _overflow(pages, int.from_bytes(content[start + local : start + local + 4], "big"), length - local)
        )
    return b"".join(parts)


def _overflow(pages: Pages, page: int, left: int) -> Iterator[bytes]:
    seen: set[int] = set()
    while left:
        content = pages.get(page)
        if page < 2 or page in seen or len(content) < pages.size:
            raise ValueError("a page is missing")
        seen.add(page)
        part = content[4 : 4 + left]
        yield part
        left -= len(part)
        page = int.from_bytes(content[:4], "big")


def _record(payload: bytes) -> tuple[Value, ...]:
    end, place = _varint(payload, 0)
    if end > len(payload):
        raise ValueError("cut off")
    kinds = []
    while place < end:
        kind, place = _varint(payload, place)
        kinds.append(kind)
    values = []
    place = end
    for kind in kinds:
        value, place = _value(payload, place, kind)
        values.append(value)
    if place != len(payload):
        raise ValueError("not of its length")
    return tuple(values)


def _value(payload: bytes, place: int, kind: int) -> tuple[Value, int]:
    if kind == 0:
        return None, place
    if kind in (8, 9):
        return kind - 8, place
    if kind in (10, 11):
        raise ValueError("no such type")
    size = _INTEGERS.get(kind) or (8 if kind == 7 else (kind - 12) // 2)
    raw = payload[place : place + size]
    if len(raw) < size:
        raise ValueError("cut off")
    if kind in _INTEGERS:
        return int.from_bytes(raw, "big", signed=True), place + size
    if kind == 7:
        return struct.unpack(">d", raw)[0], place + size
    return (raw.decode() if kind % 2 else raw), place + size


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = 0
    for _ in range(8):
        byte = data[place]
        place += 1
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, place
    return value << 8 | data[place], place + 1
