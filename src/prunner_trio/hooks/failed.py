"""What goes wrong with hooks."""

from prunner_trio.errors import PrunnerError

__all__ = ["HookFailed"]


class HookFailed(PrunnerError):
    """Somebody could not be told; the message says why, and has no secret in it."""
