"""What all jobs of a runner share."""

from collections.abc import Callable, Mapping

import attrs

from prunner_trio.execution.room import Room
from prunner_trio.execution.seams import Journal, Launcher, OutputStore
from prunner_trio.execution.stop import Hurry
from prunner_trio.model import Event, EventKind, JobId, State

__all__ = ["Services"]


@attrs.frozen
class Services:
    """What all jobs of a runner share.

    Attributes:
        now: wall time.
        publish: takes (kind, job id, pipeline, task name, state, reason), makes an `Event` of it and tells the
            subscribers.
        env: the environment that tasks start from.
        cwd: the directory in which scripts run.
        shell: for tasks whose definition names none.
        room: to be entered for as long as a task runs.
        log_limit: for tasks whose definition names none.
        outlive: all tasks may outlive the daemon, not only those of pipelines that ask for it.
    """

    launcher: Launcher
    journal: Journal
    output: OutputStore
    now: Callable[[], float]
    publish: Callable[[EventKind, JobId, str, str, State, str], Event]
    hurry: Hurry
    env: Mapping[str, str] = attrs.field(repr=False)
    cwd: str
    shell: str
    kill_timeout: float
    reap_timeout: float
    room: Room
    log_limit: int | None = None
    outlive: bool = False
