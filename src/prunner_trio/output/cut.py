"""What a log of limited size holds of a longer output: its beginning, how much was left out, its end. Pure.

The beginning can be written as it comes. The end is known only once there is no more, so as much as may become the end
is kept in memory: who looks at a failure needs it most.
"""

from prunner_trio.definition.size import format_size

__all__ = ["Cut"]

_LONGEST_END = 64 * 1024
_NOTICE_ROOM = 128
"""More than the longest notice has."""
_FOR_WHOLE_LINES = 4096
"""How many bytes are given up at most, at each side of the gap, so that it is between two lines."""
_NEWLINE = ord("\n")


class Cut:
    """One output, in pieces; what comes out does not depend on where these begin and end.

    An output of at most `limit` bytes comes out as it is. Of a longer one come a beginning, a line that says how many
    bytes were left out, and an end; together at most `limit` bytes. Both sides of the gap are at the edge of a line or,
    where lines are long, of a UTF-8 character. About 70 KiB and one piece are in memory at most, whatever the limit.
    """

    def __init__(self, limit: int) -> None:
        """Begin an output of which at most `limit` bytes may come out; not less than `size.MIN_LOG_LIMIT`."""
        self._limit = limit
        self._end = min(_LONGEST_END, limit // 4)
        self._head = limit - self._end - _NOTICE_ROOM
        self._loose = self._head - min(_FOR_WHOLE_LINES, self._head // 4)  # from here on, whole lines only
        self._in_head = True
        self._out = 0
        self._line_over = True
        self._rest = bytearray()
        self._left_out = 0

    def feed(self, data: bytes) -> bytes:
        """Take the next piece; return what can be written by now."""
        if not self._in_head:
            if self._left_out:
                self._keep_end(data)
            else:
                self._rest += data
                self._check_limit()
            return b""
        room, loose = self._head - self._out, max(0, self._loose - self._out)
        if data and not self._rest and len(data) <= loose:  # most of most outputs: nothing to decide, nothing to copy
            self._out += len(data)
            self._line_over = data[-1] == _NEWLINE
            return data
        self._rest += data
        whole = self._rest.rfind(b"\n", 0, room) + 1
        if len(self._rest) <= room:
            return self._take_out(max(whole, min(len(self._rest), loose)))
        self._in_head = False
        if whole > loose:
            head = self._take_out(whole)
        elif whole == loose > 0 or (loose == 0 and self._line_over):
            head = self._take_out(loose)
        else:
            head = self._take_out(_before_split(self._rest, room))
        self._check_limit()
        return head

    def finish(self) -> bytes:
        """Return what is to be written last; nothing may be fed any more."""
        if not self._left_out:
            return self._take_out(len(self._rest))
        start = self._first_whole()
        notice = (
            f"prunner-trio: log limit of {format_size(self._limit)} reached, "
            f"{self._left_out + start} bytes left out here\n"
        )
        return (b"" if self._line_over else b"\n") + notice.encode() + self._rest[start:]

    def _take_out(self, count: int) -> bytes:
        taken = bytes(self._rest[:count])
        del self._rest[:count]
        if taken:
            self._out += count
            self._line_over = taken[-1] == _NEWLINE
        return taken

    def _check_limit(self) -> None:
        if self._out + len(self._rest) > self._limit:
            self._keep_end(b"")

    def _keep_end(self, data: bytes) -> None:
        """Keep the last bytes, and one more: whether the end begins with a line is seen by what stands before it."""
        keep, size = self._end + 1, len(self._rest) + len(data)
        if len(data) >= keep:
            self._rest[:] = memoryview(data)[-keep:]
        else:
            self._rest += data
            del self._rest[:-keep]
        self._left_out += size - len(self._rest)

    def _first_whole(self) -> int:
        """Return where the end begins in what was kept."""
        newline = self._rest.find(b"\n", 0, min(_FOR_WHOLE_LINES, self._end // 4))
        if newline >= 0:
            return newline + 1
        start = 1
        while start < 4 and self._rest[start] & 0xC0 == 0x80:  # in the middle of a character
            start += 1
        return start


def _before_split(text: bytearray, end: int) -> int:
    """Return `end`, or up to three less if that would be within a character."""
    for back in range(1, 4):
        first = text[end - back]
        if first & 0xC0 != 0x80:
            length = 4 if first >= 0xF0 else 3 if first >= 0xE0 else 2 if first >= 0xC0 else 1
            return end - back if length > back else end
    return end
