"""The keys of a definition file: tables from which the checker, the JSON Schema and the documentation are made."""

from collections.abc import Mapping

from prunner_trio.definition.incoming_schema import INCOMING, SOURCE
from prunner_trio.definition.keys import Key, Kind, Table, table

__all__ = [
    "EXTENSION",
    "FILE",
    "HANDLER",
    "HINTED",
    "HOOK",
    "LEVELS",
    "LIMITS",
    "NOTIFY",
    "PIPELINE",
    "SECRET_VARIABLE",
    "TASK",
]

EXTENSION = "x-"
"""Keys that begin so are never read: room for anchors and for the data of other programs."""


_ENV_ALSO = ("environment", "environments", "envs")
_SHELL = "The program that runs the scripts, by name or path: `sh`, `bash`, `/bin/zsh`."
_KILL_TIMEOUT = (
    "From the first signal of a stop to SIGKILL; halfway there, what is left gets SIGTERM. 0: SIGKILL at once."
)


def _orphans(default: str, example: str) -> Key:
    return Key(
        "orphans",
        Kind.ORPHANS,
        default,
        "What becomes of processes in the background when a task has ended by itself: `kill` stops them and says so in "
        "the log, `wait` lets the task last until they are gone, `keep` lets them go.",
        example,
        also=("background", "leftovers", "daemons", "children"),
    )


def _log_limit(default: str, example: str) -> Key:
    return Key(
        "log_limit",
        Kind.LOG_LIMIT,
        default,
        "The most bytes of output that each of the two logs of a task has; at least 4Ki. Of more, the middle is left "
        "out and the log says so. `none`: no limit.",
        example,
        also=("log_size", "max_log_size", "log_max_size", "output_limit", "logs"),
    )


def _secrets(default: str, doc: str, example: str) -> Key:
    return Key(
        "secrets",
        Kind.SECRETS,
        default,
        doc,
        example,
        also=("secret", "mask", "masked", "hide", "hidden", "passwords", "secret_env", "credentials"),
    )


def _limits(default: str, example: str) -> tuple[Key, ...]:
    return (
        Key(
            "limits",
            Kind.LIMITS,
            default,
            "What all processes of a task together may use.",
            example,
            also=("resources", "limit", "ulimit"),
        ),
        Key(
            "limits_optional",
            Kind.FLAG,
            "false" if default == "none" else "that of the pipeline",
            "Run without the limits that this machine cannot enforce, rather than refuse them.",
            "true",
        ),
    )


_OWN_SECRETS = (
    "Names of more environment variables whose values are masked in its output. Tasks of the pipeline that do not list "
    "them do not get them."
)

LIMITS = table(
    Key(
        "memory",
        Kind.SIZE,
        "none",
        "Memory, swap included; at least 1Mi. Who needs more is killed.",
        "512Mi",
        positive=True,
        below="must be at least 1Mi",
        also=("mem", "ram", "memory_limit"),
    ),
    Key(
        "cpu",
        Kind.NUMBER,
        "none",
        "Processors: 0.5 is half the time of one, 2 the time of two; at least 0.01.",
        "1.5",
        positive=True,
        below="must be between 0.01 and 10000",
        also=("cpus", "processors", "cores"),
    ),
    Key(
        "processes",
        Kind.COUNT,
        "none",
        "How many processes and threads there may be at a time; to start one more fails.",
        "100",
        positive=True,
        below="must be greater than 0",
        also=("pids", "nproc", "threads", "tasks"),
    ),
)

FILE = table(
    Key(
        "pipelines",
        Kind.PIPELINES,
        "none",
        "The pipelines by name. A name may be used once in all files together.",
        "{hello: {tasks: {greet: {script: [echo hello]}}}}",
        also=("pipeline", "jobs", "workflows"),
    )
)

_SCRIPT = Key(
    "script",
    Kind.SCRIPT,
    "empty",
    "Entries that run one after the other; the first that fails ends the task. Each is a template, then shell text.",
    "[make, make test]",
    also=("scripts", "command", "commands", "cmd", "run", "steps", "exec"),
)

HANDLER = table(
    _SCRIPT,
    Key(
        "env", Kind.ENV, "empty", "More environment, wins over that of the pipeline.", "{LEVEL: error}", also=_ENV_ALSO
    ),
    Key("shell", Kind.TEXT, "that of the pipeline", _SHELL, "sh"),
    Key(
        "timeout",
        Kind.DURATION,
        "none",
        "How long the handler may run.",
        "30s",
        positive=True,
        below="must be greater than 0",
    ),
    Key("kill_timeout", Kind.DURATION, "that of the pipeline", _KILL_TIMEOUT, "5s", also=("grace_period",)),
    _orphans("that of the pipeline", "wait"),
    *_limits("those of the pipeline", "{memory: 64Mi}"),
    _log_limit("that of the pipeline", "64Ki"),
    _secrets("those of the pipeline", _OWN_SECRETS, "[CHAT_TOKEN]"),
)

TASK = table(
    _SCRIPT,
    Key(
        "depends_on",
        Kind.NAMES,
        "empty",
        "The tasks of the same pipeline that must have passed before this one starts.",
        "[build, lint]",
        also=("needs", "requires", "after", "dependencies"),
    ),
    Key(
        "allow_failure",
        Kind.FLAG,
        "false",
        "A failure of this task counts as passed; entries behind a failed one still run.",
        "true",
        also=("continue_on_error", "ignore_errors", "ignore_failure"),
    ),
    Key("env", Kind.ENV, "empty", "More environment, wins over that of the pipeline.", "{CI: yes}", also=_ENV_ALSO),
    Key("shell", Kind.TEXT, "that of the pipeline", _SHELL, "bash"),
    Key(
        "timeout",
        Kind.DURATION,
        "none",
        "How long the task may run; then it is stopped and has failed.",
        "10m",
        positive=True,
        below="must be greater than 0",
        also=("timeout_seconds", "time_limit"),
    ),
    Key("kill_timeout", Kind.DURATION, "that of the pipeline", _KILL_TIMEOUT, "10s", also=("grace_period",)),
    _orphans("that of the pipeline", "keep"),
    *_limits("those of the pipeline", "{memory: 1Gi, cpu: 2}"),
    _log_limit("that of the pipeline", "none"),
    _secrets("those of the pipeline", _OWN_SECRETS, "[API_TOKEN, SIGN_KEY]"),
)

PIPELINE = table(
    Key("tasks", Kind.TASKS, "none", "The tasks by name.", "{greet: {script: [echo hello]}}", also=("task", "steps")),
    Key(
        "concurrency",
        Kind.COUNT,
        "1",
        "How many jobs of this pipeline may run at once; 0 means 1.",
        "2",
        below="must be greater than 0",
        also=("parallel", "max_parallel"),
    ),
    Key(
        "queue_limit",
        Kind.COUNT,
        "no limit",
        "How many jobs may wait; 0: none, a job is refused unless it can start at once.",
        "10",
    ),
    Key(
        "queue_strategy",
        Kind.STRATEGY,
        "append",
        "What happens to a new job when the wait list is full: `append` refuses it, `replace` puts it in the place of "
        "the last waiting one, `partitioned_replace` does so among the jobs of the same partition.",
        "replace",
    ),
    Key(
        "queue_partition_limit",
        Kind.COUNT,
        "none",
        "How many jobs of one partition may wait; needed for, and only allowed with, `partitioned_replace`.",
        "1",
        positive=True,
        below="",
    ),
    Key(
        "start_delay",
        Kind.DURATION,
        "0s",
        "How long every job waits before it may start; with `replace` a debounce.",
        "5s",
        also=("delay", "debounce"),
    ),
    Key(
        "continue_running_tasks_after_failure",
        Kind.FLAG,
        "false",
        "After a failure, let all tasks run that do not depend on the failed one; else they are stopped.",
        "true",
        also=("continue_on_error", "fail_fast"),
    ),
    Key(
        "retention_period",
        Kind.DURATION,
        "0s",
        "How long finished jobs are kept, since they were created; 0: for ever.",
        "48h",
    ),
    Key("retention_count", Kind.COUNT, "0", "How many finished jobs are kept; 0: all.", "50"),
    Key("env", Kind.ENV, "empty", "Environment of all tasks.", "{VERSION: 1.10}", also=_ENV_ALSO),
    Key(
        "on_error",
        Kind.HANDLER,
        "none",
        "A task that runs after all others if one has failed.",
        "{script: [./notify]}",
        also=("on_failure",),
    ),
    Key("shell", Kind.TEXT, "bash if there is one, else sh", _SHELL, "sh"),
    Key(
        "timeout",
        Kind.DURATION,
        "none",
        "How long a job may run, from its start; then it is stopped and has failed.",
        "1h",
        positive=True,
        below="must be greater than 0",
        also=("timeout_seconds", "time_limit"),
    ),
    Key("kill_timeout", Kind.DURATION, "2s", _KILL_TIMEOUT, "10s", also=("grace_period",)),
    _orphans("kill", "wait"),
    *_limits("none", "{memory: 512Mi, processes: 200}"),
    Key(
        "on_daemon_crash",
        Kind.CRASH,
        "cancel",
        "What becomes of a running job when the daemon dies: the next one stops what is left of it, and `cancel` ends "
        "it as interrupted, `requeue` lets it wait again at its old place, to run from its start. With `adopt` its "
        "tasks go on without a daemon, and the job goes on with the next one.",
        "requeue",
        also=("on_crash", "on_daemon_restart", "recovery", "restart"),
    ),
    _log_limit("that of `--log-limit`", "10Mi"),
    _secrets(
        "empty",
        "Names of environment variables that all tasks get, and whose values are masked in their output.",
        "[API_TOKEN]",
    ),
    Key(
        "notify",
        Kind.NOTIFY,
        "none",
        "Whom the daemon tells when a job has ended.",
        "{failure: [{command: ./tell-us}]}",
        also=("notifications", "notification", "on_success"),
    ),
    Key(
        "hooks",
        Kind.INCOMING,
        "none",
        "Names under which others, such as GitHub, may start jobs of the pipeline by a request.",
        "{site: {kind: github}}",
        also=("webhooks", "hook", "triggers", "trigger", "on"),
    ),
)

NOTIFY = table(
    Key(
        "failure",
        Kind.HOOKS,
        "none",
        "Hooks for a job that has ended with an error.",
        "[{command: ./tell-us}]",
        also=("error", "failed"),
    ),
    Key(
        "recovery",
        Kind.HOOKS,
        "none",
        "Hooks for a job that has ended well after the one before had ended with an error.",
        "[{command: ./calm-down}]",
        also=("recovered", "fixed"),
    ),
    Key(
        "success",
        Kind.HOOKS,
        "none",
        "Hooks for a job that has ended well, whatever the one before did.",
        '[{webhook: "https://example.org/done"}]',
        also=("done", "succeeded"),
    ),
)

HOOK = table(
    Key("command", Kind.TEXT, "none", "Shell text to run; this or `webhook`.", "./tell-us", also=("script", "run")),
    Key(
        "webhook",
        Kind.ADDRESS,
        "none",
        "Where to POST what has happened, as JSON; this or `command`.",
        '"https://example.org/ci"',
        also=("url", "address", "http"),
    ),
    Key(
        "secret_env",
        Kind.SECRET,
        "none",
        "The variable of the daemon with the key for the signature of a webhook: PRUNNER_NOTIFY_SECRET, or a name that "
        "begins with PRUNNER_NOTIFY_SECRET_.",
        "PRUNNER_NOTIFY_SECRET",
        also=("secret", "key", "token"),
    ),
    Key(
        "timeout",
        Kind.DURATION,
        "10s",
        "How long the command may run, or each attempt to reach the webhook may take.",
        "30s",
        positive=True,
        below="must be greater than 0",
    ),
)

LEVELS: Mapping[str, Table] = {
    "the top level": FILE,
    "a pipeline": PIPELINE,
    "a task": TASK,
    "on_error": HANDLER,
    "limits": LIMITS,
    "notify": NOTIFY,
    "a hook": HOOK,
    "an incoming hook": INCOMING,
    "a variable of an incoming hook": SOURCE,
}
"""All tables by the place that they describe."""

HINTED: Mapping[str, Table] = {level: keys for level, keys in LEVELS.items() if keys not in (HOOK, INCOMING, SOURCE)}
"""Those into which a key that is in the wrong place is likely to belong."""

SECRET_VARIABLE = "PRUNNER_NOTIFY_SECRET"
"""What the name of every variable with the key of a webhook begins with: tasks do not get those."""
