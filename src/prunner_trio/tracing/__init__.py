"""Spans of OpenTelemetry: one for each job, and below it one for each task; see ``docs/tracing.md``.

Imported only if somebody wants them, since the library is an extra and takes a while.
"""

from prunner_trio.tracing.asking import TracedRequests
from prunner_trio.tracing.exporting import Exporting, open_exporting
from prunner_trio.tracing.launching import TracedLauncher
from prunner_trio.tracing.spans import JobSpans

__all__ = ["Exporting", "JobSpans", "TracedLauncher", "TracedRequests", "open_exporting"]
