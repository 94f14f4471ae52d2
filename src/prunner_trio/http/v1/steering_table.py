"""The routes of API v1 that steer jobs and pipelines: a part of the table."""

from prunner_trio.http.rights import Role
from prunner_trio.http.v1.models import Audit, Job, MoveRequest, PipelinePause, RetryRequest, WaitLists
from prunner_trio.http.v1.steering import Steering
from prunner_trio.http.v1.table import ACCEPTED, IDEMPOTENCY, NOT_ACCEPTED, Reply, Route

__all__ = ["steering_routes"]

_BODY = ("invalid-body", "body-too-large", "unsupported-media-type", "invalid-content")
_OF_PIPELINE = ("pipeline-not-found", "store-unavailable")


def steering_routes(handlers: Steering) -> tuple[Route, ...]:
    """Return the routes."""
    return (
        Route(
            "POST",
            "/v1/jobs/{id}/retry",
            "retryJob",
            "Do a job again as a new one, as a whole or from what has failed",
            handlers.retry,
            {202: ACCEPTED},
            body=RetryRequest,
            body_required=False,
            headers=IDEMPOTENCY,
            problems=("job-not-found", "job-not-finished", "cannot-retry", *NOT_ACCEPTED),
            need=Role.RUN,
        ),
        Route(
            "POST",
            "/v1/jobs/{id}/tasks/{task}/cancel",
            "cancelTask",
            "Ask one task to stop; its job goes on",
            handlers.cancel_task,
            {202: Reply("the task has been asked to stop", Job)},
            problems=("job-not-found", "task-not-found", "task-finished", "job-not-started", "store-unavailable"),
            need=Role.RUN,
        ),
        Route(
            "POST",
            "/v1/jobs/{id}/move",
            "moveJob",
            "Give a job another place in the wait list of its pipeline",
            handlers.move,
            {200: Reply("the job at its new place", Job)},
            body=MoveRequest,
            problems=("job-not-found", "job-not-waiting", *_BODY, "store-unavailable"),
            tag="queue",
            need=Role.ADMIN,
        ),
        Route(
            "GET",
            "/v1/queue",
            "getQueue",
            "All jobs that wait: where, and why",
            handlers.queue,
            {200: Reply("the wait lists", WaitLists)},
            tag="queue",
            need=Role.READ,
        ),
        Route(
            "POST",
            "/v1/pipelines/{name}/pause",
            "pausePipeline",
            "Let a pipeline accept jobs and start none, also over restarts",
            handlers.pause,
            {200: Reply("it is paused", PipelinePause)},
            problems=_OF_PIPELINE,
            tag="queue",
            need=Role.ADMIN,
        ),
        Route(
            "POST",
            "/v1/pipelines/{name}/resume",
            "resumePipeline",
            "Let a paused pipeline start jobs again",
            handlers.resume,
            {200: Reply("it is not paused", PipelinePause)},
            problems=_OF_PIPELINE,
            tag="queue",
            need=Role.ADMIN,
        ),
        Route(
            "GET",
            "/v1/jobs/{id}/audit",
            "getJobAudit",
            "Who did what to a job",
            handlers.job_audit,
            {200: Reply("what was done", Audit)},
            problems=("job-not-found", "store-unavailable"),
            tag="audit",
            need=Role.READ,
        ),
        Route(
            "GET",
            "/v1/pipelines/{name}/audit",
            "getPipelineAudit",
            "Who paused and resumed a pipeline",
            handlers.pipeline_audit,
            {200: Reply("what was done", Audit)},
            problems=("pipeline-not-found",),
            tag="audit",
            need=Role.READ,
        ),
    )
