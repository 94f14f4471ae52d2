"""Tells others of the end of jobs, by commands and webhooks; see ``docs/notifications.md``.

They never delay or fail a job. `webhook` is not imported here: only it needs the HTTP client.
"""

from prunner_trio.hooks.command import run_command
from prunner_trio.hooks.failed import HookFailed
from prunner_trio.hooks.moments import Moment, moments
from prunner_trio.hooks.notifications import FAREWELL_SECONDS, GRACE, Notifications, Told
from prunner_trio.hooks.payload import Notice, sign

__all__ = [
    "FAREWELL_SECONDS",
    "GRACE",
    "HookFailed",
    "Moment",
    "Notice",
    "Notifications",
    "Told",
    "moments",
    "run_command",
    "sign",
]
