"""What is told, as values and as JSON, and the signature of it. Pure."""

import hashlib
import hmac
import json
from datetime import UTC, datetime

import attrs

from prunner_trio.hooks.moments import Moment
from prunner_trio.model import JobView

__all__ = ["SIGNATURE", "Notice", "sign"]

SIGNATURE = "Prunner-Signature"
"""The header with the time and the signature."""

_MOST_TASKS = 20
_LONGEST_TEXT = 1000


@attrs.frozen
class Notice:
    """One thing to be told, the same for all hooks.

    Attributes:
        delivery: an id; the same for every attempt to tell this to this hook.
    """

    delivery: str
    moment: Moment
    job: JobView

    def body(self) -> bytes:
        """Return it as JSON, in ASCII. No variables: they may hold what is not for others."""
        job = self.job
        failed = [task for task in job.tasks if task.failed]
        content = {
            "event": self.moment.value,
            "delivery": self.delivery,
            "pipeline": job.pipeline,
            "job": {
                "id": job.id,
                "number": job.number,
                "state": job.state.value,
                "user": job.user,
                "error": job.error[:_LONGEST_TEXT],
                "created": _time(job.created),
                "started": _time(job.started),
                "ended": _time(job.ended),
                "tasks": len(job.tasks),
                "failed_tasks": [
                    {"name": task.name, "exit_code": task.exit_code, "reason": task.reason[:_LONGEST_TEXT]}
                    for task in failed[:_MOST_TASKS]
                ],
            },
        }
        return json.dumps(content).encode()

    def environment(self) -> dict[str, str]:
        """Return the variables that a command gets."""
        return {
            "PRUNNER_EVENT": self.moment.value,
            "PRUNNER_PIPELINE": self.job.pipeline,
            "PRUNNER_JOB_ID": self.job.id,
            "PRUNNER_JOB_STATE": self.job.state.value,
            "PRUNNER_JOB_USER": self.job.user.replace("\0", "\ufffd"),
            "PRUNNER_JOB_ERROR": self.job.error[:_LONGEST_TEXT].replace("\0", "\ufffd"),
            "PRUNNER_NOTICE": self.body().decode(),
        }


def sign(secret: str, timestamp: int, body: bytes) -> str:
    """Return the value of `SIGNATURE`: ``t=SECONDS,v1=HEX``, an HMAC-SHA256 over ``SECONDS.BODY``."""
    digest = hmac.new(secret.encode(errors="surrogateescape"), b"%d." % timestamp + body, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"


def _time(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
