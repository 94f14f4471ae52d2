"""A structured-concurrency pipeline runner on Trio.

The names of this package are what programs that embed the runner need; each is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from prunner_trio._version import __version__

if TYPE_CHECKING:
    from prunner_trio.definition import (
        Definitions,
        Limits,
        OnDaemonCrash,
        Orphans,
        PipelineDef,
        QueueStrategy,
        TaskDef,
        load_definitions,
    )
    from prunner_trio.embedding import open_runner
    from prunner_trio.errors import (
        InvalidDefinition,
        InvalidVariable,
        JobAlreadyFinished,
        JobNotFound,
        LaunchError,
        PipelineNotFound,
        PrunnerError,
        QueueDisabled,
        QueueFull,
        ShuttingDown,
        StoreError,
        StoreLocked,
    )
    from prunner_trio.execution import Job, Runner, StopLevel
    from prunner_trio.execution.seams import Stream
    from prunner_trio.launch import Containment
    from prunner_trio.model import Event, EventKind, JobId, JobView, State, StopReason, StopRequest, TaskView

__all__ = [
    "Containment",
    "Definitions",
    "Event",
    "EventKind",
    "InvalidDefinition",
    "InvalidVariable",
    "Job",
    "JobAlreadyFinished",
    "JobId",
    "JobNotFound",
    "JobView",
    "LaunchError",
    "Limits",
    "OnDaemonCrash",
    "Orphans",
    "PipelineDef",
    "PipelineNotFound",
    "PrunnerError",
    "QueueDisabled",
    "QueueFull",
    "QueueStrategy",
    "Runner",
    "ShuttingDown",
    "State",
    "StopLevel",
    "StopReason",
    "StopRequest",
    "StoreError",
    "StoreLocked",
    "Stream",
    "TaskDef",
    "TaskView",
    "__version__",
    "load_definitions",
    "open_runner",
]

_ROOMS = ("errors", "model", "definition", "execution", "execution.seams", "launch", "embedding")


def __getattr__(name: str) -> object:
    if name in __all__:
        for room in _ROOMS:
            module = import_module(f"{__name__}.{room}")
            if name in module.__all__:
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
