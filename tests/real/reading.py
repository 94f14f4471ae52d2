"""A connection that is read on the level of bytes."""

import attrs
import trio


@attrs.define(eq=False)
class Reading:
    """One connection, and what has come from it but was not asked for yet. EOFError: it ended before."""

    stream: trio.SocketStream
    unread: bytes = b""

    async def until(self, mark: bytes) -> bytes:
        """Return all up to a mark, and the mark."""
        while mark not in self.unread:
            await self.more()
        return await self.exactly(self.unread.index(mark) + len(mark))

    async def exactly(self, size: int) -> bytes:
        """Return so many bytes."""
        while len(self.unread) < size:
            await self.more()
        data, self.unread = self.unread[:size], self.unread[size:]
        return data

    async def more(self) -> None:
        """Take what comes next."""
        data = await self.stream.receive_some()
        if not data:
            raise EOFError("the server closed the connection")
        self.unread += data
