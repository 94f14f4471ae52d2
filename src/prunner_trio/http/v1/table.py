"""All routes of API v1: the router and the document are made from this table."""

from collections.abc import Awaitable, Callable

import attrs

from prunner_trio.http.facts import Answer
from prunner_trio.http.line import Streamed
from prunner_trio.http.rights import Role
from prunner_trio.http.v1.handlers import Call, Handlers
from prunner_trio.http.v1.models import (
    Health,
    HookReceipt,
    Job,
    JobPage,
    JobTasks,
    LogLines,
    LogMatches,
    Logs,
    PipelineDetail,
    PipelineList,
    ScheduleRequest,
    SignInLink,
    Task,
)
from prunner_trio.http.v1.questions import (
    CancelQuestion,
    JobsQuestion,
    LinesQuestion,
    LogQuestion,
    LogsQuestion,
    MatchesQuestion,
    NoQuestion,
)
from prunner_trio.http.v1.sse import EVENT_STREAM

__all__ = [
    "ACCEPTED",
    "DOCUMENT",
    "IDEMPOTENCY",
    "NOT_ACCEPTED",
    "PAGE",
    "Handler",
    "Reply",
    "Route",
    "own_routes",
    "routes",
]

Handler = Callable[[Call], Awaitable[Answer | Streamed]]

DOCUMENT = "/v1/openapi.json"
PAGE = "/v1/docs"

_PLAIN = "text/plain"
_LOG_HEADERS = {
    "Log-Offset": "where this part begins, in bytes",
    "Log-Next": "where it ends: the offset of what follows",
    "Log-Size": "how many bytes there were",
    "Log-Complete": "`true` if the task is over, so that no more will come",
}
_LAST_ID = {"Last-Event-ID": "the id of the last event that was received; what follows it is sent"}


@attrs.frozen
class Reply:
    """What comes with a status.

    Attributes:
        schema: the type of a JSON body; None: there is no such body.
        media: the types of other bodies.
        headers: what they mean, by name.
    """

    description: str
    schema: type | None = None
    media: tuple[str, ...] = ()
    headers: dict[str, str] = attrs.field(factory=dict)


@attrs.frozen
class Route:
    """One method of one path.

    Attributes:
        path: with the names of parameters in braces.
        name: the operation's id.
        query: the type of its query parameters.
        replies: by status; not those of problems.
        problems: the kinds of problems that it has of its own.
        body: the type of the request's body.
        body_required: there must be one.
        headers: of requests; what they mean, by name.
        tag: under which heading it is shown.
        need: the role that its caller must have; None: it is answered without a token.
    """

    method: str
    path: str
    name: str
    summary: str
    handler: Handler
    replies: dict[int, Reply]
    query: type = NoQuestion
    problems: tuple[str, ...] = ()
    body: type | None = None
    body_required: bool = True
    headers: dict[str, str] = attrs.field(factory=dict)
    tag: str = "jobs"
    need: Role | None = attrs.field(kw_only=True)

    @property
    def segments(self) -> tuple[str, ...]:
        """The parts of the path."""
        return tuple(self.path.split("/"))


ACCEPTED = Reply(
    "the job is on disk, and will run",
    Job,
    headers={
        "Location": "the address of the job",
        "Idempotency-Replayed": "`true` if an earlier request with this key had made the job",
    },
)
IDEMPOTENCY = {"Idempotency-Key": "the same request with the same key within 24 hours makes no second job"}
NOT_ACCEPTED = (
    "invalid-body",
    "queue-full",
    "queue-disabled",
    "body-too-large",
    "unsupported-media-type",
    "invalid-content",
    "idempotency-key-reused",
    "shutting-down",
    "store-unavailable",
)


def routes(handlers: Handlers) -> tuple[Route, ...]:
    """Return the routes of all resources."""
    read = ("job-not-found", "store-unavailable")
    of_task = ("job-not-found", "task-not-found", "store-unavailable")
    stream = Reply("events until the end of the job", media=(EVENT_STREAM,))
    seen = Reply("the client has seen the end: nothing more comes, so it need not ask again")
    log_reply = Reply("the bytes as they were written", media=(_PLAIN, EVENT_STREAM), headers=_LOG_HEADERS)
    return (
        Route(
            "GET",
            "/v1/pipelines",
            "listPipelines",
            "All pipelines, with their latest results",
            handlers.pipelines,
            {200: Reply("all pipelines", PipelineList)},
            problems=("store-unavailable",),
            tag="pipelines",
            need=Role.READ,
        ),
        Route(
            "GET",
            "/v1/pipelines/{name}",
            "getPipeline",
            "One pipeline, with its definition, graph and variables",
            handlers.pipeline,
            {200: Reply("the pipeline", PipelineDetail)},
            problems=("pipeline-not-found", "store-unavailable"),
            tag="pipelines",
            need=Role.READ,
        ),
        Route(
            "GET",
            "/v1/jobs",
            "listJobs",
            "Jobs, the newest first, a page at a time",
            handlers.jobs,
            {200: Reply("a page of jobs", JobPage)},
            query=JobsQuestion,
            problems=("store-unavailable",),
            need=Role.READ,
        ),
        Route(
            "POST",
            "/v1/jobs",
            "scheduleJob",
            "Start a job, or put it on its wait list",
            handlers.schedule,
            {202: ACCEPTED},
            body=ScheduleRequest,
            headers=IDEMPOTENCY,
            problems=NOT_ACCEPTED,
            need=Role.RUN,
        ),
        Route(
            "POST",
            "/v1/hooks/{hook}",
            "receiveHook",
            "Take an event from GitHub, GitLab or somebody else who can sign it, and start the job that it means",
            handlers.hook,
            {
                200: Reply("the event starts no job", HookReceipt),
                202: Reply("the job is on disk, and will run", HookReceipt),
            },
            body=dict,
            headers={
                "X-Hub-Signature-256": "proof of a hook of kind `github`",
                "X-Gitlab-Token": "proof of one of kind `gitlab`",
                "X-Signature-256": "proof of one of kind `generic`, for the time in `X-Timestamp`",
                "X-Timestamp": "seconds since 1970, within 5 minutes of the daemon's",
                "Idempotency-Key": "the same event with the same key within 24 hours makes no second job",
            },
            problems=(
                "hook-refused",
                "invalid-body",
                "queue-full",
                "queue-disabled",
                "body-too-large",
                "unsupported-media-type",
                "invalid-content",
                "idempotency-key-reused",
                "shutting-down",
                "store-unavailable",
            ),
            tag="hooks",
            need=None,
        ),
        Route(
            "GET",
            "/v1/jobs/{id}",
            "getJob",
            "One job as it is now",
            handlers.job,
            {200: Reply("the job", Job)},
            problems=read,
            need=Role.READ,
        ),
        Route(
            "POST",
            "/v1/jobs/{id}/cancel",
            "cancelJob",
            "Ask a job to stop",
            handlers.cancel,
            {200: Reply("it is over", Job), 202: Reply("it has been asked to stop", Job)},
            query=CancelQuestion,
            problems=("job-not-found", "job-finished", "store-unavailable"),
            need=Role.RUN,
        ),
        Route(
            "GET",
            "/v1/jobs/{id}/tasks",
            "listTasks",
            "The tasks of a job",
            handlers.tasks,
            {200: Reply("its tasks", JobTasks)},
            problems=read,
            need=Role.READ,
        ),
        Route(
            "GET",
            "/v1/jobs/{id}/tasks/{task}",
            "getTask",
            "One task of a job",
            handlers.task,
            {200: Reply("the task", Task)},
            problems=of_task,
            need=Role.READ,
        ),
        Route(
            "GET",
            "/v1/jobs/{id}/tasks/{task}/logs/{stream}",
            "getLog",
            "What a task has written: all, a part, the last lines, or as it comes",
            handlers.log,
            {
                200: log_reply,
                204: seen,
                206: Reply("the bytes that `Range` names", media=(_PLAIN,), headers=_LOG_HEADERS),
            },
            query=LogQuestion,
            headers={**_LAST_ID, "Range": "one range of bytes; goes with no parameter"},
            problems=(*of_task, "range-not-satisfiable", "too-many-streams"),
            tag="logs",
            need=Role.READ,
        ),
        Route(
            "GET",
            "/v1/jobs/{id}/tasks/{task}/logs/{stream}/lines",
            "getLogLines",
            "Where the lines of a log are: how many of them end in each block of bytes",
            handlers.lines,
            {200: Reply("the counts of the next blocks", LogLines)},
            query=LinesQuestion,
            problems=of_task,
            tag="logs",
            need=Role.READ,
        ),
        Route(
            "GET",
            "/v1/jobs/{id}/tasks/{task}/logs/{stream}/matches",
            "findInLog",
            "Which lines of a log hold a text, a part of it at a time",
            handlers.matches,
            {200: Reply("the lines within this part", LogMatches)},
            query=MatchesQuestion,
            problems=of_task,
            tag="logs",
            need=Role.READ,
        ),
        Route(
            "GET",
            "/v1/job/logs",
            "getLogNews",
            "What both logs of a task have gained, as JSON",
            handlers.logs,
            {200: Reply("the news", Logs)},
            query=LogsQuestion,
            problems=of_task,
            tag="logs",
            need=Role.READ,
        ),
        Route(
            "GET",
            "/v1/events",
            "streamEvents",
            "The changes of all jobs as they happen",
            handlers.events,
            {200: Reply("events without an end", media=(EVENT_STREAM,))},
            headers=_LAST_ID,
            problems=("too-many-streams",),
            tag="events",
            need=Role.READ,
        ),
        Route(
            "GET",
            "/v1/jobs/{id}/events",
            "streamJobEvents",
            "The changes of one job until its end",
            handlers.job_events,
            {200: stream, 204: seen},
            headers=_LAST_ID,
            problems=(*read, "too-many-streams"),
            tag="events",
            need=Role.READ,
        ),
        Route(
            "POST",
            "/v1/sign-in-links",
            "makeSignInLink",
            "A link to the web page that signs in as the bearer of the token, once, within a minute",
            handlers.sign_in_link,
            {201: Reply("the link", SignInLink)},
            tag="page",
            need=Role.READ,
        ),
        Route(
            "GET",
            "/healthz",
            "getHealth",
            "Whether the daemon answers",
            handlers.alive,
            {200: Reply("it does", Health)},
            tag="health",
            need=None,
        ),
        Route(
            "GET",
            "/readyz",
            "getReadiness",
            "Whether the daemon accepts new jobs",
            handlers.ready,
            {
                200: Reply("it does", Health),
                503: Reply("it is about to end, or its store cannot be written", Health),
            },
            tag="health",
            need=None,
        ),
    )


def own_routes(document: Handler, page: Handler) -> tuple[Route, ...]:
    """Return the routes that tell of the others."""
    return (
        Route(
            "GET",
            DOCUMENT,
            "getDocument",
            "This description, as OpenAPI 3.1",
            document,
            {200: Reply("the document", dict)},
            tag="description",
            need=Role.READ,
        ),
        Route(
            "GET",
            PAGE,
            "getPage",
            "This description, to be read",
            page,
            {200: Reply("a page", media=("text/html",))},
            tag="description",
            need=Role.READ,
        ),
    )
