"""From the runner's values to those of API v1."""

from collections.abc import Mapping

import attrs

from prunner_trio.definition.graph import layers
from prunner_trio.definition.parameters import parameters
from prunner_trio.definition.pipeline import PipelineDef, TaskDef
from prunner_trio.http.v1.encode import duration, time_text
from prunner_trio.http.v1.models import (
    Deed,
    Edge,
    End,
    Graph,
    Job,
    Limits,
    Node,
    Outcome,
    Pause,
    Pipeline,
    PipelineDetail,
    Queue,
    QueuedJob,
    Retention,
    Stop,
    Task,
    TaskDefinition,
    Time,
    Uuid,
    Variable,
    Waiting,
)
from prunner_trio.model import (
    AuditEntry,
    JobView,
    PipelineView,
    Queued,
    State,
    StopReason,
    StopRequest,
    TaskView,
    WaitPlace,
    WaitReason,
)
from prunner_trio.model import Pause as PauseOf

__all__ = [
    "deed_of",
    "end_of",
    "exit_code",
    "job_of",
    "outcome",
    "pause_of",
    "pipeline_detail",
    "pipeline_of",
    "queued_job",
    "task_of",
]

_STOPPED: Mapping[StopReason, Outcome] = {
    StopReason.USER: Outcome.CANCELED,
    StopReason.FAIL_FAST: Outcome.FAILED,
    StopReason.TIMEOUT: Outcome.TIMED_OUT,
    StopReason.REPLACED: Outcome.REPLACED,
    StopReason.REFUSED: Outcome.REFUSED,
    StopReason.NOT_SAVED: Outcome.NOT_SAVED,
    StopReason.SHUTDOWN: Outcome.SHUTDOWN,
    StopReason.INTERRUPTED: Outcome.INTERRUPTED,
    StopReason.INTERNAL: Outcome.INTERNAL,
}
_WORDS: Mapping[Outcome, str] = {
    Outcome.CANCELED: "canceled",
    Outcome.REPLACED: "a newer job took its place in the wait list",
    Outcome.REFUSED: "its variables cannot be used",
    Outcome.SHUTDOWN: "the daemon was stopped",
    Outcome.INTERRUPTED: "the daemon died while the job was running",
    Outcome.NOT_SAVED: "the store could not write it",
    Outcome.INTERNAL: "internal error",
}


def outcome(job: JobView) -> Outcome | None:
    """Return how a job ended; None before."""
    if not job.state.final:
        return None
    if job.state is State.DONE:
        return Outcome.SUCCEEDED
    if job.stop is not None and (job.state is State.CANCELED or job.stop.reason in _FAILURES):
        return _STOPPED[job.stop.reason]
    return Outcome.FAILED if job.state is State.ERROR else Outcome.CANCELED


_FAILURES = (StopReason.TIMEOUT, StopReason.INTERNAL)


def job_of(job: JobView, place: WaitPlace | None = None) -> Job:
    """Return a job; `place` is that of one that waits."""
    end = outcome(job)
    return Job(
        id=Uuid(job.id),
        number=job.number,
        pipeline=job.pipeline,
        state=job.state,
        outcome=end,
        reason=_reason(job, end),
        user=job.user,
        partition=job.partition,
        variables=job.variables,
        retry_of=Uuid(job.retry_of) if job.retry_of is not None else None,
        attempt=job.attempt,
        created=time_text(job.created),
        not_before=time_text(job.not_before) if job.not_before else None,
        started=_time(job.started),
        ended=_time(job.ended),
        waited=duration(job.created, job.started),
        duration=duration(job.started, job.ended),
        waiting=_waiting(job, place) if job.state is State.WAITING and place is not None else None,
        stop=_stop(job.stop),
        error=job.error,
        tasks=tuple(task_of(task) for task in job.tasks),
    )


def _reason(job: JobView, end: Outcome | None) -> str:
    if end is None or end is Outcome.SUCCEEDED:
        return ""
    if end is Outcome.CANCELED and job.stop is not None and job.stop.by:
        return f"canceled by {job.stop.by}"
    if end is Outcome.CANCELED and job.stop is None:
        alone = next((task for task in job.tasks if task.state is State.CANCELED and task.stop is not None), None)
        return f"{alone.name}: {alone.reason}" if alone is not None else _WORDS[end]
    if end in (Outcome.FAILED, Outcome.TIMED_OUT):
        culprit = next((task.name for task in job.tasks if task.failed), "")
        return f"{culprit}: {job.error}" if culprit and end is Outcome.FAILED else job.error
    return job.error or _WORDS.get(end, "")


def task_of(task: TaskView) -> Task:
    """Return a task of a job."""
    return Task(
        name=task.name,
        state=task.state,
        reason=task.reason,
        needs=task.depends_on,
        allow_failure=task.allow_failure,
        started=_time(task.started),
        ended=_time(task.ended),
        duration=duration(task.started, task.ended),
        exit_code=exit_code(task),
        cpu_seconds=task.cpu_seconds,
        peak_memory=task.peak_memory,
        stop=_stop(task.stop),
        from_job=Uuid(task.from_job) if task.from_job is not None else None,
    )


def exit_code(task: TaskView) -> int | None:
    """Return the exit code of a task, if a process has given one."""
    began = task.state.final and task.started is not None
    return task.exit_code if began and task.exit_code >= 0 else None


def _waiting(job: JobView, place: WaitPlace) -> Waiting:
    line = f"position {place.position} of {place.length}" if place.position is not None else ""
    text = {
        WaitReason.PAUSED: _paused(line, place.pause),
        WaitReason.SLOTS: f"{line}: {place.taken} of {place.slots} slots are taken",
        WaitReason.DELAYED: f"{line}: starts not before {time_text(job.not_before)}",
        WaitReason.SAVING: "its acceptance is being written to the store",
        WaitReason.STARTING: "it has a slot and is about to start",
        WaitReason.DRAINING: "the daemon is about to end and starts nothing; the next one will",
    }[place.reason]
    holders = tuple(map(Uuid, place.holders))
    until = time_text(job.not_before) if place.reason is WaitReason.DELAYED else None
    return Waiting(
        place.reason,
        place.position,
        place.length,
        place.taken,
        place.slots,
        holders,
        pause_of(place.pause),
        until,
        text,
    )


def _paused(line: str, pause: PauseOf | None) -> str:
    if pause is None:
        return line
    by = f" by {pause.by}" if pause.by else ""
    return f"{line}: its pipeline is paused since {time_text(pause.at)}{by}"


def _stop(stop: StopRequest | None) -> Stop | None:
    return Stop(stop.reason, time_text(stop.at), stop.by) if stop is not None else None


def pause_of(pause: PauseOf | None) -> Pause | None:
    """Return a pause."""
    return Pause(time_text(pause.at), pause.by) if pause is not None else None


def queued_job(queued: Queued) -> QueuedJob:
    """Return a job that waits."""
    job = queued.job
    return QueuedJob(
        id=Uuid(job.id),
        number=job.number,
        pipeline=job.pipeline,
        user=job.user,
        partition=job.partition,
        created=time_text(job.created),
        waiting=_waiting(job, queued.place),
    )


def deed_of(entry: AuditEntry) -> Deed:
    """Return an entry of an audit."""
    return Deed(time_text(entry.at), entry.action, entry.by, entry.detail)


def end_of(job: JobView) -> End | None:
    """Return the end of a job; None if it has not run, or not ended."""
    end = outcome(job)
    if end is None or job.started is None or job.ended is None:
        return None
    seconds = duration(job.started, job.ended) or 0.0
    return End(Uuid(job.id), job.state, end, time_text(job.started), time_text(job.ended), seconds)


def pipeline_of(view: PipelineView, definition: PipelineDef, ends: tuple[End, ...]) -> Pipeline:
    """Return a pipeline without its definition; `ends`, the oldest first, are its latest."""
    return Pipeline(
        name=view.name,
        file=definition.file,
        schedulable=view.schedulable,
        running=view.slots,
        waiting=view.waiting,
        concurrency=definition.concurrency,
        paused=pause_of(view.pause),
        last=ends[-1] if ends else None,
        ends=ends,
    )


def pipeline_detail(view: PipelineView, definition: PipelineDef, ends: tuple[End, ...]) -> PipelineDetail:
    """Return a pipeline with its definition."""
    return PipelineDetail(
        **attrs.asdict(pipeline_of(view, definition, ends), recurse=False),
        tasks=tuple(_task_definition(task, definition) for task in definition.tasks),
        on_error=_task_definition(definition.on_error, definition) if definition.on_error else None,
        variables=tuple(Variable(p.name, p.env, p.tasks, p.template) for p in parameters(definition)),
        graph=_graph(definition),
        queue=Queue(
            definition.queue_limit,
            definition.queue_strategy.value,
            definition.queue_partition_limit,
            definition.start_delay,
        ),
        retention=Retention(definition.retention_period, definition.retention_count),
        env=tuple(definition.env),
        shell=definition.shell,
        timeout=definition.timeout,
        kill_timeout=definition.kill_timeout,
        continue_running_tasks_after_failure=definition.continue_running_tasks_after_failure,
        on_daemon_crash=definition.on_daemon_crash.value,
    )


def _task_definition(task: TaskDef, inherited: PipelineDef) -> TaskDefinition:
    limits = task.limits.over(inherited.limits)
    return TaskDefinition(
        name=task.name,
        depends_on=task.depends_on,
        script=task.script,
        allow_failure=task.allow_failure,
        env=tuple(task.env),
        shell=task.shell,
        timeout=task.timeout,
        kill_timeout=task.kill_timeout,
        orphans=task.orphans.value if task.orphans else None,
        limits=Limits(limits.memory, limits.cpu, limits.processes),
        log_limit=inherited.log_limit if task.log_limit is None else task.log_limit,
        secrets=tuple(sorted(inherited.secrets_of(task))),
    )


def _graph(definition: PipelineDef) -> Graph:
    found = layers({task.name: task.depends_on for task in definition.tasks})
    layer_of = {name: index for index, names in enumerate(found) for name in names}
    return Graph(
        nodes=tuple(Node(task.name, layer_of[task.name]) for task in definition.tasks),
        edges=tuple(Edge(need, task.name) for task in definition.tasks for need in task.depends_on),
        layers=tuple(map(tuple, found)),
    )


def _time(seconds: float | None) -> Time | None:
    return None if seconds is None else time_text(seconds)
