"""How long a client may take and how much it may send."""

from __future__ import annotations

import attrs


@attrs.frozen
class HttpLimits:
    """Limits of one connection and of the server; times in seconds, sizes in bytes.

    A request that is over a limit is answered where an answer is still possible, and its connection is closed:
    `header` and `body` with 408, `head_bytes` with 431, `body_bytes` with 413. The others close it without a word.
    """

    header: float = 20.0
    """From accept, or from the first byte of a later request, to the end of the request's head."""

    body: float = 60.0
    """From the moment the app asks for the body to the body's end."""

    idle: float = 60.0
    """From the end of an answer to the first byte of the next request (keep-alive)."""

    write: float = 60.0
    """How long a client may refuse to take another byte. Every byte taken starts it anew: an answer of any size, or
    an endless one, may take any time as long as the client reads."""

    head_bytes: int = 65_536
    """Request line and header fields together."""

    body_bytes: int = 1_048_576
    """Request body, after the chunked coding is undone."""

    connections: int = 1000
    """Open connections. A client beyond them waits in the backlog of the listening socket, and is not turned away;
    for its sake the one idle for the longest since its last answer is closed or, if none is, the next to be so."""

    connections_per_address: int = 500
    """Open connections of one address; 0: no limit. For one more, the one of them that is idle for the longest is
    closed or, if none is, the new one, with 429. An IPv6 network of 64 bits counts as one address; loopback addresses
    and UNIX sockets are not limited."""

    drain: float = 3.0
    """How long requests under way may go on after the shutdown has begun."""
