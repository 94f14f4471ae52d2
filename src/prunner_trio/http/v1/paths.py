"""What is known of API v1 before it is imported: which paths are its own, and how many streams it allows."""

__all__ = ["MOST_STREAMS", "owns"]

MOST_STREAMS = 500
"""Unless told otherwise, half of the connections that the server allows: the others are for other answers."""

_OUTSIDE = ("/healthz", "/readyz")


def owns(path: str) -> bool:
    """Whether a path is below ``/v1`` or one of the two questions for the daemon's health."""
    return path.startswith("/v1/") or path == "/v1" or path in _OUTSIDE
