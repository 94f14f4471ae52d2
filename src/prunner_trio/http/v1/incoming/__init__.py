"""Incoming webhooks: who calls, what has happened, and which job that means; see ``docs/webhooks.md``.

All of it is synchronous, over values: the handler reads the body and starts the job.
"""

from prunner_trio.http.v1.incoming.judge import Incoming, SecretOf, Wanted, log_wanted

__all__ = ["Incoming", "SecretOf", "Wanted", "log_wanted"]
