"""What API v1 answers: values whose fields are the members of the JSON.

The document is made from these types; what stands under ``Attributes`` becomes the description of a member. All
members are always there. Times are RFC 3339 in UTC with milliseconds, durations are seconds.
"""

from prunner_trio.http.v1.models._hooks import HookReceipt, HookResult
from prunner_trio.http.v1.models._jobs import (
    End,
    Job,
    JobPage,
    JobTasks,
    Outcome,
    Pause,
    ScheduleRequest,
    Stop,
    Task,
    Waiting,
)
from prunner_trio.http.v1.models._page import SignInLink
from prunner_trio.http.v1.models._pipelines import (
    Edge,
    Graph,
    Limits,
    Node,
    Pipeline,
    PipelineDetail,
    PipelineList,
    Queue,
    Retention,
    TaskDefinition,
    Variable,
)
from prunner_trio.http.v1.models._refusals import Health, Problem, ProblemItem
from prunner_trio.http.v1.models._scalars import Time, Uuid
from prunner_trio.http.v1.models._steering import (
    Audit,
    Deed,
    MoveRequest,
    PipelinePause,
    QueuedJob,
    RetryRequest,
    WaitLists,
)
from prunner_trio.http.v1.models._streams import (
    Closing,
    LogEnd,
    LogLines,
    LogMatches,
    LogPart,
    LogPiece,
    Logs,
    Occurrence,
    StreamStart,
)

__all__ = [
    "Audit",
    "Closing",
    "Deed",
    "Edge",
    "End",
    "Graph",
    "Health",
    "HookReceipt",
    "HookResult",
    "Job",
    "JobPage",
    "JobTasks",
    "Limits",
    "LogEnd",
    "LogLines",
    "LogMatches",
    "LogPart",
    "LogPiece",
    "Logs",
    "MoveRequest",
    "Node",
    "Occurrence",
    "Outcome",
    "Pause",
    "Pipeline",
    "PipelineDetail",
    "PipelineList",
    "PipelinePause",
    "Problem",
    "ProblemItem",
    "Queue",
    "QueuedJob",
    "Retention",
    "RetryRequest",
    "ScheduleRequest",
    "SignInLink",
    "Stop",
    "StreamStart",
    "Task",
    "TaskDefinition",
    "Time",
    "Uuid",
    "Variable",
    "WaitLists",
    "Waiting",
]
