"""All measures, in the order in which they are shown."""

from benchmarks.measure import Measure
from benchmarks.parts.measures import PARTS
from benchmarks.scale.kept import KEPT
from benchmarks.scale.pipelines import PIPELINES
from benchmarks.scale.running import RUNNING
from benchmarks.scale.tasks import TASKS
from benchmarks.scale.waiting import WAITING
from benchmarks.service.cancel import CANCEL
from benchmarks.service.crash import CRASH
from benchmarks.service.follow import FOLLOW
from benchmarks.service.graphs import CHAIN, FAN
from benchmarks.service.jobs import GROWTH, JOBS
from benchmarks.service.listing import LISTING
from benchmarks.service.logs import COPIED, LOGS, MASKED
from benchmarks.service.requests import REQUESTS
from benchmarks.service.startup import STARTUP
from benchmarks.service.waiting import BURST, QUEUE

__all__ = ["MEASURES"]

MEASURES: tuple[Measure, ...] = (
    STARTUP,
    CHAIN,
    FAN,
    JOBS,
    QUEUE,
    BURST,
    REQUESTS,
    LISTING,
    LOGS,
    COPIED,
    MASKED,
    FOLLOW,
    CANCEL,
    CRASH,
    GROWTH,
    *PARTS,
    TASKS,
    KEPT,
    WAITING,
    PIPELINES,
    RUNNING,
)
